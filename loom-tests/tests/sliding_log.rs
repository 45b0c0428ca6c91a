//! Model checks of the sliding log.

mod bounded;

use bounded::model;
use std::time::Duration;

use fusebox_core::{Clock, Gate, ManualClock, Outcome, SlidingLog, SlidingLogConfig, Ticks};
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

/// `N` calls per second, in a world that stands still.
fn log<const N: usize>() -> Arc<SlidingLog<N, At>> {
    Arc::new(SlidingLog::new(SlidingLogConfig::per_second(), At(5)))
}

#[test]
fn the_last_place_has_one_taker() {
    // Race: two calls come for one place. Fails when `claim` stores instead of comparing.
    model(|| {
        let log = log::<1>();
        let other = {
            let log = log.clone();
            thread::spawn(move || log.try_acquire().is_ok())
        };
        let mine = log.try_acquire().is_ok();
        assert!(mine ^ other.join().unwrap());
        assert_eq!(log.snapshot().left(), 0);
    });
}

#[test]
fn a_late_reading_loses_to_a_later_commit() {
    // Race: a thread reads the clock, another one advances it and commits a later time, and the
    // first one goes on. Fails when the lateness is left out of the horizon: the late reader takes
    // the live place for a stale one.
    model(|| {
        let clock = Shared(Arc::new(ManualClock::new()));
        let log: Arc<SlidingLog<1, _>> =
            Arc::new(SlidingLog::new(SlidingLogConfig::per_second(), clock.clone()));
        log.try_acquire().unwrap();
        let late = {
            let log = log.clone();
            thread::spawn(move || log.try_acquire().is_ok())
        };
        clock.0.advance(Duration::from_secs(1));
        let punctual = log.try_acquire().is_ok();
        let total = u32::from(late.join().unwrap()) + u32::from(punctual);
        assert_eq!(total, 1, "one second, one call");
    });
}

#[test]
fn a_place_that_is_given_back_is_not_noted_as_taken() {
    // Race: a call finds all places taken, and one is given back before it notes so. Fails when
    // `note_full` does not look at the generation, when `give_back` counts it on before the place
    // is free, when it does so Relaxed, and when `take` reads it Relaxed: a free place is then
    // noted as taken for a whole window.
    model(|| {
        let log = log::<1>();
        let token = log.enter().unwrap();
        let other = {
            let log = log.clone();
            thread::spawn(move || log.try_acquire().is_ok())
        };
        log.exit(token, Outcome::Refused);
        let theirs = other.join().unwrap();
        assert_eq!(log.try_acquire().is_ok(), !theirs);
    });
}

#[test]
fn nobody_is_refused_while_there_is_room() {
    // Race: while a call looks at one place after the other, one that it has found taken is given
    // back, and one that it comes to next is taken. There is room at all times. Fails when a
    // refusal does not ask `note_full` whether the generation has changed. That the note is a
    // Release no model shows: looks that come after it would be load buffering.
    model(|| {
        let log = log::<2>();
        let token = log.enter().unwrap();
        let other = {
            let log = log.clone();
            thread::spawn(move || log.try_acquire().is_ok())
        };
        log.exit(token, Outcome::Refused);
        let mine = log.try_acquire().is_ok();
        assert!(mine && other.join().unwrap());
    });
}

#[test]
fn a_place_that_was_taken_anew_is_not_given_back() {
    // Race: a call that was refused elsewhere gives its place back a window later, when another
    // one takes it. Fails when `give_back` stores instead of comparing.
    model(|| {
        let log: Arc<SlidingLog<1, At>> = log();
        let token = log.enter().unwrap();
        let other = {
            let log = log.clone();
            thread::spawn(move || log.try_acquire_at(Ticks(1_005)).is_ok())
        };
        log.exit(token, Outcome::Refused);
        assert!(other.join().unwrap());
        assert!(log.try_acquire_at(Ticks(1_006)).is_err());
    });
}

#[test]
fn a_note_that_is_taken_away_leaves_the_generation() {
    // Race: a call finds a note whose time has passed, and while it takes that away, the only free
    // place is taken and given back. Fails when `forget` stores instead of comparing: the
    // generation goes back with it, so that the call may note as taken the place that it has
    // not seen free.
    model(|| {
        let log: Arc<SlidingLog<2, At>> =
            Arc::new(SlidingLog::new(SlidingLogConfig::per_second(), At(2_000)));
        assert!(log.try_acquire_at(Ticks(1_000)).is_ok());
        assert!(log.try_acquire_at(Ticks(1_500)).is_ok());
        assert!(log.try_acquire_at(Ticks(1_500)).is_err(), "noted until 2000");
        let other = {
            let log = log.clone();
            thread::spawn(move || log.try_acquire().is_ok())
        };
        if let Ok(token) = log.enter() {
            log.exit(token, Outcome::Refused);
        }
        let theirs = other.join().unwrap();
        assert_eq!(log.try_acquire().is_ok(), !theirs);
    });
}
