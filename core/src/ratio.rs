//! Exact fractions.

use core::fmt;

use crate::error::{ConfigError, setting};

/// An exact fraction: 20 %, 1/3, 7/1000. Kept in lowest terms.
///
/// # Examples
///
/// ```
/// use fusebox_core::Ratio;
///
/// assert_eq!(Ratio::percent(20), Ratio::new(1, 5));
/// assert_eq!(Ratio::percent(70).to_string(), "70 %");
/// assert_eq!(Ratio::new(2, 6).to_string(), "1/3");
/// assert!(Ratio::percent(50).is_reached(5, 10));
/// assert!(!Ratio::percent(50).is_reached(5, 11));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Ratio {
    numerator: u32,
    denominator: u32,
}

impl Ratio {
    /// `percent` hundredths. More than 100 is more than the whole.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self::new(percent, 100)
    }

    /// `numerator / denominator`. A denominator of 0 is refused by whatever takes a ratio, and by
    /// [`validate`](Self::validate).
    #[must_use]
    pub const fn new(numerator: u32, denominator: u32) -> Self {
        // Euclid. The divisor is 0 for 0/0 only.
        let (mut divisor, mut rest) = (numerator, denominator);
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        if divisor == 0 || denominator == 0 {
            return Self { numerator, denominator };
        }
        Self { numerator: numerator / divisor, denominator: denominator / divisor }
    }

    /// The numerator, in lowest terms.
    #[must_use]
    pub const fn numerator(self) -> u32 {
        self.numerator
    }

    /// The denominator, in lowest terms.
    #[must_use]
    pub const fn denominator(self) -> u32 {
        self.denominator
    }

    /// Whether `part` of `whole` is at least this ratio; never of nothing (a `whole` of 0). Exact:
    /// compares products, and neither divides nor overflows.
    #[must_use]
    pub const fn is_reached(self, part: u64, whole: u64) -> bool {
        if whole == 0 {
            return false;
        }
        let (numerator, denominator) = (self.numerator as u64, self.denominator as u64);
        if part <= u32::MAX as u64 && whole <= u32::MAX as u64 {
            // Nearly always, and much cheaper on a small target.
            part * denominator >= numerator * whole
        } else {
            (part as u128) * (denominator as u128) >= (numerator as u128) * (whole as u128)
        }
    }

    /// Checks that this is a number.
    ///
    /// # Errors
    ///
    /// A denominator of 0.
    pub const fn validate(self) -> Result<(), ConfigError> {
        if self.denominator == 0 {
            return Err(setting!("a ratio" must "have a denominator of at least 1").ratio(self));
        }
        Ok(())
    }
}

impl Ratio {
    /// The least part of `whole` that [reaches](Self::is_reached) this ratio, which is a share: at
    /// most the whole.
    pub(crate) const fn least_part(self, whole: u32) -> u32 {
        let denominator = if self.denominator == 0 { 1 } else { self.denominator };
        (self.numerator as u64 * whole as u64).div_ceil(denominator as u64) as u32
    }

    /// Whether this is a number above 0 and at most 1.
    pub(crate) const fn is_share(self) -> bool {
        self.numerator > 0 && self.numerator <= self.denominator
    }

    /// This ratio of `whole`, rounded down; saturates. `None` where this is not a number.
    pub(crate) fn of(self, whole: u64) -> Option<u64> {
        let (numerator, denominator) = (u64::from(self.numerator), u64::from(self.denominator));
        let (times, rest) = (whole.checked_div(denominator)?, whole.checked_rem(denominator)?);
        // Less than 2^32 times less than 2^32.
        let part = rest.saturating_mul(numerator).checked_div(denominator)?;
        Some(times.saturating_mul(numerator).saturating_add(part))
    }

    /// What is left of 1; 0 where this is more.
    pub(crate) const fn complement(self) -> Self {
        Self { numerator: self.denominator.saturating_sub(self.numerator), ..self }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match 100_u32.checked_rem(self.denominator) {
            Some(0) => {
                let hundredths = 100 / u64::from(self.denominator);
                write!(f, "{} %", u64::from(self.numerator) * hundredths)
            }
            _ => write!(f, "{}/{}", self.numerator, self.denominator),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparisons_are_exact_at_the_ends() {
        let third = Ratio::new(1, 3);
        assert!(third.is_reached(u64::MAX / 3, u64::MAX));
        assert!(!third.is_reached(u64::MAX / 3 - 1, u64::MAX));
        let most = Ratio::new(u32::MAX, u32::MAX - 1);
        assert!(!most.is_reached(u64::from(u32::MAX) - 1, u64::from(u32::MAX)));
        assert!(most.is_reached(u64::from(u32::MAX), u64::from(u32::MAX) - 1));
        assert!(!Ratio::percent(0).is_reached(0, 0), "of nothing");
        assert!(Ratio::percent(0).is_reached(0, 1));
    }

    #[test]
    fn the_least_part_reaches_and_none_below_it() {
        for (ratio, whole) in
            (1..=20).flat_map(|n| (n..=20).map(move |d| (Ratio::new(n, d), n + d)))
        {
            let least = ratio.least_part(whole);
            assert!(least <= whole);
            assert!(ratio.is_reached(least.into(), whole.into()));
            assert!(!ratio.is_reached(u64::from(least) - 1, whole.into()));
        }
    }

    #[test]
    fn a_part_is_exact_and_saturates() {
        assert_eq!(Ratio::percent(95).of(99), Some(94));
        assert_eq!(Ratio::new(u32::MAX, u32::MAX - 1).of(u64::MAX), Some(u64::MAX));
        assert_eq!(Ratio::new(u32::MAX - 1, u32::MAX).of(u64::MAX), Some(0xffff_fffe_ffff_fffe));
        assert_eq!(Ratio::percent(95).complement().of(100), Some(5));
        assert_eq!(Ratio::percent(195).complement().of(100), Some(0));
        assert_eq!(Ratio::new(1, 0).of(7), None);
    }

    #[test]
    fn a_zero_denominator_is_refused_and_never_divides() {
        for ratio in [Ratio::new(0, 0), Ratio::new(7, 0)] {
            assert!(ratio.validate().is_err());
            let _ = ratio.is_reached(1, 2);
        }
        assert_eq!(Ratio::new(0, 7), Ratio::percent(0));
    }
}
