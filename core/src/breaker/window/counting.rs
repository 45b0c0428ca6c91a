//! What the windows that count in a ring have in common.

use super::rates::{Judge, add};
use super::{Ended, sealed};
use crate::breaker::counts::Counts;
use crate::breaker::ring::Sums;
use crate::breaker::state::Generation;
use crate::time::Ticks;

/// A window that counts in a ring: [`LastCalls`](super::LastCalls) or
/// [`LastTime`](super::LastTime).
pub(super) trait Counting {
    type Clock;

    /// Whether the clock tells which calls are in the window.
    const GOES_BY_TIME: bool;

    fn judge(&self) -> &Judge;

    /// Counts a call: `None` where it came too late, else whether the window tripped without it.
    fn count(&self, ended: Ended<bool>, is_over: &dyn Fn() -> bool) -> Option<bool>;

    /// The sums to judge by; see [`Ring::judged`](crate::breaker::ring::Ring::judged).
    fn judged(&self, generation: Generation) -> Sums;

    /// Whether a rate trips by what has been counted.
    // One copy where it is long.
    #[cfg_attr(not(target_pointer_width = "64"), inline(never))]
    fn trips(&self, generation: Generation) -> bool {
        self.judge().trips(self.judged(generation))
    }

    /// The sums as far as they are not over, for people.
    fn sums(&self, generation: Generation, now: Ticks) -> Sums;
}

impl<W: Counting> sealed::Window<W::Clock> for W {
    type Start = Ticks;
    type Slow = bool;
    const COUNTS_SUCCESSES: bool = true;

    fn has_rate(&self) -> bool {
        self.judge().has_rate()
    }

    #[inline]
    fn needs_start(&self) -> bool {
        self.judge().has_slow()
    }

    #[inline]
    fn needs_end(&self) -> bool {
        W::GOES_BY_TIME || self.judge().has_slow()
    }

    #[inline]
    fn slow(&self, start: Ticks, now: Ticks) -> bool {
        self.judge().is_slow(start, now)
    }

    fn record(&self, ended: Ended<bool>, is_over: &dyn Fn() -> bool) -> Option<bool> {
        let before = self.count(ended, is_over)?;
        Some(before || self.trips(ended.generation))
    }

    fn ask(
        &self,
        generation: Generation,
        _failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        let sums = self.judged(generation);
        sums.requests > 0 && rule(&add(sums, base))
    }

    fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts {
        add(self.sums(generation, now), counts)
    }
}
