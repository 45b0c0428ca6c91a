//! Each configuration error says which value is wrong and what would be right; presets are what
//! their table says.

use std::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Clock, ConfigError, LastCalls, LastTime, Rates, Ratio, State,
    Ticks,
};

use super::{Millis, by_width, fail, ms, succeed};

fn error(config: BreakerConfig) -> String {
    CircuitBreaker::try_new(config, &Millis::new()).expect_err("a bad configuration").to_string()
}

#[test]
fn rules_say_what_would_be_right() {
    let good = BreakerConfig::standard();
    let most_probes = by_width(63, 15);
    assert_eq!(
        error(good.without_consecutive_failures()),
        "a breaker must have a rule that trips it: `consecutive_failures`, a rate over a window, or \
         `trip_when`"
    );
    assert_eq!(
        error(good.open_jitter(101, 1)),
        "the breaker's `open_jitter` must be at most 100 %, but is 101 %"
    );
    for probes in [0, most_probes + 1] {
        let but_is = format!("must be from 1 to {most_probes}, but is {probes}");
        assert_eq!(error(good.max_probes(probes)), format!("the breaker's `max_probes` {but_is}"));
        assert_eq!(
            error(good.success_threshold(probes)),
            format!("the breaker's `success_threshold` {but_is}")
        );
        assert_eq!(
            error(good.probe_failure_rate(Ratio::percent(50), probes)),
            format!("the number of probes of the breaker's `probe_failure_rate` {but_is}")
        );
    }
    for (rate, text) in
        [(Ratio::percent(0), "0 %"), (Ratio::percent(101), "101 %"), (Ratio::new(1, 0), "1/0")]
    {
        assert_eq!(
            error(good.probe_failure_rate(rate, 1)),
            format!(
                "the breaker's `probe_failure_rate` must be more than 0 % and at most 100 %, but is \
                 {text}"
            )
        );
    }
    for (growth, text) in [(Ratio::percent(50), "50 %"), (Ratio::new(2, 0), "2/0")] {
        let rule = by_width("from 100 % to 6553500 %", "from 100 % to 25500 %");
        assert_eq!(
            error(good.open_growth(growth, ms(60_000))),
            format!("the breaker's `open_growth` must be {rule}, but is {text}")
        );
    }
}

/// Seconds: a quarter of the range of this clock, whose ticks are milliseconds.
const LONGEST: u64 = (u64::MAX >> 2) / 1_000;

#[test]
fn rules_say_what_would_be_right_about_times() {
    let seconds = by_width(LONGEST, (1 << 52) / 1_000);
    let good = BreakerConfig::standard();
    assert_eq!(
        error(good.open_for(Duration::ZERO)),
        format!("the breaker's `open_for` must be from 1ms to {seconds}s, but is 0ns")
    );
    assert_eq!(
        error(good.open_for(Duration::MAX)),
        format!(
            "the breaker's `open_for` must be from 1ms to {seconds}s, but is {:?}",
            Duration::MAX
        )
    );
    assert_eq!(
        error(good.open_for(ms(2_000)).open_growth(Ratio::percent(200), ms(1_000))),
        format!(
            "the longest time of the breaker's `open_growth` must be from 2s to {seconds}s, but is \
             1s"
        )
    );
    assert_eq!(
        error(good.half_open_timeout(Duration::ZERO)),
        format!("the breaker's `half_open_timeout` must be from 1ms to {seconds}s, but is 0ns")
    );
    assert_eq!(
        error(good.max_lateness(Duration::MAX)),
        format!(
            "the breaker's `max_lateness` must be at most {seconds}s, but is {:?}",
            Duration::MAX
        )
    );
    let longest = Duration::from_secs(seconds);
    assert!(CircuitBreaker::try_new(good.open_for(longest), &Millis::new()).is_ok());
}

#[test]
fn failures_in_a_row_fit_the_word() {
    let most = BreakerConfig::standard().consecutive_failures(u32::MAX);
    let tried =
        CircuitBreaker::try_new(most, &Millis::new()).map(|_| ()).map_err(|e| e.to_string());
    let narrow =
        "the breaker's `consecutive_failures` must be from 1 to 1048575, but is 4294967295";
    assert_eq!(tried, by_width(Ok(()), Err(narrow.to_string())));
}

/// The compile error of a bad `static` is a constant, and cannot be made of the limits: it must
/// state the same ones.
#[test]
fn a_summary_has_the_limits_of_the_whole_text() {
    let good = BreakerConfig::standard();
    for config in [
        good.without_consecutive_failures(),
        good.open_jitter(101, 1),
        good.max_probes(0),
        good.success_threshold(1_000),
        good.probe_failure_rate(Ratio::percent(0), 1),
        good.probe_failure_rate(Ratio::percent(50), 0),
        good.open_growth(Ratio::percent(99), ms(60_000)),
    ] {
        let error = CircuitBreaker::try_new(config, &Millis::new()).unwrap_err();
        let text = error.to_string();
        let rule = text.split(", but is").next().unwrap();
        assert_eq!(error.summary(), rule);
    }
    let window = Time::<10>::try_new(ms(1_000), Rates::none().minimum_calls(0), ms(0)).unwrap_err();
    assert!(window.to_string().starts_with(window.summary()), "{window}");
}

/// With a rate in one window of two there is a rule; with none there is not, whoever counts.
#[test]
fn a_window_without_a_rate_is_no_rule() {
    let counts_only = BreakerConfig::standard().without_consecutive_failures();
    let window = |rates| Calls::<10>::new(10, rates);
    let tried = |config, rates, other| {
        CircuitBreaker::try_with_window(config, (window(rates), window(other)), Millis::new()).err()
    };
    let (none, half) = (Rates::none(), Rates::failures(Ratio::percent(50)));
    let slow = none.slow_calls(Ratio::percent(50), ms(1));
    assert_eq!(tried(counts_only, none, none), Some(ConfigError::NoTripRule));
    for (first, second) in [(half, none), (none, half), (slow, none)] {
        assert_eq!(tried(counts_only, first, second), None);
    }
    assert_eq!(tried(counts_only.trip_when(|_| true), none, none), None);
    assert_eq!(tried(BreakerConfig::standard(), none, none), None);
    let last_time = Time::<10>::new(ms(1_000), none);
    let error = CircuitBreaker::try_with_window(counts_only, last_time, Millis::new()).err();
    assert_eq!(error, Some(ConfigError::NoTripRule));
}

#[test]
fn a_clock_without_ticks_is_refused() {
    #[derive(Debug)]
    struct Stopped;
    impl Clock for Stopped {
        const TICKS_PER_SECOND: u64 = 0;
        fn now(&self) -> Ticks {
            Ticks::ZERO
        }
    }
    let error = CircuitBreaker::try_new(BreakerConfig::standard(), Stopped).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the clock's `TICKS_PER_SECOND` must be from 1 to 10000000000, but is 0"
    );
    let span = LastTime::<Stopped>::try_new(ms(1), Rates::none(), ms(0)).unwrap_err();
    assert_eq!(span.to_string(), error.to_string());
}

type Calls<const B: usize> = LastCalls<Millis, B>;
type Time<const B: usize> = LastTime<Millis, B>;

#[test]
fn windows_of_calls_say_what_would_be_right() {
    let error = |calls, rates| Calls::<10>::try_new(calls, rates).unwrap_err().to_string();
    let most = by_width(1_310_710, 5_110);
    for calls in [0, most + 10] {
        assert_eq!(
            error(calls, Rates::none()),
            format!("the window's `calls` must be from 1 to {most}, but is {calls}")
        );
    }
    for (calls, nearest) in [(1, 10), (14, 10), (55, 50), (56, 60), (most - 1, most)] {
        let error = Calls::<10>::try_new(calls, Rates::none()).unwrap_err();
        assert_eq!(error, ConfigError::UnevenWindow { calls, buckets: 10, nearest });
        assert_eq!(
            error.to_string(),
            format!(
                "the window's `calls` must be a multiple of its 10 buckets, such as {nearest}, but \
                 is {calls}"
            )
        );
        assert!(Calls::<10>::try_new(nearest, Rates::none().minimum_calls(1)).is_ok());
    }
    assert_eq!(
        error(20, Rates::none().minimum_calls(21)),
        "the window's `minimum_calls` is 21, but it holds 20 calls: lower `minimum_calls` to 20 or \
         widen the window"
    );
    assert_eq!(
        error(20, Rates::none().minimum_calls(0)),
        "the window's `minimum_calls` must be from 1 to 20, but is 0"
    );
    for (rate, text) in
        [(Ratio::percent(0), "0 %"), (Ratio::percent(101), "101 %"), (Ratio::new(1, 0), "1/0")]
    {
        let rule = "must be more than 0 % and at most 100 %, but is";
        assert_eq!(
            error(20, Rates::failures(rate)),
            format!("the rate of `Rates::failures` {rule} {text}")
        );
        assert_eq!(
            error(20, Rates::none().slow_calls(rate, ms(1))),
            format!("the rate of `Rates::slow_calls` {rule} {text}")
        );
    }
    assert!(Calls::<10>::try_new(20, Rates::failures(Ratio::percent(100))).is_ok());
    assert!(Calls::<10>::try_new(20, Rates::none().minimum_calls(20)).is_ok());
}

#[test]
fn windows_of_time_say_what_would_be_right() {
    let late = ms(1_000);
    let error = |span, rates, late| Time::<10>::try_new(span, rates, late).unwrap_err().to_string();
    let most = Duration::MAX;
    for span in [Duration::ZERO, most] {
        assert_eq!(
            error(span, Rates::none(), late),
            format!("the window's `span` must be from 1ms to {LONGEST}s, but is {span:?}")
        );
    }
    assert_eq!(
        error(ms(60), Rates::none(), most),
        format!("the window's `lateness` must be at most {LONGEST}s, but is {most:?}")
    );
    let certain = by_width(65_536, 256);
    for minimum in [0, certain + 1] {
        assert_eq!(
            error(ms(60_000), Rates::none().minimum_calls(minimum), late),
            format!(
                "the `minimum_calls` of a window of time must be from 1 to {certain}, but is \
                 {minimum}"
            )
        );
    }
    assert!(Time::<10>::try_new(ms(60_000), Rates::none().minimum_calls(certain), late).is_ok());
}

/// As accurate as `BreakerConfig::open_for` says, with the default lateness of a second.
#[track_caller]
fn assert_about(left: Duration, expected: Duration, longest: Duration) {
    let accuracy = (longest + ms(1_000)) / by_width(1 << 23, 1 << 9);
    assert!(
        left <= expected + accuracy && left + accuracy >= expected,
        "{left:?}, not {expected:?}"
    );
}

#[test]
fn standard_is_as_its_table_says() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    fail(&breaker, 4);
    assert!(!breaker.is_open());
    for _ in 0..3 {
        fail(&breaker, 1);
        let left = breaker.time_until_half_open().unwrap();
        assert_about(left, ms(30_000), ms(30_000));
        clock.advance(left);
    }
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn aggressive_is_as_its_table_says() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(BreakerConfig::aggressive(), &clock);
    fail(&breaker, 2);
    assert!(!breaker.is_open());
    for seconds in [30, 60, 120, 240, 300, 300] {
        fail(&breaker, 1);
        let left = breaker.time_until_half_open().unwrap();
        assert_about(left, ms(seconds * 1_000), ms(300_000));
        clock.advance(left);
    }
    succeed(&breaker, 2);
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn conservative_is_as_its_table_says() {
    use fusebox_core::{Gate, Reason};

    let clock = Millis::new();
    let breaker = CircuitBreaker::new(BreakerConfig::conservative(), &clock);
    fail(&breaker, 9);
    assert!(!breaker.is_open());
    fail(&breaker, 1);
    clock.advance(breaker.time_until_half_open().unwrap());
    let probes: Vec<_> = (0..3).map(|_| breaker.permit().unwrap()).collect();
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::ProbesBusy);
    for (done, probe) in probes.into_iter().enumerate() {
        assert_eq!(breaker.state(), if done < 2 { State::HalfOpen } else { State::Closed });
        probe.success();
    }
}
