//! How much is in flight, and how much may be: the word of the limits that never wait.
//!
//! [`LoadShedder`](crate::LoadShedder) and [`AdaptiveLimit`](crate::AdaptiveLimit) keep both
//! numbers in one word, so that a call is let in by comparing them as they were at one instant, and
//! a limit that changes is never half seen. With a word for each, every thread that has read the
//! limit and not yet counted itself lets in one too many.
//!
//! A limit that shrinks below what is in flight takes nothing back and wakes nobody: calls end as
//! they would have, and until enough of them have, none is let in. What is in flight is counted up
//! from 0 and not down from the limit, so there is no number that could become negative.
//!
//! # Synchronization
//!
//! Entering is Acquire and leaving Release: whoever takes a place comes after those who left it,
//! as with a semaphore. Changes of the limit publish nothing; being read-modify-writes, they carry
//! the release sequences of those who left on.

use core::fmt;

use crate::sync::{AtomicWord, Ordering, constructor};
use crate::word::{Field, Word, by_width, widen};

const IN_FLIGHT: Field = Field::lowest(by_width(24, 12));
const LIMIT: Field = IN_FLIGHT.above(Word::BITS - IN_FLIGHT.end());

/// The bits of the limit that are below one: adaptive limits grow by less than one at a time.
const FRACTION: u32 = LIMIT.width() - IN_FLIGHT.width();

/// The largest limit.
pub(crate) const MAX_LIMIT: u32 = IN_FLIGHT.max() as u32;

const _: () = assert!(FRACTION == by_width(16, 8) && MAX_LIMIT == by_width(0xff_ffff, 0xfff));
/// `Share::of` multiplies a limit by a share in one word.
const _: () = assert!(IN_FLIGHT.width() + Share::BITS < Word::BITS);

/// A limit in units of 1/65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Limit(pub(crate) u64);

impl Limit {
    /// The bits below one.
    pub(crate) const FRACTION: u32 = 16;

    /// A limit of `calls`.
    pub(crate) const fn of(calls: u32) -> Self {
        Self((calls as u64) << Self::FRACTION)
    }

    /// How many calls that are: a part of one is none.
    pub(crate) const fn calls(self) -> u32 {
        (self.0 >> Self::FRACTION) as u32
    }

    /// How many calls that are, where a part of one is one as well.
    pub(crate) const fn calls_up(self) -> u64 {
        self.0.saturating_add((1 << Self::FRACTION) - 1) >> Self::FRACTION
    }

    /// This and `more`; saturates.
    pub(crate) const fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }

    /// This without `part`; not below 0.
    pub(crate) const fn minus(self, part: Self) -> Self {
        Self(self.0.saturating_sub(part.0))
    }

    /// Its square root, rounded down; of less than 2^32 calls.
    pub(crate) const fn root(self) -> Self {
        // The root of x / 2^16 is the root of x * 2^16, over 2^16. Bit by bit, and not by
        // `isqrt`, which would link a panic where the core library is built with overflow checks.
        let (mut rest, mut root) = (self.0.wrapping_shl(Self::FRACTION), 0_u64);
        let mut bit = 1_u64 << 62;
        while bit != 0 {
            let trial = root | bit;
            root >>= 1;
            if rest >= trial {
                rest = rest.wrapping_sub(trial);
                root |= bit;
            }
            bit >>= 2;
        }
        Self(root)
    }
}

/// A part of a limit, in units of 1/32768.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(u16);

impl Share {
    const BITS: u32 = 15;
    pub(crate) const WHOLE: Self = Self(1 << Self::BITS);

    /// `numerator / denominator`, rounded up, which must be a part and not more than the whole.
    pub(crate) const fn new(numerator: u32, denominator: u32) -> Self {
        let rounded = ((numerator as u64) << Self::BITS) + (denominator as u64).saturating_sub(1);
        match rounded.checked_div(denominator as u64) {
            Some(part) if part < Self::WHOLE.0 as u64 => Self(part as u16),
            _ => Self::WHOLE,
        }
    }

    /// `numerator / denominator`, rounded down, but not to nothing: reached by whatever reaches the
    /// ratio itself.
    pub(crate) const fn new_down(numerator: u32, denominator: u32) -> Self {
        match ((numerator as u64) << Self::BITS).checked_div(denominator as u64) {
            Some(0) => Self(1),
            Some(part) if part < Self::WHOLE.0 as u64 => Self(part as u16),
            _ => Self::WHOLE,
        }
    }

    /// This part of `limit`, and never nothing.
    const fn of(self, limit: Word) -> Word {
        let part = (limit * self.0 as Word) >> Self::BITS;
        if part == 0 { 1 } else { part }
    }

    /// Whether `part` of `whole` is at least this; of nothing it is not.
    pub(crate) const fn is_reached(self, part: u64, whole: u64) -> bool {
        // No overflow: what is counted here has at most 33 bits.
        whole != 0 && part << Self::BITS >= whole.saturating_mul(self.0 as u64)
    }
}

/// What the word says.
///
/// ```text
/// 64-bit words   63        40 39          24 23           0
/// 32-bit words   31        20 19          12 11           0
///               +-----------+---------------+--------------+
///               |   limit   | 1/2^16, 1/2^8 |  in flight   |
///               +-----------+---------------+--------------+
/// ```
///
/// * `in flight`: calls that were let in and have not left. It only grows while it is below the
///   limit, so it cannot overflow; it stops at 0, so that a token that is wrongly given back twice
///   makes no place out of nothing.
/// * `limit`: from 1 on, with a fraction that only those who change it look at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot(Word);

impl Snapshot {
    const fn new(limit: Limit) -> Self {
        Self(0).with_limit(limit)
    }

    /// Calls that are running.
    pub(crate) const fn in_flight(self) -> u32 {
        IN_FLIGHT.get(self.0) as u32
    }

    /// The limit with its fraction.
    pub(crate) const fn limit(self) -> Limit {
        Limit(widen(LIMIT.get(self.0)) << (Limit::FRACTION - FRACTION))
    }

    /// Whether at least half of the limit is in use.
    pub(crate) const fn is_half_used(self) -> bool {
        self.in_flight() as u64 * 2 >= self.limit().calls() as u64
    }

    const fn with_limit(self, limit: Limit) -> Self {
        Self(LIMIT.set(self.0, (limit.0 >> (Limit::FRACTION - FRACTION)) as Word))
    }

    /// `limit` in force, rounded down; but where it grows, by one unit at least: growth that is
    /// lost each time never adds up, while what shrinks always does.
    const fn transition_limit(self, limit: Limit) -> Self {
        let next = self.with_limit(limit);
        if limit.0 > self.limit().0 && next.0 == self.0 {
            return Self(LIMIT.set(self.0, LIMIT.get(self.0).saturating_add(1)));
        }
        next
    }

    const fn transition_enter(self, share: Share) -> Option<Self> {
        let limit = LIMIT.get(self.0) >> FRACTION;
        let free = IN_FLIGHT.get(self.0) < share.of(limit);
        if free { Some(Self(self.0.wrapping_add(1))) } else { None }
    }

    const fn transition_leave(self) -> Self {
        Self(IN_FLIGHT.set(self.0, IN_FLIGHT.get(self.0).saturating_sub(1)))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("limit", &self.limit())
            .field("in_flight", &self.in_flight())
            .finish()
    }
}

/// The word.
pub(crate) struct InFlight(AtomicWord);

impl InFlight {
    constructor! {
        /// Nothing in flight under `limit`, which is from 1 to [`MAX_LIMIT`].
        pub(crate) const fn new(limit: Limit) -> Self {
            Self(AtomicWord::new(Snapshot::new(limit).0))
        }
    }

    pub(crate) fn load(&self) -> Snapshot {
        // Relaxed: figures to look at, or a first guess that a compare-and-swap confirms.
        Snapshot(self.0.load(Ordering::Relaxed))
    }

    /// Counts a call in, if less than its share of the limit is in flight.
    #[inline]
    #[must_use]
    pub(crate) fn enter(&self, share: Share) -> bool {
        // Acquire: pairs with the Release in `leave`; what was done in this place before is done.
        self.update(Ordering::Acquire, |old| old.transition_enter(share)).is_some()
    }

    /// Counts a call out, and returns what was before.
    #[inline]
    pub(crate) fn leave(&self) -> Snapshot {
        // Release: publishes what the call did; pairs with the Acquire in `enter`.
        match self.update(Ordering::Release, |old| Some(old.transition_leave())) {
            Some(old) => old,
            // Never: leaving is always possible.
            None => self.load(),
        }
    }

    /// Puts `limit` in force.
    pub(crate) fn set_limit(&self, limit: Limit) {
        // Relaxed: the limit is in this word and publishes nothing beside it.
        let _ = self.update(Ordering::Relaxed, |old| Some(old.transition_limit(limit)));
    }

    /// Changes the word by `transition`, and returns what it was; `None`, and nothing is written,
    /// where the transition refuses. Lock-free: a swap fails only because another one succeeded.
    #[inline]
    fn update(
        &self,
        success: Ordering,
        transition: impl Fn(Snapshot) -> Option<Snapshot>,
    ) -> Option<Snapshot> {
        let change = |word| transition(Snapshot(word)).map(|new| new.0);
        // Relaxed on failure: the value is only the next guess.
        let update = self.0.fetch_update(success, Ordering::Relaxed, change);
        update.map(Snapshot).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_keep_to_themselves() {
        let mut word = Snapshot::new(Limit::of(MAX_LIMIT));
        assert_eq!((word.limit(), word.in_flight()), (Limit::of(MAX_LIMIT), 0));
        assert_eq!(word.transition_leave(), word, "nothing is in flight");
        word = word.transition_enter(Share::WHOLE).unwrap();
        word = word.with_limit(Limit(3 << 15));
        assert_eq!((word.limit(), word.in_flight()), (Limit(3 << 15), 1));
        assert_eq!(word.transition_enter(Share::WHOLE), None, "1.5 is 1 call");
        assert_eq!(word.transition_leave().in_flight(), 0);
        let full = Snapshot(Snapshot::new(Limit::of(MAX_LIMIT)).0 | IN_FLIGHT.max());
        assert_eq!(full.transition_enter(Share::WHOLE), None, "does not overflow");
    }

    #[test]
    fn roots_are_rounded_down() {
        let most = u64::from(u32::MAX) << Limit::FRACTION;
        for limit in (0..1_000).chain((0..45).map(|bit| 5 << bit)).chain([most]) {
            assert_eq!(Limit(limit).root().0, (limit << Limit::FRACTION).isqrt());
        }
        assert_eq!(Limit::of(9).root(), Limit::of(3));
    }

    #[test]
    fn shares_are_whole_calls_and_never_nothing() {
        for limit in 1..=1_000 as Word {
            for percent in 1..=100 {
                let part = Share::new(percent, 100).of(limit);
                let hundredths = limit * Word::from(percent);
                // A share is rounded up, so that one that comes out even does.
                assert!(part == (hundredths / 100).max(1) || hundredths % 100 > 95, "{percent} %");
            }
        }
        assert_eq!(Share::new(1, 1), Share::WHOLE);
        assert_eq!(Share::WHOLE.of(Word::from(MAX_LIMIT)), Word::from(MAX_LIMIT));
    }
}
