//! The sliding window counter as its users see it: configurations, gates, what is given back, and
//! how far the estimate may be off.

use std::time::Duration;

use fusebox_core::{
    ConfigError, Gate, ManualClock, Outcome, Reason, SlidingWindowConfig, SlidingWindowCounter,
    Ticks, WORD_BITS,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: u64 = 1_000_000_000;

fn counter(limit: u32) -> SlidingWindowCounter<ManualClock> {
    let config = SlidingWindowConfig::per_second(limit).max_lateness(100 * MS);
    SlidingWindowCounter::new(config, ManualClock::new())
}

#[test]
fn presets_are_what_they_say() {
    let of = |config, seconds: u64| {
        let counter = SlidingWindowCounter::new(config, ManualClock::<1_000>::new());
        let at = |part: u64| Ticks(1_000 * seconds * part / 16);
        assert!(counter.try_acquire_at(7, at(0)).is_ok());
        assert_eq!(counter.try_acquire_at(1, at(15)).unwrap_err().reason(), Reason::RateLimited);
        assert_eq!(counter.try_acquire_at(8, at(99)).unwrap_err().reason(), Reason::ExceedsBurst);
        // 7/16 of the last window are in the one before: a little more than 3 of its 7 calls.
        assert!(counter.try_acquire_at(3, at(25)).is_ok());
        assert!(counter.try_acquire_at(1, at(25)).is_err());
        assert!(counter.try_acquire_at(0, at(25)).is_ok());
    };
    of(SlidingWindowConfig::per_second(7), 1);
    of(SlidingWindowConfig::per_minute(7), 60);
    of(SlidingWindowConfig::per_hour(7), 3_600);
    of(SlidingWindowConfig::per_day(7), 86_400);
}

#[test]
fn bad_configurations_say_what_would_be_right() {
    let made = |config| {
        SlidingWindowCounter::try_new(config, ManualClock::<1_000_000_000>::new()).map(drop)
    };
    let said = |config| made(config).unwrap_err().to_string();
    let most = if WORD_BITS == 64 { 1_048_575 } else { 1_023 };
    assert_eq!(
        said(SlidingWindowConfig::per_second(0)),
        format!("the limit of a sliding window must be from 1 to {most}, but is 0")
    );
    assert!(made(SlidingWindowConfig::per_second(most)).is_ok());
    assert!(made(SlidingWindowConfig::per_second(most + 1)).is_err());
    assert_eq!(
        said(SlidingWindowConfig::new(1, Duration::ZERO)),
        "the length of a sliding window must be from 1ns to 4611686018s, but is 0ns"
    );
    let short = SlidingWindowConfig::new(5, MS);
    let error = made(short).unwrap_err();
    assert_eq!(
        error.summary(),
        "the window's `max_lateness` must not be so much longer than the window that a word cannot \
         hold both"
    );
    // What is said to fit fits, and a nanosecond more does not.
    let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
    assert!(made(short.max_lateness(max)).is_ok());
    assert!(made(short.max_lateness(max + Duration::from_nanos(1))).is_err());
}

#[test]
fn only_a_call_that_never_ran_is_taken_off_the_count() {
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let counter = counter(1);
        counter.exit(counter.enter().unwrap(), outcome);
        assert_eq!(counter.snapshot().left(), 0, "{outcome:?}");
    }
    let counter = counter(2);
    let refused = counter.enter().unwrap();
    counter.try_acquire(1).unwrap();
    counter.exit(refused, Outcome::Refused);
    let now = counter.snapshot();
    assert_eq!((now.limit, now.used, now.left()), (2, 1, 1));
    // Of a window that no longer counts, nothing is given back.
    let old = counter.enter().unwrap();
    let later = Ticks(10 * SECOND);
    counter.try_acquire_at(2, later).unwrap();
    counter.exit(old, Outcome::Refused);
    assert_eq!(counter.snapshot_at(later).left(), 0);
}

/// The worst case of the documentation: nearly twice the limit, and no more.
#[test]
fn a_crowd_at_the_end_of_a_window_is_as_bad_as_it_gets() {
    let counter = counter(100);
    let mut granted = 0;
    // The window of the first call begins here; all others come at its end, and at that of the
    // next one.
    counter.try_acquire_at(1, Ticks(0)).unwrap();
    for at in [SECOND - 50_000_000, 2 * SECOND - 60_000_000] {
        granted += (0..200).filter(|_| counter.try_acquire_at(1, Ticks(at)).is_ok()).count();
    }
    assert!((185..200).contains(&granted), "{granted}");
}

#[test]
fn a_clock_set_back_for_good_finds_nothing_counted() {
    let counter = counter(1);
    assert!(counter.try_acquire_at(1, Ticks(10 * SECOND)).is_ok());
    assert!(counter.try_acquire_at(1, Ticks(10 * SECOND - SECOND / 10)).is_err());
    assert!(counter.try_acquire_at(1, Ticks(3 * SECOND)).is_ok());
    assert!(counter.try_acquire_at(1, Ticks(3 * SECOND)).is_err());
}
