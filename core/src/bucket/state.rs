//! The word of a bucket, and the limits it is judged by.

use core::fmt;

use crate::word::{Field, Word, low_half, mask, widen};

/// ```text
///  63                                                              1   0
/// +------------------------------------------------------------------+---+
/// | TIME: the theoretical arrival time, in units of the scale, wraps | S |
/// +------------------------------------------------------------------+---+
/// ```
///
/// (31 and 1 bits where words are 32 bits wide.) `S` says which of the two sets of limits is in
/// force, so that a live change switches the limits and converts the debt in one
/// compare-and-swap.
const SLOT: Field = Field::lowest(1);
const TIME: Field = SLOT.above(Word::BITS - SLOT.width());

/// The bits of the time field.
pub(super) const TIME_BITS: u32 = TIME.width();

/// The furthest that an instant can read as ahead: half of the wrap.
pub(super) const FURTHEST: Word = mask(TIME_BITS - 1);

const _: () = assert!(TIME.end() == Word::BITS);

/// The instant at which a bucket will be full again, the *theoretical arrival time* of GCRA, and
/// the slot of the limits in force.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Tat(pub(super) Word);

impl Tat {
    /// Nobody has used the bucket yet, so that it has no time: its debt is the initial one,
    /// whatever the clock reads. Set by the constructor, ended by whoever commits first, never
    /// set again.
    ///
    /// The last instant before a wrap, not the first one, where clocks like to begin.
    pub(super) const UNSTARTED: Self = Self(TIME.set(0, TIME.max()));

    /// Full again at `time`. An instant that would look like [`Tat::UNSTARTED`] is moved one unit
    /// later: the safe side.
    #[inline]
    pub(super) const fn new(time: Word, slot: usize) -> Self {
        Self(TIME.set(SLOT.set(0, slot as Word), time)).started()
    }

    #[inline]
    const fn started(self) -> Self {
        if self.is_unstarted() { Self(TIME.set(0, 0)) } else { self }
    }

    /// So many units later, in the same slot.
    #[inline]
    pub(super) const fn later(self, units: Word) -> Self {
        Self(self.0.wrapping_add(units << SLOT.width())).started()
    }

    /// The later of this instant and `now`, in the same slot. Only to go on from: it may look like
    /// [`Tat::UNSTARTED`].
    #[inline]
    pub(super) const fn no_earlier_than(self, now: Word) -> Self {
        if self.is_passed(now) {
            Self(TIME.set(SLOT.set(0, self.slot() as Word), now))
        } else {
            self
        }
    }

    /// Whether `now` is at this instant or after it.
    #[inline]
    pub(super) const fn is_passed(self, now: Word) -> bool {
        // The sign of the difference: see `ahead`. The slot would carry here.
        (now << SLOT.width()).wrapping_sub(SLOT.set(self.0, 0)) <= Word::MAX >> 1
    }

    /// So many units earlier, in the same slot. Only to compare with.
    #[inline]
    pub(super) const fn earlier(self, units: Word) -> Self {
        Self(self.0.wrapping_sub(units << SLOT.width()))
    }

    /// Which limits are in force: 0 or 1.
    #[inline]
    pub(super) const fn slot(self) -> usize {
        SLOT.get(self.0) as usize
    }

    /// The slot that is free for the next limits.
    pub(super) const fn other_slot(self) -> usize {
        1 - self.slot()
    }

    #[inline]
    pub(super) const fn is_unstarted(self) -> bool {
        self.0 == Self::UNSTARTED.0
    }

    /// How far ahead of `now` the instant reads; 0 where it has passed. At most [`FURTHEST`].
    #[inline]
    pub(super) const fn ahead(self, now: Word) -> Word {
        // Shifted up, the sign of the difference of two wrapping times is the top bit of the
        // word; the slot, which is the lowest bit, is shifted out again and cannot carry.
        let distance = self.0.wrapping_sub(now << SLOT.width());
        if distance > Word::MAX >> 1 { 0 } else { distance >> SLOT.width() }
    }
}

impl fmt::Debug for Tat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_unstarted() {
            return f.write_str("Unstarted");
        }
        f.debug_struct("Tat").field("time", &TIME.get(self.0)).field("slot", &self.slot()).finish()
    }
}

/// The limits of one slot.
///
/// A reader that a live change overtakes may pair an interval with another change's burst. It
/// then finds the word changed and starts over, so all that matters here is that nothing overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limits {
    /// Units per token, at least 1.
    pub(super) interval: Word,
    /// Tokens.
    pub(super) burst: u32,
}

impl Limits {
    /// What `tokens` cost in units; at most [`FURTHEST`], which is above every tolerance.
    pub(super) const fn price(self, tokens: u32) -> Word {
        let units = (tokens as u64).saturating_mul(widen(self.interval));
        if units > widen(FURTHEST) { FURTHEST } else { units as Word }
    }

    /// What `tokens` cost in units, where they are no more than the burst: then it fits, as the
    /// burst does.
    #[inline]
    pub(super) const fn price_within_burst(self, tokens: u32) -> Word {
        (tokens as Word).wrapping_mul(self.interval)
    }

    /// How much debt a full burst is.
    #[inline]
    pub(super) const fn tolerance(self) -> Word {
        self.price_within_burst(self.burst)
    }

    /// The interval, as the optimiser may know that it is not 0.
    const fn divisor(self) -> Word {
        if self.interval == 0 { 1 } else { self.interval }
    }

    /// How many whole tokens are there at a debt.
    pub(super) const fn available(self, debt: Word) -> u32 {
        let tokens = self.tolerance().saturating_sub(debt) / self.divisor();
        if tokens > self.burst as Word { self.burst } else { low_half(tokens) }
    }

    /// The debt under the limits `next` that leaves as many tokens, rounded down, as `debt` does
    /// under these; what is owed beyond the burst are promises already made and keeps its time.
    pub(super) const fn convert(self, debt: Word, next: Self) -> Word {
        let tolerance = self.tolerance();
        if debt >= tolerance {
            return next.tolerance().saturating_add(debt - tolerance);
        }
        let left = (tolerance - debt) as u128 * next.interval as u128 / self.divisor() as u128;
        if left >= next.tolerance() as u128 {
            0
        } else {
            next.tolerance().saturating_sub(left as Word)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_ahead_across_the_wrap_in_either_slot() {
        let last = mask(TIME_BITS);
        for slot in [0, 1] {
            assert_eq!(Tat::new(100, slot).ahead(90), 10);
            assert_eq!(Tat::new(100, slot).ahead(100), 0);
            assert_eq!(Tat::new(100, slot).ahead(101), 0);
            assert_eq!(Tat::new(3, slot).ahead(last), 4);
            assert_eq!(Tat::new(last, slot).ahead(3), 0);
            assert_eq!(Tat::new(FURTHEST, slot).ahead(0), FURTHEST);
            assert_eq!(Tat::new(100, slot).slot(), slot);
        }
        assert!(!Tat::new(last, 0).is_unstarted());
        assert_eq!(Tat::new(last, 0).ahead(last), 1, "one unit later, never earlier");
        assert_eq!((Tat::UNSTARTED.slot(), Tat::new(last, 1).ahead(last)), (0, 0));
    }

    #[test]
    fn a_change_of_limits_keeps_the_tokens() {
        let limits = |interval, burst| Limits { interval, burst };
        let (slow, fast) = (limits(100, 10), limits(10, 10));
        assert_eq!(slow.convert(1_000, fast), 100, "empty stays empty");
        assert_eq!(fast.convert(100, slow), 1_000);
        assert_eq!(fast.convert(95, slow), 950, "half a token stays half a token");
        assert_eq!(fast.convert(120, slow), 1_020, "promises keep their time");
        assert_eq!(fast.convert(0, limits(10, 15)), 50, "a larger burst fills with time");
        assert_eq!(fast.convert(50, limits(10, 5)), 0, "a smaller one loses no token it can hold");
        assert_eq!(fast.convert(20, limits(10, 5)), 0);
    }

    #[test]
    fn nothing_overflows() {
        let most = Limits { interval: Word::MAX, burst: u32::MAX };
        assert_eq!(most.price(u32::MAX), FURTHEST);
        assert!(most.convert(0, most) == 0 && most.convert(Word::MAX, most) >= FURTHEST);
        assert_eq!(most.available(Word::MAX), 0);
    }
}
