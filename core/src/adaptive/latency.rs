//! Latencies and factors as fixed-point numbers.

use crate::inflight::Limit;
use crate::ratio::Ratio;
use crate::time::scale::Scale;
use crate::word::by_width;

/// The bits of a latency in units: the longest that is a sample has all of them.
pub(super) const LATENCY_BITS: u32 = by_width(29, 16);

/// A latency in 1/65536 of a unit; 0 where it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Latency(pub(super) u64);

/// Fits a word, whose width decides how long a latency can be.
const _: () = assert!(LATENCY_BITS + Latency::FRACTION <= crate::word::WORD_BITS);
/// `times` and `over` stay within 64 bits.
const _: () = assert!(LATENCY_BITS + Latency::FRACTION + u16::BITS < u64::BITS);
const _: () = assert!(LATENCY_BITS + Latency::FRACTION + 1 + Gradient::FRACTION < u64::BITS);

impl Latency {
    pub(super) const FRACTION: u32 = 16;
    pub(super) const UNKNOWN: Self = Self(0);

    /// So many units.
    pub(super) const fn of(units: u64) -> Self {
        Self(units << Self::FRACTION)
    }

    pub(super) const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// How far this is from another one.
    pub(super) const fn distance(self, other: Self) -> u64 {
        self.0.abs_diff(other.0)
    }

    /// A step from here to where `other` is; no further than that.
    pub(super) const fn towards(self, other: Self, step: u64) -> Self {
        if step >= self.distance(other) {
            other
        } else if other.0 > self.0 {
            Self(self.0.saturating_add(step))
        } else {
            Self(self.0.saturating_sub(step))
        }
    }

    /// Whether this is not about the same as `old`: by more than an eighth of that.
    pub(super) const fn differs(self, old: Self) -> bool {
        self.distance(old) > old.0 / 8
    }

    /// Whether this, which a probe has measured where `old` was known, calls for another one soon.
    ///
    /// A smaller fall does than a rise: half of a limit that is far too high measures less each
    /// time, but only by as much as the limit has shrunk in between.
    pub(super) const fn is_news(self, old: Self) -> bool {
        self.is_known() && (self.differs(old) || self.0 < old.0.saturating_sub(old.0 / 16))
    }

    /// The latency without load, where this was it and a probe has measured another, if anything.
    ///
    /// Where the two are about the same, most of the difference is noise, and a quarter of it is
    /// taken: the mean over some probes is what can be compared with.
    pub(super) const fn after_probe(self, measured: Self) -> Self {
        if !measured.is_known() {
            self
        } else if measured.differs(self) {
            measured
        } else {
            self.towards(measured, measured.distance(self) / 4)
        }
    }

    /// In ticks, rounded up.
    pub(super) const fn ticks(self, scale: Scale) -> u64 {
        let whole = self.0 >> Self::FRACTION;
        let part = self.0 & ((1 << Self::FRACTION) - 1);
        scale.ticks_up(whole + (part != 0) as u64)
    }

    /// This latency times `factor`.
    pub(super) const fn times(self, factor: Factor) -> Self {
        Self(self.0.saturating_mul(factor.0 as u64) >> Factor::FRACTION)
    }

    /// This over `other`, from `least` to `most`, which is 2 at the most; `most` over nothing.
    pub(super) const fn over(self, other: Self, least: Gradient, most: Gradient) -> Gradient {
        // Twice or more is not divided: that would not fit.
        if self.0 >= other.0.saturating_mul(2) {
            return most;
        }
        match (self.0 << Gradient::FRACTION).checked_div(other.0) {
            Some(gradient) if gradient < least.0 => least,
            Some(gradient) if gradient < most.0 => Gradient(gradient),
            _ => most,
        }
    }
}

/// A factor of the limit from one window to the next, in 1/65536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gradient(u64);

impl Gradient {
    const FRACTION: u32 = 16;
    pub(super) const ZERO: Self = Self(0);
    pub(super) const HALF: Self = Self(1 << (Self::FRACTION - 1));
    pub(super) const ONE: Self = Self(1 << Self::FRACTION);
    pub(super) const TWO: Self = Self(2 << Self::FRACTION);

    /// `limit` times this.
    pub(super) const fn of(self, limit: Limit) -> Limit {
        Limit(limit.0.saturating_mul(self.0) >> Self::FRACTION)
    }
}

/// A setting that is a factor, in 1/4096; below 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factor(u16);

impl Factor {
    const FRACTION: u32 = 12;

    /// `ratio`, rounded up, so that 90 % of 10 is 9 and not a little less; the most there is where
    /// it is above that, or no number.
    pub(super) const fn new(ratio: Ratio) -> Self {
        let (numerator, denominator) = (ratio.numerator() as u64, ratio.denominator() as u64);
        let rounded = (numerator << Self::FRACTION) + denominator.saturating_sub(1);
        match rounded.checked_div(denominator) {
            Some(factor) if factor <= u16::MAX as u64 => Self(factor as u16),
            _ => Self(u16::MAX),
        }
    }

    /// `limit` times this.
    pub(super) const fn of(self, limit: Limit) -> Limit {
        Limit(limit.0.saturating_mul(self.0 as u64) >> Self::FRACTION)
    }

    /// One and this.
    pub(super) const fn and_one(self) -> Self {
        Self(self.0.saturating_add(1 << Self::FRACTION))
    }

    /// From `old` this part of the way to `new`.
    pub(super) const fn between(self, old: Limit, new: Limit) -> Limit {
        if new.0 >= old.0 {
            old.plus(self.of(new.minus(old)))
        } else {
            old.minus(self.of(old.minus(new)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gradients_are_held_in_their_range() {
        let (one, three) = (Latency::of(1), Latency::of(3));
        let over = |a: Latency, b| a.over(b, Gradient::HALF, Gradient::TWO);
        assert_eq!(over(one, three), Gradient::HALF);
        assert_eq!(over(three, one), Gradient::TWO);
        assert_eq!(over(three, three), Gradient::ONE);
        assert_eq!(over(three, Latency::UNKNOWN), Gradient::TWO);
        assert_eq!(over(three, Latency::of(4)).of(Limit::of(100)), Limit::of(75));
        // The longest latency of all times the largest factor.
        let longest = Latency::of((1 << LATENCY_BITS) - 1);
        let sixteen = Factor::new(Ratio::new(99, 1));
        assert_eq!(over(longest.times(sixteen), longest), Gradient::TWO);
    }

    #[test]
    fn factors_are_rounded_up() {
        let nine_tenths = Factor::new(Ratio::percent(90));
        assert_eq!(nine_tenths.of(Limit::of(10)).calls(), 9);
        let tenth = Factor::new(Ratio::new(1, 10));
        assert_eq!(tenth.of(Limit::of(4096)), Limit::of(410));
        assert_eq!(tenth.and_one().of(Limit::of(4096)), Limit::of(4506));
        let half = Factor::new(Ratio::percent(50));
        assert_eq!(half.between(Limit::of(10), Limit::of(20)), Limit::of(15));
        assert_eq!(half.between(Limit::of(20), Limit::of(10)), Limit::of(15));
    }
}
