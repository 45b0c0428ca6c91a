//! Changing the settings of a breaker in use.

use std::time::Duration;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, ConfigError, Gate, LastCalls, LastTime, Rates, Ratio, Reason,
    State,
};

use super::{Millis, fail, ms, succeed};

const CONFIG: BreakerConfig = BreakerConfig::standard()
    .consecutive_failures(5)
    .open_for(ms(1_000))
    .half_open_timeout(ms(800));

#[test]
fn failures_in_a_row_are_judged_by_the_new_number() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    fail(&breaker, 4);
    breaker.reconfigure(&CONFIG.consecutive_failures(3)).unwrap();
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 4, "nothing is lost");
    succeed(&breaker, 1);
    assert!(!breaker.is_open(), "a success never trips");
    fail(&breaker, 2);
    breaker.reconfigure(&CONFIG.consecutive_failures(9)).unwrap();
    fail(&breaker, 6);
    assert!(!breaker.is_open());
    breaker.reconfigure(&CONFIG.consecutive_failures(2)).unwrap();
    fail(&breaker, 1);
    assert!(breaker.is_open(), "the next failure");
}

#[test]
fn an_open_breaker_keeps_its_time() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    breaker.trip();
    breaker.reconfigure(&CONFIG.open_for(ms(200))).unwrap();
    assert_eq!(breaker.time_until_half_open(), Some(ms(1_000)));
    clock.advance(ms(1_000));
    fail(&breaker, 1);
    assert_eq!(breaker.time_until_half_open(), Some(ms(200)));
}

#[test]
fn probes_that_are_out_keep_their_time() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    breaker.trip();
    clock.advance(ms(1_000));
    let _slow = breaker.permit().unwrap();
    breaker.reconfigure(&CONFIG.half_open_timeout(ms(100))).unwrap();
    clock.advance(ms(799));
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::ProbesBusy);
    clock.advance(ms(300));
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::CircuitOpen);
    clock.advance(ms(1_000));
    let _slow = breaker.permit().unwrap();
    clock.advance(ms(400));
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::CircuitOpen, "from then on");
}

#[test]
fn a_round_that_is_over_by_the_new_settings_ends_with_the_next_probe() {
    let clock = Millis::new();
    let four = CONFIG.probe_failure_rate(Ratio::percent(100), 4).max_probes(1);
    let breaker = CircuitBreaker::new(four, &clock);
    breaker.trip();
    clock.advance(ms(1_000));
    succeed(&breaker, 3);
    breaker.reconfigure(&four.probe_failure_rate(Ratio::percent(100), 2)).unwrap();
    assert_eq!(breaker.state(), State::HalfOpen);
    succeed(&breaker, 1);
    assert_eq!(breaker.state(), State::Closed, "it does not wait for probes that cannot come");
}

#[test]
fn there_is_as_much_room_as_was_asked_for() {
    let clock = Millis::new();
    let roomy = CONFIG.max_lateness(ms(0)).room_for(ms(60_000), ms(4_000));
    let breaker = CircuitBreaker::new(roomy, &clock);
    let minute = roomy.open_growth(Ratio::percent(1_000), ms(60_000)).half_open_timeout(ms(4_000));
    breaker.reconfigure(&minute).unwrap();
    let hour = roomy.open_for(Duration::from_secs(3_600));
    let error = breaker.reconfigure(&hour).unwrap_err();
    let text = error.to_string();
    let start = "the longest open time of `reconfigure` must be from 1ms to 60";
    assert!(text.starts_with(start) && text.ends_with(", but is 3600s"), "{text}");
    assert_eq!(
        error.summary(),
        "the longest open time of `reconfigure` must fit the room that the breaker was made with"
    );
    let text = breaker.reconfigure(&roomy.half_open_timeout(ms(8_000))).unwrap_err().to_string();
    let start = "the `half_open_timeout` of `reconfigure` must be from 1ms to 4";
    assert!(text.starts_with(start) && text.ends_with(", but is 8s"), "{text}");
    // What was refused has changed nothing.
    breaker.trip();
    let left = breaker.time_until_half_open().unwrap();
    assert!(left > ms(800) && left <= ms(1_000), "{left:?}, to the precision of a minute");
}

#[test]
fn what_would_be_wrong_in_a_new_breaker_is_refused() {
    let clock = Millis::new();
    let breaker = CircuitBreaker::new(CONFIG, &clock);
    let text = breaker.reconfigure(&CONFIG.max_probes(0)).unwrap_err().to_string();
    assert!(text.starts_with("the breaker's `max_probes` must be from 1 to "), "{text}");
    assert_eq!(
        breaker.reconfigure(&CONFIG.without_consecutive_failures()),
        Err(ConfigError::NoTripRule)
    );
    let own =
        CircuitBreaker::new(CONFIG.trip_when(|counts| counts.consecutive_failures > 1), &clock);
    own.reconfigure(&CONFIG.without_consecutive_failures()).unwrap();
    fail(&own, 2);
    assert!(own.is_open(), "a rule of one's own stays");
}

#[test]
fn windows_judge_what_they_hold_by_the_new_rates() {
    let clock = Millis::new();
    let rates = |percent| Rates::failures(Ratio::percent(percent)).minimum_calls(4);
    let calls = LastCalls::<_, 5>::new(20, rates(100));
    let time = LastTime::<_, 5>::new(ms(10_000), rates(100));
    let config = CONFIG.without_consecutive_failures();
    let breaker = CircuitBreaker::with_window(config, (calls, time), &clock);
    fail(&breaker, 1);
    succeed(&breaker, 5);
    breaker.window().1.set_rates(rates(10)).unwrap();
    succeed(&breaker, 1);
    assert!(breaker.is_open(), "one of seven");

    breaker.reset();
    breaker.window().1.set_rates(Rates::none()).unwrap();
    breaker.window().0.set_rates(Rates::none()).unwrap();
    assert_eq!(breaker.reconfigure(&config), Err(ConfigError::NoTripRule));
    assert_eq!(
        breaker.window().0.set_rates(rates(50).minimum_calls(21)),
        Err(ConfigError::MinimumAboveWindow { minimum: 21, window: 20 })
    );
    assert!(breaker.window().1.set_rates(rates(0)).is_err());
}

#[test]
fn calls_that_began_before_slow_ones_mattered_are_not_slow() {
    let clock = Millis::new();
    clock.advance(ms(5_000));
    let none = Rates::none().minimum_calls(1);
    let breaker = CircuitBreaker::with_window(CONFIG, LastCalls::<_, 5>::new(5, none), &clock);
    let before = breaker.permit().unwrap();
    breaker.window().set_rates(none.slow_calls(Ratio::percent(100), ms(100))).unwrap();
    clock.advance(ms(200));
    before.success();
    assert_eq!(breaker.snapshot().counts.slow, 0);
    breaker.reset();
    let after = breaker.permit().unwrap();
    clock.advance(ms(100));
    after.success();
    assert!(breaker.is_open());
}
