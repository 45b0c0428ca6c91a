//! What an observer is told, in which order, and with which counts.

use std::cell::RefCell;

use fusebox_core::{
    BreakerConfig, CircuitBreaker, Event, Gate, LastCalls, Meter, Observer, Rates, Ratio, Reason,
    State,
};

use super::{Millis, fail, ms, succeed};

/// Writes events down in short.
#[derive(Default)]
struct Log(RefCell<Vec<String>>);

impl Log {
    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        self.0.borrow_mut().push(match event {
            Event::StateChanged { name, from, to, counts, .. } => format!(
                "{name}: {from} -> {to}, {} of {} failed, {} slow, in a row {} good {} bad",
                counts.failures,
                counts.requests,
                counts.slow,
                counts.consecutive_successes,
                counts.consecutive_failures
            ),
            Event::Rejected { name, rejection } => {
                format!("{name}: {} {:?}", rejection.reason(), rejection.retry_after())
            }
            other => panic!("unexpected {other:?}"),
        });
    }
}

#[test]
fn a_life_in_events() {
    let (clock, log) = (Millis::new(), Log::default());
    let config = BreakerConfig::standard().consecutive_failures(2).open_for(ms(50));
    let breaker = CircuitBreaker::new(config, &clock).observed_by("db", &log);
    fail(&breaker, 1);
    assert!(log.take().is_empty());
    fail(&breaker, 1);
    assert_eq!(log.take(), ["db: closed -> open, 0 of 0 failed, 0 slow, in a row 0 good 2 bad"]);
    clock.advance(ms(20));
    assert!(breaker.permit().is_err());
    assert_eq!(log.take(), ["db: the circuit is open Some(30ms)"]);
    clock.advance(ms(30));
    let probe = breaker.permit().unwrap();
    assert_eq!(log.take(), ["db: open -> half-open, 0 of 0 failed, 0 slow, in a row 0 good 0 bad"]);
    assert!(breaker.permit().is_err());
    assert_eq!(log.take(), ["db: the circuit is half-open and all its probes are out None"]);
    probe.success();
    assert_eq!(
        log.take(),
        ["db: half-open -> closed, 0 of 1 failed, 0 slow, in a row 0 good 0 bad"]
    );
}

#[test]
fn same_state_to_same_state_is_no_event() {
    let (clock, log) = (Millis::new(), Log::default());
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        .metered(Meter::new())
        .observed_by("db", &log);
    breaker.reset();
    breaker.reset();
    assert_eq!(breaker.snapshot().since_last_change, None);
    assert!(log.take().is_empty());
    breaker.trip();
    breaker.trip();
    breaker.force_open();
    breaker.force_open();
    breaker.trip();
    breaker.disable();
    breaker.disable();
    breaker.metrics_only();
    breaker.metrics_only();
    breaker.reset();
    let changes: Vec<_> =
        log.take().iter().map(|e| e.split(',').next().unwrap().to_owned()).collect();
    assert_eq!(
        changes,
        [
            "db: closed -> open",
            "db: open -> forced open",
            "db: forced open -> disabled",
            "db: disabled -> metrics only",
            "db: metrics only -> closed"
        ]
    );
}

#[test]
fn the_counts_have_the_call_that_tripped() {
    let (clock, log) = (Millis::new(), Log::default());
    let config = BreakerConfig::standard().without_consecutive_failures();
    let window: LastCalls<_, 5> =
        LastCalls::new(5, Rates::failures(Ratio::percent(60)).minimum_calls(3));
    let breaker = CircuitBreaker::with_window(config, window, &clock)
        .metered(Meter::new())
        .observed_by("db", &log);
    fail(&breaker, 2);
    succeed(&breaker, 1);
    // A success reached the minimum: the failures in a row of before it are over.
    assert_eq!(log.take(), ["db: closed -> open, 2 of 3 failed, 0 slow, in a row 1 good 0 bad"]);
    breaker.reset();
    log.take();
    succeed(&breaker, 1);
    fail(&breaker, 2);
    assert_eq!(log.take(), ["db: closed -> open, 2 of 3 failed, 0 slow, in a row 0 good 2 bad"]);
}

#[test]
fn a_slow_probe_is_reported_as_the_failure_it_counts_as() {
    let (clock, log) = (Millis::new(), Log::default());
    let rates = Rates::none().slow_calls(Ratio::percent(100), ms(10)).minimum_calls(5);
    let window: LastCalls<_, 5> = LastCalls::new(5, rates);
    let config = BreakerConfig::standard().open_for(ms(50));
    let breaker = CircuitBreaker::with_window(config, window, &clock).observed_by("db", &log);
    breaker.trip();
    clock.advance(ms(50));
    let probe = breaker.permit().unwrap();
    log.take();
    clock.advance(ms(10));
    probe.success();
    assert_eq!(log.take(), ["db: half-open -> open, 1 of 1 failed, 0 slow, in a row 0 good 0 bad"]);
}

#[test]
fn probes_that_never_report_are_reported_as_a_change_and_a_refusal() {
    let (clock, log) = (Millis::new(), Log::default());
    let config =
        BreakerConfig::standard().open_for(ms(50)).half_open_timeout(ms(100)).max_lateness(ms(0));
    let breaker = CircuitBreaker::new(config, &clock).observed_by("db", &log);
    breaker.trip();
    clock.advance(ms(50));
    let _hung = breaker.permit().unwrap();
    log.take();
    clock.advance(ms(200));
    assert_eq!(breaker.permit().unwrap_err().reason(), Reason::CircuitOpen);
    assert_eq!(
        log.take(),
        [
            "db: half-open -> open, 0 of 0 failed, 0 slow, in a row 0 good 0 bad",
            "db: the circuit is open Some(50ms)"
        ]
    );
}

#[test]
fn a_full_meter_refuses_under_the_name_of_the_breaker() {
    let (clock, log) = (Millis::new(), Log::default());
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        .metered(Meter::new().max_concurrent(1))
        .observed_by("db", &log);
    let _first = breaker.permit().unwrap();
    assert!(breaker.permit().is_err());
    assert_eq!(log.take(), ["db: all permits are out None"]);
    assert_eq!(breaker.state(), State::Closed);
}
