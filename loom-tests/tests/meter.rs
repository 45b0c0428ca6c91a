//! Models of the breaker's meter.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::{Still, config, race};
use fusebox_core::Outcome::{Abandoned, Failure, Success};
use fusebox_core::{CircuitBreaker, Consecutive, Meter, Reason, State, Ticks};
use loom::cell::UnsafeCell;
use loom::sync::Arc;

type Metered = CircuitBreaker<Still, Consecutive, Meter>;

fn metered(meter: Meter) -> Arc<Metered> {
    Arc::new(CircuitBreaker::new(config().consecutive_failures(5), Still).metered(meter))
}

#[test]
fn no_more_than_may_run_at_once() {
    // Race: three calls for two places. Two get in, the places are free again in the end.
    // Fails when `begin` loads, compares and then adds.
    model(|| {
        let breaker = metered(Meter::new().max_concurrent(2));
        let (one, two) = (Arc::clone(&breaker), Arc::clone(&breaker));
        let one = loom::thread::spawn(move || one.enter_at(Ticks(1)));
        let two = loom::thread::spawn(move || two.enter_at(Ticks(1)));
        let calls = [breaker.enter_at(Ticks(1)), one.join().unwrap(), two.join().unwrap()];
        let refused: Vec<_> = calls.iter().filter_map(|call| call.as_ref().err()).collect();
        assert_eq!(refused.len(), 1);
        assert_eq!(refused[0].reason(), Reason::BulkheadFull);
        for call in calls.into_iter().flatten() {
            breaker.exit_at(call, Success, Ticks(2));
        }
        let now = breaker.snapshot();
        let totals = now.totals.unwrap();
        assert_eq!((now.running, totals.successes, totals.rejected), (Some(0), 2, 1));
    });
}

#[test]
fn the_last_place_is_handed_over() {
    // Race: a call leaves the only place while another wants it. Whoever gets it comes after the
    // one who left. Fails when `begin` is Relaxed, and when `end` is.
    model(|| {
        let breaker = metered(Meter::new().max_concurrent(1));
        let inside = Arc::new(UnsafeCell::new(0));
        let left = Arc::clone(&inside);
        let first = breaker.enter_at(Ticks(1)).unwrap();
        race(
            &breaker,
            move |breaker| {
                left.with_mut(|_| ());
                breaker.exit_at(first, Success, Ticks(2));
            },
            |breaker| {
                if let Ok(second) = breaker.enter_at(Ticks(2)) {
                    inside.with_mut(|_| ());
                    breaker.exit_at(second, Success, Ticks(3));
                }
            },
        );
        assert_eq!(breaker.snapshot().running, Some(0));
        assert!(breaker.enter_at(Ticks(4)).is_ok());
    });
}

#[test]
fn a_refused_probe_is_given_back() {
    // Race: the open time is over, and two calls come for one place, which a call from before still
    // holds or has just left. A call that may probe but finds no place gives its probe back:
    // the breaker is never left half-open with a probe that nobody runs. Fails when `admit`
    // does not give back what it took.
    model(|| {
        let breaker = metered(Meter::new().max_concurrent(1));
        let old = breaker.enter_at(Ticks(0)).unwrap();
        breaker.trip();
        let ((), call) = race(
            &breaker,
            move |breaker| breaker.exit_at(old, Abandoned, Ticks(10)),
            |breaker| breaker.enter_at(Ticks(10)),
        );
        assert_eq!(breaker.state(), State::HalfOpen);
        match call {
            Ok(probe) => breaker.exit_at(probe, Success, Ticks(11)),
            Err(refused) => {
                assert_eq!(refused.reason(), Reason::BulkheadFull);
                let probe = breaker.enter_at(Ticks(11)).unwrap();
                breaker.exit_at(probe, Success, Ticks(11));
            }
        }
        assert_eq!((breaker.state(), breaker.snapshot().running), (State::Closed, Some(0)));
    });
}

#[test]
fn two_failures_end_a_run_of_successes() {
    // Race: a failure lost the processor between reading the successes and noting them; meanwhile a
    // success and a failure were counted. The older note must not replace the newer one:
    // nothing is in a row after the last failure. Fails when `end` stores what it read.
    model(|| {
        let breaker = metered(Meter::new());
        let [one, two, three] = [(); 3].map(|()| breaker.enter_at(Ticks(0)).unwrap());
        race(
            &breaker,
            move |breaker| breaker.exit_at(one, Failure, Ticks(1)),
            |breaker| {
                breaker.exit_at(two, Success, Ticks(1));
                breaker.exit_at(three, Failure, Ticks(1));
            },
        );
        let totals = breaker.snapshot().totals.unwrap();
        assert_eq!((totals.successes, totals.failures), (1, 2));
        assert_eq!(totals.consecutive_successes, 0);
    });
}
