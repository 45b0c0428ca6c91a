//! A ring of buckets that slides with time.

use core::time::Duration;

use crate::breaker::ring::{Age, Head, MARK_BITS, Ring, Sums};
use crate::breaker::state::Generation;
use crate::error::{ConfigError, Setting, check};
use crate::sync::constructor;
use crate::time::scale::{HEADROOM, Scale, ahead};
use crate::time::{LONGEST, Ticks, check_rate, duration_from_ticks, in_ticks};
use crate::word::{Word, mask};

/// Counts over the last time: what windows of time judge by, and the adaptive throttle.
#[derive(Debug)]
pub(crate) struct Slide<const B: usize> {
    ring: Ring<B>,
    scale: Scale,
    /// The length of a bucket, in units.
    step: Word,
    /// How late a reader may be and still be taken for late.
    horizon: Word,
}

impl<const B: usize> Slide<B> {
    constructor! {
        /// One over the last `span`, for readings that are up to `lateness` late, of a clock that
        /// runs at `hz`. Errors go by the names of the settings.
        pub(crate) const fn new(
            (span_setting, span): (Setting, Duration),
            (lateness_setting, lateness): (Setting, Duration),
            hz: u64,
        ) -> Result<Self, ConfigError> {
            check!(check_rate(hz));
            let late = check!(in_ticks(lateness_setting, lateness, hz, 0));
            let ticks = check!(in_ticks(span_setting, span, hz, 1));
            let scale = Self::scale(ticks, late);
            // Rounded down, both times: it never covers more than was asked for.
            let step = scale.units(Ticks(ticks)) / B as Word;
            if step == 0 {
                // A longer window may need longer units, but not twice.
                let least = Self::scale(scale.ticks_up(B as u64), late).ticks_up(B as u64);
                let (min, max) = (duration_from_ticks(least, hz), Duration::from_secs(LONGEST / hz));
                return Err(span_setting.duration(span, min, max));
            }
            let horizon = scale.units_up(ticks.saturating_add(late));
            Ok(Self { ring: Ring::new(), scale, step, horizon })
        }
    }

    /// The units of a window of so many ticks.
    ///
    /// Finer than a tick where there is room, so that a bucket need not be a whole number of ticks.
    const fn scale(ticks: u64, late: u64) -> Scale {
        Scale::fit(ticks.saturating_add(late), MARK_BITS, HEADROOM, 10)
    }

    /// How many buckets ago `head` was current, and where the bucket of `now` begins.
    fn age(&self, head: Head, now: Ticks) -> (u32, Word) {
        let now = self.scale.units(now) & mask(MARK_BITS);
        // A reader that is late sees the bucket begin in the future.
        if ahead(head.mark(), now, MARK_BITS, self.horizon) > 0 {
            return (0, head.mark());
        }
        let elapsed = now.wrapping_sub(head.mark()) & mask(MARK_BITS);
        if elapsed < self.step {
            return (0, head.mark());
        }
        // Never zero; but the compiler cannot know that, and would link a panic.
        let steps = elapsed.checked_div(self.step).unwrap_or(0);
        if steps >= B as Word {
            // Everything has slid out: begin afresh.
            return (B as u32, now);
        }
        (steps as u32, head.mark().wrapping_add(steps * self.step) & mask(MARK_BITS))
    }

    /// Counts a call that ended at `now`; see [`Ring::record`].
    pub(crate) fn record(
        &self,
        generation: Generation,
        flags: (bool, bool),
        now: Ticks,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let first = self.scale.units(now) & mask(MARK_BITS);
        let age = |head: Head, _: u64| match self.age(head, now) {
            (0, _) => Age::Current,
            (steps, mark) => Age::Over(steps, mark),
        };
        self.ring.record(generation, flags, first, age, is_over, || ())
    }

    /// The counts to judge by; see [`Ring::judged`], and [`Ring::fence`] for when.
    pub(crate) fn judged(&self, generation: Generation) -> Option<Sums> {
        self.ring.judged(generation)
    }

    /// The counts at `now`; see [`Ring::sums`].
    pub(crate) fn sums(&self, generation: Generation, now: Ticks) -> Sums {
        self.ring.sums(generation, |head| self.age(head, now).0)
    }
}
