//! What must hold when a storm is over.

use core::fmt;

use fusebox_core::{Clock, Ticks};
use portable_atomic::Ordering;

use super::tally::Tally;
use super::{BURST, RATE, Storm, Worker};
use crate::{Checked, ensure, ensure_eq};

/// What all workers have counted together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Steps that were made.
    pub steps: u32,
    /// Steps during which another context made one: where there are none, nobody was interrupted.
    pub interleaved: u32,
    /// Compare-and-swaps that failed because another context was faster. Only contexts that run at
    /// the same time meet often enough for this to be certain.
    pub retries: u32,
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { steps, interleaved, retries } = self;
        write!(f, "{steps} steps, {interleaved} interleaved, {retries} compare-and-swaps retried")
    }
}

fn sum<'w>(workers: impl IntoIterator<Item = &'w Worker>, tally: Tally) -> u32 {
    workers.into_iter().fold(0, |sum, worker| sum.wrapping_add(worker.read(tally)))
}

impl<C: Clock + Copy, const LOSES: bool> Storm<C, LOSES> {
    /// Checks all invariants, and tells `report` of each. To be called once, after the steps of all
    /// `workers` (an array of workers, or of references to them), of which there may be 16.
    ///
    /// `began` is an instant before the first step.
    pub fn verify<'w>(
        &self,
        workers: impl IntoIterator<Item = &'w Worker> + Clone,
        began: Ticks,
        mut report: impl FnMut(&'static str, Checked),
    ) {
        let sum = |tally| sum(workers.clone(), tally);
        report("storm: every step was counted", self.steps(&sum));
        report("storm: a semaphore of one permit excludes", self.guarded(&sum));
        report("storm: no token above burst and rate", self.granted(&sum, began));
    }

    /// What all workers have counted together.
    pub fn totals<'w>(&self, workers: impl IntoIterator<Item = &'w Worker> + Clone) -> Totals {
        let sum = |tally| sum(workers.clone(), tally);
        Totals {
            steps: sum(Tally::Steps),
            interleaved: sum(Tally::Interleaved),
            retries: sum(Tally::Retries),
        }
    }

    fn steps(&self, sum: &dyn Fn(Tally) -> u32) -> Checked {
        ensure_eq!(self.turns.load(Ordering::Relaxed), sum(Tally::Steps));
        Ok(())
    }

    fn guarded(&self, sum: &dyn Fn(Tally) -> u32) -> Checked {
        ensure_eq!(self.guarded.load(Ordering::Relaxed), sum(Tally::Guarded));
        ensure_eq!(self.single.available(), 1);
        Ok(())
    }

    fn granted(&self, sum: &dyn Fn(Tally) -> u32, began: Ticks) -> Checked {
        let granted = u64::from(sum(Tally::Granted) + self.bucket.peek());
        let elapsed = self.clock.now().saturating_since(began);
        // Rounded up, as readings are rounded and a call may come early by a part of a token.
        let refilled =
            (u128::from(elapsed) * u128::from(RATE)).div_ceil(u128::from(C::TICKS_PER_SECOND));
        ensure!(u128::from(granted) <= u128::from(BURST) + refilled);
        Ok(())
    }
}
