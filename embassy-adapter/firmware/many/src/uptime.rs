//! The machine's counter as a clock and timer of the core.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use fusebox_core::{Clock, Ticks, Timer, ticks_from_duration};

use crate::{arch, executor};

/// The time since the machine's start, the same on all cores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uptime;

impl Uptime {
    /// A duration in the machine's ticks, rounded up.
    pub(crate) const fn ticks(duration: Duration) -> u64 {
        ticks_from_duration(duration, arch::TICKS_PER_SECOND)
    }
}

impl Clock for Uptime {
    const TICKS_PER_SECOND: u64 = arch::TICKS_PER_SECOND;

    fn now(&self) -> Ticks {
        Ticks(arch::ticks())
    }
}

impl Timer for Uptime {
    type Sleep = Sleep;

    fn sleep_until(&self, at: Ticks) -> Sleep {
        Sleep { at }
    }
}

/// Pending until its time has come: until then it tells the executor of the core that polls it when
/// to poll again.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub(crate) struct Sleep {
    at: Ticks,
}

impl Future for Sleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if Uptime.now() >= self.at {
            return Poll::Ready(());
        }
        executor::poll_again_at(self.at);
        Poll::Pending
    }
}
