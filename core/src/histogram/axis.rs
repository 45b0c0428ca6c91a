//! The axis: which bucket a duration falls into, and which duration a bucket stands for.
//!
//! Durations are counted in units, a power of two of ticks. The first octave has a bucket for each
//! unit from 0 to `STEPS - 1`; each further one goes on from there to twice as far, in `STEPS`
//! equal steps. So with 32 steps:
//!
//! ```text
//! octave       units   width of a bucket   steps before the octave begins
//!   0        0 ..  31         1                0
//!   1       32 ..  63         1               32
//!   2       64 .. 127         2               32
//!   3      128 .. 255         4               32
//!   n      16 << n ..    1 << (n - 1)         32
//! ```
//!
//! From octave 1 on, a bucket is a `STEPS`th of where its octave begins, at most; the middle of a
//! bucket is off by half of that at most.

use crate::ratio::Ratio;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::word::{Word, low_half};

/// A bucket. Always within its table: only [`Axis`] makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) octave: usize,
    pub(super) step: usize,
}

/// The unit of a table of `OCTAVES` by `STEPS` buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Axis<const OCTAVES: usize, const STEPS: usize> {
    /// A unit is two to the power of this ticks.
    shift: u32,
}

impl<const OCTAVES: usize, const STEPS: usize> Axis<OCTAVES, STEPS> {
    const STEP_BITS: u32 = {
        assert!(
            OCTAVES >= 2 && OCTAVES <= 32,
            "a histogram has 2 to 32 octaves, so that a word can tell which are in use"
        );
        assert!(
            STEPS.is_power_of_two() && STEPS >= 2 && STEPS <= 256,
            "an octave of a histogram has a power of two of steps, 2 to 256"
        );
        STEPS.ilog2()
    };

    /// The table holds this power of two of units.
    const UNIT_BITS: u32 = Self::STEP_BITS + OCTAVES as u32 - 1;

    const LAST: Place = Place { octave: OCTAVES - 1, step: STEPS - 1 };

    /// The axis with the finest units that reaches as far as `longest` ticks, at most
    /// [`LONGEST`](crate::time::LONGEST).
    pub(super) const fn up_to(longest: u64) -> Self {
        let bits = u64::BITS.wrapping_sub(longest.leading_zeros());
        Self { shift: bits.saturating_sub(Self::UNIT_BITS) }
    }

    /// The unit, in ticks.
    pub(super) const fn unit(self) -> u64 {
        1_u64.wrapping_shl(self.shift)
    }

    /// The longest duration that has a bucket, in ticks; longer ones count as this one.
    pub(super) const fn longest(self) -> u64 {
        // At most 63 bits: those of the longest that was asked for, or of the table alone.
        !u64::MAX.wrapping_shl(Self::UNIT_BITS.wrapping_add(self.shift))
    }

    /// The bucket of a duration in ticks.
    #[inline]
    pub(super) const fn place(self, ticks: u64) -> Place {
        // Wrapping, here and below: a shift is below 64, which the optimiser cannot know of a
        // number in memory.
        let units = ticks.wrapping_shr(self.shift);
        // What is below the first octave's end has the length of its end, so that this is not
        // negative.
        let length = u64::BITS.wrapping_sub((units | (STEPS as u64 - 1)).leading_zeros());
        let octave = length.wrapping_sub(Self::STEP_BITS) as usize;
        if octave >= OCTAVES {
            return Self::LAST;
        }
        // The leading bit of the units tells the octave, the next ones the step.
        let step = units.wrapping_shr(octave.saturating_sub(1) as u32) as usize & (STEPS - 1);
        Place { octave, step }
    }

    /// The duration that stands for a bucket, in ticks: the middle of it, rounded down.
    pub(super) const fn middle(self, place: Place) -> u64 {
        let width = self.shift.wrapping_add(place.octave.saturating_sub(1) as u32);
        let leading = if place.octave == 0 { 0 } else { STEPS };
        let begin = (leading.wrapping_add(place.step) as u64).wrapping_shl(width);
        // From the first tick to the last one.
        begin.saturating_add(!u64::MAX.wrapping_shl(width) / 2)
    }

    /// All buckets of the octaves in use, from the shortest durations to the longest.
    pub(super) fn places(used: Octaves) -> impl Iterator<Item = Place> {
        (0..OCTAVES).filter(move |octave| used.has(*octave)).flat_map(Self::steps)
    }

    fn steps(octave: usize) -> impl Iterator<Item = Place> {
        (0..STEPS).map(move |step| Place { octave, step })
    }

    /// The bucket with the duration that `share` of all are at most as long as: by the nearest
    /// rank, the `share * n`th of `n` in ascending order, rounded up. `None` where there are none,
    /// or fewer than `minimum`, or `share` is not a number.
    ///
    /// Each octave is summed up first, so that only one is gone through a second time. Where counts
    /// change meanwhile, the octave is the right one at the time of the sums.
    pub(super) fn ranked(
        used: Octaves,
        share: Ratio,
        minimum: u64,
        count: impl Fn(Place) -> u64,
    ) -> Option<Place> {
        let sum = |octave| Self::steps(octave).map(&count).fold(0, u64::saturating_add);
        let mut sums = [0; OCTAVES];
        for (octave, calls) in sums.iter_mut().enumerate() {
            *calls = if used.has(octave) { sum(octave) } else { 0 };
        }
        let all = sums.iter().copied().fold(0, u64::saturating_add);
        if all < minimum.max(1) {
            return None;
        }
        // Rounded up is all but the rest rounded down.
        let mut rank = all.saturating_sub(share.complement().of(all)?).max(1);
        for (octave, calls) in sums.into_iter().enumerate() {
            if rank > calls {
                rank = rank.saturating_sub(calls);
                continue;
            }
            for place in Self::steps(octave) {
                let calls = count(place);
                if rank <= calls {
                    return Some(place);
                }
                rank = rank.saturating_sub(calls);
            }
            // Some of them were forgotten meanwhile.
            return Some(Place { octave, ..Self::LAST });
        }
        // The sums saturated.
        Some(Self::LAST)
    }
}

/// A table of something for each bucket.
pub(super) type Table<T, const OCTAVES: usize, const STEPS: usize> = [[T; STEPS]; OCTAVES];

impl Place {
    /// What a table has for this bucket.
    #[inline]
    pub(super) fn of<T, const OCTAVES: usize, const STEPS: usize>(
        self,
        table: &Table<T, OCTAVES, STEPS>,
    ) -> &T {
        // Neither changes anything but what the compiler knows: that this cannot fail.
        &table[self.octave.min(OCTAVES - 1)][self.step % STEPS]
    }

    /// The same, to change it.
    pub(super) fn of_mut<T, const OCTAVES: usize, const STEPS: usize>(
        self,
        table: &mut Table<T, OCTAVES, STEPS>,
    ) -> &mut T {
        &mut table[self.octave.min(OCTAVES - 1)][self.step % STEPS]
    }
}

/// Which octaves were ever used, a bit for each: the others are empty, and nobody has to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Octaves(u32);

impl Octaves {
    pub(super) const fn has(self, octave: usize) -> bool {
        self.0.wrapping_shr(octave as u32) & 1 != 0
    }

    pub(super) const fn with(self, octave: usize) -> Self {
        Self(self.0 | 1_u32.wrapping_shl(octave as u32))
    }
}

/// The octaves in use, shared.
#[derive(Debug)]
pub(super) struct UsedOctaves(AtomicWord);

impl UsedOctaves {
    constructor! {
        pub(super) const fn none() -> Self {
            Self(AtomicWord::new(0))
        }
    }

    /// Before anything is counted in `octave`: so whoever comes after that count looks there.
    #[inline]
    pub(super) fn note(&self, octave: usize) {
        if !self.load().has(octave) {
            self.add(octave);
        }
    }

    /// Once for each octave, mostly; the bits are never cleared.
    #[cold]
    fn add(&self, octave: usize) {
        let bit = Octaves::default().with(octave);
        // Relaxed: as in `load`.
        self.0.fetch_or(Word::from(bit.0), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn load(&self) -> Octaves {
        // Relaxed: whoever has to see a count comes after it by some other means, and then sees
        // the bit as well, which was set before; whoever does not may miss both.
        Octaves(low_half(self.0.load(Ordering::Relaxed)))
    }
}
