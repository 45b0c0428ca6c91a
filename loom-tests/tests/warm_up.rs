//! Model checks of the warm-up limiter.

mod bounded;

use bounded::model;
use std::future::Future;
use std::task::{Context, Waker};
use std::time::Duration;

use fusebox_core::{Clock, Gate, ManualClock, Outcome, Rate, Ticks, Timer, WarmUp, WarmUpConfig};
use loom::sync::Arc;
use loom::thread;

/// A clock that reads whatever it is told to; it adds no branches to a model.
#[derive(Clone, Copy)]
struct At(u64);

impl Clock for At {
    const TICKS_PER_SECOND: u64 = 1_000;
    fn now(&self) -> Ticks {
        Ticks(self.0)
    }
}

/// Its timer, which wakes nobody.
struct Timed(At);

impl Clock for Timed {
    const TICKS_PER_SECOND: u64 = 1_000;
    fn now(&self) -> Ticks {
        self.0.now()
    }
}

impl Timer for Timed {
    type Sleep = std::future::Pending<()>;
    fn sleep_until(&self, _: Ticks) -> Self::Sleep {
        std::future::pending()
    }
}

/// A clock that threads share, of the kind that loom watches.
#[derive(Clone)]
struct Shared(Arc<ManualClock<1_000>>);

impl Clock for Shared {
    const TICKS_PER_SECOND: u64 = 1_000;
    fn now(&self) -> Ticks {
        self.0.now()
    }
}

/// One call per second, four seconds to warm up.
const fn config() -> WarmUpConfig {
    WarmUpConfig::new(Rate::per_second(1), Duration::from_secs(4))
}

#[test]
fn one_call_is_let_in_at_a_time() {
    // Race: two threads decide on the same word. Fails when `replace` stores instead of comparing.
    model(|| {
        let limit = Arc::new(WarmUp::new(config(), At(0)));
        let other = {
            let limit = limit.clone();
            thread::spawn(move || limit.try_acquire().is_ok())
        };
        let mine = limit.try_acquire().is_ok();
        assert!(mine ^ other.join().unwrap());
    });
}

#[test]
fn a_late_reading_loses_to_a_later_commit() {
    // Race: a thread reads the clock, another one advances it and commits a later time, and the
    // first one goes on. Fails when the lateness is left out of the horizon.
    model(|| {
        let clock = Shared(Arc::new(ManualClock::new()));
        let limit = Arc::new(WarmUp::new(config(), clock.clone()));
        clock.0.advance(Duration::from_secs(60));
        let late = {
            let limit = limit.clone();
            thread::spawn(move || limit.try_acquire().is_ok())
        };
        clock.0.advance(Duration::from_secs(1));
        let punctual = limit.try_acquire().is_ok();
        assert!(punctual ^ late.join().unwrap(), "one second, one call");
    });
}

#[test]
fn a_call_given_back_and_a_new_one_add_up() {
    // Race: a call that was refused elsewhere is given back while another one asks. Fails when the
    // level is not given back: a limiter in front of a gate that refuses would warm up by calls
    // that never ran.
    model(|| {
        let limit = Arc::new(WarmUp::new(config(), At(0)));
        let token = limit.enter().unwrap();
        let other = {
            let limit = limit.clone();
            thread::spawn(move || limit.try_acquire().is_ok())
        };
        limit.exit(token, Outcome::Refused);
        let (taken, level) = (other.join().unwrap(), limit.level().as_secs());
        assert_eq!(limit.try_acquire().is_ok(), !taken);
        assert_eq!(level, if taken { 3 } else { 4 });
    });
}

#[test]
fn a_turn_given_back_is_not_taken_twice() {
    // Race: a call is undone while another one takes the turn after it. Fails when `give_back` does
    // not ask whether the pause that ends last is still its own: the next turn is then the one that
    // the other call has.
    model(|| {
        let limit = Arc::new(WarmUp::new(config().max_wait(Duration::from_secs(9)), At(0)));
        let token = limit.enter().unwrap();
        let other = {
            let limit = limit.clone();
            thread::spawn(move || {
                let mut turn = Box::pin(limit.acquire(Timed(At(0))));
                let waits = turn.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                let until = limit.time_until();
                std::mem::forget(turn);
                (waits.is_pending(), until)
            })
        };
        limit.exit(token, Outcome::Refused);
        let (waits, until) = other.join().unwrap();
        // Behind a call that stands, or undone before it came.
        assert_eq!(limit.time_until(), until);
        assert_eq!(until.as_secs(), if waits { 4 } else { 2 });
    });
}
