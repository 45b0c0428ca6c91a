//! The time of the races.

use core::time::Duration;

use fusebox_core::{Clock, ManualClock, Ticks};

static NOW: ManualClock<{ Time::TICKS_PER_SECOND }> = ManualClock::new();

/// A clock in milliseconds, moved by the races. Being no reference, it can be part of a constant:
/// so that what each run of a race begins with is copied, not computed.
#[derive(Clone, Copy)]
pub(crate) struct Time;

impl Clock for Time {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        NOW.now()
    }
}

impl Time {
    /// Back to the beginning.
    pub(crate) fn reset() {
        NOW.set(Ticks::ZERO);
    }

    pub(crate) fn advance(by: Duration) {
        NOW.advance(by);
    }
}
