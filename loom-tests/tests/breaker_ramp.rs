//! Models of a breaker that ramps up after half-open.

mod bounded;
mod breaker_parts;

use core::time::Duration;

use bounded::model;
use breaker_parts::{Still, Transitions, config, race};
use fusebox_core::Outcome::{Failure, Success};
use fusebox_core::{
    BreakerConfig, CircuitBreaker, Named, Ramp, RampUp, Ratio, Reason, State, Ticks,
};
use loom::sync::Arc;

type Ramping = CircuitBreaker<Still, RampUp<Still>, (), Named<Transitions>>;

/// Ramps up from half of the calls, from second 10 to second 20.
fn ramping(config: BreakerConfig) -> (Arc<Ramping>, Transitions) {
    let transitions = Transitions::default();
    let ramp = Ramp::linear(Ratio::percent(50), Duration::from_secs(10));
    let ramp = RampUp::new(ramp.max_lateness(Duration::from_secs(19)));
    let observer = Named::new("model", transitions.clone());
    let breaker = CircuitBreaker::with_parts(config, ramp, (), observer, Still);
    breaker.trip();
    let probe = breaker.enter_at(Ticks(10)).unwrap();
    breaker.exit_at(probe, Success, Ticks(10));
    assert_eq!(breaker.state(), State::RampingUp);
    (Arc::new(breaker), transitions)
}

#[test]
fn two_calls_share_the_turns() {
    // Race: two calls at the beginning of the ramp, when every second one is let in. One of them
    // is. Fails when a turn is a load and a store.
    model(|| {
        let (breaker, _) = ramping(config());
        let (one, two) = race(
            &breaker,
            |breaker| breaker.enter_at(Ticks(10)),
            |breaker| breaker.enter_at(Ticks(10)),
        );
        assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|in_share| **in_share).count(), 1);
        let refused = one.err().or(two.err()).unwrap();
        assert_eq!(refused.reason(), Reason::RampingUp);
        assert_eq!(refused.retry_after(), Some(Duration::from_secs(10)));
    });
}

#[test]
fn it_closes_once() {
    // Race: two calls when the ramp is over. Both are let in, one closes. Fails when the call that
    // closes does not swap.
    model(|| {
        let (breaker, transitions) = ramping(config().consecutive_failures(2));
        let (one, two) = race(
            &breaker,
            |breaker| breaker.enter_at(Ticks(20)).unwrap(),
            |breaker| breaker.enter_at(Ticks(21)).unwrap(),
        );
        assert_eq!(transitions.count(State::RampingUp, State::Closed), 1);
        breaker.exit_at(one, Failure, Ticks(22));
        breaker.exit_at(two, Failure, Ticks(22));
        assert_eq!(breaker.state(), State::Open, "both are of the closed breaker");
    });
}

#[test]
fn a_failure_against_the_end() {
    // Race: a failure that trips, against the first call after the ramp. It reopens, or it is of
    // before and dropped; never does it open what has just closed. Fails when `judge` does not
    // compare generations, or closing keeps the generation.
    model(|| {
        let (breaker, transitions) = ramping(config());
        let let_in = breaker.enter_at(Ticks(10)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(let_in, Failure, Ticks(20)),
            |breaker| {
                let _ = breaker.enter_at(Ticks(20));
            },
        );
        let reopened = transitions.count(State::RampingUp, State::Open);
        let closed = transitions.count(State::RampingUp, State::Closed);
        assert_eq!(reopened + closed, 1);
        assert_eq!(transitions.count(State::Closed, State::Open), 1, "the trip at the start");
        assert_eq!(breaker.state() == State::Closed, closed == 1);
    });
}

#[test]
fn two_failures_race_to_the_threshold() {
    // Race: two failures while ramping up, either of which can be the second of two that trip.
    // Fails when a failed swap in `judge` drops the result.
    model(|| {
        let (breaker, transitions) = ramping(config().consecutive_failures(2));
        let calls: Vec<_> = (0..4).filter_map(|_| breaker.enter_at(Ticks(12)).ok()).collect();
        let (one, two) = (calls[0], calls[1]);
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(12)),
            |breaker| breaker.exit_at(two, Failure, Ticks(12)),
        );
        let reopened: Vec<_> =
            transitions.all().into_iter().filter(|seen| seen.0 == State::RampingUp).collect();
        assert_eq!(reopened, [(State::RampingUp, State::Open, 2)]);
    });
}

#[test]
fn a_reset_against_the_end_of_half_open() {
    // Race: the probe that ends half-open, against a reset. Whoever is second finds another
    // generation: closed for good, or closed at once. Fails when the swap is a plain store.
    model(|| {
        let (breaker, _) = ramping(config());
        breaker.trip();
        let probe = breaker.enter_at(Ticks(30)).unwrap();
        race(
            &breaker,
            move |breaker| breaker.exit_at(probe, Success, Ticks(30)),
            |breaker| breaker.reset(),
        );
        assert_eq!(breaker.state(), State::Closed);
    });
}
