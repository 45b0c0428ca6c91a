//! Gates: the algebra that all patterns share.
//!
//! Everything that says "may this call run?" is a [`Gate`]: breaker, token bucket, semaphore,
//! bulkhead, load shedder, adaptive limit, retry budget, remaining deadline. Admission is
//! synchronous. What a gate handed out comes back exactly once, with the [`Outcome`] of the call: a
//! [`Permit`] sees to that, whatever happens.

mod compose;
mod guard;
mod idle;
mod observed;
mod permit;
mod shadow;
mod tuple;
mod wait;

pub use guard::{FailureIf, Guard, ResultClassify};
pub use idle::Idle;
pub use observed::Observed;
pub(crate) use permit::Held;
pub use permit::Permit;
pub use shadow::Shadow;
pub use tuple::WaitingAll;
pub use wait::{Entering, Immediate, WaitGate};

use crate::error::{Error, Rejection};
use crate::event::Observer;

/// How an admitted call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Outcome {
    /// It did what it was asked to.
    Success,
    /// It failed in a way that says something about what it called.
    Failure,
    /// It ended in a way that says nothing about what it called, such as a bad request.
    Ignored,
    /// Its permit was dropped before it ended: a cancelled future, an early return.
    Abandoned,
    /// It never ran, because a later gate of the same call refused. Tokens and probes are given
    /// back.
    Refused,
}

/// Something that says whether a call may run.
///
/// Use it through [`call`](Gate::call), [`guard`](Gate::guard) or [`permit`](Gate::permit); the two
/// required methods are for those who write a gate. Tuples of gates are gates, all or nothing: they
/// are entered from left to right, and where one refuses, those before it get [`Outcome::Refused`]
/// from right to left. `&G`, `Option<G>` and, with `alloc`, `Arc<G>`, `Rc<G>` and `Box<G>` are
/// gates too.
///
/// # Examples
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Error, Gate, ManualClock, Semaphore};
///
/// let clock: ManualClock = ManualClock::new();
/// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
/// let permits: Semaphore = Semaphore::new(10);
///
/// let answer: Result<u32, Error<&str>> = (&permits, &breaker).call(|| Ok(42));
/// assert_eq!(answer, Ok(42));
/// ```
///
/// A gate of your own:
///
/// ```
/// use fusebox_core::{Gate, Outcome, Reason, Rejection};
///
/// struct OnlyEven(u32);
///
/// impl Gate for OnlyEven {
///     type Token = ();
///     fn enter(&self) -> Result<(), Rejection> {
///         if self.0 % 2 == 0 { Ok(()) } else { Err(Rejection::new(Reason::SwitchedOff)) }
///     }
///     fn exit(&self, _token: (), _outcome: Outcome) {}
/// }
/// assert!(OnlyEven(2).permit().is_ok());
/// assert!(OnlyEven(3).permit().is_err());
/// ```
pub trait Gate {
    /// What an admitted call carries until it ends: plain data, such as a generation or a start
    /// time.
    type Token: Copy;

    /// Asks to be let in.
    ///
    /// # Errors
    ///
    /// Why not, and when to come back where that is known. A refusal takes nothing.
    fn enter(&self) -> Result<Self::Token, Rejection>;

    /// Tells how the call ended. Must be called exactly once for each token; prefer a [`Permit`].
    fn exit(&self, token: Self::Token, outcome: Outcome);

    /// Asks to be let in, for code that tells the outcome itself.
    ///
    /// The permit borrows the gate: a tuple of gates must live in a `let`, not in the expression
    /// that asks it.
    ///
    /// # Errors
    ///
    /// As [`enter`](Gate::enter).
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{Gate, Outcome, Semaphore};
    ///
    /// let permits: Semaphore = Semaphore::new(1);
    /// let permit = permits.permit().unwrap();
    /// assert!(permits.permit().is_err());
    /// permit.finish(Outcome::Success);
    /// assert!(permits.permit().is_ok());
    /// ```
    #[inline]
    fn permit(&self) -> Result<Permit<&Self>, Rejection>
    where
        Self: Sized,
    {
        Permit::enter(self)
    }

    /// Runs `operation` if let in; an `Err` is a failure. One that cannot fail returns
    /// `Ok::<_, Infallible>(..)`.
    ///
    /// A panic inside counts as [`Outcome::Failure`] and goes on unwinding.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] where it was not let in, [`Error::Inner`] where it failed.
    #[inline]
    fn call<T, E>(&self, operation: impl FnOnce() -> Result<T, E>) -> Result<T, Error<E>>
    where
        Self: Sized,
    {
        self.call_with(ResultClassify, operation)
    }

    /// Runs `operation` if let in; `classify` says what its result means to the gate.
    ///
    /// # Errors
    ///
    /// As [`call`](Gate::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{FailureIf, Gate, Semaphore};
    /// use std::io::{Error, ErrorKind};
    ///
    /// // That a file is not there says nothing about the disk.
    /// let disk_trouble = FailureIf(|error: &Error| error.kind() != ErrorKind::NotFound);
    /// let permits: Semaphore = Semaphore::new(1);
    /// let result = permits.call_with(disk_trouble, || std::fs::read("/no/such/file"));
    /// assert!(result.is_err());
    /// ```
    #[inline]
    fn call_with<T, E, K: Classify<T, E>>(
        &self,
        classify: K,
        operation: impl FnOnce() -> Result<T, E>,
    ) -> Result<T, Error<E>>
    where
        Self: Sized,
    {
        let mut permit = self.permit()?;
        let result = permit.watch(operation);
        permit.finish(classify.classify(&result));
        result.map_err(Error::Inner)
    }

    /// A future that asks to be let in when it is first polled, runs `future`, and tells the gate
    /// how it ended; an `Err` is a failure. One that cannot fail returns `Ok::<_, Infallible>(..)`.
    ///
    /// # Errors
    ///
    /// The future ends in [`Error::Rejected`] where it was not let in, in [`Error::Inner`] where
    /// `future` failed.
    ///
    /// # Cancellation
    ///
    /// Dropping it gives back what it took, as [`Outcome::Abandoned`]. **Cancel safety:** Strict.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BreakerConfig, CircuitBreaker, Error, Gate, ManualClock};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    /// let answer = breaker.guard(async { Err::<(), _>("connection refused") }).await;
    /// assert_eq!(answer, Err(Error::Inner("connection refused")));
    /// assert_eq!(breaker.snapshot().counts.consecutive_failures, 1);
    /// # });
    /// ```
    #[inline]
    fn guard<F>(&self, future: F) -> Guard<&Self, F>
    where
        Self: Sized,
    {
        Guard::new(self, future)
    }

    /// The same gate, with an observer that is told about each refusal under `name`.
    ///
    /// A circuit breaker tells more through [`observed_by`](crate::CircuitBreaker::observed_by):
    /// its changes of state as well.
    fn observed<O: Observer>(self, name: &'static str, observer: O) -> Observed<Self, O>
    where
        Self: Sized,
    {
        Observed::new(self, name, observer)
    }

    /// The same gate in shadow mode: it decides and counts, but lets every call in until
    /// [`Shadow::enforce`].
    fn shadow(self) -> Shadow<Self>
    where
        Self: Sized,
    {
        Shadow::new(self)
    }
}

/// Says what a result means to the gates that let the call in.
///
/// [`ResultClassify`] (an `Err` is a failure) is the default; [`FailureIf`] judges errors by a
/// predicate; any `Fn(&Result<T, E>) -> Outcome` will do.
#[diagnostic::on_unimplemented(
    note = "give the argument of a closure its type: `|result: &Result<T, MyError>|`, in a `FailureIf` `|error: &MyError|`"
)]
pub trait Classify<T, E> {
    /// What `result` means.
    fn classify(&self, result: &Result<T, E>) -> Outcome;
}

impl<T, E, F: Fn(&Result<T, E>) -> Outcome> Classify<T, E> for F {
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        self(result)
    }
}
