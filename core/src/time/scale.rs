//! Instants in the few bits of a state word.
//!
//! **Background.** A word holds an instant as clock ticks shifted by a scale that is chosen in the
//! constructor, and wrapping. Two cases then look alike: a reader whose clock reading is late (it
//! read the clock, lost the CPU, and another committed a later instant), and a word that was left
//! idle for about one wrap.
//!
//! **Solution.** A margin M (`max_lateness`, the largest lateness of a reader that is supported)
//! settles it. An instant that reads as ahead by up to the *horizon*, its own interval plus M, is
//! ahead. Beyond that it is stale, and counts as passed.
//!
//! **Why it works.** A reader that is late by at most M sees a true instant at most one interval
//! plus M ahead, so it never takes a live instant for a stale one: it waits, it never wins. The
//! scale keeps the wrap at least 2^10 (32-bit words) or 2^16 (64-bit words) horizons away, so an
//! idle word is mistaken for a live one only in that fraction of a wrap, and then costs one
//! needless wait of at most a horizon.

use super::Ticks;
use crate::word::{Word, by_width, mask, widen};

/// How far the wrap must be from the horizon, as a power of two.
pub(crate) const HEADROOM: u32 = by_width(16, 10);

/// The lateness supported unless told otherwise: one second.
pub(crate) const DEFAULT_LATENESS: core::time::Duration = core::time::Duration::from_secs(1);

/// How clock ticks become the units of a word: shifted left (finer) or right (coarser).
///
/// Two shifts of which one is zero: cheaper than a branch on the sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scale {
    left: u8,
    right: u8,
}

impl Scale {
    /// The finest scale, finer than a tick by at most `2^finest`, on which `horizon` ticks still
    /// leave `headroom` spare bits in a field of `bits`.
    pub(crate) const fn fit(horizon: u64, bits: u32, headroom: u32, finest: u32) -> Self {
        let room = bits.saturating_sub(headroom);
        let needed = u64::BITS - horizon.leading_zeros();
        if needed > room {
            Self { left: 0, right: (needed - room) as u8 }
        } else {
            let spare = room - needed;
            // A left shift must leave the horizon itself representable in 64 bits.
            let spare = if spare > finest { finest } else { spare };
            Self { left: spare as u8, right: 0 }
        }
    }

    /// The scale whose unit is `2^-exponent` ticks; `exponent` is -63 to 63.
    pub(crate) const fn with_exponent(exponent: i32) -> Self {
        if exponent < 0 {
            Self { left: 0, right: exponent.unsigned_abs() as u8 }
        } else {
            Self { left: exponent as u8, right: 0 }
        }
    }

    /// The scaled reading, rounded down, wrapping.
    #[inline]
    pub(crate) const fn units(self, at: Ticks) -> Word {
        // In this order, which is as good as the other where one of the two is 0, only half of a
        // reading is shifted left where words are 32 bits.
        (self.coarser(at.0) as Word).wrapping_shl(self.left as u32)
    }

    /// The reading in whole units, before it wraps in a word; in ticks where those are longer.
    pub(crate) const fn whole(self, at: Ticks) -> u64 {
        self.coarser(at.0)
    }

    /// A number of ticks in units, rounded up; saturates.
    pub(crate) const fn units_up(self, ticks: u64) -> Word {
        let wide = if self.right == 0 {
            if ticks.leading_zeros() < self.left as u32 { u64::MAX } else { self.finer(ticks) }
        } else {
            let floor = self.coarser(ticks);
            if floor.wrapping_shl(self.right as u32) == ticks {
                floor
            } else {
                floor.saturating_add(1)
            }
        };
        if wide > widen(Word::MAX) { Word::MAX } else { wide as Word }
    }

    /// A number of units in ticks, rounded up; saturates.
    pub(crate) const fn ticks_up(self, units: u64) -> u64 {
        if self.right == 0 {
            let floor = units.wrapping_shr(self.left as u32);
            if self.finer(floor) == units { floor } else { floor.saturating_add(1) }
        } else if units.leading_zeros() < self.right as u32 {
            u64::MAX
        } else {
            units.wrapping_shl(self.right as u32)
        }
    }

    /// A number of units in ticks, rounded down; saturates.
    pub(crate) const fn ticks_down(self, units: u64) -> u64 {
        if self.right == 0 {
            units.wrapping_shr(self.left as u32)
        } else if units.leading_zeros() < self.right as u32 {
            u64::MAX
        } else {
            units.wrapping_shl(self.right as u32)
        }
    }

    /// How many ticks after `now` its reading will have grown by `units`: exact; saturates.
    pub(crate) const fn ticks_until(self, units: u64, now: Ticks) -> u64 {
        // A reading is rounded down, so that part of the current unit has passed already.
        self.ticks_up(units).saturating_sub(self.begun(now))
    }

    /// The most units by which the reading `now` will have grown `ticks` later: exact; saturates.
    pub(crate) const fn units_within(self, ticks: u64, now: Ticks) -> u64 {
        if self.right != 0 {
            self.coarser(ticks.saturating_add(self.begun(now)))
        } else if ticks.leading_zeros() < self.left as u32 {
            u64::MAX
        } else {
            self.finer(ticks)
        }
    }

    /// The ticks of the current unit that have passed already at `now`.
    const fn begun(self, now: Ticks) -> u64 {
        now.0 & !u64::MAX.wrapping_shl(self.right as u32)
    }

    // Wrapping: a shift is below 64, which the optimiser cannot know of a number in memory.
    #[inline]
    const fn finer(self, ticks: u64) -> u64 {
        ticks.wrapping_shl(self.left as u32)
    }

    #[inline]
    const fn coarser(self, ticks: u64) -> u64 {
        ticks.wrapping_shr(self.right as u32)
    }

    /// How many units of this scale make a tick, as a power of two; negative where a unit is longer
    /// than a tick.
    pub(crate) const fn exponent(self) -> i32 {
        self.left as i32 - self.right as i32
    }
}

/// A [`Scale`] none of whose units is finer than a tick, for instants that need no more: half the
/// code, of which a small target notices each shift of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Coarse {
    right: u8,
}

impl Coarse {
    /// The scale whose unit is `2^shift` ticks; `shift` is less than 64.
    pub(crate) const fn by(shift: u32) -> Self {
        Self { right: shift as u8 }
    }

    /// How many ticks a unit has, as a power of two.
    pub(crate) const fn shift(self) -> u32 {
        self.right as u32
    }

    /// As [`Scale::fit`], in ticks at the finest.
    pub(crate) const fn fit(horizon: u64, bits: u32, headroom: u32) -> Self {
        Self { right: Scale::fit(horizon, bits, headroom, 0).right }
    }

    /// As [`Scale::units`].
    #[inline]
    pub(crate) const fn units(self, at: Ticks) -> Word {
        self.whole(at) as Word
    }

    /// As [`Scale::units_up`].
    pub(crate) const fn units_up(self, ticks: u64) -> Word {
        Scale { left: 0, right: self.right }.units_up(ticks)
    }

    /// How long so many units are that no longer time was scaled to.
    pub(crate) const fn ticks(self, units: u64) -> u64 {
        units.wrapping_shl(self.right as u32)
    }

    /// As [`Scale::ticks_until`], for at least one unit that is not further ahead than a horizon.
    pub(crate) const fn ticks_until(self, units: Word, now: Ticks) -> u64 {
        // All of it wraps, and so is exact: the end of those units, less the reading.
        let end = self.whole(now).wrapping_add(widen(units)).wrapping_shl(self.right as u32);
        end.wrapping_sub(now.0)
    }

    #[inline]
    const fn whole(self, at: Ticks) -> u64 {
        at.0.wrapping_shr(self.right as u32)
    }
}

/// How far ahead of `now` the instant `at` lies, both in a field of `bits` bits: 0 where it has
/// passed or is stale, at most `horizon`.
#[inline]
pub(crate) const fn ahead(at: Word, now: Word, bits: u32, horizon: Word) -> Word {
    let distance = at.wrapping_sub(now) & mask(bits);
    if distance <= horizon { distance } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_leaves_the_headroom_and_no_more() {
        for horizon in [1, 1_000, 31_000_000_000, 86_400_000_000_000, u64::MAX >> 1] {
            for bits in [12, 20, 32, 40, 64] {
                if bits > Word::BITS {
                    continue;
                }
                let scale = Scale::fit(horizon, bits, HEADROOM.min(bits - 2), 20);
                let units = u64::from(scale.units_up(horizon));
                let room = bits - HEADROOM.min(bits - 2);
                assert!(units <= 1 << room, "{horizon} ticks are {units} units of {bits} bits");
                assert!(scale.ticks_up(units) >= horizon);
            }
        }
    }

    #[test]
    fn stale_is_passed_and_late_is_ahead() {
        let bits = 20;
        assert_eq!(ahead(100, 90, bits, 50), 10);
        assert_eq!(ahead(100, 100, bits, 50), 0);
        assert_eq!(ahead(100, 101, bits, 50), 0);
        assert_eq!(ahead(100, 49, bits, 50), 0, "beyond the horizon is stale");
        assert_eq!(ahead(3, mask(bits), bits, 50), 4, "across the wrap");
    }
}
