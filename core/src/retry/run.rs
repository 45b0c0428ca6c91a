//! The futures that make one attempt after another.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::policy::Retry;
use super::state::{Attempt, RetryPolicy, RetryState, Verdict};
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::gate::Outcome;
use crate::time::Timer;
use crate::timeout::Limited;

/// How one attempt ended: what it says to the caller, and what to the gates around the retries.
pub(crate) struct Report<V, E> {
    pub(crate) result: Result<V, Error<E>>,
    /// `Refused` where the operation did not run.
    pub(crate) outcome: Outcome,
}

/// How far an attempt has come.
pub(crate) trait Running {
    /// Whether an operation is running now.
    fn is_running(&self) -> bool;

    /// Whether the operation of the attempt with this number was ever made.
    fn has_begun(&self, attempt: u32) -> bool;
}

/// What a [`RetryLoop`] repeats.
pub(crate) trait Attempts<T: Timer, V, E>: Running {
    /// Polls the attempt, and begins it where none is running.
    fn poll_attempt(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        timer: &T,
        attempt: Attempt,
    ) -> Poll<Report<V, E>>;

    /// Takes note of what follows a failed attempt.
    fn decided(&self, attempt: u32, verdict: &Verdict);
}

pin_project! {
    /// One attempt after another, as the policy decides.
    pub(crate) struct RetryLoop<T: Timer, R, A, E>
    where
        R: RetryPolicy<E>,
        A: Running,
    {
        #[pin]
        attempts: A,
        #[pin]
        sleep: Option<T::Sleep>,
        timer: T,
        policy: R,
        state: RetryState,
        phase: Phase,
        // What the last attempt met: the answer, should the wait end too late for another.
        error: Option<Error<E>>,
        // Of the last attempt whose operation ran.
        outcome: Outcome,
    }

    /// Cancelled while it waits for a retry, or at the gates around it: that one is paid for, and
    /// will not take place.
    impl<T: Timer, R, A, E> PinnedDrop for RetryLoop<T, R, A, E>
    where
        R: RetryPolicy<E>,
        A: Running,
    {
        fn drop(this: Pin<&mut Self>) {
            let attempt = this.state.attempt();
            let entering = this.phase == Phase::Attempting
                && attempt.is_retry()
                && !this.attempts.has_begun(attempt.number);
            if this.phase == Phase::Waiting || entering {
                this.policy.cancel();
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing has happened.
    Idle,
    Attempting,
    Waiting,
    Done,
}

impl<T: Timer, R: RetryPolicy<E>, A: Running, E> RetryLoop<T, R, A, E> {
    #[inline]
    pub(crate) const fn new(timer: T, policy: R, deadline: Deadline, attempts: A) -> Self {
        Self {
            attempts,
            sleep: None,
            timer,
            policy,
            state: RetryState::new(deadline),
            phase: Phase::Idle,
            error: None,
            outcome: Outcome::Refused,
        }
    }

    /// Sets the deadline of the whole, before the first poll.
    #[inline]
    pub(crate) fn set_deadline(self: Pin<&mut Self>, deadline: Deadline) {
        *self.project().state = RetryState::new(deadline);
    }

    /// Whether the deadline has passed before anything began; then nothing will.
    #[inline]
    fn is_too_late(self: Pin<&mut Self>) -> bool {
        let this = self.project();
        let late = *this.phase == Phase::Idle && this.state.attempt().deadline.expired(this.timer);
        if late {
            *this.phase = Phase::Done;
        }
        late
    }

    /// What the gates around it are told, once it is done.
    #[inline]
    pub(crate) const fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The number of the last attempt, or of the one that is due.
    #[inline]
    pub(crate) const fn attempt(&self) -> u32 {
        self.state.attempt().number
    }

    /// What is repeated.
    #[inline]
    pub(crate) const fn inner(&self) -> &A {
        &self.attempts
    }

    /// Whether any operation has run, or is running.
    #[inline]
    pub(crate) fn has_run<V>(&self) -> bool
    where
        A: Attempts<T, V, E>,
    {
        self.outcome != Outcome::Refused || self.attempts.is_running()
    }

    #[inline]
    pub(crate) fn poll<V>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<V, Error<E>>>
    where
        A: Attempts<T, V, E>,
    {
        // Beside the one in place, which is for the next poll, as the compiler does not see through
        // that.
        let mut phase = self.phase;
        if phase == Phase::Idle {
            self.as_mut().start();
            phase = Phase::Attempting;
        }
        loop {
            match phase {
                Phase::Attempting => {
                    if let Some(result) = ready!(self.as_mut().poll_attempt(cx)) {
                        return Poll::Ready(result);
                    }
                    phase = Phase::Waiting;
                    if self.sleep.is_none() {
                        // A retry without a delay: others get their turn first.
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
                Phase::Waiting => {
                    if let Some(error) = ready!(self.as_mut().poll_wait(cx)) {
                        return Poll::Ready(Err(error));
                    }
                    phase = Phase::Attempting;
                }
                Phase::Idle | Phase::Done => return Poll::Pending,
            }
        }
    }

    #[inline]
    fn start(self: Pin<&mut Self>) {
        let this = self.project();
        *this.state = this.policy.start(this.state.attempt().deadline, this.timer);
        *this.phase = Phase::Attempting;
    }

    /// The result of the whole, or `None` where another attempt will follow.
    #[inline]
    fn poll_attempt<V>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<V, Error<E>>>>
    where
        A: Attempts<T, V, E>,
    {
        let mut this = self.project();
        let attempt = this.state.attempt();
        let report = ready!(this.attempts.as_mut().poll_attempt(cx, this.timer, attempt));
        *this.phase = Phase::Done;
        if report.outcome != Outcome::Refused {
            *this.outcome = report.outcome;
        }
        let error = match report.result {
            Ok(value) => return Poll::Ready(Some(Ok(value))),
            Err(error) => error,
        };
        let verdict = this.policy.after_failure(this.state, &error, this.timer);
        this.attempts.decided(attempt.number, &verdict);
        let Verdict::Retry { delay, at } = verdict else {
            return Poll::Ready(Some(Err(error)));
        };
        *this.error = Some(error);
        // Before anything else may panic: it is paid for.
        *this.phase = Phase::Waiting;
        if !delay.is_zero() {
            this.sleep.set(Some(this.timer.sleep_until(at)));
        }
        Poll::Ready(None)
    }

    /// The error to give up with, or `None` where the next attempt is due.
    fn poll_wait<V>(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Error<E>>>
    where
        A: Attempts<T, V, E>,
    {
        let mut this = self.project();
        if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
            this.sleep.set(None);
        }
        let error = this.error.take();
        // Before an observer may panic: `resume` gives back what was paid.
        *this.phase = Phase::Done;
        match this.policy.resume(this.state, this.timer) {
            Ok(()) => {
                *this.phase = Phase::Attempting;
                Poll::Ready(None)
            }
            Err(cause) => {
                let attempts = this.state.attempt().number;
                this.attempts.decided(attempts, &Verdict::GiveUp(cause));
                Poll::Ready(error)
            }
        }
    }
}

pin_project! {
    /// Attempts of an operation and nothing around it.
    struct Bare<T: Timer, F, Fut> {
        #[pin]
        operation: Limited<Fut, T::Sleep>,
        make: F,
        // The number of the last attempt whose operation was made.
        begun: u32,
    }
}

impl<T: Timer, F, Fut> Running for Bare<T, F, Fut> {
    fn is_running(&self) -> bool {
        self.operation.is_running()
    }

    fn has_begun(&self, attempt: u32) -> bool {
        self.begun == attempt
    }
}

impl<T, F, Fut, V, E> Attempts<T, V, E> for Bare<T, F, Fut>
where
    T: Timer,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
{
    #[inline]
    fn poll_attempt(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        timer: &T,
        attempt: Attempt,
    ) -> Poll<Report<V, E>> {
        let mut this = self.project();
        if !this.operation.is_running() {
            let operation = (this.make)(attempt);
            *this.begun = attempt.number;
            this.operation.as_mut().start(operation);
        }
        let result = match ready!(this.operation.poll_until(cx, timer, attempt.deadline)) {
            Some(result) => result.map_err(Error::Inner),
            None => Err(Error::TimedOut),
        };
        // No gates are around it, so nobody asks what the outcome was.
        Poll::Ready(Report { result, outcome: Outcome::Ignored })
    }

    fn decided(&self, _attempt: u32, _verdict: &Verdict) {}
}

pin_project! {
    /// A call with retries; see [`Retry::call`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RetryCall<T: Timer, R, F, Fut, E>
    where
        R: RetryPolicy<E>,
    {
        #[pin]
        attempts: RetryLoop<T, R, Bare<T, F, Fut>, E>,
    }
}

impl<D, W, B, H, O> Retry<D, W, B, H, O> {
    /// Runs `operation` until it works or the policy gives up.
    ///
    /// In a spawned task, give it to `join!` as `async { retry.call(..).await }`; see
    /// [`Pipeline::call`](crate::Pipeline::call).
    ///
    /// # Errors
    ///
    /// What the last attempt met: [`Error::Inner`] where it failed, [`Error::TimedOut`] where the
    /// deadline cut it off.
    ///
    /// An operation that is itself protected has an `Error` of its own, which nests; the default
    /// decision does not look into it and would try an open circuit again. A
    /// [`Pipeline`](crate::Pipeline) puts gates inside of retries without that.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops the running attempt or the wait; a retry that was paid for and did not
    /// begin is given back to the budget.
    /// **Cancel safety:** that of the operation.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, ManualClock, Retry};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let retry = Retry::new(Backoff::none());
    /// let answer = retry
    ///     .call(&clock, |attempt| async move {
    ///         if attempt.is_retry() { Ok(attempt.number) } else { Err("broken pipe") }
    ///     })
    ///     .await;
    /// assert_eq!(answer, Ok(2));
    /// # });
    /// ```
    #[inline]
    pub const fn call<T, F, Fut, V, E>(
        self,
        timer: T,
        operation: F,
    ) -> RetryCall<T, Self, F, Fut, E>
    where
        T: Timer,
        Self: RetryPolicy<E>,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        self.call_before(timer, Deadline::NEVER, operation)
    }

    /// As [`call`](Self::call), for a call that is part of something that must be done by
    /// `deadline`, an instant of `timer`: the earlier of it and the policy's own holds.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call). Where `deadline` has passed at the first poll nothing runs and
    /// nothing is deposited: it is [`Reason::DeadlineExceeded`].
    ///
    /// # Cancellation
    ///
    /// As [`call`](Self::call).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, Deadline, Error, ManualClock, Retry};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let retry = Retry::new(Backoff::constant(Duration::from_secs(1))).unlimited();
    /// let request = Deadline::after(&clock, Duration::from_millis(900));
    ///
    /// // A second attempt could not begin in time, so it is not waited for.
    /// let answer = retry
    ///     .call_before(&clock, request, |attempt| async move { Err::<(), _>(attempt.number) })
    ///     .await;
    /// assert_eq!(answer, Err(Error::Inner(1)));
    /// # });
    /// ```
    #[inline]
    pub const fn call_before<T, F, Fut, V, E>(
        self,
        timer: T,
        deadline: Deadline,
        operation: F,
    ) -> RetryCall<T, Self, F, Fut, E>
    where
        T: Timer,
        Self: RetryPolicy<E>,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        let attempts = Bare { operation: Limited::idle(), make: operation, begun: 0 };
        RetryCall { attempts: RetryLoop::new(timer, self, deadline, attempts) }
    }
}

impl<T, R, F, Fut, V, E> Future for RetryCall<T, R, F, Fut, E>
where
    T: Timer,
    R: RetryPolicy<E>,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
{
    type Output = Result<V, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut attempts = self.project().attempts;
        if attempts.as_mut().is_too_late() {
            return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded).into()));
        }
        attempts.poll(cx)
    }
}

impl<T: Timer, R: RetryPolicy<E>, F, Fut, E> fmt::Debug for RetryCall<T, R, F, Fut, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryCall").field("state", &self.attempts.state).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backoff::Backoff;
    use crate::budget::{BudgetConfig, RetryBudget};
    use crate::ratio::Ratio;
    use crate::time::ManualClock;
    use core::cell::Cell;
    use core::future::pending;
    use core::pin::pin;
    use core::task::Waker;
    use core::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_earlier_of_the_two_deadlines_cuts_an_attempt_off() {
        for (own, callers) in [(SECOND, 5 * SECOND), (5 * SECOND, SECOND)] {
            let clock: ManualClock = ManualClock::new();
            let retry = Retry::new(Backoff::none()).deadline(own);
            let outer = Deadline::after(&clock, callers);
            let hangs = |_| pending::<Result<(), ()>>();
            let mut call = pin!(retry.call_before(&clock, outer, hangs));
            assert!(poll(call.as_mut()).is_pending());
            clock.advance(SECOND);
            assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::TimedOut)));
        }
    }

    #[test]
    fn nothing_runs_or_is_deposited_where_the_deadline_has_passed() {
        let clock: ManualClock = ManualClock::new();
        let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0);
        let budget = RetryBudget::new(config, &clock);
        let outer = Deadline::after(&clock, SECOND);
        let ran = Cell::new(false);
        let mut call =
            pin!(Retry::new(Backoff::none()).budget(&budget).call_before(&clock, outer, |_| {
                ran.set(true);
                async { Ok::<_, ()>(()) }
            }));
        clock.advance(SECOND); // It is the first poll that counts.
        let refused = Rejection::new(Reason::DeadlineExceeded);
        assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::Rejected(refused))));
        assert_eq!(poll(call.as_mut()), Poll::Pending, "an answer is given once");
        assert!(!ran.get());
        assert_eq!(budget.balance(), 0);
    }
}
