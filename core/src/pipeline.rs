//! All patterns around one call, in the order that works.
//!
//! ```text
//! deadline( per_call gates( retry( per_attempt gates( attempt timeout( operation )))))
//! ```
//!
//! # Reasons
//!
//! *Nothing runs past the deadline, without a timer of its own.* Each part gets it: waits at gates
//! end by it, an attempt is cut off at the earlier of it and its own timeout, and a retry that
//! could not begin before it is not made. So the only sleep that is ever armed is the one of the
//! attempt that runs, and a pipeline without deadline and timeout reads no clock.
//!
//! *What a gate is told.* Around an attempt: what `classify` says about its result; a failure where
//! it was cut off or panicked; `Abandoned` where the call was cancelled. Around the call: the same
//! for the last attempt that ran. Where no operation ran at all (refused further in, or cancelled
//! while waiting there) it is `Refused`: tokens are refunded, probes returned.
//!
//! *What is dropped first.* The operation, before the permits under which it ran, the inner ones
//! before the outer: nobody else is let in while it still holds something.
//!
//! *Parts left out are `()`*, whose code is empty: no branch, no clock reading. The futures are
//! named structs, so that they can be stored unboxed, and are `Send` exactly when their parts are;
//! the attempt that operations are given is plain data without a lifetime, or `spawn` would refuse
//! them. For what else it would refuse, see [`Operation`](crate::Operation) and the sources of
//! `gate/wait.rs` and `pipeline/call.rs`.
//!
//! *The parts are generic and not `const`.* A constant function could not take a pipeline apart
//! that owns an `Arc`, and owning one is what a service that is built at run time needs. Nothing is
//! lost: the state is in the gates, and those are in statics.

mod call;
mod meter;
mod parts;

use core::fmt;
use core::future::Future;
use core::time::Duration;

pub use call::Call;
pub use meter::{PipelineMeter, PipelineMetering, PipelineSnapshot, Rejections};
pub use parts::Parts;

use crate::deadline::Deadline;
use crate::event::Observer;
use crate::gate::{Classify, Gate, Immediate, ResultClassify, WaitGate};
use crate::retry::{Attempt, AttemptKind, AttemptPolicy};
use crate::time::{Clock, Timer, duration_from_ticks, ticks_of};
use crate::timeout::Timeout;

/// All patterns around one call: deadline, gates around the call, retries, gates around each
/// attempt, timeout of an attempt.
///
/// It holds no state of its own: the gates do, in statics or wherever the program keeps them, and
/// are usually given by reference. So make it where it is used: it costs nothing. It cannot be a
/// `static` itself, as its setters are not `const`: they take gates that own something, such as an
/// `Arc`.
///
/// | part | what it is | left out |
/// |---|---|---|
/// | `T` | the [`Timer`] | |
/// | `C` | the gates around the call | every call is let in |
/// | `R` | the [`Retry`](crate::Retry) or the [`Hedge`](crate::Hedge) | one attempt |
/// | `A` | the gates around each attempt | every attempt is let in |
/// | `K` | the [`Classify`] that says to the gates what a result means | an `Err` is a failure |
/// | `O` | the [`Observer`] | nobody is told |
/// | `M` | the [`PipelineMeter`] | nothing is counted |
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Backoff, Error, ManualClock, Pipeline, Reason, Rejection, Retry, Timeout};
/// # use fusebox_core::{Gate, Outcome};
/// # struct Breaker;
/// # impl Gate for Breaker {
/// #     type Token = ();
/// #     fn enter(&self) -> Result<(), Rejection> { Ok(()) }
/// #     fn exit(&self, (): (), _: Outcome) {}
/// # }
/// # static BREAKER: Breaker = Breaker;
///
/// const RETRY: Retry = Retry::new(Backoff::none()).max_attempts(3);
///
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let answer = Pipeline::new(&clock)
///     .deadline(Duration::from_secs(2))
///     .retry(RETRY)
///     .per_attempt(&BREAKER)
///     .attempt_timeout(Duration::from_millis(500))
///     .call(|attempt| async move {
///         if attempt.number == 1 { Err("connection reset") } else { Ok("hello") }
///     })
///     .await;
/// assert_eq!(answer, Ok("hello"));
/// # });
/// ```
///
/// In a struct its type is spelled in the order of the table, with an [`Immediate`] around the
/// gates at which it does not wait:
///
/// ```
/// use fusebox_core::{Backoff, Bulkhead, BulkheadConfig, Immediate, Pipeline, Retry, Timer};
/// # use fusebox_core::ManualClock;
///
/// static CALLS: Bulkhead = Bulkhead::new(BulkheadConfig::new(100));
/// static QUERIES: Bulkhead = Bulkhead::new(BulkheadConfig::new(10));
///
/// struct Client<T> {
///     pipeline: Pipeline<T, Immediate<&'static Bulkhead>, Retry, Immediate<&'static Bulkhead>>,
/// }
///
/// impl<T: Timer> Client<T> {
///     fn new(timer: T) -> Self {
///         let retry = Retry::new(Backoff::none());
///         Self { pipeline: Pipeline::new(timer).per_call(&CALLS).retry(retry).per_attempt(&QUERIES) }
///     }
///
///     async fn count(&self) -> Option<u32> {
///         self.pipeline.call(|_| async { Ok::<_, &str>(3) }).await.ok()
///     }
/// }
/// # let clock: ManualClock = ManualClock::new();
/// # assert_eq!(pollster::block_on(Client::new(&clock).count()), Some(3));
/// ```
#[derive(Clone, Copy)]
#[must_use = "a pipeline does nothing until it is called"]
pub struct Pipeline<T, C = (), R = (), A = (), K = ResultClassify, O = (), M = ()> {
    timer: T,
    per_call: C,
    retry: R,
    per_attempt: A,
    classify: K,
    observer: O,
    meter: M,
    name: &'static str,
    /// In ticks of the timer, as is the next; `u64::MAX` is none.
    deadline: u64,
    attempt_timeout: u64,
}

impl<T> Pipeline<T> {
    /// A pipeline with no parts yet, whose waits are on `timer`.
    pub const fn new(timer: T) -> Self {
        Self {
            timer,
            per_call: (),
            retry: (),
            per_attempt: (),
            classify: ResultClassify,
            observer: (),
            meter: (),
            name: "pipeline",
            deadline: u64::MAX,
            attempt_timeout: u64::MAX,
        }
    }
}

impl<T: Clock, C, R, A, K, O, M> Pipeline<T, C, R, A, K, O, M> {
    /// Ends each call this long after its first poll, whatever it is doing then: a duration, not a
    /// [`Deadline`], for which see [`call_before`](Self::call_before).
    pub const fn deadline(mut self, total: Duration) -> Self {
        self.deadline = ticks_of::<T>(total);
        self
    }

    /// Cuts off an attempt that takes longer than `timeout` (a [`Duration`] or a [`Timeout`]),
    /// counted from the moment the gates around it let it in.
    pub fn attempt_timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        let timeout = timeout.into().duration();
        self.attempt_timeout = ticks_of::<T>(timeout);
        self
    }
}

impl<T, C, R, A, K, O, M> Pipeline<T, C, R, A, K, O, M> {
    /// The same pipeline, but with the parts that `change` makes of its own.
    #[inline]
    fn with<C2, R2, A2, K2, O2, M2>(
        self,
        change: impl FnOnce(C, R, A, K, O, M) -> (C2, R2, A2, K2, O2, M2),
    ) -> Pipeline<T, C2, R2, A2, K2, O2, M2> {
        let Self { per_call, retry, per_attempt, classify, observer, meter, .. } = self;
        let (per_call, retry, per_attempt, classify, observer, meter) =
            change(per_call, retry, per_attempt, classify, observer, meter);
        Pipeline {
            timer: self.timer,
            per_call,
            retry,
            per_attempt,
            classify,
            observer,
            meter,
            name: self.name,
            deadline: self.deadline,
            attempt_timeout: self.attempt_timeout,
        }
    }
}

impl<T, R, A, K, O, M> Pipeline<T, (), R, A, K, O, M> {
    /// Asks `gate` once for the whole call, and never waits, whatever wait the gate would allow
    /// (a bulkhead's [`max_wait`](crate::BulkheadConfig::max_wait)); for that see
    /// [`per_call_waiting`](Self::per_call_waiting). Several gates are a tuple; it may be owned, a
    /// reference, or an `Arc`.
    pub fn per_call<G: Gate>(self, gate: G) -> Pipeline<T, Immediate<G>, R, A, K, O, M> {
        self.per_call_waiting(Immediate(gate))
    }

    /// Asks `gate` once for the whole call, and waits there, at most until the deadline.
    pub fn per_call_waiting<G>(self, gate: G) -> Pipeline<T, G, R, A, K, O, M> {
        self.with(|(), r, a, k, o, m| (gate, r, a, k, o, m))
    }
}

impl<T, C, A, K, O, M> Pipeline<T, C, (), A, K, O, M> {
    /// Makes further attempts as `retry` says.
    pub fn retry<R>(self, retry: R) -> Pipeline<T, C, R, A, K, O, M> {
        self.with(|c, (), a, k, o, m| (c, retry, a, k, o, m))
    }

    /// Makes further attempts as `hedge` says, beside those that run: in place of a retry, each
    /// attempt between the gates and with the timeout that are given for attempts.
    ///
    /// A hedge that is told of a failure makes the next attempt as well, so it is one or the other,
    /// as with gRPC. To retry what a hedge has given up, with its delays, retry the whole call.
    ///
    /// The gates are left by an attempt that lost with [`Outcome::Abandoned`](crate::Outcome),
    /// before the call returns. Where they refuse an attempt after the first, the others go on
    /// without it. The delay begins when an attempt turns to its gates: where it may wait there,
    /// the next one soon waits behind it, so let calls wait at the gates around the call instead.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Bulkhead, BulkheadConfig, Hedge, ManualClock, Pipeline};
    ///
    /// static CONNECTIONS: Bulkhead = Bulkhead::new(BulkheadConfig::new(100));
    /// const HEDGE: Hedge = Hedge::idempotent(Duration::from_millis(50));
    ///
    /// # async fn read(_: u64) -> Result<u32, &'static str> { Ok(7) }
    /// # pollster::block_on(async {
    /// # let clock: ManualClock = ManualClock::new();
    /// let answer = Pipeline::new(&clock)
    ///     .deadline(Duration::from_secs(1))
    ///     .hedge(HEDGE)
    ///     .per_attempt(&CONNECTIONS)
    ///     .call(|_attempt| read(42))
    ///     .await;
    /// assert_eq!(answer, Ok(7));
    /// # });
    /// ```
    pub fn hedge<H>(self, hedge: H) -> Pipeline<T, C, H, A, K, O, M> {
        self.with(|c, (), a, k, o, m| (c, hedge, a, k, o, m))
    }
}

impl<T, C, R, K, O, M> Pipeline<T, C, R, (), K, O, M> {
    /// Asks `gate` for each attempt, and never waits; for that see
    /// [`per_attempt_waiting`](Self::per_attempt_waiting). A refusal goes to the retry like any
    /// error; see [`Decide`](crate::Decide).
    pub fn per_attempt<G: Gate>(self, gate: G) -> Pipeline<T, C, R, Immediate<G>, K, O, M> {
        self.per_attempt_waiting(Immediate(gate))
    }

    /// Asks `gate` for each attempt, and waits there, at most until the deadline.
    pub fn per_attempt_waiting<G>(self, gate: G) -> Pipeline<T, C, R, G, K, O, M> {
        self.with(|c, r, (), k, o, m| (c, r, gate, k, o, m))
    }
}

impl<T, C, R, A, O, M> Pipeline<T, C, R, A, ResultClassify, O, M> {
    /// Says what a result means to the gates; see [`Classify`].
    pub fn classify<K>(self, classify: K) -> Pipeline<T, C, R, A, K, O, M> {
        self.with(|c, r, a, ResultClassify, o, m| (c, r, a, classify, o, m))
    }
}

impl<T, C, R, A, K, M> Pipeline<T, C, R, A, K, (), M> {
    /// Tells `observer`, under `name`, about timeouts, retries, calls that are given up, and calls
    /// that come after their deadline. Gates have observers of their own.
    pub fn observed_by<O: Observer>(
        self,
        name: &'static str,
        observer: O,
    ) -> Pipeline<T, C, R, A, K, O, M> {
        Pipeline { name, ..self.with(|c, r, a, k, (), m| (c, r, a, k, observer, m)) }
    }
}

impl<T, C, R, A, K, O> Pipeline<T, C, R, A, K, O> {
    /// Counts its calls in `meter`: a reference to a [`PipelineMeter`], or an `Arc` of one.
    pub fn metered<M: PipelineMetering<T>>(self, meter: M) -> Pipeline<T, C, R, A, K, O, M> {
        self.with(|c, r, a, k, o, ()| (c, r, a, k, o, meter))
    }
}

impl<T, C, R, A, K, O, M> Pipeline<T, C, R, A, K, O, M>
where
    T: Timer,
    C: WaitGate<T>,
    A: WaitGate<T>,
    O: Observer,
    M: PipelineMetering<T>,
{
    /// Runs `operation` under all parts. It is called once for each attempt, when the gates have
    /// let that in, and makes the attempt's future.
    ///
    /// The future borrows the pipeline, so that no function can make a pipeline and return its
    /// `call`: await it there, in an `async` block if need be, or keep the pipeline where it
    /// outlives its calls. [`Call::new`] takes it in an `Arc` or a `Box`, and then borrows nothing.
    ///
    /// # Errors
    ///
    /// What the last attempt met: [`Error::Inner`](crate::Error::Inner) where it failed,
    /// [`Error::TimedOut`](crate::Error::TimedOut) where it was cut off,
    /// [`Error::Rejected`](crate::Error::Rejected) where a gate refused.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops what is running or waiting, then gives back what was taken, as
    /// [`Outcome::Abandoned`](crate::Outcome::Abandoned), or `Refused` where no operation ran.
    /// Nothing is taken before the first poll. **Cancel safety:** that of the operation.
    #[inline]
    pub fn call<F, Fut, V, E>(&self, operation: F) -> Call<&Self, F>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
        R: AttemptPolicy<Kind: AttemptKind<Self, F>>,
        K: Classify<V, E>,
    {
        self.call_before(Deadline::NEVER, operation)
    }

    /// As [`call`](Self::call), for a call that is part of something that must be done by
    /// `deadline`: the earlier of the two deadlines holds.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). Where `deadline` has passed nothing is taken and nothing runs: it
    /// is [`Reason::DeadlineExceeded`](crate::Reason::DeadlineExceeded).
    ///
    /// # Cancellation
    ///
    /// As [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Deadline, Error, ManualClock, Pipeline, Reason};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let request = Deadline::after(&clock, Duration::from_secs(1));
    /// clock.advance(Duration::from_secs(1)); // The request spent it elsewhere.
    ///
    /// let answer = Pipeline::new(&clock)
    ///     .call_before(request, |_| async { Ok::<_, &str>("too late") })
    ///     .await;
    /// let Err(Error::Rejected(rejection)) = answer else { panic!() };
    /// assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
    /// # });
    /// ```
    #[inline]
    pub fn call_before<F, Fut, V, E>(&self, deadline: Deadline, operation: F) -> Call<&Self, F>
    where
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
        R: AttemptPolicy<Kind: AttemptKind<Self, F>>,
        K: Classify<V, E>,
    {
        Call::new(self, deadline, operation)
    }
}

impl<T: Clock, C, R: fmt::Debug, A, K, O, M> fmt::Debug for Pipeline<T, C, R, A, K, O, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit =
            |ticks| (ticks != u64::MAX).then(|| duration_from_ticks(ticks, T::TICKS_PER_SECOND));
        f.debug_struct("Pipeline")
            .field("name", &self.name)
            .field("deadline", &limit(self.deadline))
            .field("retry", &self.retry)
            .field("attempt_timeout", &limit(self.attempt_timeout))
            .finish_non_exhaustive()
    }
}
