//! Bugs 1, 3, 7 and 29 of the field: the warm-up limiter.

use std::time::Duration;

use fusebox_core::{ManualClock, Rate, SlidingWindowConfig, SlidingWindowCounter, Ticks};
use fusebox_core::{WarmUp, WarmUpConfig};

const SECOND: u64 = 1_000_000_000;

fn limit(per_second: u32, warm_up: Duration) -> WarmUp<ManualClock> {
    let config = WarmUpConfig::new(Rate::per_second(per_second), warm_up);
    WarmUp::new(config.max_lateness(Duration::from_millis(100)), ManualClock::new())
}

/// Bug 1. A thread read the clock, lost the CPU, and another one committed a later time: the
/// subtraction wrapped and the limiter granted many times its quota. Seen in better-bucket 1.0.0,
/// and in the same shape in pingora-limits. The race itself is a loom model.
#[test]
pub(crate) fn a_stale_reading_ends_no_pause() {
    let limit = limit(10, Duration::from_secs(1));
    let mut granted = 0;
    for millis in 1_000..4_000 {
        let now = millis * 1_000_000;
        for by in [0, 1, 1_000_000, 99_999_999, SECOND / 10] {
            granted += u32::from(limit.try_acquire_at(Ticks(now - by)).is_ok());
        }
    }
    assert!((20..=30).contains(&granted), "{granted}");
}

/// Bug 3. Intervals in whole nanoseconds made rates wrong by up to a half. Seen in governor 0.10.
#[test]
pub(crate) fn a_warm_rate_is_what_it_says() {
    for per_second in [1, 3, 7, 19] {
        let limit = limit(per_second, Duration::from_secs(2));
        let (mut now, mut granted) = (0, 0);
        while now < 104 * SECOND {
            match limit.try_acquire_at(Ticks(now)) {
                Ok(()) => granted += u64::from(now >= 4 * SECOND),
                Err(refused) => {
                    now += u64::try_from(refused.retry_after().unwrap().as_nanos()).unwrap();
                }
            }
        }
        let exact = 100 * u64::from(per_second);
        // Below by up to 1 in 64 where words are 32 bits wide.
        assert!(granted <= exact + 1 && granted + exact / 64 + 1 >= exact, "{granted} of {exact}");
    }
}

/// Bug 7. One request more than allowed. Seen in governor#107 and #249.
#[test]
pub(crate) fn one_call_at_a_time_whatever_the_pause_before() {
    let limit = limit(10, Duration::from_secs(1));
    for idle in [0, 1, 60, 86_400] {
        let now = Ticks((1 + idle) * 3 * SECOND);
        let at_once = (0..100).filter(|_| limit.try_acquire_at(now).is_ok()).count();
        assert_eq!(at_once, 1, "after {idle} s");
    }
}

/// Bug 29. `per_second(4000)` that meant one per 4000 s. Names say what they take, of the window
/// and of the rate alike.
#[test]
pub(crate) fn four_thousand_per_second_are_four_thousand() {
    let window = |config: SlidingWindowConfig| {
        let counter = SlidingWindowCounter::new(config, ManualClock::<1_000>::new());
        (0..5_000).filter(|_| counter.try_acquire_at(1, Ticks(0)).is_ok()).count()
    };
    assert_eq!(window(SlidingWindowConfig::per_second(400)), 400);
    assert_eq!(window(SlidingWindowConfig::new(400, Duration::from_secs(1))), 400);
    assert_eq!(Rate::per_second(4_000).interval(), Duration::from_micros(250));
    assert_eq!(Rate::every(Duration::from_secs(4_000)).interval(), Duration::from_secs(4_000));
}
