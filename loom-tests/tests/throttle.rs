//! The adaptive throttle under every interleaving. Its counts are the ring of the breaker's window
//! of time, whose own models are in `window.rs`; here is what the throttle makes of it.

mod bounded;

use bounded::model;
use fusebox_core::{AdaptiveThrottle, Clock, Outcome, Random, ThrottleConfig, Ticks};
use loom::sync::Arc;
use loom::thread;

/// The models give the time themselves, in milliseconds.
struct Milliseconds;

impl Clock for Milliseconds {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        Ticks(0)
    }
}

/// Refuses whatever may be refused.
struct Unlucky;

impl Random for Unlucky {
    fn next_u64(&self) -> u64 {
        0
    }
}

type Throttle = AdaptiveThrottle<Milliseconds, Unlucky, 2>;

fn throttle() -> Arc<Throttle> {
    Arc::new(AdaptiveThrottle::new(ThrottleConfig::new(), Milliseconds, Unlucky))
}

const MINUTE: u64 = 60_000;

/// Runs `own` and `other` at once on one throttle.
fn race(
    throttle: &Arc<Throttle>,
    own: impl FnOnce(&Throttle),
    other: impl FnOnce(&Throttle) + 'static,
) {
    let thread = thread::spawn({
        let throttle = Arc::clone(throttle);
        move || other(&throttle)
    });
    own(throttle);
    thread.join().unwrap();
}

/// Race: the first two calls of all end at once, and both begin the ring. Fails where a call that
/// finds that another one has begun it does not look again: it is not counted.
#[test]
fn the_first_calls_count() {
    model(|| {
        let throttle = throttle();
        race(
            &throttle,
            |throttle| throttle.exit_at(Outcome::Success, Ticks(MINUTE)),
            |throttle| throttle.exit_at(Outcome::Failure, Ticks(MINUTE)),
        );
        let now = throttle.snapshot_at(Ticks(MINUTE));
        assert_eq!((now.requests(), now.accepts()), (2, 1));
    });
}

/// Race: a call is refused here while another one fails there. Fails where a refusal is not counted
/// as a request, or either count is committed by a store.
#[test]
fn what_is_refused_here_counts_as_a_request() {
    model(|| {
        let throttle = throttle();
        throttle.exit_at(Outcome::Failure, Ticks(MINUTE));
        race(
            &throttle,
            |throttle| assert!(throttle.enter_at(Ticks(MINUTE)).is_err()),
            |throttle| throttle.exit_at(Outcome::Failure, Ticks(MINUTE)),
        );
        let now = throttle.snapshot_at(Ticks(MINUTE));
        assert_eq!((now.requests(), now.accepts()), (3, 0));
        // 3 of 4.
        assert_eq!(now.rejection_ppm(), 750_000);
    });
}

/// Race: a call ends in the next bucket while another one, a little earlier by its clock, ends in
/// this one. Fails where the move to the next bucket is not one compare-and-swap: one of the two is
/// in a bucket that is emptied.
#[test]
fn both_sides_of_a_bucket_count() {
    model(|| {
        let throttle = throttle();
        throttle.exit_at(Outcome::Success, Ticks(MINUTE));
        race(
            &throttle,
            |throttle| throttle.exit_at(Outcome::Failure, Ticks(2 * MINUTE)),
            |throttle| throttle.exit_at(Outcome::Failure, Ticks(2 * MINUTE - 1)),
        );
        let now = throttle.snapshot_at(Ticks(2 * MINUTE));
        assert_eq!((now.requests(), now.accepts()), (3, 1));
    });
}
