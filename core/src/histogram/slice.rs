//! The slices of a window of time, and the word that counts in one of them.
//!
//! **Background.** A window must forget what slides out of it. Clearing the buckets of a slice when
//! its time comes again would cost whoever comes first a loop over all of them, and would race with
//! those who count in them already.
//!
//! **Solution.** Time is cut into slices of a power of two of ticks. The low bits of a slice's
//! number say which word of a bucket counts in it; the bits above are its *turn*, which the word
//! carries as a tag. Whoever finds an earlier turn there begins anew at one; whoever reads does not
//! look at what has another tag than the one that is due. So nothing is ever swept, and there is no
//! head that all would have to agree on: what a slice is follows from the time alone.
//!
//! **Why it works.** A count is one compare-and-swap of a word whose tag was looked at, so no count
//! is ever added to one of another turn. A call that is late by a turn or more finds a later tag,
//! and is dropped: it has slid out of the window already. By how much a tag may be ahead to be a
//! later one is limited by the lateness that is supported, as everywhere (`time/scale.rs`): beyond
//! that it is a stale one, or the clock was set back for good, and the call begins anew.
//!
//! **What remains.** Tags wrap. A bucket in which nothing was counted for just so many turns as a
//! tag tells apart (2^24, where words are 32 bits 2^16), or a multiple of that, is read once more
//! as if it were recent, until its time is over again: for a window of half a minute that is each
//! 18 years, where words are 32 bits each 26 days. A call that is later than the lateness that is
//! supported, and a turn, may take the count of its bucket back to its own turn; those of the
//! present one are then forgotten, and the next call there begins anew.

use crate::time::Ticks;
use crate::time::scale::ahead;
use crate::word::{Field, WORD_BITS, Word, by_width, mask};

/// A count and the turn in which it was counted.
///
/// ```text
///           |63 .......... 24|23 .......... 0|
/// 64 bits   |     count      |     turn      |
/// 32 bits   |31 .......... 16|15 .......... 0|
/// ```
///
/// The count stays at its end, and the turn wraps. Where the count is 0 the turn means nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Slice(pub(super) Word);

const TURN: Field = Field::lowest(by_width(24, 16));
const COUNT: Field = TURN.above(WORD_BITS - TURN.end());
const _: () = assert!(COUNT.end() == WORD_BITS);

/// What a call does to the word of its slice.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub(super) enum Counted {
    /// It is counted.
    As(Slice),
    /// It ended before the turn that is counted there, and so before the window.
    TooLate,
}

impl Slice {
    pub(super) const EMPTY: Self = Self(0);

    /// What was counted in this turn.
    pub(super) const fn count_in(self, turn: Word) -> Word {
        if TURN.get(self.0) == turn { COUNT.get(self.0) } else { 0 }
    }

    /// Counts so many calls that ended in this turn.
    #[inline]
    pub(super) const fn transition_count<const SLICES: usize>(
        self,
        turn: Word,
        calls: Word,
        slices: &Slices<SLICES>,
    ) -> Counted {
        if COUNT.get(self.0) > 0
            && ahead(TURN.get(self.0), turn, slices.turn_bits(), slices.late_turns) > 0
        {
            return Counted::TooLate;
        }
        let count = self.count_in(turn).saturating_add(calls);
        let count = if count > COUNT.max() { COUNT.max() } else { count };
        Counted::As(Self(COUNT.set(TURN.set(0, turn), count)))
    }
}

impl core::fmt::Debug for Slice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slice")
            .field("count", &COUNT.get(self.0))
            .field("turn", &TURN.get(self.0))
            .finish()
    }
}

/// How time is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slices<const SLICES: usize> {
    /// A slice is two to the power of this ticks.
    shift: u32,
    /// How many slices make the window, the present one included: more than half of them.
    window: u32,
    /// How many turns a reader may be late and still be taken for late.
    late_turns: Word,
}

impl<const SLICES: usize> Slices<SLICES> {
    const BITS: u32 = {
        assert!(
            SLICES.is_power_of_two() && SLICES >= 2 && SLICES <= 16,
            "a windowed histogram has 2, 4, 8 or 16 slices"
        );
        SLICES.ilog2()
    };

    /// As much of `span` as whole slices can cover, for readers that are up to `lateness` late;
    /// `span` is from `SLICES` ticks to [`LONGEST`](crate::time::LONGEST).
    ///
    /// Of all the slices that fit more than half of `SLICES` times into the span it takes the
    /// longest, and as many as fit.
    pub(super) const fn over(span: u64, lateness: u64) -> Self {
        let longest = span / (SLICES as u64 / 2 + 1);
        let shift = (u64::BITS - 1).saturating_sub(longest.leading_zeros());
        let fitting = span.wrapping_shr(shift);
        let window = if fitting < SLICES as u64 { fitting as u32 } else { SLICES as u32 };
        let slices = Self { shift, window, late_turns: 0 };
        let turns = lateness.wrapping_shr(slices.turn_shift());
        let most = mask(slices.turn_bits()) >> 2;
        let turns = if turns < most as u64 { turns as Word } else { most };
        // One more, as a lateness of less than a turn may cross the end of one.
        Self { late_turns: turns.saturating_add(1), ..slices }
    }

    const fn turn_shift(&self) -> u32 {
        self.shift.wrapping_add(Self::BITS)
    }

    /// The width of a turn: the clock itself wraps earlier where slices are very long.
    const fn turn_bits(&self) -> u32 {
        let left = u64::BITS.saturating_sub(self.turn_shift());
        if left < TURN.width() { left } else { TURN.width() }
    }

    /// The slice of an instant, and its turn.
    #[inline]
    pub(super) const fn of(&self, at: Ticks) -> (usize, Word) {
        // Wrapping, here and below: a shift is below 64, which the optimiser cannot know of a
        // number in memory.
        let slice = at.0.wrapping_shr(self.shift) as usize & (SLICES - 1);
        (slice, at.0.wrapping_shr(self.turn_shift()) as Word & mask(self.turn_bits()))
    }

    /// The turn that is due in each slice of the window that ends at `now`; `None` in those that
    /// are not in it.
    pub(super) fn due(&self, now: Ticks) -> [Option<Word>; SLICES] {
        let mut due = [None; SLICES];
        for back in 0..self.window {
            let then = Ticks(now.0.wrapping_sub(u64::from(back).wrapping_shl(self.shift)));
            let (slice, turn) = self.of(then);
            due[slice] = Some(turn);
        }
        due
    }

    /// The length of a slice and that of the whole window, in ticks.
    pub(super) const fn ticks(&self) -> (u64, u64) {
        (1_u64.wrapping_shl(self.shift), (self.window as u64).wrapping_shl(self.shift))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_as_long_as_fits_and_never_longer_than_asked() {
        fn check<const SLICES: usize>(span: u64, covered: (u64, u64)) {
            let slices = Slices::<SLICES>::over(span, 0);
            let (slice, window) = slices.ticks();
            assert!(window <= span && slice * (SLICES as u64) >= window, "{slices:?} of {span}");
            // The present slice may only have begun.
            assert!(
                u128::from(window - slice) * u128::from(covered.1)
                    >= u128::from(span) * u128::from(covered.0),
                "{slices:?} of {span}"
            );
        }
        for span in (16..5_000).chain([u64::MAX >> 2, (u64::MAX >> 2) - 1, 3 << 59, 30_000_000_000])
        {
            // As documented.
            check::<2>(span, (1, 4));
            check::<4>(span, (1, 2));
            check::<8>(span, (2, 3));
            check::<16>(span, (4, 5));
        }
    }

    #[test]
    fn a_call_counts_in_its_turn_only() {
        let slices = Slices::<4>::over(400, 1_000);
        let (slice, turn) = slices.of(Ticks(10_000));
        let counted = |word: Slice, turn| word.transition_count(turn, 1, &slices);
        let Counted::As(one) = counted(Slice::EMPTY, turn) else { panic!("the first call") };
        assert_eq!((one.count_in(turn), one.count_in(turn + 1)), (1, 0));
        let Counted::As(two) = counted(one, turn) else { panic!("in the same turn") };
        assert_eq!(two.count_in(turn), 2);
        let Counted::As(new) = counted(two, turn + 1) else { panic!("in the next turn") };
        assert_eq!((new.count_in(turn), new.count_in(turn + 1)), (0, 1));
        // 512 ticks make a turn: a second turn back is within the lateness, a fifth is not.
        assert_eq!(counted(new, turn), Counted::TooLate);
        assert_eq!(counted(new, turn - 1), Counted::TooLate);
        assert!(
            matches!(counted(new, turn - 4), Counted::As(back) if back.count_in(turn - 4) == 1)
        );
        assert_eq!(slices.due(Ticks(10_000))[slice], Some(turn));
    }

    #[test]
    fn a_full_count_stays_full() {
        let slices = Slices::<4>::over(400, 0);
        let full = Slice(COUNT.set(TURN.set(0, 7), COUNT.max()));
        assert_eq!(full.transition_count(7, 5, &slices), Counted::As(full));
        let Counted::As(merged) = Slice::EMPTY.transition_count(7, Word::MAX, &slices) else {
            panic!("nothing is there to be late for")
        };
        assert_eq!(merged, full);
    }
}
