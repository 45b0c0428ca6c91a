//! Bugs 1, 2, 3, 4, 5 and 7 of the field: rate limits and time.

use std::time::Duration;

use fusebox_core::{BucketConfig, ManualClock, Rate, Ticks, TokenBucket, WORD_BITS};

const SECOND: u64 = 1_000_000_000;

/// A bucket on a nanosecond clock, where nobody waits and readers are late by a second at most.
fn bucket(config: BucketConfig) -> TokenBucket<ManualClock> {
    TokenBucket::new(config.max_wait(Duration::ZERO), ManualClock::new())
}

/// Bug 1. A thread read the clock, lost the CPU, and another one committed a later time: the
/// subtraction wrapped and the limiter granted 36 to 527 times its quota. Seen in better-bucket
/// 1.0.0, and in the same shape in pingora-limits. The race itself is a loom model.
#[test]
pub(crate) fn a_stale_reading_wins_nothing() {
    let bucket = bucket(BucketConfig::per_second(100).burst(100));
    let late = |now: u64, by: u64| Ticks(now - by);
    let mut granted = 0;
    for millis in 1_000..3_000 {
        let now = millis * 1_000_000;
        // A punctual reader, and then others that are late by up to all that is supported.
        for by in [0, 1, 1_000_000, 999_999_999, SECOND] {
            granted += u32::from(bucket.try_acquire_at(1, late(now, by)).is_ok());
        }
    }
    assert_eq!(granted, 100 + 199, "the burst, and the tokens of 1.999 s");
}

/// Bug 2. A refill that was rounded down while its timestamp moved to now lost up to half of the
/// rate when polled often. Seen in ratelimit 2.0.0: one per second, polled every 1999 ns, granted
/// 10 of 20.
#[test]
pub(crate) fn polling_often_loses_nothing() {
    for (per_second, poll) in [(1_000, 1_999), (1_000, 99_999), (700, 1_428), (1, 1_999_999)] {
        // One token of room, so that the one that comes between two polls is not lost for lack of
        // it.
        let bucket = bucket(BucketConfig::per_second(per_second).burst(2));
        let span = 20 * SECOND / u64::from(per_second);
        let polls = (0..=span).step_by(poll);
        let granted = polls.filter(|now| bucket.try_acquire_at(1, Ticks(*now)).is_ok()).count();
        // Those that are there at first and 20 more, of which the last may come after the last
        // poll.
        assert!((21..=22).contains(&granted), "{granted} at {per_second}/s, polled each {poll} ns");
    }
}

/// Bug 3. Intervals in whole nanoseconds: 700 million per second became 1000 million, 3 million
/// became 3 003 003, and one per 30 days with a burst of 10 000 overflowed. Seen in governor
/// 0.10.
#[test]
pub(crate) fn rates_are_what_they_say() {
    for per_second in [700_000_000, 3_000_000, 999_999_999, 1_000_000_000, 7, 1] {
        // So little that it fits into 32-bit words as well: these need sub-nanosecond units.
        let interval = SECOND / u64::from(per_second);
        let config = BucketConfig::per_second(per_second).burst(100);
        let bucket = bucket(config.max_lateness(Duration::from_nanos(interval)));
        let end = 200_000_000 / u64::from(per_second) * 1_000_000 + 1_000_000;
        let end = end.min(10_000 * interval);
        let mut granted = 0;
        let mut now = 0;
        while now <= end {
            while bucket.try_acquire_at(1, Ticks(now)).is_ok() {
                granted += 1;
            }
            now += interval;
        }
        let exact = 100 + u128::from(end) * u128::from(per_second) / u128::from(SECOND);
        assert!(granted <= exact, "{granted} of {exact} at {per_second}/s");
        assert!(granted + exact / 1_000 + 2 >= exact, "{granted} of {exact} at {per_second}/s");
    }
    let slow = bucket(BucketConfig::per_day(1).burst(10_000));
    assert!(slow.try_acquire_at(10_000, Ticks(0)).is_ok());
    assert!(slow.try_acquire_at(1, Ticks(86_399 * SECOND)).is_err());
    assert!(slow.try_acquire_at(1, Ticks(86_410 * SECOND)).is_ok());
    let month = Rate::every(Duration::from_secs(30 * 86_400));
    assert!(TokenBucket::try_new(BucketConfig::new(month), ManualClock::<1_000>::new()).is_err());
}

/// Bug 4. Very slow rates never refilled, and an idle counter wrapped after 49.7 days and
/// blocked. Seen in better-bucket before 1.1.
#[test]
pub(crate) fn slow_rates_refill_and_idle_buckets_do_not_block() {
    for per_day in [1, 2, 100] {
        let bucket = TokenBucket::new(BucketConfig::per_day(per_day), ManualClock::<1_000>::new());
        let interval = 86_400_000 / u64::from(per_day);
        assert!(bucket.try_acquire_at(1, Ticks(0)).is_ok());
        assert!(bucket.try_acquire_at(1, Ticks(interval - 1)).is_err());
        // A thousandth is how far below the rate a bucket may stay where words are 32 bits wide.
        assert!(bucket.try_acquire_at(1, Ticks(interval + interval / 1_000 + 1)).is_ok());
    }
    let bucket = TokenBucket::new(BucketConfig::per_second(10), ManualClock::<1_000>::new());
    let mut now = 0;
    for idle in [u64::from(u32::MAX), 1 << 33, (1 << 34) + 60_000, 3 << 40] {
        assert!(bucket.try_acquire_at(10, Ticks(now)).is_ok(), "full at {now}");
        // Were the idle time to read as just before a wrap, then one wait would be all it costs.
        now += idle + 3_000;
        let waited = (0..=3_000).find(|more| bucket.try_acquire_at(1, Ticks(now + more)).is_ok());
        assert!(waited.is_some(), "blocked after {idle} ms");
        now += 60_000;
    }
}

/// Bug 5. A clock that steps back: negative durations, tokens refilled twice, elapsed time 0 for
/// ever. Seen in aws-smithy, retry-policies, quanta#111.
#[test]
pub(crate) fn a_clock_that_steps_back_refills_nothing_twice_and_blocks_nobody() {
    let bucket = bucket(BucketConfig::per_second(10).burst(10));
    let mut granted = 0;
    // Back and forth over the same second.
    for now in (0..100u64).flat_map(|_| [5 * SECOND, 6 * SECOND]) {
        while bucket.try_acquire_at(1, Ticks(now)).is_ok() {
            granted += 1;
        }
    }
    // The burst and one second; a thousandth less where words are 32 bits wide.
    let exact = if WORD_BITS == 64 { 20 } else { 19 };
    assert_eq!(granted, exact);
    // Set back for good, by more than the lateness that is supported: as if new.
    assert!(bucket.try_acquire_at(10, Ticks(SECOND)).is_ok());
    assert!(bucket.try_acquire_at(1, Ticks(SECOND)).is_err());
    assert!(bucket.try_acquire_at(10, Ticks(2 * SECOND + 1_000_000)).is_ok());
}

/// Bug 7. One request more than the burst, or one cell that comes from nowhere. Seen in
/// governor#107 and #249.
#[test]
pub(crate) fn strictly_at_most_the_burst() {
    for burst in [1, 2, 3, 10, 100] {
        let bucket = bucket(BucketConfig::per_second(8).burst(burst).max_lateness(Duration::ZERO));
        let start = 123_456_789;
        let at_once = (0..2 * burst).filter(|_| bucket.try_acquire_at(1, Ticks(start)).is_ok());
        assert_eq!(at_once.count(), burst as usize);
        // The token that comes next comes when it was said to, not a tick earlier, and alone.
        let refused = bucket.try_acquire_at(1, Ticks(start)).unwrap_err();
        let next = start + u64::try_from(refused.retry_after().unwrap().as_nanos()).unwrap();
        // Readings are rounded by up to a 256th of an interval where words are 32 bits wide.
        let early = if WORD_BITS == 64 { 0 } else { SECOND / 8 / 256 };
        assert!(next >= start + SECOND / 8 - early);
        assert!(bucket.try_acquire_at(1, Ticks(next - 1)).is_err());
        assert!(bucket.try_acquire_at(1, Ticks(next)).is_ok());
        assert!(bucket.try_acquire_at(1, Ticks(next)).is_err());
    }
}
