//! Model checks of the sketch of token buckets, the one thing whose decision spans several words.
//!
//! Its orderings exclude a cycle of loads that see stores made after them. Loom explores no such
//! cycle, so that here it is the order of the raises and the swap that is checked.

mod bounded;

use bounded::up_to;

use fusebox_core::{BucketConfig, BucketSketch, Clock, SketchColumn, Ticks};
use loom::sync::Arc;
use loom::thread;

/// A world that stands still.
struct Still;

impl Clock for Still {
    const TICKS_PER_SECOND: u64 = 1_000;
    fn now(&self) -> Ticks {
        Ticks(5)
    }
}

type Sketch<const WIDTH: usize> = Arc<BucketSketch<Still, [SketchColumn; WIDTH]>>;

fn sketch<const WIDTH: usize>(burst: u32) -> Sketch<WIDTH> {
    let columns = std::array::from_fn(|_| SketchColumn::new());
    Arc::new(BucketSketch::new(BucketConfig::per_second(1).burst(burst), Still, columns))
}

const KEY: u64 = 0;
/// Has the same states as the key in the first and the third row, and others in the second and the
/// fourth, where there are two columns.
const STRANGER: u64 = 4;
/// Has the same states as the key in the second and the third row only.
const NEIGHBOUR: u64 = 3;

#[test]
fn the_last_token_of_a_key_has_one_taker() {
    // Race: two calls of one key decide, of which one has not raised all of its states yet. Fails
    // when a grant swaps the deciding state before it raises the others: the second call finds one
    // of these as it was, and decides on that.
    up_to(2, || {
        let sketch = sketch::<1>(1);
        let other = {
            let sketch = sketch.clone();
            thread::spawn(move || sketch.try_acquire(KEY, 1).is_ok())
        };
        let mine = sketch.try_acquire(KEY, 1).is_ok();
        assert!(mine != other.join().unwrap(), "one of them");
        assert_eq!(sketch.peek(KEY), 0);
    });
}

#[test]
fn the_stranger_shares_some_states() {
    // No race: what the next model takes for granted.
    up_to(0, || {
        let sketch = sketch::<2>(2);
        sketch.try_acquire(STRANGER, 2).unwrap();
        assert_eq!(sketch.peek(KEY), 2, "two of its states are as they were");
        sketch.try_acquire(KEY, 2).unwrap();
        assert_eq!(sketch.peek(STRANGER), 0);
    });
}

#[test]
fn a_stranger_in_between_makes_no_second_taker() {
    // Race: between the looks of two calls of one key, a stranger raises some of its states, so
    // that the two decide on different ones. Fails when the raise stores what was computed from
    // an for a grant.
    up_to(2, || {
        let sketch = sketch::<2>(1);
        let calls = [KEY, STRANGER].map(|key| {
            let sketch = sketch.clone();
            thread::spawn(move || sketch.try_acquire(key, 1).is_ok())
        });
        let mine = sketch.try_acquire(KEY, 1).is_ok();
        let [other, _stranger] = calls.map(|call| call.join().unwrap());
        assert!(!(mine && other), "one of them at most");
        assert!(sketch.try_acquire(KEY, 1).is_err());
    });
}

#[test]
fn a_small_taker_lowers_nothing_that_a_large_one_has_raised() {
    // Race: a call looks at its states, a neighbour that took more raises some of these, and the
    // call raises them to less. Fails when the raise stores instead of comparing: the neighbour is
    // let in again.
    up_to(2, || {
        let sketch = sketch::<2>(2);
        let other = {
            let sketch = sketch.clone();
            thread::spawn(move || sketch.try_acquire(NEIGHBOUR, 2).is_ok())
        };
        let _ = sketch.try_acquire(KEY, 1);
        assert!(other.join().unwrap(), "the state that decides is its own");
        assert_eq!(sketch.peek(NEIGHBOUR), 0);
        assert!(sketch.peek(KEY) <= 1);
    });
}
