//! Waiting until a breaker would let a call in.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{CircuitBreaker, Metering, Window};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::event::Observer;
use crate::time::{Clock, Timer, duration_from_ticks};

pin_project! {
    /// See [`CircuitBreaker::until_ready`].
    #[must_use = "futures do nothing unless polled"]
    pub struct UntilReady<'a, C, W, M, O, T>
    where
        T: Timer,
    {
        breaker: &'a CircuitBreaker<C, W, M, O>,
        timer: T,
        #[pin]
        sleep: Option<T::Sleep>,
    }
}

impl<'a, C, W, M, O, T: Timer> UntilReady<'a, C, W, M, O, T> {
    pub(super) fn new(breaker: &'a CircuitBreaker<C, W, M, O>, timer: T) -> Self {
        Self { breaker, timer, sleep: None }
    }
}

impl<C, W, M, O, T> Future for UntilReady<'_, C, W, M, O, T>
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
    T: Timer,
{
    type Output = Result<(), Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
                this.sleep.set(None);
            }
            let ticks = this.breaker.readiness()?;
            if ticks == 0 {
                return Poll::Ready(Ok(()));
            }
            // The breaker's clock and the timer may count differently.
            let wait = duration_from_ticks(ticks, C::TICKS_PER_SECOND);
            this.sleep.set(Some(this.timer.sleep_until(Deadline::after(this.timer, wait).ticks())));
        }
    }
}

impl<C, W, M, O, T: Timer> fmt::Debug for UntilReady<'_, C, W, M, O, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UntilReady").field("asleep", &self.sleep.is_some()).finish_non_exhaustive()
    }
}
