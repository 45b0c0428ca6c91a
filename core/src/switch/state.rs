//! A switch's word: its layout and its transitions, as pure functions of the old word.

use core::fmt;

use crate::breaker::GENERATION_BITS;
use crate::word::{Field, WORD_BITS, Word, low_half, mask};

/// The whole, in parts of which a share is given: hundredths of a percent.
pub(super) const WHOLE: u32 = 10_000;

/// The state of a switch.
///
/// ```text
///   20 or 10     4  3      2        1    0
///  +--------------+------+------------+------+
///  |  generation  | told | driven off | hand |   and above it the share, 14 bits
///  |   16 or 6    |  1   |     1      |  2   |
///  +--------------+------+------------+------+
/// ```
///
/// * hand: 0 for nothing, 1 for off, 2 for on. Set and cleared by a person alone.
/// * driven off: what drives the switch said last.
/// * told: a breaker has reported; the generation means something.
/// * generation: that of the last change of state it reported. Wraps.
/// * share: the part of the calls that it is on for, of [`WHOLE`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(pub(super) Word);

const HAND: Field = Field::lowest(2);
const DRIVEN_OFF: Field = HAND.above(1);
const TOLD: Field = DRIVEN_OFF.above(1);
const GENERATION: Field = TOLD.above(GENERATION_BITS);
const SHARE: Field = GENERATION.above(14);

const _: () = assert!(SHARE.end() <= WORD_BITS && SHARE.max() >= WHOLE as Word);

const OFF: Word = 1;
const ON: Word = 2;

/// A report counts as late where it is behind by at most this: an eighth of a turn of generations.
///
/// Why not half a turn, as is usual for numbers that wrap: a breaker that is reset while it is
/// closed takes a new generation and reports nothing, so the next report may be far ahead; while
/// one that is late was overtaken by a few changes, each by a thread of its own.
const LATE: Word = mask(GENERATION_BITS) >> 3;

impl Snapshot {
    /// On for everybody, and driven by nothing yet.
    pub(super) const NEW: Self = Self(SHARE.set(0, WHOLE as Word));

    /// What was set by hand.
    pub(super) const fn hand(self) -> Option<bool> {
        match HAND.get(self.0) {
            OFF => Some(false),
            ON => Some(true),
            _ => None,
        }
    }

    pub(super) const fn is_driven_off(self) -> bool {
        DRIVEN_OFF.get(self.0) != 0
    }

    pub(super) const fn share(self) -> u32 {
        low_half(SHARE.get(self.0))
    }

    /// The share that it is on for now: 0 where it is off.
    #[inline]
    pub(super) const fn share_now(self) -> u32 {
        match self.hand() {
            Some(false) => 0,
            None if self.is_driven_off() => 0,
            _ => self.share(),
        }
    }

    pub(super) const fn by_hand(self, on: Option<bool>) -> Self {
        let hand = match on {
            None => 0,
            Some(false) => OFF,
            Some(true) => ON,
        };
        Self(HAND.set(self.0, hand))
    }

    pub(super) const fn with_share(self, share: u32) -> Self {
        Self(SHARE.set(self.0, share as Word))
    }

    pub(super) const fn driven(self, off: bool) -> Self {
        Self(DRIVEN_OFF.set(self.0, off as Word))
    }

    /// A breaker reports the change that made `generation`; `None` where the report is late.
    pub(super) const fn transition_told(self, generation: u16, off: Option<bool>) -> Option<Self> {
        let behind = GENERATION.get(self.0).wrapping_sub(generation as Word) & GENERATION.max();
        if TOLD.get(self.0) != 0 && behind <= LATE {
            return None;
        }
        let told = Self(TOLD.set(GENERATION.set(self.0, generation as Word), 1));
        Some(match off {
            Some(off) => told.driven(off),
            None => told,
        })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Switch")
            .field("by_hand", &self.hand())
            .field("driven_off", &self.is_driven_off())
            .field("share", &self.share())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: u16 = ((1_u32 << GENERATION_BITS) - 1) as u16;

    fn told(word: Snapshot, generation: u16, off: bool) -> Snapshot {
        word.transition_told(generation & TURN, Some(off)).unwrap_or(word)
    }

    #[test]
    fn late_reports_lose_and_far_ones_count() {
        for start in [0, 5, TURN - 1, TURN] {
            let opened = told(Snapshot::NEW, start, true);
            assert_eq!(opened.share_now(), 0);
            let closed = told(opened, start.wrapping_add(2), false);
            assert_eq!(closed.share_now(), WHOLE);
            assert_eq!(told(closed, start, true), closed, "reported late");
            assert_eq!(told(closed, start.wrapping_add(2), true), closed, "reported twice");
            for ahead in [1, TURN / 2, TURN / 2 + 1, TURN - LATE as u16] {
                let word = told(closed, start.wrapping_add(2).wrapping_add(ahead), true);
                assert!(word.is_driven_off(), "{ahead} ahead");
            }
        }
    }
}
