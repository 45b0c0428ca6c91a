//! A ring of buckets that slides with time.

use core::time::Duration;

use crate::breaker::ring::{Call, Head, MARK_BITS, Move, Ring, Sums};
use crate::breaker::state::Generation;
use crate::error::{ConfigError, Setting, check};
use crate::sync::constructor;
use crate::time::scale::{HEADROOM, Scale};
use crate::time::{LONGEST, Ticks, check_rate, duration_from_ticks, in_ticks};
use crate::word::{Word, mask};

/// Counts over the last time: what windows of time judge by, and the adaptive throttle.
#[derive(Debug)]
pub(crate) struct Slide<const B: usize> {
    ring: Ring<B>,
    scale: Scale,
    /// The length of a bucket, in units.
    step: Word,
    /// So many units after the mark, it is rather the reader that is late: by as many units less as
    /// there are in all.
    late: Word,
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
            let late = mask(MARK_BITS).wrapping_sub(horizon).wrapping_add(1);
            Ok(Self { ring: Ring::new(), scale, step, late })
        }
    }

    /// The units of a window of so many ticks.
    ///
    /// Finer than a tick where there is room, so that a bucket need not be a whole number of ticks.
    const fn scale(ticks: u64, late: u64) -> Scale {
        Scale::fit(ticks.saturating_add(late), MARK_BITS, HEADROOM, 10)
    }

    /// A reading in units.
    fn units(&self, now: Ticks) -> Word {
        self.scale.units(now) & mask(MARK_BITS)
    }

    /// By how many buckets `head` is behind at `now`, in units.
    fn behind(&self, head: Head, now: Word) -> Move {
        let (mut steps, mut mark): (Word, Word) = (0, head.mark());
        let mut elapsed = now.wrapping_sub(mark) & mask(MARK_BITS);
        // A reader that is late sees the bucket begin in the future.
        if elapsed < self.late {
            // A bucket at a time: mostly there is but one, and small targets divide by a loop, too.
            while elapsed >= self.step {
                steps = steps.wrapping_add(1);
                mark = mark.wrapping_add(self.step);
                if steps == B as Word {
                    // Everything has slid out: begin afresh.
                    return Move { steps, mark: now };
                }
                elapsed = elapsed.wrapping_sub(self.step);
            }
        }
        Move { steps, mark }
    }

    /// Counts a call that ended at `now`; see [`Ring::record`].
    pub(crate) fn record(
        &self,
        generation: Generation,
        (failed, slow): (bool, bool),
        now: Ticks,
        is_over: impl Fn() -> bool,
    ) -> bool {
        let now = self.units(now);
        let due = |head: Head, _: u32| {
            let to = self.behind(head, now);
            (to.steps > 0).then_some(to)
        };
        self.ring.record(generation, Call::new(failed, slow), now, due, is_over)
    }

    /// The counts to judge by; see [`Ring::judged`], and [`Ring::fence`] for when.
    pub(crate) fn judged(&self, generation: Generation) -> Sums {
        self.ring.judged(generation)
    }

    /// The counts at `now`; see [`Ring::sums`].
    pub(crate) fn sums(&self, generation: Generation, now: Ticks) -> Sums {
        let now = self.units(now);
        self.ring.sums(generation, |head| self.behind(head, now).steps)
    }
}
