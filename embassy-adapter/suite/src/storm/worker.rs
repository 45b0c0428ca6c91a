//! A context that uses the storm's primitives.

use fusebox_core::Clock;
use portable_atomic::{AtomicU32, Ordering};

use super::tally::{TALLIES, Tally};
use super::{Shared, Storm};

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
    #[inline]
    pub fn step<C: Clock + Copy, const LOSES: bool>(&self, storm: &Storm<C, LOSES>) {
        self.step_in(&storm.shared);
    }

    fn step_in<C: Clock + Copy>(&self, storm: &Shared<C>) {
        let turn = self.begin(storm);
        match self.random(16) {
            0..=2 => self.raise_the_guarded_counter(storm),
            3 | 4 => self.call_the_breaker(storm),
            5 | 6 => self.call_the_windowed_breaker(storm),
            7 | 8 => self.take_a_token(storm),
            9 => self.borrow_from_the_ledger(storm),
            10 => self.take_permits(storm),
            11 | 12 => self.wait_for_permits(storm),
            13 => self.use_the_budget(storm),
            14 => self.pass_all_gates(storm),
            _ => self.do_a_chore(storm),
        }
        self.end(storm, turn);
    }

    /// Counts a step, and the contention on the way.
    pub(super) fn begin<C>(&self, storm: &Shared<C>) -> u32 {
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

    /// Counts a step that was not alone.
    pub(super) fn end<C>(&self, storm: &Shared<C>, turn: u32) {
        if storm.turns.load(Ordering::Relaxed) != turn {
            self.add(Tally::Interleaved, 1);
        }
    }

    /// A number below `bound`.
    pub(super) fn random(&self, bound: u32) -> u32 {
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

    /// All tallies, in the order of [`Tally`].
    pub(super) fn tallies(&self) -> impl Iterator<Item = u32> {
        self.tallies.iter().map(|tally| tally.load(Ordering::Relaxed))
    }

    pub(super) fn add(&self, tally: Tally, n: u32) {
        self.tallies[tally as usize].store(self.read(tally).wrapping_add(n), Ordering::Relaxed);
    }

    /// Notes a maximum.
    pub(super) fn most(&self, tally: Tally, n: u32) {
        if n > self.read(tally) {
            self.tallies[tally as usize].store(n, Ordering::Relaxed);
        }
    }
}
