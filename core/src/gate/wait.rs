//! Waiting at a gate: the second trait, for the gates that can.
//!
//! # Reasons
//!
//! *The state of a wait is apart from its gate*, as a token is: [`WaitGate::poll_enter`] is given
//! both. So it borrows nothing, a wait at a gate of gates is made of the waits at these, and who
//! holds a gate by reference or in an `Arc` needs no other future than who holds it otherwise. It
//! is given back by [`WaitGate::cancel_enter`], to which [`Entering`] sees, as a permit does to
//! tokens.
//!
//! *Not a future that borrows the gate*, an `Entering<'a>` as associated type: in a spawned task
//! the compiler treats each lifetime that is held across an await as an unknown of its own. So it
//! can no longer tell there that `Self: 'a`, which such a type must ask for, nor that two mentions
//! of `Entering<'a>` are the same type, and refuses `join!` and the like with "implementation of
//! `Gate` is not general enough" or "one type is more general than the other".

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Gate, Outcome};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::time::Timer;

/// A gate that a task can wait at.
///
/// Semaphores and bulkheads wait in their queue, token buckets and warm-ups for a turn that they
/// have taken. A tuple waits
/// at its gates from left to right, holding what it has; where one refuses or the wait is
/// cancelled, what it holds goes back as [`Outcome::Refused`] from right to left. [`Immediate`]
/// puts a gate that cannot wait, such as a breaker, into such a tuple.
///
/// Use it through [`wait_enter`](WaitGate::wait_enter) or a [`Pipeline`](crate::Pipeline); the two
/// required methods are for those who write a gate.
///
/// # Examples
///
/// A gate of your own, at which calls wait for an instant:
///
/// ```
/// use core::future::Future;
/// use core::pin::Pin;
/// use core::task::{Context, Poll, ready};
/// use fusebox_core::{Deadline, Gate, Outcome, Reason, Rejection, Ticks, Timer, WaitGate};
/// # use fusebox_core::{Clock, ManualClock};
///
/// struct Opening<T> {
///     at: Ticks,
///     clock: T,
/// }
///
/// impl<C: Timer> Gate for Opening<C> {
///     type Token = ();
///     fn enter(&self) -> Result<(), Rejection> {
///         let open = self.clock.now() >= self.at;
///         if open { Ok(()) } else { Err(Rejection::new(Reason::SwitchedOff)) }
///     }
///     fn exit(&self, (): (), _: Outcome) {}
/// }
///
/// impl<C: Timer, T: Timer> WaitGate<T> for Opening<C> {
///     type Waiting = Option<C::Sleep>;
///     fn poll_enter(
///         &self,
///         mut sleep: Pin<&mut Self::Waiting>,
///         _: &T,
///         until: Deadline,
///         cx: &mut Context<'_>,
///     ) -> Poll<Result<(), Rejection>> {
///         if until.expired_at(self.at) {
///             return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded)));
///         }
///         if sleep.is_none() {
///             sleep.set(Some(self.clock.sleep_until(self.at)));
///         }
///         ready!(sleep.as_pin_mut().expect("set above").poll(cx));
///         Poll::Ready(Ok(()))
///     }
///     // Who waits has taken nothing yet.
///     fn cancel_enter(&self, _: Pin<&mut Self::Waiting>, _: &T) {}
/// }
///
/// # pollster::block_on(async {
/// # let clock: ManualClock = ManualClock::new();
/// # let timer = &clock;
/// let gate = Opening { at: timer.now(), clock: timer };
/// assert_eq!(gate.wait_enter(timer, Deadline::NEVER).await, Ok(()));
/// # });
/// ```
#[diagnostic::on_unimplemented(
    note = "wrap a gate that cannot wait, such as a circuit breaker, in `Immediate(..)`"
)]
pub trait WaitGate<T: Timer>: Gate {
    /// What a wait keeps from one poll to the next: a place in a queue, a sleep. Each wait begins
    /// with the default.
    type Waiting: Default;

    /// Polls a wait to be let in, at most until `until`, an instant of `timer`.
    ///
    /// Each wait belongs to one gate, and its timer and deadline remain the same. Once ready it is
    /// not polled again.
    ///
    /// # Errors
    ///
    /// The gate's refusal, which takes nothing: at once where waiting is of no use, or when `until`
    /// has come.
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>>;

    /// Gives back what a wait holds that nobody will poll any more. Must be called before one that
    /// is not over is dropped; does nothing where there is nothing to give back: before the first
    /// poll, once it is ready, a second time.
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T);

    /// Whether a call may ever have to wait here; the same in all calls. `false` promises that
    /// [`poll_enter`](WaitGate::poll_enter) is always ready at once: a pipeline then leaves out
    /// what it would do after a wait.
    #[inline]
    fn may_wait(&self) -> bool {
        true
    }

    /// Waits to be let in, at most until `until`, an instant of `timer`.
    ///
    /// What it takes is for the caller to give back, by [`exit`](Gate::exit) or in a
    /// [`Permit`](super::Permit). Several gates at once are a tuple, which must live in a `let`.
    ///
    /// # Errors
    ///
    /// As [`poll_enter`](WaitGate::poll_enter).
    ///
    /// # Cancellation
    ///
    /// Dropping it ends the wait, and gives back what it took. **Cancel safety:** Strict, but for
    /// the turn in a queue.
    #[inline]
    fn wait_enter(&self, timer: T, until: Deadline) -> Entering<&Self, T>
    where
        Self: Sized,
    {
        Entering::new(self, timer, until)
    }
}

pin_project! {
    /// A wait at a gate; see [`WaitGate::wait_enter`]. Make one over an `Arc` with
    /// [`Entering::new`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Entering<R, T>
    where
        T: Timer,
        R: Deref,
        R::Target: WaitGate<T>,
    {
        #[pin]
        waiting: <R::Target as WaitGate<T>>::Waiting,
        gate: R,
        timer: T,
        until: Deadline,
        // Has had its answer: polled again, it has none left, and stays pending.
        done: bool,
    }

    impl<R, T> PinnedDrop for Entering<R, T>
    where
        T: Timer,
        R: Deref,
        R::Target: WaitGate<T>,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.done {
                this.gate.cancel_enter(this.waiting, this.timer);
            }
        }
    }
}

impl<R, T> Entering<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: WaitGate<T>,
{
    /// Waits at `gate`, which may be `&G`, `&'static G` or `Arc<G>`, at most until `until`, an
    /// instant of `timer`; see [`WaitGate::wait_enter`].
    #[inline]
    pub fn new(gate: R, timer: T, until: Deadline) -> Self {
        Self { waiting: Default::default(), gate, timer, until, done: false }
    }
}

impl<R, T> Future for Entering<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: WaitGate<T>,
{
    type Output = Result<<R::Target as Gate>::Token, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if *this.done {
            return Poll::Pending;
        }
        let answer = ready!(this.gate.poll_enter(this.waiting, this.timer, *this.until, cx));
        *this.done = true;
        Poll::Ready(answer)
    }
}

impl<R, T> fmt::Debug for Entering<R, T>
where
    T: Timer,
    R: Deref,
    R::Target: WaitGate<T>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entering")
            .field("until", &self.until)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}

/// A gate that lets in or refuses at once, where a gate that can wait is called for.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Deadline, Immediate, ManualClock, Semaphore, TokenBucket, BucketConfig, WaitGate};
///
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let permits: Semaphore = Semaphore::new(1);
/// let bucket = TokenBucket::new(BucketConfig::per_second(10), &clock);
/// // Refused at once when all permits are out, but waits for its token.
/// let gates = (Immediate(&permits), &bucket);
/// assert!(gates.wait_enter(&clock, Deadline::NEVER).await.is_ok());
/// # });
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Immediate<G>(
    /// The gate.
    pub G,
);

impl<G: Gate> Gate for Immediate<G> {
    type Token = G::Token;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        self.0.enter()
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        self.0.exit(token, outcome);
    }
}

impl<T: Timer, G: Gate> WaitGate<T> for Immediate<G> {
    type Waiting = ();

    #[inline]
    fn poll_enter(
        &self,
        _waiting: Pin<&mut ()>,
        _timer: &T,
        _until: Deadline,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>> {
        Poll::Ready(self.0.enter())
    }

    #[inline]
    fn cancel_enter(&self, _waiting: Pin<&mut ()>, _timer: &T) {}

    #[inline]
    fn may_wait(&self) -> bool {
        false
    }
}
