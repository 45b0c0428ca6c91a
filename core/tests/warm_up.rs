//! The warm-up limiter as its users see it: the curve, configurations, what is given back.

use std::time::Duration;

use fusebox_core::{
    ConfigError, Gate, ManualClock, Outcome, Rate, Reason, Ticks, WORD_BITS, WarmUp, WarmUpConfig,
};

const SECOND: Duration = Duration::from_secs(1);

/// 10 per second, 5 seconds to warm up.
const CONFIG: WarmUpConfig = WarmUpConfig::new(Rate::per_second(10), Duration::from_secs(5));

/// Calls as soon as it is let in, for so long; when each one came.
fn work(limit: &WarmUp<&ManualClock>, clock: &ManualClock, time: Duration) -> Vec<Duration> {
    let (start, mut calls) = (clock.elapsed(), Vec::new());
    while clock.elapsed() - start < time {
        limit.try_acquire().unwrap();
        calls.push(clock.elapsed() - start);
        clock.advance(limit.time_until());
    }
    calls
}

/// Guava's documentation, on the same settings: from cold to warm takes the time to warm up, in
/// which half as many permits are given out as at the stable rate; at first one for three.
#[test]
fn it_warms_up_in_the_time_it_says() {
    let clock: ManualClock = ManualClock::new();
    let limit = WarmUp::new(CONFIG, &clock);
    let calls = work(&limit, &clock, 20 * SECOND);
    let between = |from: u32, to: u32| {
        calls.iter().filter(|at| (from * SECOND..to * SECOND).contains(*at)).count()
    };
    // Where words are 32 bits wide, it warms up more slowly by up to 1 in 16.
    let few = if WORD_BITS == 64 { 25..=26 } else { 23..=26 };
    assert!(few.contains(&between(0, 5)), "{}", between(0, 5));
    assert!((99..=100).contains(&between(10, 20)), "{}", between(10, 20));
    let first = calls[1] - calls[0];
    assert!(first > 285 * SECOND / 1_000 && first <= 300 * SECOND / 1_000, "{first:?}");
    let pauses: Vec<Duration> = calls.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slack = Duration::from_millis(4);
    assert!(pauses.windows(2).all(|pair| pair[1] <= pair[0] + slack), "{pauses:?}");
}

#[test]
fn it_cools_down_as_fast_as_it_warms_up() {
    let clock: ManualClock = ManualClock::new();
    let limit = WarmUp::new(CONFIG, &clock);
    assert_eq!(limit.level().as_secs(), 5);
    work(&limit, &clock, 20 * SECOND);
    assert!(limit.level() < SECOND / 10);
    clock.advance(2 * SECOND);
    let level = limit.level();
    assert!(level > 19 * SECOND / 10 && level < 21 * SECOND / 10, "{level:?}");
    // Half of it is as good as warm.
    limit.try_acquire().unwrap();
    assert!(limit.time_until() <= Duration::from_millis(102));
    clock.advance(60 * SECOND);
    assert_eq!(limit.level().as_secs(), 5);
}

#[test]
fn only_a_call_that_never_ran_is_given_back() {
    let clock: ManualClock = ManualClock::new();
    for outcome in [Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Abandoned] {
        let limit = WarmUp::new(CONFIG, &clock);
        limit.exit(limit.enter().unwrap(), outcome);
        assert_eq!(limit.enter().unwrap_err().reason(), Reason::RateLimited);
    }
    let limit = WarmUp::new(CONFIG, &clock);
    let cold = limit.level();
    for _ in 0..100 {
        limit.exit(limit.enter().unwrap(), Outcome::Refused);
    }
    assert!(limit.level() >= cold, "calls that never ran have warmed it up");
    // Held until its pause is over, it has cost what it has cost.
    let token = limit.enter().unwrap();
    clock.advance(limit.time_until());
    limit.try_acquire().unwrap();
    limit.exit(token, Outcome::Refused);
    assert!(limit.try_acquire().is_err());
}

#[test]
fn bad_configurations_say_what_would_be_right() {
    let made = |config| WarmUp::try_new(config, ManualClock::<1_000_000_000>::new()).map(drop);
    assert_eq!(
        made(WarmUpConfig::new(Rate::per_second(0), SECOND)).unwrap_err().summary(),
        "the rate's `per_second` must be from 1 to 10^9"
    );
    let zero = made(WarmUpConfig::new(Rate::per_second(1), Duration::ZERO)).unwrap_err();
    assert!(zero.summary().starts_with("the time to warm up must be at least a tick"), "{zero}");
    // What is said to fit fits, and much more does not.
    for rate in [1, 50, 1_000] {
        let config = |warm_up| WarmUpConfig::new(Rate::per_second(rate), warm_up);
        let late = Duration::from_millis(1);
        let error = made(config(1_000_000 * SECOND * 100).max_lateness(late)).unwrap_err();
        let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
        assert!(made(config(max).max_lateness(late)).is_ok(), "{error}");
        assert!(made(config(2 * max).max_lateness(late)).is_err(), "{error}");
    }
    let late = WarmUpConfig::new(Rate::per_second(1_000_000), Duration::from_micros(50));
    let error = made(late.max_lateness(3_600 * SECOND)).unwrap_err();
    assert!(error.summary().starts_with("the `max_lateness` of a warm-up must not"), "{error}");
    let ConfigError::DurationOutOfRange { max, .. } = error else { panic!("{error}") };
    assert!(made(late.max_lateness(max)).is_ok(), "{error}");
}

#[test]
fn a_clock_set_back_for_good_is_one_call_more() {
    let clock: ManualClock = ManualClock::new();
    let limit = WarmUp::new(CONFIG, &clock);
    let at = |seconds: u64| Ticks(seconds * 1_000_000_000);
    assert!(limit.try_acquire_at(at(100)).is_ok());
    assert!(limit.try_acquire_at(at(99)).is_err(), "as late as is supported");
    assert!(limit.try_acquire_at(at(10)).is_ok());
    assert!(limit.try_acquire_at(at(10)).is_err());
}
