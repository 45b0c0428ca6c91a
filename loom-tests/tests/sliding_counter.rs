//! Model checks of the sliding window counter.

mod bounded;

use bounded::model;
use std::time::Duration;

use fusebox_core::{
    Clock, Gate, ManualClock, Outcome, SlidingWindowConfig, SlidingWindowCounter, Ticks,
};
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

/// A clock that threads share, of the kind that loom watches.
#[derive(Clone)]
struct Shared(Arc<ManualClock<1_000>>);

impl Clock for Shared {
    const TICKS_PER_SECOND: u64 = 1_000;
    fn now(&self) -> Ticks {
        self.0.now()
    }
}

/// So many calls in 64 ms.
const fn limit(calls: u32) -> SlidingWindowConfig {
    let config = SlidingWindowConfig::new(calls, Duration::from_millis(64));
    config.max_lateness(Duration::from_millis(10))
}

/// So many calls in 64 ms, in a world that stands still.
fn counter(calls: u32) -> Arc<SlidingWindowCounter<At>> {
    Arc::new(SlidingWindowCounter::new(limit(calls), At(0)))
}

#[test]
fn the_last_call_has_one_taker() {
    // Race: two threads decide on the same word. Fails when `replace` stores instead of comparing.
    model(|| {
        let counter = counter(2);
        counter.try_acquire(1).unwrap();
        let other = {
            let counter = counter.clone();
            thread::spawn(move || counter.try_acquire(1).is_ok())
        };
        let mine = counter.try_acquire(1).is_ok();
        assert!(mine ^ other.join().unwrap());
        assert_eq!(counter.snapshot().left(), 0);
    });
}

#[test]
fn two_calls_that_find_a_window_over_begin_one() {
    // Race: each of two threads comes after the end of a window and moves on to the next. Fails
    // when `replace` stores instead of comparing: one call is not counted.
    model(|| {
        let counter = counter(3);
        counter.try_acquire(1).unwrap();
        let other = {
            let counter = counter.clone();
            thread::spawn(move || counter.try_acquire_at(1, Ticks(127)).unwrap())
        };
        let mine = counter.try_acquire_at(1, Ticks(127));
        other.join().unwrap();
        // The one of the window before still counts, for a 64th.
        assert!(mine.is_ok() && counter.try_acquire_at(1, Ticks(127)).is_err());
    });
}

#[test]
fn a_call_given_back_and_one_that_moves_on_add_up() {
    // Race: a call is given back while another one begins the next window. Fails when `replace`
    // stores instead of comparing, and when a call is given back only to the present window.
    model(|| {
        let counter = counter(2);
        let token = counter.enter().unwrap();
        let other = {
            let counter = counter.clone();
            thread::spawn(move || counter.try_acquire_at(1, Ticks(64)).unwrap())
        };
        counter.exit(token, Outcome::Refused);
        other.join().unwrap();
        assert_eq!(counter.snapshot_at(Ticks(64)).used, 1);
    });
}

#[test]
fn a_late_reading_loses_to_a_later_commit() {
    // Race: a thread reads the clock, another one advances it and begins a window at a later time,
    // and the first one goes on. Fails when a window that has not begun is taken for one that is
    // over.
    model(|| {
        let clock = Shared(Arc::new(ManualClock::new()));
        let counter = Arc::new(SlidingWindowCounter::new(limit(2), clock.clone()));
        clock.0.advance(Duration::from_millis(150));
        let late = {
            let counter = counter.clone();
            thread::spawn(move || counter.try_acquire(2).is_ok())
        };
        clock.0.advance(Duration::from_millis(10));
        let punctual = counter.try_acquire(2).is_ok();
        assert!(punctual ^ late.join().unwrap(), "one window, one of the two");
    });
}
