//! The word of `CoDel`.

use core::fmt;

use crate::time::Ticks;
use crate::time::scale::{HEADROOM, Scale, ahead};
use crate::word::{Field, Word, widen};

const STARTED: Field = Field::lowest(1);
const ON_TARGET: Field = STARTED.above(1);
const OVERLOADED: Field = ON_TARGET.above(1);
const SINCE: Field = OVERLOADED.above(Word::BITS - OVERLOADED.end());

/// What `CoDel` goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// In ticks.
    pub(super) target: u64,
    /// In units, as the next one.
    interval: Word,
    lateness: Word,
    scale: Scale,
}

impl Rules {
    /// Of times in ticks, each at most an hour.
    pub(super) const fn new(target: u64, interval: u64, lateness: u64) -> Self {
        // As fine as a tick at most: an interval is many.
        let scale = Scale::fit(interval.saturating_add(lateness), SINCE.width(), HEADROOM, 0);
        let (interval, lateness) = (scale.units_up(interval), scale.units_up(lateness));
        Self { target, interval, lateness, scale }
    }

    pub(super) const fn units(&self, at: Ticks) -> Word {
        self.scale.units(at) & SINCE.max()
    }
}

/// What the word says.
///
/// ```text
/// 64-bit words   63               3     2            1           0
/// 32-bit words   31               3     2            1           0
///               +------------------+------------+-----------+---------+
///               |      since       | overloaded | on target | started |
///               +------------------+------------+-----------+---------+
/// ```
///
/// * `started`: set by the first call, never cleared. While it is not, the rest means nothing.
/// * `on target`: a call of this interval had waited for no longer than the target. Cleared, and
///   maybe set again, by the call that begins the next interval.
/// * `overloaded`: no call of the last interval was on target. Set and cleared by the call that
///   begins an interval.
/// * `since`: when the interval began, scaled; wraps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct State(Word);

impl State {
    pub(super) const UNSTARTED: Self = Self(0);

    pub(super) const fn new(word: Word) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> Word {
        self.0
    }

    pub(super) const fn is_overloaded(self) -> bool {
        OVERLOADED.get(self.0) != 0
    }

    const fn is_on_target(self) -> bool {
        ON_TARGET.get(self.0) != 0
    }

    const fn begun(now: Word, overloaded: bool, on_target: bool) -> Self {
        let word = OVERLOADED.set(STARTED.set(0, 1), overloaded as Word);
        Self(SINCE.set(ON_TARGET.set(word, on_target as Word), now))
    }

    /// How far into the interval `now` is: at its begin for a reader that is late.
    const fn elapsed(self, rules: &Rules, now: Word) -> Word {
        let since = SINCE.get(self.0);
        if ahead(since, now, SINCE.width(), rules.lateness) > 0 {
            return 0;
        }
        now.wrapping_sub(since) & SINCE.max()
    }

    /// A call leaves the queue at `now` after `delay` ticks.
    #[must_use]
    pub(super) const fn transition_dequeued(self, rules: &Rules, delay: u64, now: Word) -> Self {
        let on_target = delay <= rules.target;
        if STARTED.get(self.0) == 0 {
            return Self::begun(now, false, on_target);
        }
        if self.elapsed(rules, now) >= rules.interval {
            return Self::begun(now, !self.is_on_target() && !on_target, on_target);
        }
        if on_target { Self(ON_TARGET.set(self.0, 1)) } else { self }
    }

    /// Whether a call that has waited for `delay` ticks is shed.
    pub(super) const fn sheds(self, rules: &Rules, delay: u64) -> bool {
        self.is_overloaded() && delay > rules.target.saturating_mul(2)
    }

    /// The ticks until the interval is over.
    pub(super) const fn ticks_left(self, rules: &Rules, now: Ticks) -> u64 {
        let elapsed = self.elapsed(rules, rules.units(now));
        rules.scale.ticks_until(widen(rules.interval.saturating_sub(elapsed)), now)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("started", &(STARTED.get(self.0) != 0))
            .field("on_target", &self.is_on_target())
            .field("overloaded", &self.is_overloaded())
            .field("since", &SINCE.get(self.0))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules::new(5, 100, 1_000);

    #[test]
    fn one_call_on_target_is_enough() {
        let at = |ticks| RULES.units(Ticks(ticks));
        let bad = State::UNSTARTED.transition_dequeued(&RULES, 30, at(0));
        let worse = bad.transition_dequeued(&RULES, 30, at(99));
        assert_eq!(bad, worse);
        assert!(worse.transition_dequeued(&RULES, 30, at(100)).is_overloaded());
        let good = worse.transition_dequeued(&RULES, 5, at(99));
        assert!(!good.transition_dequeued(&RULES, 30, at(100)).is_overloaded());
    }

    #[test]
    fn the_call_that_judges_counts_as_well() {
        let at = |ticks| RULES.units(Ticks(ticks));
        let bad = State::UNSTARTED.transition_dequeued(&RULES, 30, at(0));
        let over = bad.transition_dequeued(&RULES, 30, at(100));
        assert!(over.sheds(&RULES, 11) && !over.sheds(&RULES, 10));
        let idle = over.transition_dequeued(&RULES, 0, at(5_000));
        assert!(!idle.is_overloaded());
    }

    #[test]
    fn a_late_reader_begins_no_interval() {
        let late = RULES.units(Ticks(9_500));
        let bad = State::UNSTARTED.transition_dequeued(&RULES, 30, RULES.units(Ticks(10_000)));
        assert_eq!(bad.transition_dequeued(&RULES, 30, late), bad);
        assert_eq!(bad.ticks_left(&RULES, Ticks(9_500)), 100);
        assert_eq!(bad.ticks_left(&RULES, Ticks(10_040)), 60);
    }
}
