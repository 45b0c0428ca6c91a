//! Each configuration error says which value is wrong and what would be right; presets are what
//! their table says.

use std::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Clock, ConfigError, LastCalls, LastTime, Rates, Ratio, State,
    Ticks, WORD_BITS,
};

use super::{Millis, fail, ms, succeed};

fn error(config: BreakerConfig) -> String {
    CircuitBreaker::try_new(config, &Millis::new()).expect_err("a bad configuration").to_string()
}

fn by_width<T>(wide: T, narrow: T) -> T {
    if WORD_BITS == 64 { wide } else { narrow }
}

#[test]
fn rules_say_what_would_be_right() {
    let good = BreakerConfig::standard();
    let most_probes = by_width(63, 15);
    assert_eq!(
        error(good.without_consecutive_failures()),
        "no rule could ever trip this breaker: set consecutive failures, a rate over a window, or a \
         rule of your own"
    );
    assert_eq!(
        error(good.open_jitter(101, 1)),
        "the open time's jitter in percent: is 101, must be from 0 to 100"
    );
    assert_eq!(
        error(good.max_probes(0)),
        format!("probes at once: is 0, must be from 1 to {most_probes}")
    );
    assert_eq!(
        error(good.max_probes(most_probes + 1)),
        format!("probes at once: is {}, must be from 1 to {most_probes}", most_probes + 1)
    );
    assert_eq!(
        error(good.success_threshold(0)),
        format!("probes that decide: is 0, must be from 1 to {most_probes}")
    );
    assert_eq!(
        error(good.probe_failure_rate(Ratio::percent(50), 1_000)),
        format!("probes that decide: is 1000, must be from 1 to {most_probes}")
    );
    assert_eq!(
        error(good.probe_failure_rate(Ratio::new(1, 0), 1)),
        "denominator of the ratio: is 0, must be from 1 to 4294967295"
    );
    assert_eq!(
        error(good.open_growth(Ratio::new(2, 0), ms(60_000))),
        "denominator of the ratio: is 0, must be from 1 to 4294967295"
    );
    assert_eq!(
        error(good.open_growth(Ratio::percent(50), ms(60_000))),
        "the numerator of the open time's growth: is 1, must be at least 2"
    );
}

#[test]
fn rules_say_what_would_be_right_about_times() {
    let good = BreakerConfig::standard();
    let longest = u64::MAX >> 2;
    assert_eq!(
        error(good.open_for(Duration::ZERO)),
        format!("the open time in ticks: is 0, must be from 1 to {longest}")
    );
    assert_eq!(
        error(good.open_for(Duration::MAX)),
        format!("the open time in ticks: is {}, must be from 1 to {longest}", u64::MAX)
    );
    assert_eq!(
        error(good.open_for(ms(2_000)).open_growth(Ratio::percent(200), ms(1_000))),
        format!("the longest open time in ticks: is 1000, must be from 2000 to {longest}")
    );
    assert_eq!(
        error(good.half_open_timeout(Duration::ZERO)),
        format!("the half-open timeout in ticks: is 0, must be from 1 to {longest}")
    );
    assert_eq!(
        error(good.max_lateness(Duration::MAX)),
        format!("the lateness in ticks: is {}, must be from 0 to {longest}", u64::MAX)
    );
}

#[test]
fn failures_in_a_row_fit_the_word() {
    let most = BreakerConfig::standard().consecutive_failures(u32::MAX);
    let tried =
        CircuitBreaker::try_new(most, &Millis::new()).map(|_| ()).map_err(|e| e.to_string());
    let narrow = "consecutive failures to trip: is 4294967295, must be from 0 to 1048575";
    assert_eq!(tried, by_width(Ok(()), Err(narrow.to_string())));
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
        "the clock's ticks per second: is 0, must be from 1 to 10000000000"
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
    assert_eq!(
        error(0, Rates::none()),
        format!("the calls of a window: is 0, must be from 1 to {most}")
    );
    assert_eq!(
        error(most + 10, Rates::none()),
        format!("the calls of a window: is {}, must be from 1 to {most}", most + 10)
    );
    for (calls, nearest) in [(1, 10), (14, 10), (55, 50), (56, 60), (most - 1, most)] {
        let error = Calls::<10>::try_new(calls, Rates::none()).unwrap_err();
        assert_eq!(error, ConfigError::UnevenWindow { calls, buckets: 10, nearest });
        assert_eq!(
            error.to_string(),
            format!(
                "a window of {calls} calls in 10 buckets: must be a multiple of 10, such as {nearest}"
            )
        );
        assert!(Calls::<10>::try_new(nearest, Rates::none().minimum_calls(1)).is_ok());
    }
    assert_eq!(
        error(20, Rates::none().minimum_calls(21)),
        "a rate is judged from at least 21 calls, but its window holds 20: lower the minimum to 20 \
         or widen the window"
    );
    assert_eq!(
        error(20, Rates::none().minimum_calls(0)),
        "the minimum of calls: is 0, must be from 1 to 4294967295"
    );
    let nothing = Ratio::new(1, 0);
    let of_nothing = "denominator of the ratio: is 0, must be from 1 to 4294967295";
    assert_eq!(error(20, Rates::failures(nothing)), of_nothing);
    assert_eq!(error(20, Rates::none().slow_calls(nothing, ms(1))), of_nothing);
    assert!(Calls::<10>::try_new(20, Rates::none().minimum_calls(20)).is_ok());
}

#[test]
fn windows_of_time_say_what_would_be_right() {
    let late = ms(1_000);
    let error = |span, rates, late| Time::<10>::try_new(span, rates, late).unwrap_err().to_string();
    let longest = u64::MAX >> 2;
    assert_eq!(
        error(ms(0), Rates::none(), late),
        format!("the window in ticks: is 0, must be from 1 to {longest}")
    );
    assert_eq!(
        error(Duration::MAX, Rates::none(), late),
        format!("the window in ticks: is {}, must be from 1 to {longest}", u64::MAX)
    );
    assert_eq!(
        error(ms(60), Rates::none(), Duration::MAX),
        format!("the lateness in ticks: is {}, must be from 0 to {longest}", u64::MAX)
    );
    let certain = by_width(65_536, 256);
    assert_eq!(
        error(ms(60_000), Rates::none().minimum_calls(certain + 1), late),
        format!(
            "a rate is judged from at least {} calls, but its window holds {certain}: lower the \
             minimum to {certain} or widen the window",
            certain + 1
        )
    );
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
