//! Model checks of the token bucket.
//!
//! Unless a model says otherwise the clock stands still, so that tokens are only moved: what was
//! granted and what is left add up to what there was.

mod bounded;

use bounded::model;
use std::time::Duration;

use fusebox_core::{
    BucketConfig, Clock, ConfigError, Gate, ManualClock, Outcome, Rate, Reason, Ticks, TokenBucket,
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

/// One token per second, in a world that stands still.
fn bucket(burst: u32) -> Arc<TokenBucket<At>> {
    Arc::new(TokenBucket::new(BucketConfig::per_second(1).burst(burst), At(5)))
}

fn granted(results: &[bool]) -> u32 {
    results.iter().map(|granted| u32::from(*granted)).sum()
}

#[test]
fn a_late_reading_loses_to_a_later_commit() {
    // Race: a thread reads the clock, another one advances it and commits a later time, and the
    // first one goes on. Fails when the lateness is left out of the horizon: the late reader takes
    // the live word for a stale one.
    model(|| {
        let clock = Shared(Arc::new(ManualClock::new()));
        let config = BucketConfig::per_second(1).burst(1).max_wait(Duration::ZERO);
        let bucket = Arc::new(TokenBucket::new(config, clock.clone()));
        bucket.try_acquire(1).unwrap();
        let late = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.try_acquire(1).is_ok())
        };
        clock.0.advance(Duration::from_secs(1));
        let punctual = bucket.try_acquire(1).is_ok();
        let total = granted(&[late.join().unwrap(), punctual]);
        assert_eq!(total, 1, "one second, one token");
    });
}

#[test]
fn the_last_token_has_one_taker() {
    // Race: two threads decide on the same word. Fails when `replace` stores instead of comparing.
    model(|| {
        let bucket = bucket(2);
        let takers: Vec<_> = (0..2)
            .map(|_| {
                let bucket = bucket.clone();
                thread::spawn(move || bucket.try_acquire(1).is_ok())
            })
            .collect();
        let mine = bucket.try_acquire(1).is_ok();
        let theirs = takers.into_iter().map(|taker| u32::from(taker.join().unwrap())).sum::<u32>();
        assert_eq!(theirs + u32::from(mine), 2);
        assert_eq!(bucket.peek(), 0);
    });
}

#[test]
fn an_unstarted_bucket_starts_once() {
    // Race: two threads find a bucket unstarted and empty; one of them starts it, waits and takes
    // its token before the other goes on. Fails when the start stores instead of comparing: the
    // token is there again.
    model(|| {
        let config = BucketConfig::per_second(1).burst(1).initially(0);
        let bucket = Arc::new(TokenBucket::new(config, At(0)));
        let early = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.try_acquire_at(1, Ticks(0)).is_ok())
        };
        assert!(bucket.try_acquire_at(1, Ticks(500)).is_err());
        assert!(bucket.try_acquire_at(1, Ticks(1_500)).is_ok(), "it has started");
        assert!(!early.join().unwrap());
        assert!(bucket.try_acquire_at(1, Ticks(1_500)).is_err());
    });
}

#[test]
fn a_refund_and_an_acquire_add_up() {
    // Race: a call that was refused elsewhere gives its token back while another one takes a
    // token. Fails when `lower` writes without comparing: one of the two is lost.
    model(|| {
        let bucket = bucket(2);
        let token = bucket.enter().unwrap();
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || {
                granted(&[bucket.try_acquire(1).is_ok(), bucket.try_acquire(1).is_ok()])
            })
        };
        bucket.exit(token, Outcome::Refused);
        assert_eq!(other.join().unwrap() + bucket.peek(), 2);
    });
}

#[test]
fn a_cancelled_reservation_and_a_kept_one_add_up() {
    // Race: one turn is cancelled while another one is reserved. Fails when `lower` or `take`
    // stores what it worked out instead of comparing: one of the two is lost.
    model(|| {
        let config = BucketConfig::per_second(1).burst(1).max_wait(Duration::from_secs(3));
        let bucket = Arc::new(TokenBucket::new(config, At(5)));
        bucket.try_acquire(1).unwrap();
        let turn = bucket.reserve(1).unwrap();
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.reserve(1).unwrap().commit())
        };
        turn.cancel();
        other.join().unwrap();
        assert_eq!(bucket.time_until(1), Some(Duration::from_secs(2)));
    });
}

#[test]
fn a_change_of_rate_neither_makes_nor_loses_tokens() {
    // Race: the rate is lowered between the calls of another thread. Fails when the debt is not
    // converted in the compare-and-swap that switches the limits, when that is not a Release, and
    // when `load` is not an Acquire: the word then names limits that have not arrived.
    model(|| {
        let bucket = bucket(2);
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || {
                granted(&[bucket.try_acquire(1).is_ok(), bucket.try_acquire(1).is_ok()])
            })
        };
        bucket.set_rate(Rate::every(Duration::from_secs(2))).unwrap();
        assert_eq!(other.join().unwrap() + bucket.peek(), 2);
    });
}

#[test]
fn a_change_of_burst_neither_makes_nor_loses_tokens() {
    // Race: the burst is raised while another thread takes tokens. Fails when the debt is not
    // converted in the compare-and-swap that switches the limits, and when that is a store.
    model(|| {
        let bucket = bucket(2);
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || {
                granted(&[bucket.try_acquire(1).is_ok(), bucket.try_acquire(1).is_ok()])
            })
        };
        bucket.set_burst(3).unwrap();
        assert_eq!(other.join().unwrap() + bucket.peek(), 2);
        assert_eq!(bucket.burst(), 3);
    });
}

#[test]
fn a_change_of_rate_and_a_refund_add_up() {
    // Race: the rate is lowered while another thread puts a token back. Fails when `lower` takes
    // its price from the limits of its first look only: half a token comes back. Fails when the
    // compare-and-swap that switches the limits is a store: none does.
    model(|| {
        let bucket = bucket(4);
        bucket.try_acquire(3).unwrap();
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.refund(1))
        };
        bucket.set_rate(Rate::every(Duration::from_secs(2))).unwrap();
        other.join().unwrap();
        assert_eq!(bucket.peek(), 2);
        assert_eq!(bucket.time_until(3), Some(Duration::from_secs(2)));
    });
}

#[test]
fn a_change_of_burst_and_a_cancelled_reservation_add_up() {
    // Race: the burst is raised while a turn is cancelled. Fails when the compare-and-swap that
    // switches the limits is a store, and when `lower` writes without comparing: one of the two is
    // lost.
    model(|| {
        let config = BucketConfig::per_second(1).burst(1).max_wait(Duration::from_secs(3));
        let bucket = Arc::new(TokenBucket::new(config, At(5)));
        bucket.try_acquire(1).unwrap();
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.set_burst(2).unwrap())
        };
        bucket.reserve(1).unwrap().cancel();
        other.join().unwrap();
        assert_eq!(bucket.burst(), 2);
        assert_eq!(bucket.time_until(1), Some(Duration::from_secs(1)), "empty, and no turn taken");
    });
}

#[test]
fn a_reader_overtaken_by_two_changes_is_not_refused() {
    // Race: while a call looks at the limits, one change makes them free and the next one
    // rewrites them. At no time are there fewer than two tokens. Fails when a refusal does not
    // read the word again, when it does so without the fence, and when the new limits are stored
    // Relaxed: the call takes the old debt for too much under the limits of the second change.
    model(|| {
        let bucket = bucket(4);
        bucket.try_acquire(2).unwrap();
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.try_acquire(2))
        };
        bucket.set_rate(Rate::every(Duration::from_secs(4))).unwrap();
        bucket.set_burst(2).unwrap();
        assert_eq!(other.join().unwrap(), Ok(()));
        assert_eq!(bucket.peek(), 0);
    });
}

#[test]
fn changes_exclude_each_other() {
    // Race: rate and burst are changed by two threads. Each change that is reported as done is
    // there in the end. Fails when the flag is not claimed, or claimed or cleared Relaxed: a
    // change then starts from limits that are not in force, or rewrites the slot that is.
    model(|| {
        let bucket = bucket(2);
        let other = {
            let bucket = bucket.clone();
            thread::spawn(move || bucket.set_burst(3))
        };
        let mine = bucket.set_rate(Rate::every(Duration::from_secs(2)));
        let theirs = other.join().unwrap();
        for result in [mine, theirs] {
            assert!(matches!(result, Ok(()) | Err(ConfigError::ChangeUnderWay)));
        }
        assert!(mine.is_ok() || theirs.is_ok());
        assert_eq!(bucket.burst(), if theirs.is_ok() { 3 } else { 2 });
        assert_eq!(bucket.peek(), 2, "neither makes a token");
        bucket.try_acquire(2).unwrap();
        let token = Duration::from_secs(if mine.is_ok() { 2 } else { 1 });
        assert_eq!(bucket.time_until(1), Some(token));
        assert_eq!(bucket.try_acquire(1).unwrap_err().reason(), Reason::RateLimited);
    });
}
