//! The decision after each attempt, apart from any way of waiting.

use core::time::Duration;

use super::attempt::Due;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::GiveUp;
use crate::pointer::through_pointers;
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
    /// Whether another attempt was running when it was started.
    pub(crate) hedge: bool,
}

impl Attempt {
    /// The first attempt of a call that must be done by `deadline`.
    #[must_use]
    pub const fn first(deadline: Deadline) -> Self {
        Self { number: 1, deadline, hedge: false }
    }

    /// Whether another attempt came before this one.
    #[must_use]
    pub const fn is_retry(&self) -> bool {
        self.number > 1
    }

    /// Whether another attempt of the same call was still running when this one was started; only
    /// ever under a [`Hedge`](crate::Hedge).
    #[must_use]
    pub const fn is_hedge(&self) -> bool {
        self.hedge
    }
}

/// How far a call with retries has come: plain data, to be kept between the steps of a
/// [`RetryPolicy`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct RetryState {
    /// The number of the attempt.
    number: u32,
    deadline: Deadline,
    /// The last delay of the policy itself, without what a server asked for.
    delay: Duration,
}

impl RetryState {
    pub(crate) const fn new(deadline: Deadline) -> Self {
        Self { number: 1, deadline, delay: Duration::ZERO }
    }

    /// The attempt that is due or running.
    #[must_use]
    pub const fn attempt(&self) -> Attempt {
        Attempt { number: self.number, ..Attempt::first(self.deadline) }
    }

    #[inline]
    pub(super) const fn due(&self) -> Due {
        Due { number: self.number, deadline: self.deadline }
    }

    #[inline]
    pub(super) const fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    pub(crate) const fn last_delay(&self) -> Duration {
        self.delay
    }

    pub(crate) fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Goes on to the next attempt, unless its time is up.
    pub(crate) fn advance<C: Clock>(&mut self, clock: &C) -> Result<(), GiveUp> {
        if self.deadline.expired(clock) {
            return Err(GiveUp::Deadline);
        }
        self.number = self.number.saturating_add(1);
        Ok(())
    }
}

/// What follows an attempt that was not good enough.
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
    /// Nothing: the error, or the answer, is the caller's.
    GiveUp(GiveUp),
}

/// What a [`Pipeline`](crate::Pipeline) asks whether to try again: a [`Retry`](super::Retry), a
/// pointer to one, or `()` for a single attempt. To drive the steps by hand, use those of
/// [`Retry`](super::Retry::start).
///
/// A policy of your own is an [`AttemptPolicy`](super::AttemptPolicy) as well, whose attempts are
/// made [`InTurn`](super::InTurn).
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{
///     AttemptPolicy, Backoff, Clock, Deadline, Error, GiveUp, InTurn, ManualClock, Pipeline, Retry,
///     RetryPolicy, RetryState, Switch, Verdict,
/// };
///
/// /// Retries while they are switched on.
/// struct Switched<'a> {
///     retry: Retry,
///     switch: &'a Switch,
/// }
///
/// impl AttemptPolicy for Switched<'_> {
///     type Kind = InTurn;
/// }
///
/// impl<V, E> RetryPolicy<V, E> for Switched<'_> {
///     fn start<C: Clock>(&self, deadline: Deadline, clock: &C) -> RetryState {
///         self.retry.start(deadline, clock)
///     }
///
///     fn after_failure<C: Clock>(
///         &self,
///         state: &mut RetryState,
///         error: &Error<E>,
///         clock: &C,
///     ) -> Verdict {
///         if self.switch.is_enabled() {
///             self.retry.after_failure(state, error, clock)
///         } else {
///             Verdict::GiveUp(GiveUp::NotRetryable)
///         }
///     }
///
///     fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp> {
///         self.retry.resume(state, clock)
///     }
///
///     fn cancel(&self) {
///         self.retry.cancel();
///     }
/// }
///
/// # pollster::block_on(async {
/// let (clock, switch): (ManualClock, _) = (ManualClock::new(), Switch::new());
/// let pipeline =
///     Pipeline::new(&clock).retry(Switched { retry: Retry::new(Backoff::none()), switch: &switch });
/// let mut attempts = 0;
/// let result = pipeline.call(|_| {
///     attempts += 1;
///     async { Err::<(), _>("down") }
/// });
/// assert_eq!(result.await, Err(Error::Inner("down")));
/// assert_eq!(attempts, 3);
/// # });
/// ```
pub trait RetryPolicy<V, E> {
    /// See [`Retry::start`](super::Retry::start).
    fn start<C: Clock>(&self, deadline: Deadline, clock: &C) -> RetryState;

    /// See [`Retry::after_failure`](super::Retry::after_failure).
    fn after_failure<C: Clock>(
        &self,
        state: &mut RetryState,
        error: &Error<E>,
        clock: &C,
    ) -> Verdict;

    /// What follows an answer; `None` where it is good enough, as each is by default. See
    /// [`Retry::when_value`](super::Retry::when_value).
    #[inline]
    fn after_value<C: Clock>(
        &self,
        state: &mut RetryState,
        value: &V,
        clock: &C,
    ) -> Option<Verdict> {
        let _ = (state, value, clock);
        None
    }

    /// See [`Retry::resume`](super::Retry::resume).
    ///
    /// # Errors
    ///
    /// The wait ended too late for another attempt.
    fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp>;

    /// See [`Retry::cancel`](super::Retry::cancel).
    fn cancel(&self);
}

/// No retries: one attempt.
impl<V, E> RetryPolicy<V, E> for () {
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

    #[inline]
    fn cancel(&self) {}
}

macro_rules! pointer_policy {
    ($pointer:ty) => {
        impl<V, E, R: RetryPolicy<V, E>> RetryPolicy<V, E> for $pointer {
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
            fn after_value<C: Clock>(
                &self,
                state: &mut RetryState,
                value: &V,
                clock: &C,
            ) -> Option<Verdict> {
                (**self).after_value(state, value, clock)
            }

            #[inline]
            fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp> {
                (**self).resume(state, clock)
            }

            #[inline]
            fn cancel(&self) {
                (**self).cancel();
            }
        }
    };
}

through_pointers!(pointer_policy, R);
