//! A hedge with nothing around it: its call and its future.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::policy::{Hedge, HedgePolicy};
use super::run::HedgeLoop;
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::retry::{Attempt, AttemptLoop, Bare, Operation};
use crate::time::Timer;

pin_project! {
    /// A hedged call; see [`Hedge::call`].
    #[must_use = "futures do nothing unless polled"]
    pub struct HedgeCall<T, H, F>
    where
        T: Timer,
        H: HedgePolicy<T, F::Value, F::Error>,
        F: Operation,
    {
        around: Bare<T, H>,
        #[pin]
        attempts: HedgeLoop<Bare<T, H>, F>,
    }

    impl<T, H, F> PinnedDrop for HedgeCall<T, H, F>
    where
        T: Timer,
        H: HedgePolicy<T, F::Value, F::Error>,
        F: Operation,
    {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.attempts.cancel(this.around);
        }
    }
}

impl<T, H, F> HedgeCall<T, H, F>
where
    T: Timer,
    H: HedgePolicy<T, F::Value, F::Error>,
    F: Operation,
{
    /// Runs `operation`, which may be of a type with a name, under `policy`, which may be a pointer
    /// to one; see [`Hedge::call_before`].
    #[inline]
    pub fn new(policy: H, timer: T, deadline: Deadline, operation: F) -> Self {
        Self { around: Bare { timer, policy }, attempts: HedgeLoop::new(deadline, operation) }
    }
}

impl<const N: usize, D, W, B, O, J> Hedge<N, D, W, B, O, J> {
    /// Runs `operation`, and again beside it as the policy says, until one attempt succeeds. The
    /// others are dropped before the answer is returned.
    ///
    /// All attempts run in the caller's task, in turn: work that does not wait is not made faster
    /// by this.
    ///
    /// # Errors
    ///
    /// What the last attempt met, where all have failed or what one met is final:
    /// [`Error::Inner`] where it failed, [`Error::TimedOut`] where the deadline cut it off.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops all attempts that run; one that was paid for and did not begin is given
    /// back to the budget.
    /// **Cancel safety:** that of the operation.
    ///
    /// # Examples
    ///
    /// See [`Hedge`].
    #[inline]
    pub fn call<T, F, Fut, V, E>(self, timer: T, operation: F) -> HedgeCall<T, Self, F>
    where
        T: Timer,
        Self: HedgePolicy<T, V, E>,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        HedgeCall::new(self, timer, Deadline::NEVER, operation)
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
    #[inline]
    pub fn call_before<T, F, Fut, V, E>(
        self,
        timer: T,
        deadline: Deadline,
        operation: F,
    ) -> HedgeCall<T, Self, F>
    where
        T: Timer,
        Self: HedgePolicy<T, V, E>,
        F: FnMut(Attempt) -> Fut,
        Fut: Future<Output = Result<V, E>>,
    {
        HedgeCall::new(self, timer, deadline, operation)
    }
}

impl<T, H, F> Future for HedgeCall<T, H, F>
where
    T: Timer,
    H: HedgePolicy<T, F::Value, F::Error>,
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

impl<T, H, F> fmt::Debug for HedgeCall<T, H, F>
where
    T: Timer,
    H: HedgePolicy<T, F::Value, F::Error>,
    F: Operation,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HedgeCall").field("state", self.attempts.state()).finish_non_exhaustive()
    }
}
