//! A retry with nothing around it: its call and its future.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::bare::Bare;
use super::kind::AttemptLoop;
use super::operation::Operation;
use super::policy::Retry;
use super::run::RetryLoop;
use super::state::{Attempt, RetryPolicy};
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::time::Timer;

pin_project! {
    /// A call with retries; see [`Retry::call`].
    // In this order: with the policy after the small fields of the attempts, the compiler moves it
    // with their padding, in pieces that lie across those it was written in. For such pieces the
    // processor waits until what was written is in the cache, which cost as much as all the rest.
    #[must_use = "futures do nothing unless polled"]
    #[repr(C)]
    pub struct RetryCall<T, R, F>
    where
        T: Timer,
        R: RetryPolicy<F::Value, F::Error>,
        F: Operation,
    {
        around: Bare<T, R>,
        #[pin]
        attempts: RetryLoop<Bare<T, R>, F>,
    }

    impl<T, R, F> PinnedDrop for RetryCall<T, R, F>
    where
        T: Timer,
        R: RetryPolicy<F::Value, F::Error>,
        F: Operation,
    {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.attempts.cancel(this.around);
        }
    }
}

impl<T, R, F> RetryCall<T, R, F>
where
    T: Timer,
    R: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    /// Runs `operation`, which may be of a type with a name, under `policy`, which may be a pointer
    /// to one; see [`Retry::call_before`].
    #[inline]
    pub const fn new(policy: R, timer: T, deadline: Deadline, operation: F) -> Self {
        let around = Bare { timer, policy };
        Self { around, attempts: RetryLoop::idle(deadline, operation) }
    }
}

impl<D, W, B, H, O, J> Retry<D, W, B, H, O, J> {
    /// Runs `operation` until it works or the policy gives up.
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
    pub const fn call<T, F, Fut, V, E>(self, timer: T, operation: F) -> RetryCall<T, Self, F>
    where
        T: Timer,
        Self: RetryPolicy<V, E>,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        RetryCall::new(self, timer, Deadline::NEVER, operation)
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
    ) -> RetryCall<T, Self, F>
    where
        T: Timer,
        Self: RetryPolicy<V, E>,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        RetryCall::new(self, timer, deadline, operation)
    }
}

impl<T, R, F> Future for RetryCall<T, R, F>
where
    T: Timer,
    R: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    type Output = Result<F::Value, Error<F::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.attempts.as_mut().is_too_late(this.around) {
            return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded).into()));
        }
        this.attempts.poll(this.around, cx)
    }
}

impl<T, R, F> fmt::Debug for RetryCall<T, R, F>
where
    T: Timer,
    R: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryCall").field("state", self.attempts.state()).finish_non_exhaustive()
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
    fn an_answer_that_is_not_good_enough_is_gone_before_the_wait() {
        struct Connection<'a>(&'a Cell<u32>);

        impl Drop for Connection<'_> {
            fn drop(&mut self) {
                self.0.set(self.0.get() - 1);
            }
        }

        let (clock, open): (ManualClock, _) = (ManualClock::new(), Cell::new(0));
        let retry = Retry::new(Backoff::constant(SECOND))
            .max_attempts(2)
            .when_value(|_: &Connection<'_>| Some(crate::retry::Decision::Retry));
        let mut call = pin!(retry.call(&clock, |_| {
            open.set(open.get() + 1);
            core::future::ready(Ok::<_, ()>(Connection(&open)))
        }));
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(open.get(), 0);
        clock.advance(SECOND);
        // The last one is the caller's, good enough or not.
        assert!(matches!(poll(call.as_mut()), Poll::Ready(Ok(Connection(_)))));
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
