//! The decision after each attempt, apart from any way of waiting.

use core::time::Duration;

use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::GiveUp;
use crate::time::{Clock, Ticks};

/// Which attempt an operation is, and by when it must be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Attempt {
    /// Its number; the first is 1.
    pub number: u32,
    /// When it will be cut off: for handing on to whatever it calls.
    pub deadline: Deadline,
}

impl Attempt {
    /// The first attempt of a call that must be done by `deadline`.
    #[must_use]
    pub const fn first(deadline: Deadline) -> Self {
        Self { number: 1, deadline }
    }

    /// Whether another attempt came before this one.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        self.number > 1
    }
}

/// How far a call with retries has come: plain data, to be kept between the steps of a [`RetryPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RetryState {
    attempt: Attempt,
    /// The last delay of the policy itself, without what a server asked for.
    delay: Duration,
}

impl RetryState {
    pub(crate) const fn new(deadline: Deadline) -> Self {
        Self { attempt: Attempt::first(deadline), delay: Duration::ZERO }
    }

    /// The attempt that is due or running.
    #[must_use]
    pub const fn attempt(&self) -> Attempt {
        self.attempt
    }

    pub(crate) const fn last_delay(&self) -> Duration {
        self.delay
    }

    pub(crate) fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Goes on to the next attempt, unless its time is up.
    pub(crate) fn advance<C: Clock>(&mut self, clock: &C) -> Result<(), GiveUp> {
        if self.attempt.deadline.expired(clock) {
            return Err(GiveUp::Deadline);
        }
        self.attempt.number = self.attempt.number.saturating_add(1);
        Ok(())
    }
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub enum Verdict {
    /// Another attempt.
    Retry {
        /// How long to wait before it.
        delay: Duration,
        /// The instant, on the clock that was given, at which that wait is over.
        at: Ticks,
    },
    /// Nothing: the error is the caller's.
    GiveUp(GiveUp),
}

/// The decisions of a retry, apart from any way of waiting: [`Retry`](super::Retry), `&Retry`, or `()` for
/// a single attempt.
///
/// # Examples
///
/// A retry without futures, for code that waits in its own way:
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Backoff, Deadline, Error, ManualClock, Retry, RetryPolicy, Verdict};
///
/// let clock: ManualClock = ManualClock::new();
/// let retry = Retry::new(Backoff::constant(Duration::from_millis(10)));
/// let mut state = retry.start(Deadline::NEVER, &clock);
/// let answer = loop {
///     // The operation: it works the third time.
///     let result = if state.attempt().number == 3 { Ok("up") } else { Err(Error::Inner("down")) };
///     let Err(error) = result else { break result };
///     match retry.after_failure(&mut state, &error, &clock) {
///         Verdict::Retry { delay, .. } => clock.advance(delay), // the wait
///         Verdict::GiveUp(_) => break Err(error),
///     }
///     if retry.resume(&mut state, &clock).is_err() {
///         break Err(error);
///     }
/// };
/// assert_eq!(answer, Ok("up"));
/// assert_eq!(clock.elapsed(), Duration::from_millis(20));
/// ```
pub trait RetryPolicy<E> {
    /// Begins a call that must be done by `deadline`, or earlier where the policy says so.
    fn start<C: Clock>(&self, deadline: Deadline, clock: &C) -> RetryState;

    /// The attempt has failed: what follows? To be asked once for each attempt; a retry has been paid for
    /// from the budget by the time it answers so.
    fn after_failure<C: Clock>(
        &self,
        state: &mut RetryState,
        error: &Error<E>,
        clock: &C,
    ) -> Verdict;

    /// The wait is over: goes on to the next attempt.
    ///
    /// # Errors
    ///
    /// [`GiveUp::Deadline`] where the wait ended late and the deadline has passed: the caller returns the error
    /// it has.
    fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp>;
}

/// No retries: one attempt.
impl<E> RetryPolicy<E> for () {
    #[inline]
    fn start<C: Clock>(&self, deadline: Deadline, _clock: &C) -> RetryState {
        RetryState::new(deadline)
    }

    #[inline]
    fn after_failure<C: Clock>(
        &self,
        _state: &mut RetryState,
        _error: &Error<E>,
        _clock: &C,
    ) -> Verdict {
        Verdict::GiveUp(GiveUp::Attempts)
    }

    #[inline]
    fn resume<C: Clock>(&self, _state: &mut RetryState, _clock: &C) -> Result<(), GiveUp> {
        Err(GiveUp::Attempts)
    }
}

impl<E, R: RetryPolicy<E> + ?Sized> RetryPolicy<E> for &R {
    #[inline]
    fn start<C: Clock>(&self, deadline: Deadline, clock: &C) -> RetryState {
        (**self).start(deadline, clock)
    }

    #[inline]
    fn after_failure<C: Clock>(
        &self,
        state: &mut RetryState,
        error: &Error<E>,
        clock: &C,
    ) -> Verdict {
        (**self).after_failure(state, error, clock)
    }

    #[inline]
    fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp> {
        (**self).resume(state, clock)
    }
}
