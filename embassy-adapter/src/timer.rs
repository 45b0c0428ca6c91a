//! embassy's time.
//!
//! # Reasons
//!
//! *One type is the clock and the timer.* Both are the one time driver of the firmware, so there is
//! nothing to hold: the type is empty, costs nothing in a `static`, and reads as
//! [`EmbassyClock`](crate::EmbassyClock) where only a clock is asked for.
//!
//! *A sleep of its own, not [`embassy_time::Timer`].* That one is pending at its first poll even
//! where its instant has passed, while a [`Timer`]'s sleep is ready then; and it is twice as large,
//! in each task that waits.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use fusebox_core::{Clock, Ticks, Timer};

/// The clock and timer of embassy's time driver, in its ticks: [`embassy_time::TICK_HZ`] a second.
///
/// [`EmbassyClock`](crate::EmbassyClock) is another name for it.
///
/// # Examples
///
/// ```
/// use core::{future::pending, time::Duration};
/// use fusebox_embassy::{EmbassyTimer, Error, Timeout};
///
/// # fn read() -> impl Future<Output = Result<u16, ()>> { core::future::ready(Ok(7)) }
/// # embassy_futures::block_on(async {
/// let reading = Timeout::new(Duration::from_millis(20)).run(EmbassyTimer, read()).await;
/// assert_eq!(reading, Ok(7));
/// # });
/// ```
///
/// # Interrupt safety
///
/// Reading the clock is as safe as the time driver makes it: those of embassy's HALs may be read in
/// any interrupt handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct EmbassyTimer;

impl Clock for EmbassyTimer {
    const TICKS_PER_SECOND: u64 = embassy_time::TICK_HZ;

    #[inline]
    fn now(&self) -> Ticks {
        Ticks(embassy_time_driver::now())
    }
}

impl Timer for EmbassyTimer {
    type Sleep = EmbassySleep;

    fn sleep_until(&self, at: Ticks) -> EmbassySleep {
        EmbassySleep { at }
    }
}

/// The sleep of an [`EmbassyTimer`]. It never ends early, and at [`Ticks::MAX`] it never ends.
///
/// # Cancellation
///
/// The driver is not told of a sleep that is dropped: its task is woken at that instant all the
/// same, looks around, and goes on waiting for what it waits for. **Cancel safety:** Strict.
#[derive(Debug)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use = "futures do nothing unless polled"]
pub struct EmbassySleep {
    at: Ticks,
}

impl Future for EmbassySleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if EmbassyTimer.now() >= self.at {
            return Poll::Ready(());
        }
        // At each poll: a task has one place in the driver's queue, whose instant is the earliest
        // asked for since it was last woken. What woke it now may have been another's.
        if self.at < Ticks::MAX {
            embassy_time_driver::schedule_wake(self.at.0, cx.waker());
        }
        Poll::Pending
    }
}
