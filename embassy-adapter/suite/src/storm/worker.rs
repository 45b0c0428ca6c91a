//! A context that uses the storm's primitives.

use core::hint::black_box;

use fusebox_core::Clock;
use portable_atomic::{AtomicU32, Ordering};

use super::Storm;
use super::tally::{TALLIES, Tally};

/// One context of a [`Storm`]: a thread, a hart, a task or an interrupt, and what it has counted.
///
/// Its methods may be called by one context at a time only: what it counts is wrong otherwise.
#[derive(Debug)]
pub struct Worker {
    tallies: [AtomicU32; TALLIES],
    random: AtomicU32,
}

impl Worker {
    /// A worker that makes its choices by `seed`, which should differ from one to the next.
    #[must_use]
    pub const fn new(seed: u32) -> Self {
        // Not zero, where the generator would stay.
        let random = AtomicU32::new(seed.wrapping_mul(0x9e37_79b9) | 1);
        Self { tallies: [const { AtomicU32::new(0) }; TALLIES], random }
    }

    /// Makes one use of one of the primitives.
    pub fn step<C: Clock + Copy, const LOSES: bool>(&self, storm: &Storm<C, LOSES>) {
        let turn = self.begin(storm);
        if self.random(2) == 0 {
            self.take_a_token(storm);
        } else {
            self.raise_the_guarded_counter(storm);
        }
        if storm.turns.load(Ordering::Relaxed) != turn {
            self.add(Tally::Interleaved, 1);
        }
    }

    /// Counts a step, and the contention on the way.
    fn begin<C, const LOSES: bool>(&self, storm: &Storm<C, LOSES>) -> u32 {
        self.add(Tally::Steps, 1);
        let mut turn = storm.turns.load(Ordering::Relaxed);
        loop {
            let next = turn.wrapping_add(1);
            // Relaxed, both: a counter publishes nothing.
            match storm.turns.compare_exchange(turn, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return next,
                Err(newer) => {
                    self.add(Tally::Retries, 1);
                    turn = newer;
                }
            }
        }
    }

    fn take_a_token<C: Clock, const LOSES: bool>(&self, storm: &Storm<C, LOSES>) {
        if storm.bucket.try_acquire(1).is_ok() {
            self.add(Tally::Granted, 1);
        }
    }

    fn raise_the_guarded_counter<C: Clock, const LOSES: bool>(&self, storm: &Storm<C, LOSES>) {
        let permit = if LOSES { None } else { Some(storm.single.try_acquire()) };
        if let Some(Err(_)) = permit {
            return;
        }
        // Relaxed, both: the permit orders what its holders do.
        let seen = storm.guarded.load(Ordering::Relaxed);
        black_box(storm.clock.now());
        storm.guarded.store(seen.wrapping_add(1), Ordering::Relaxed);
        self.add(Tally::Guarded, 1);
    }

    /// A number below `bound`.
    fn random(&self, bound: u32) -> u32 {
        // Xorshift (Marsaglia, 2003), with the shifts 13, 17 and 5. Relaxed, here and in the
        // tallies: one context writes, and who reads comes after it (see the module).
        let mut random = self.random.load(Ordering::Relaxed);
        random ^= random << 13;
        random ^= random >> 17;
        random ^= random << 5;
        self.random.store(random, Ordering::Relaxed);
        ((u64::from(random) * u64::from(bound)) >> 32) as u32
    }

    pub(super) fn read(&self, tally: Tally) -> u32 {
        self.tallies[tally as usize].load(Ordering::Relaxed)
    }

    fn add(&self, tally: Tally, n: u32) {
        let sum = self.read(tally).wrapping_add(n);
        self.tallies[tally as usize].store(sum, Ordering::Relaxed);
    }
}
