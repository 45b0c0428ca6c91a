//! The sliding log as its users see it: configurations, gates, what is given back.

use std::time::Duration;

use fusebox_core::{
    ConfigError, Gate, ManualClock, Outcome, Reason, Rejection, SlidingLog, SlidingLogConfig,
    Ticks, WORD_BITS,
};

const MS: Duration = Duration::from_millis(1);

type Log<const N: usize> = SlidingLog<N, ManualClock>;

#[test]
fn presets_are_what_they_say() {
    let of = |config, seconds: u64| {
        let log: Log<1> = SlidingLog::new(config, ManualClock::new());
        let span = Ticks(seconds * 1_000_000_000);
        assert!(log.try_acquire_at(Ticks::ZERO).is_ok());
        assert!(log.try_acquire_at(Ticks(span.0 - 1)).is_err());
        // Longer by less than two units, of which a window has 2^13 at the least.
        assert!(log.try_acquire_at(Ticks(span.0 + (span.0 >> 12))).is_ok());
    };
    of(SlidingLogConfig::per_second(), 1);
    of(SlidingLogConfig::per_minute(), 60);
    of(SlidingLogConfig::per_hour(), 3_600);
    of(SlidingLogConfig::per_day(), 86_400);
}

#[test]
fn bad_configurations_say_what_would_be_right() {
    let made = |config| Log::<2>::try_new(config, ManualClock::new()).map(drop);
    let said = |config| made(config).unwrap_err().to_string();
    assert_eq!(
        said(SlidingLogConfig::per(Duration::ZERO)),
        "the window of a sliding log must be from 1ns to 4611686018s, but is 0ns"
    );
    let hour = SlidingLogConfig::per(Duration::from_micros(10)).max_lateness(3_600_000 * MS);
    let error = made(hour).unwrap_err();
    assert_eq!(
        error.summary(),
        "the log's `max_lateness` must not be so much longer than the window that a word cannot \
         hold both"
    );
    // What is said to fit fits, and a nanosecond more does not.
    let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
    assert!(made(hour.max_lateness(max)).is_ok());
    assert!(made(hour.max_lateness(max + Duration::from_nanos(1))).is_err());
    // Short windows beside a second of lateness, which is the default.
    let least = if WORD_BITS == 64 { Duration::from_nanos(1) } else { 9 * MS };
    assert!(made(SlidingLogConfig::per(least)).is_ok());
}

#[test]
fn only_a_call_that_never_ran_gets_its_place_back() {
    let log: Log<2> = SlidingLog::new(SlidingLogConfig::per_second(), ManualClock::new());
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let log: Log<1> = SlidingLog::new(SlidingLogConfig::per_second(), ManualClock::new());
        log.exit(log.enter().unwrap(), outcome);
        assert_eq!(log.snapshot().left(), 0, "{outcome:?}");
    }
    // The older of two: a hole in the middle is room at once.
    let (older, _newer) = (log.enter().unwrap(), log.enter().unwrap());
    assert!(log.enter().is_err());
    log.exit(older, Outcome::Refused);
    assert_eq!(log.snapshot().left(), 1);
    assert!(log.try_acquire().is_ok());
    assert!(log.try_acquire().is_err());
}

#[test]
fn a_gate_behind_it_that_always_refuses_does_not_use_it_up() {
    struct Closed;
    impl Gate for Closed {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            Err(Rejection::new(Reason::SwitchedOff))
        }
        fn exit(&self, (): (), _outcome: Outcome) {}
    }
    let log: Log<3> = SlidingLog::new(SlidingLogConfig::per_second(), ManualClock::new());
    log.try_acquire().unwrap();
    for _ in 0..100 {
        let refused = (&log, &Closed).call(|| Ok::<_, ()>(())).unwrap_err();
        assert_eq!(refused.rejection().unwrap().reason(), Reason::SwitchedOff);
    }
    let now = log.snapshot();
    assert_eq!((now.limit, now.used, now.left()), (3, 1, 2));
}

#[test]
fn it_tells_when_to_come_back() {
    let log: Log<2> = SlidingLog::new(SlidingLogConfig::per_second(), ManualClock::new());
    let at = |millis: u64| Ticks(millis * 1_000_000);
    assert_eq!(log.time_until_at(at(0)), Duration::ZERO);
    log.try_acquire_at(at(0)).unwrap();
    log.try_acquire_at(at(300)).unwrap();
    for (now, left) in [(300, 700), (999, 1)] {
        let wait = log.try_acquire_at(at(now)).unwrap_err().retry_after().unwrap();
        assert_eq!(wait, log.time_until_at(at(now)));
        assert!(wait >= left * MS && wait < left * MS + MS / 8, "{wait:?}");
        let then = Ticks(at(now).0 + wait.as_nanos() as u64);
        assert!(log.try_acquire_at(Ticks(then.0 - 1)).is_err());
        assert_eq!(log.time_until_at(then), Duration::ZERO);
    }
}

#[test]
fn a_clock_set_back_for_good_finds_it_free() {
    let log: Log<1> = SlidingLog::new(SlidingLogConfig::per_second(), ManualClock::new());
    let second = 1_000_000_000;
    assert!(log.try_acquire_at(Ticks(10 * second)).is_ok());
    assert!(log.try_acquire_at(Ticks(9 * second)).is_err(), "as late as is supported");
    assert!(log.try_acquire_at(Ticks(7 * second)).is_ok());
    assert!(log.try_acquire_at(Ticks(7 * second)).is_err());
}

/// The note that all places are taken was never looked at again once its time had passed, so that
/// after a wrap of the word it read as one of the present: a log that was full once, and in use
/// ever since, refused everybody for some seconds at each wrap.
#[test]
fn a_note_from_long_ago_does_not_close_a_log_in_use() {
    let log: Log<2> = SlidingLog::new(SlidingLogConfig::per_second(), ManualClock::new());
    assert!(log.try_acquire_at(Ticks(0)).is_ok() && log.try_acquire_at(Ticks(0)).is_ok());
    assert!(log.try_acquire_at(Ticks(0)).is_err(), "noted");
    let (mut now, hours) = (0, 3_600_000_000_000);
    while now < 90 * hours {
        now += 700_000_000;
        let free = now < 1_010_000_000 || log.try_acquire_at(Ticks(now)).is_ok();
        assert!(free, "refused after {} hours", now / hours);
    }
}
