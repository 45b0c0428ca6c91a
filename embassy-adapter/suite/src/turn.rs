//! Running futures where there is no executor.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use fusebox_core::{Clock, ManualClock, Ticks, Timer};

/// Runs `future` to its end by polling it over and over, with a waker that does nothing.
///
/// For timers that look at their clock when they are polled, as [`Polled`] does; one that only ever
/// wakes its task is as good, as nobody sleeps here.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return output;
        }
        core::hint::spin_loop();
    }
}

/// Polls `future` once, with a waker that does nothing.
pub fn poll_once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs `future` while `clock` is moved on by `step` between two polls; `None` where it is not done
/// after `steps` of these.
pub fn advance_until<F: Future, const HZ: u64>(
    clock: &ManualClock<HZ>,
    step: Duration,
    steps: u32,
    future: F,
) -> Option<F::Output> {
    let mut future = pin!(future);
    for _ in 0..steps {
        if let Poll::Ready(output) = poll_once(future.as_mut()) {
            return Some(output);
        }
        clock.advance(step);
    }
    match poll_once(future) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// A timer over any clock: its sleeps look at the clock whenever they are polled, and ask to be
/// polled again at once.
///
/// For platforms that have a clock and no timer yet. An executor never sleeps while one of these
/// does not end.
#[derive(Clone, Copy, Debug)]
pub struct Polled<C>(
    /// The clock.
    pub C,
);

impl<C: Clock> Clock for Polled<C> {
    const TICKS_PER_SECOND: u64 = C::TICKS_PER_SECOND;

    fn now(&self) -> Ticks {
        self.0.now()
    }
}

impl<C: Clock + Clone> Timer for Polled<C> {
    type Sleep = PolledSleep<C>;

    fn sleep_until(&self, at: Ticks) -> PolledSleep<C> {
        PolledSleep { clock: self.0.clone(), at }
    }
}

/// The sleep of a [`Polled`] timer.
#[derive(Clone, Copy, Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct PolledSleep<C> {
    clock: C,
    at: Ticks,
}

impl<C: Clock> Future for PolledSleep<C> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.clock.now() >= self.at {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
