//! The three steps of a retry, apart from any way of waiting: what the futures and the blocking
//! form share.

use core::time::Duration;

use super::decide::{Decide, DecideValue, Decision};
use super::policy::{Budget, NO_DEADLINE, OnRetry, Retry, Retrying};
use super::state::{RetryPolicy, RetryState, Verdict};
use crate::backoff::{Delays, duration_from_nanos};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::{Event, GiveUp, Observer};
use crate::on_drop::OnDrop;
use crate::time::Clock;

/// The three steps of a retry, for code that waits in its own way.
impl<D: Delays, W, B: Budget, H, O: Observer, V> Retry<D, W, B, H, O, V> {
    /// Begins a call that must be done by `deadline`, or earlier where the policy says so.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, Deadline, Error, ManualClock, Retry, Verdict};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let retry = Retry::new(Backoff::constant(Duration::from_millis(10)));
    ///
    /// let mut state = retry.start(Deadline::NEVER, &clock);
    /// let answer = loop {
    ///     let attempt = state.attempt();
    ///     let result = if attempt.number == 3 { Ok("up") } else { Err(Error::Inner("down")) };
    ///     let Err(error) = result else { break result };
    ///     match retry.after_failure(&mut state, &error, &clock) {
    ///         Verdict::Retry { delay, .. } => clock.advance(delay), // The wait.
    ///         Verdict::GiveUp(_) => break Err(error),
    ///     }
    ///     if retry.resume(&mut state, &clock).is_err() {
    ///         break Err(error);
    ///     }
    /// };
    /// assert_eq!(answer, Ok("up"));
    /// assert_eq!(clock.elapsed(), Duration::from_millis(20));
    /// ```
    #[inline]
    #[must_use]
    pub fn start<C: Clock>(&self, deadline: Deadline, clock: &C) -> RetryState {
        self.budget.deposit();
        if self.deadline == NO_DEADLINE {
            return RetryState::new(deadline);
        }
        RetryState::new(deadline.min(Deadline::after(clock, duration_from_nanos(self.deadline))))
    }

    /// The attempt has failed: what follows? To be asked once for each attempt; a retry has been
    /// paid for from the budget by the time it answers so.
    #[inline]
    pub fn after_failure<C: Clock, E>(
        &self,
        state: &mut RetryState,
        error: &Error<E>,
        clock: &C,
    ) -> Verdict
    where
        W: Decide<E>,
        H: OnRetry<E>,
    {
        self.settle(self.when.decide(error), Some(error), state, clock)
    }

    /// The attempt has ended: what follows? `None` where it answered, and the answer is good
    /// enough. As [`after_failure`](Self::after_failure), for those who look at
    /// [answers](Self::when_value), too.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{Backoff, Deadline, Decision, Error, ManualClock, Retry, Verdict};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let retry = Retry::new(Backoff::none())
    ///     .when_value(|status: &u16| (*status == 503).then_some(Decision::Retry));
    ///
    /// let mut state = retry.start(Deadline::NEVER, &clock);
    /// let unavailable = Ok::<_, Error<()>>(503);
    /// let verdict = retry.after_result(&mut state, &unavailable, &clock);
    /// assert!(matches!(verdict, Some(Verdict::Retry { .. })));
    /// assert_eq!(retry.after_result(&mut state, &Ok::<_, Error<()>>(200), &clock), None);
    /// ```
    #[inline]
    pub fn after_result<C: Clock, T, E>(
        &self,
        state: &mut RetryState,
        result: &Result<T, Error<E>>,
        clock: &C,
    ) -> Option<Verdict>
    where
        W: Decide<E>,
        H: OnRetry<E>,
        V: DecideValue<T>,
    {
        match result {
            Ok(value) => self.settle_value(state, value, clock),
            Err(error) => Some(self.after_failure(state, error, clock)),
        }
    }

    /// The wait is over: goes on to the next attempt.
    ///
    /// # Errors
    ///
    /// [`GiveUp::Deadline`] where the wait ended late and the deadline has passed: the caller
    /// returns the error it has.
    #[inline]
    pub fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp> {
        let resumed = state.advance(clock);
        if let Err(cause) = resumed {
            self.cancel();
            self.gave_up(state.attempt().number, cause);
        }
        resumed
    }

    /// A retry that was paid for did not take place: gives back its price. In place of
    /// [`resume`](Self::resume), where the call was cancelled during the wait; and at the end of
    /// the call, once for each attempt after the first that a gate refused. Not earlier, lest a
    /// call goes on for ever whose retries all are refused and cost nothing.
    #[cold]
    pub fn cancel(&self) {
        self.budget.refund();
    }
}

impl<D: Delays, W, B: Budget, H, O: Observer, V> Retry<D, W, B, H, O, V> {
    /// What follows an answer that is not good enough.
    #[inline]
    fn settle_value<C: Clock, T, E>(
        &self,
        state: &mut RetryState,
        value: &T,
        clock: &C,
    ) -> Option<Verdict>
    where
        H: OnRetry<E>,
        V: DecideValue<T>,
    {
        let decision = self.when_value.decide_value(value)?;
        Some(self.settle(decision, None, state, clock))
    }

    /// What follows, told to those who want to know.
    #[inline]
    fn settle<C: Clock, E>(
        &self,
        decision: Decision,
        error: Option<&Error<E>>,
        state: &mut RetryState,
        clock: &C,
    ) -> Verdict
    where
        H: OnRetry<E>,
    {
        let attempt = state.attempt().number;
        let verdict = self.judge(decision, state, clock);
        match verdict {
            Verdict::Retry { delay, .. } => {
                // Should a listener panic, the retry does not take place.
                let unpaid = OnDrop(|| self.budget.refund());
                self.on_retry.on_retry(&Retrying { attempt, error, delay });
                if self.observer.is_active() {
                    self.observer.on_event(&Event::Retrying { name: self.name, attempt, delay });
                }
                core::mem::forget(unpaid);
            }
            Verdict::GiveUp(cause) => self.gave_up(attempt, cause),
        }
        verdict
    }

    /// Whether another attempt follows, without telling anyone.
    #[inline]
    fn judge<C: Clock>(&self, decision: Decision, state: &mut RetryState, clock: &C) -> Verdict {
        let asked = match decision {
            Decision::Stop => return Verdict::GiveUp(GiveUp::NotRetryable),
            Decision::Retry => Duration::ZERO,
            Decision::RetryAfter(wait) => wait,
        };
        let attempt = state.attempt();
        if attempt.number >= self.max_attempts && self.max_attempts != u32::MAX {
            return Verdict::GiveUp(GiveUp::Attempts);
        }
        // The number of the failed attempt is that of the retry which follows it.
        let own = self.delays.delay(attempt.number, state.last_delay());
        let delay = own.max(asked);
        let at = Deadline::after(clock, delay).ticks();
        if attempt.deadline.expired_at(at) {
            return Verdict::GiveUp(GiveUp::Deadline);
        }
        if self.budget.withdraw().is_err() {
            return Verdict::GiveUp(GiveUp::Budget);
        }
        // A delay that a server asked for must not make the policy's later ones longer.
        state.set_delay(own);
        Verdict::Retry { delay, at }
    }

    fn gave_up(&self, attempts: u32, cause: GiveUp) {
        if self.observer.is_active() {
            self.observer.on_event(&Event::GaveUp { name: self.name, attempts, cause });
        }
    }
}

impl<T, E, D, W, B, H, O, V> RetryPolicy<T, E> for Retry<D, W, B, H, O, V>
where
    D: Delays,
    W: Decide<E>,
    B: Budget,
    H: OnRetry<E>,
    O: Observer,
    V: DecideValue<T>,
{
    #[inline]
    fn start<C: Clock>(&self, deadline: Deadline, clock: &C) -> RetryState {
        self.start(deadline, clock)
    }

    #[inline]
    fn after_failure<C: Clock>(
        &self,
        state: &mut RetryState,
        error: &Error<E>,
        clock: &C,
    ) -> Verdict {
        self.after_failure(state, error, clock)
    }

    #[inline]
    fn after_value<C: Clock>(
        &self,
        state: &mut RetryState,
        value: &T,
        clock: &C,
    ) -> Option<Verdict> {
        self.settle_value::<C, T, E>(state, value, clock)
    }

    #[inline]
    fn resume<C: Clock>(&self, state: &mut RetryState, clock: &C) -> Result<(), GiveUp> {
        self.resume(state, clock)
    }

    #[inline]
    fn cancel(&self) {
        self.cancel();
    }
}
