//! Shared primitives, used by many contexts at once.
//!
//! A [`Storm`] holds one of every primitive that has shared state. Each context that uses it (a
//! thread, a hart, a task, an interrupt) has a [`Worker`] of its own and calls [`Worker::step`] as
//! often as it likes. A step makes one use of one of the primitives, chosen at random, and notes in
//! the worker what it was granted. When all contexts are done, [`Storm::verify`] compares what the
//! workers have noted with what the primitives say, and with what they promise.
//!
//! ```
//! use fusebox_core::Clock;
//! use fusebox_std::StdClock;
//! use fusebox_suite::storm::{Storm, Worker};
//!
//! static STORM: Storm<StdClock> = Storm::new(StdClock);
//! static WORKERS: [Worker; 2] = [Worker::new(1), Worker::new(2)];
//!
//! let began = StdClock.now();
//! std::thread::scope(|scope| {
//!     for worker in &WORKERS {
//!         scope.spawn(|| (0..1_000).for_each(|_| worker.step(&STORM)));
//!     }
//! });
//! STORM.verify(&WORKERS, began, |name, result| {
//!     assert!(result.is_ok(), "{name}: {}", result.unwrap_err());
//! });
//! println!("{}", STORM.totals(&WORKERS));
//! ```
//!
//! # Interrupt safety
//!
//! A step may preempt another one at any instruction, as long as each context has its own worker.
//!
//! # Synchronization
//!
//! Whoever verifies comes after the steps of all workers: it has joined the threads, been told by
//! the harts through a Release store, or masked the interrupt. A worker is written by one context
//! alone, so that its tallies need no compare-and-swap and cannot lose anything themselves.

mod tally;
mod verify;
mod worker;

use core::fmt;
use core::time::Duration;

use fusebox_core::{BucketConfig, Clock, Queue, Semaphore, TokenBucket};
use portable_atomic::AtomicU32;

pub use verify::Totals;
pub use worker::Worker;

/// The primitives that a storm is about. `C` is the clock of all of them.
///
/// With `LOSES` it has a mistake in it: the counter that a semaphore guards is changed without it.
/// [`verify`](Self::verify) must report that; where it does not, the contexts did not really
/// interrupt each other, and the storm proves nothing.
pub struct Storm<C, const LOSES: bool = false> {
    clock: C,
    /// How many steps were made, counted by a compare-and-swap loop as the primitives have it.
    turns: AtomicU32,
    bucket: TokenBucket<C>,
    /// Excludes, so that a counter can be changed by a load and a store.
    single: Semaphore<Queue<2>>,
    guarded: AtomicU32,
}

/// Tokens per second of the bucket.
const RATE: u32 = 1_000;
const BURST: u32 = 16;

impl<C: Clock + Copy, const LOSES: bool> Storm<C, LOSES> {
    /// A storm in the time of `clock`, which all contexts can read.
    #[must_use]
    pub const fn new(clock: C) -> Self {
        let limits =
            BucketConfig::per_second(RATE).burst(BURST).max_wait(Duration::from_millis(10));
        Self {
            clock,
            turns: AtomicU32::new(0),
            bucket: TokenBucket::new(limits, clock),
            single: Semaphore::new(1),
            guarded: AtomicU32::new(0),
        }
    }
}

impl<C, const LOSES: bool> fmt::Debug for Storm<C, LOSES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storm").field("turns", &self.turns).finish_non_exhaustive()
    }
}
