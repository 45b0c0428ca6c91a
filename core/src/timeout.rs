//! Timeouts.
//!
//! A [`Timeout`] is a duration, a [`Deadline`] an instant; both run a future until then and drop it
//! when the time is up.
//!
//! # Reasons
//!
//! The operation is polled first, and the sleep is made only when that poll was pending: a call
//! that is done at once sets no timer. The clock, however, is read *before* that poll, so that the
//! time the operation spends in it counts.
//!
//! When the time is up the operation is dropped before `TimedOut` is returned, not when the caller
//! drops the whole: what it held (a connection, a permit) is free by the time the caller knows.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use pin_project_lite::pin_project;

use crate::deadline::Deadline;
use crate::error::Error;
use crate::time::{Ticks, Timer};

/// How long an operation may take, as a value.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Error, ManualClock, Timeout};
///
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let answer = Timeout::FAST.run(&clock, async { Ok::<_, &str>(42) }).await;
/// assert_eq!(answer, Ok(42));
///
/// // A default, and a value for this call where the caller gave one.
/// let asked: Option<Duration> = Some(Duration::ZERO);
/// let hangs = core::future::pending::<Result<(), &str>>();
/// assert_eq!(Timeout::NORMAL.or(asked).run(&clock, hangs).await, Err(Error::TimedOut));
/// # });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Timeout(Duration);

impl Timeout {
    /// 5 seconds: for a call that someone waits for.
    pub const FAST: Self = Self(Duration::from_secs(5));
    /// 30 seconds: the default.
    pub const NORMAL: Self = Self(Duration::from_secs(30));
    /// 120 seconds: for work in the background.
    pub const SLOW: Self = Self(Duration::from_secs(120));

    /// A timeout of `duration`. With a duration of zero the operation is polled once.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// How long that is.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }

    /// The timeout of one call: `this_call` where it is given, else this one.
    #[must_use]
    pub const fn or(self, this_call: Option<Duration>) -> Self {
        match this_call {
            Some(duration) => Self(duration),
            None => self,
        }
    }

    /// Runs `future` for at most this long, counted from the first poll. Its output is a `Result`;
    /// one that cannot fail returns `Ok::<_, Infallible>(..)`.
    ///
    /// # Errors
    ///
    /// The future ends in [`Error::TimedOut`] once the time is up, in [`Error::Inner`] where
    /// `future` failed by itself.
    ///
    /// # Cancellation
    ///
    /// Dropping it drops `future`. **Cancel safety:** that of `future`.
    #[inline]
    pub const fn run<T: Timer, F>(self, timer: T, future: F) -> WithTimeout<T, F> {
        WithTimeout::new(timer, Limit::For(self.0), future)
    }
}

impl Default for Timeout {
    /// [`Timeout::NORMAL`].
    fn default() -> Self {
        Self::NORMAL
    }
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl From<Timeout> for Duration {
    fn from(timeout: Timeout) -> Self {
        timeout.0
    }
}

impl Deadline {
    /// Runs `future` until this deadline. Where it has passed already, `future` is polled once.
    ///
    /// # Errors
    ///
    /// As [`Timeout::run`].
    ///
    /// # Cancellation
    ///
    /// As [`Timeout::run`].
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Deadline, Error, ManualClock};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let deadline = Deadline::after(&clock, Duration::from_secs(1));
    /// clock.advance(Duration::from_secs(1));
    /// let hangs = core::future::pending::<Result<(), &str>>();
    /// assert_eq!(deadline.run(&clock, hangs).await, Err(Error::TimedOut));
    /// # });
    /// ```
    #[inline]
    pub const fn run<T: Timer, F>(self, timer: T, future: F) -> WithTimeout<T, F> {
        WithTimeout::new(timer, Limit::Until(self), future)
    }
}

/// When the time is up.
#[derive(Clone, Copy, Debug)]
enum Limit {
    /// This long after the first poll.
    For(Duration),
    Until(Deadline),
}

pin_project! {
    /// A future with a limit; see [`Timeout::run`] and [`Deadline::run`].
    #[must_use = "futures do nothing unless polled"]
    pub struct WithTimeout<T: Timer, F> {
        #[pin]
        limited: Limited<F, T::Sleep>,
        timer: T,
        limit: Limit,
    }
}

impl<T: Timer, F> WithTimeout<T, F> {
    const fn new(timer: T, limit: Limit, future: F) -> Self {
        Self { limited: Limited { operation: Some(future), sleep: None }, timer, limit }
    }
}

impl<T, F, V, E> Future for WithTimeout<T, F>
where
    T: Timer,
    F: Future<Output = Result<V, E>>,
{
    type Output = Result<V, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let until = match *this.limit {
            Limit::For(duration) => Deadline::after(this.timer, duration),
            Limit::Until(deadline) => deadline,
        };
        *this.limit = Limit::Until(until);
        Poll::Ready(match ready!(this.limited.poll_until(cx, this.timer, until)) {
            Some(result) => result.map_err(Error::Inner),
            None => Err(Error::TimedOut),
        })
    }
}

impl<T: Timer, F> fmt::Debug for WithTimeout<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithTimeout").field("limit", &self.limit).finish_non_exhaustive()
    }
}

pin_project! {
    /// A place for an operation and for the sleep that cuts it off: what every timeout, retry and
    /// pipeline runs its operations in, one after another.
    pub(crate) struct Limited<F, S> {
        #[pin]
        operation: Option<F>,
        #[pin]
        sleep: Option<S>,
    }
}

impl<F, S> Limited<F, S> {
    /// No operation yet.
    pub(crate) const fn idle() -> Self {
        Self { operation: None, sleep: None }
    }

    /// Whether an operation is in place.
    pub(crate) const fn is_running(&self) -> bool {
        self.operation.is_some()
    }

    /// Puts `operation` in place.
    #[inline]
    pub(crate) fn start(self: Pin<&mut Self>, operation: F) {
        self.project().operation.set(Some(operation));
    }
}

impl<F: Future, S: Future<Output = ()>> Limited<F, S> {
    /// Polls the operation, then, where that is pending, the limit: the operation's output, or
    /// `None` when `until` has come. Either way the operation is gone by then. Pending without
    /// one.
    #[inline]
    pub(crate) fn poll_until<T: Timer<Sleep = S>>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        timer: &T,
        until: Deadline,
    ) -> Poll<Option<F::Output>> {
        let this = self.as_mut().project();
        let Some(operation) = this.operation.as_pin_mut() else {
            return Poll::Pending;
        };
        let output = match operation.poll(cx) {
            Poll::Ready(output) => Some(output),
            Poll::Pending if until.is_never() => return Poll::Pending,
            Poll::Pending => {
                if this.sleep.is_none() {
                    self.as_mut().sleep_until(timer, until.ticks());
                }
                ready!(self.as_mut().poll_sleep(cx));
                None
            }
        };
        let mut this = self.project();
        this.operation.set(None);
        this.sleep.set(None);
        Poll::Ready(output)
    }

    /// Sleeps until `at`: with an operation in place until it is cut off, without one, for as long
    /// as nothing is to be done.
    #[inline]
    pub(crate) fn sleep_until<T: Timer<Sleep = S>>(self: Pin<&mut Self>, timer: &T, at: Ticks) {
        self.project().sleep.set(Some(timer.sleep_until(at)));
    }

    /// Polls the sleep, if there is one; it is gone when it is over.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    pub(crate) fn poll_sleep(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut sleep = self.project().sleep;
        if let Some(sleep) = sleep.as_mut().as_pin_mut() {
            ready!(sleep.poll(cx));
        }
        sleep.set(None);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;
    use core::cell::Cell;
    use core::future::{pending, poll_fn};
    use core::pin::pin;
    use core::task::Waker;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn the_time_counts_from_the_first_poll_and_includes_it() {
        let clock: ManualClock = ManualClock::new();
        let slow_poll = poll_fn(|_| {
            clock.advance(Duration::from_secs(5));
            Poll::<Result<(), ()>>::Pending
        });
        let mut call = pin!(Timeout::FAST.run(&clock, slow_poll));
        clock.advance(Duration::from_secs(100));
        assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::TimedOut)));
        assert_eq!(poll(call.as_mut()), Poll::Pending, "an answer is given once");
    }

    #[test]
    fn an_operation_that_is_done_beats_the_limit() {
        let clock: ManualClock = ManualClock::new();
        let call = pin!(Timeout::new(Duration::ZERO).run(&clock, async { Err::<(), _>("no") }));
        assert_eq!(poll(call), Poll::Ready(Err(Error::Inner("no"))));
        let call = pin!(Deadline::at(crate::Ticks::ZERO).run(&clock, async { Ok::<_, ()>(1) }));
        assert_eq!(poll(call), Poll::Ready(Ok(1)));
    }

    #[test]
    fn the_operation_is_gone_when_its_time_is_up() {
        struct SetOnDrop<'a>(&'a Cell<bool>);
        impl Drop for SetOnDrop<'_> {
            fn drop(&mut self) {
                self.0.set(true);
            }
        }
        let (clock, gone) = (ManualClock::<1000>::new(), Cell::new(false));
        let held = SetOnDrop(&gone);
        let mut call = pin!(Timeout::FAST.run(&clock, async move {
            let _held = held;
            pending::<Result<(), ()>>().await
        }));
        assert!(poll(call.as_mut()).is_pending());
        clock.advance(Duration::from_millis(4999));
        assert!(poll(call.as_mut()).is_pending());
        clock.advance(Duration::from_millis(1));
        assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::TimedOut)));
        assert!(gone.get());
    }

    #[test]
    fn a_limit_beyond_the_clock_is_none() {
        let clock: ManualClock = ManualClock::new();
        let mut call = pin!(Timeout::new(Duration::MAX).run(&clock, pending::<Result<(), ()>>()));
        assert!(poll(call.as_mut()).is_pending());
        clock.set(crate::Ticks::MAX);
        assert!(poll(call.as_mut()).is_pending());
    }
}
