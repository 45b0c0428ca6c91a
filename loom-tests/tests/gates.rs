//! Models of tuples of gates: what one gate took is given back when the next one refuses, whoever
//! else is there.

mod bounded;
mod breaker_parts;

use bounded::model;
use breaker_parts::{Places, Still, config, race};
use core::cell::Cell;
use fusebox_core::{CircuitBreaker, Clock, Gate, Outcome, Reason, State, Ticks};
use loom::sync::Arc;

/// A clock on which the open time is over since long.
struct Later;

std::thread_local! {
    /// Loom runs all threads of a model on one thread.
    static NOW: Cell<u64> = const { Cell::new(0) };
}

impl Clock for Later {
    const TICKS_PER_SECOND: u64 = 1;

    fn now(&self) -> Ticks {
        Ticks(NOW.get())
    }
}

/// Half-open at 10, the only probe not yet taken.
fn half_open() -> CircuitBreaker<Later> {
    NOW.set(0);
    let breaker = CircuitBreaker::new(config(), Later);
    breaker.trip();
    NOW.set(10);
    breaker
}

#[test]
fn places_before_an_open_breaker() {
    // Race: two calls take a place, are refused by the open breaker, and give it back. No place is
    // lost, and none is given back twice; a call that finds the only place taken is refused
    // there. Fails when `enter_then` does not tell the first gate of the refusal.
    model(|| {
        let breaker = CircuitBreaker::new(config(), Still);
        breaker.force_open();
        let gates = Arc::new((Places::new(1), breaker));
        let (one, two) = race(
            &gates,
            |gates| gates.enter().unwrap_err().reason(),
            |gates| gates.enter().unwrap_err().reason(),
        );
        for reason in [one, two] {
            assert!(matches!(reason, Reason::CircuitOpen | Reason::BulkheadFull));
        }
        assert!(one == Reason::CircuitOpen || two == Reason::CircuitOpen);
        assert_eq!(gates.0.taken(), 0);
    });
}

#[test]
fn a_probe_before_a_full_gate() {
    // Race: one call becomes the probe and is refused by the full gate behind it; another asks at
    // the same moment, while the place there becomes free. The probe that could not run is
    // there again for the next call. Fails when `exit` of the breaker leaves a refused probe in
    // flight, and when the roll-back is left out.
    model(|| {
        let gates = Arc::new((half_open(), Places::new(1)));
        gates.1.enter().unwrap();
        let (one, two) = race(
            &gates,
            |gates| gates.enter().ok(),
            |gates| {
                gates.1.exit((), Outcome::Success);
                gates.enter().ok()
            },
        );
        assert!(one.is_none() || two.is_none(), "one probe only");
        let token = match one.or(two) {
            Some(token) => token,
            None => gates.enter().unwrap(),
        };
        assert_eq!(gates.enter().unwrap_err().reason(), Reason::ProbesBusy);
        gates.exit(token, Outcome::Success);
        assert_eq!((gates.0.state(), gates.1.taken()), (State::Closed, 0));
    });
}

#[test]
fn a_roll_back_against_an_admission() {
    // Race: a call holds the place while the breaker refuses it, and another call, past the
    // breaker, is let in or finds it taken; in the end everything is free but what the admitted
    // one holds. Fails when `enter_then` does not tell the first gate of the refusal.
    model(|| {
        let gates = Arc::new((Places::new(2), half_open()));
        let (one, two) = race(&gates, |gates| gates.enter().ok(), |gates| gates.enter().ok());
        assert_eq!(u8::from(one.is_some()) + u8::from(two.is_some()), 1);
        assert_eq!(gates.0.taken(), 1);
        let token = one.or(two).unwrap();
        gates.exit(token, Outcome::Abandoned);
        assert_eq!(gates.0.taken(), 0);
        assert!(gates.enter().is_ok());
    });
}
