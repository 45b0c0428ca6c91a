//! The processor's time stamp counter as a clock.
//!
//! Reading the operating system's clock is most of what a limit costs. The counter is read without
//! the operating system; what a tick of it is worth must be measured first, once for the process.

use std::sync::OnceLock;

use fusebox_core::{Clock, Ticks};
use quanta::Clock as Source;

use crate::clock::{NANOS_PER_SECOND, StdClock};

/// The counter, and what both clocks read when it was calibrated.
struct Counter {
    source: Source,
    start: u64,
    at: Ticks,
}

fn counter() -> &'static Counter {
    static COUNTER: OnceLock<Counter> = OnceLock::new();
    COUNTER.get_or_init(|| {
        let source = Source::new();
        Counter { start: source.raw(), at: StdClock.now(), source }
    })
}

/// The processor's time stamp counter, in nanoseconds, where there is one that runs at an even
/// rate; elsewhere the operating system's monotonic clock.
///
/// Several times as fast as [`StdClock`](crate::StdClock), for limits on the hottest paths. It pays
/// with accuracy: its rate is measured once, for at most 200 ms, so it may run fast or slow by some
/// millionths, and two clocks of one process drift apart by that much. A
/// [`Deadline`](crate::Deadline) made with one may be used with the other where that does not
/// matter. Readings of two processors may differ by what their counters differ; every primitive
/// takes the earlier one for a late reading, up to its `max_lateness`.
///
/// Feature `fast-clock`.
///
/// # Examples
///
/// ```
/// use fusebox_std::{BucketConfig, FastClock, TokenBucket};
///
/// static PACKETS: TokenBucket<FastClock> =
///     TokenBucket::new(BucketConfig::per_second(1_000_000).burst(1_000), FastClock);
///
/// // When the program starts, lest the first packet wait for it.
/// FastClock::calibrate();
/// assert!(PACKETS.try_acquire(1).is_ok());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct FastClock;

impl FastClock {
    /// Measures how fast the counter runs, if that has not been done: keeps a processor busy for up
    /// to 200 ms. Without it the first reading does so.
    pub fn calibrate() {
        counter();
    }
}

impl Clock for FastClock {
    const TICKS_PER_SECOND: u64 = NANOS_PER_SECOND;

    #[inline]
    fn now(&self) -> Ticks {
        let counter = counter();
        let since = counter.source.delta_as_nanos(counter.start, counter.source.raw());
        counter.at.saturating_add(since)
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;
    use std::time::Duration;

    use super::*;

    #[test]
    fn reads_as_the_standard_clock_does() {
        FastClock::calibrate();
        for _ in 0..3 {
            // Between two readings of the other, give or take a thousandth of the time since.
            let before = StdClock.now().0;
            let now = FastClock.now().0;
            let after = StdClock.now().0;
            assert!(before <= now + 1_000_000 && now <= after + 1_000_000);
            sleep(Duration::from_millis(20));
        }
    }

    #[test]
    fn never_steps_back_in_a_thread() {
        let mut last = FastClock.now();
        for _ in 0..100_000 {
            let now = FastClock.now();
            assert!(now >= last);
            last = now;
        }
    }
}
