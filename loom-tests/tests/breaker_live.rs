//! Models of a breaker whose settings change while it is in use.

mod bounded;
mod breaker_parts;

use core::time::Duration;

use bounded::model;
use breaker_parts::{Still, config, opened, race, watched};
use fusebox_core::Outcome::{Failure, Success};
use fusebox_core::{CircuitBreaker, ConfigError, LastCalls, Rates, Ratio, State, Ticks};
use loom::sync::Arc;

#[test]
fn a_change_against_a_trip() {
    // Race: a failure that trips, against a change of the open time and its growth. It opens once,
    // for the old time or the new one. Fails when a change resets the word.
    model(|| {
        let (breaker, transitions) = watched(config());
        let call = breaker.enter_at(Ticks(0)).unwrap();
        let shorter = config().open_for(Duration::from_secs(4));
        let (changed, ()) = race(
            &breaker,
            move |breaker| breaker.reconfigure(&shorter),
            |breaker| breaker.exit_at(call, Failure, Ticks(0)),
        );
        assert_eq!(changed, Ok(()));
        assert_eq!(transitions.all(), [(State::Closed, State::Open, 1)]);
        let left = breaker.time_until_half_open_at(Ticks(0)).unwrap().as_secs();
        assert!(left == 4 || left == 10, "{left} s");
    });
}

#[test]
fn a_round_of_probes_against_a_change() {
    // Race: the last result of a round of two that one failure reopens, against a change to a round
    // of three that three reopen. By neither does it close with that result. Fails when the size of
    // the round and the failures that reopen it are read one after the other.
    model(|| {
        let two = config().max_probes(2).probe_failure_rate(Ratio::percent(50), 2);
        let three = two.probe_failure_rate(Ratio::percent(100), 3);
        let (breaker, transitions) = opened(two);
        let good = breaker.enter_at(Ticks(10)).unwrap();
        let bad = breaker.enter_at(Ticks(10)).unwrap();
        breaker.exit_at(good, Success, Ticks(10));
        let (changed, ()) = race(
            &breaker,
            move |breaker| breaker.reconfigure(&three),
            |breaker| breaker.exit_at(bad, Failure, Ticks(10)),
        );
        assert_eq!(changed, Ok(()));
        // Judged by the round of two, it reopened; by that of three, the third decides.
        assert_eq!(transitions.count(State::HalfOpen, State::Closed), 0);
        if breaker.state() == State::HalfOpen {
            let third = breaker.enter_at(Ticks(10)).unwrap();
            breaker.exit_at(third, Success, Ticks(10));
            assert_eq!(breaker.state(), State::Closed);
        }
    });
}

#[test]
fn a_change_against_a_probe() {
    // Race: a change to two probes at once, against the second of two calls that want to be probes.
    // It is let in or not, and what was let in is in the word. Fails when a change stores the word.
    model(|| {
        let (breaker, _) = opened(config());
        let first = breaker.enter_at(Ticks(10)).unwrap();
        let two = config().max_probes(2).success_threshold(2);
        let (changed, second) = race(
            &breaker,
            move |breaker| breaker.reconfigure(&two),
            |breaker| breaker.enter_at(Ticks(10)),
        );
        assert_eq!(changed, Ok(()));
        breaker.exit_at(first, Success, Ticks(11));
        assert_eq!(breaker.state(), State::HalfOpen, "one of two");
        let second = second.or_else(|_| breaker.enter_at(Ticks(11))).unwrap();
        breaker.exit_at(second, Success, Ticks(11));
        assert_eq!(breaker.state(), State::Closed);
    });
}

#[test]
fn two_changes_do_not_mix() {
    // Race: two changes. In the end the settings are all of one or all of the other; who came
    // second was refused, or came after. Fails when `change` makes no claim, and when that
    // is Relaxed.
    model(|| {
        let (breaker, _) = watched(config().consecutive_failures(9));
        let one = config().consecutive_failures(1).open_for(Duration::from_secs(1));
        let two = config().consecutive_failures(2).open_for(Duration::from_secs(2));
        let (first, second) = race(
            &breaker,
            move |breaker| breaker.reconfigure(&one),
            |breaker| breaker.reconfigure(&two),
        );
        assert!(first.is_ok() || second.is_ok());
        for refused in [first, second].into_iter().filter_map(Result::err) {
            assert_eq!(refused, ConfigError::ChangeUnderWay);
        }
        let mut failures = 0;
        while breaker.state() == State::Closed {
            let call = breaker.enter_at(Ticks(0)).unwrap();
            breaker.exit_at(call, Failure, Ticks(0));
            failures += 1;
        }
        assert_eq!(breaker.time_until_half_open_at(Ticks(0)), Some(Duration::from_secs(failures)));
    });
}

/// A success and a failure, the latter against a change of the rates: judged by neither is it a
/// trip.
fn a_failure_against_new_rates(before: Rates, after: Rates) {
    let window = LastCalls::<_, 1>::new(20, before);
    let rules = config().without_consecutive_failures();
    let breaker = Arc::new(CircuitBreaker::with_window(rules, window, Still));
    let calls = [(); 2].map(|()| breaker.enter_at(Ticks(0)).unwrap());
    breaker.exit_at(calls[0], Success, Ticks(0));
    let (changed, ()) = race(
        &breaker,
        move |breaker| breaker.window().set_rates(after),
        |breaker| breaker.exit_at(calls[1], Failure, Ticks(0)),
    );
    assert_eq!(changed, Ok(()));
    assert_eq!(breaker.state(), State::Closed);
}

const ALL_OF_ONE: Rates = Rates::failures(Ratio::percent(100)).minimum_calls(1);
const A_TENTH_OF_TEN: Rates = Rates::failures(Ratio::percent(10)).minimum_calls(10);

#[test]
fn a_low_rate_is_not_judged_by_the_minimum_of_before() {
    // Race: a call that ends, against a lower rate with a higher minimum. Fails when `trips` does
    // not look at the minimum twice, when it is not above all counts meanwhile, and when a rate
    // is stored or loaded Relaxed.
    model(|| a_failure_against_new_rates(ALL_OF_ONE, A_TENTH_OF_TEN));
}

#[test]
fn a_low_rate_is_not_judged_by_the_minimum_of_after() {
    // Race: the other way round. Fails when the minimum is stored or loaded Relaxed.
    model(|| a_failure_against_new_rates(A_TENTH_OF_TEN, ALL_OF_ONE));
}
