//! A growth factor and its powers, without floats and without division.

use crate::wide::product;

/// The first bit of a mantissa.
const TOP: u64 = 1 << 63;

/// A number of at least 1: `mantissa * 2^(exponent - 63)`, the top bit of the mantissa set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Factor {
    pub(super) mantissa: u64,
    /// Saturates; from 64 on all is too much for a `u64`.
    pub(super) exponent: u32,
}

impl Factor {
    const ONE: Self = Self { mantissa: TOP, exponent: 0 };

    /// `percent / 100`, rounded down in the 64th bit; 1 where that is less than 1, which
    /// `Backoff::validate` refuses.
    pub(super) const fn from_percent(percent: u32) -> Self {
        if percent <= 100 {
            return Self::ONE;
        }
        // Long division in two digits, so that 64 bits do: at least 2^57, then what is missing to
        // 2^63.
        let shift = (percent as u64).leading_zeros();
        let wide = (percent as u64) << shift;
        let (high, rest) = (wide / 100, wide % 100);
        let missing = high.leading_zeros();
        let mantissa = high.wrapping_shl(missing) | (rest.wrapping_shl(missing) / 100);
        // wide / 100 is the value times 2^shift, and the mantissa is that times 2^missing.
        Self { mantissa, exponent: 63_u32.saturating_sub(shift).saturating_sub(missing) }
    }

    /// Rounded down in the 64th bit.
    const fn times(self, other: Self) -> Self {
        let (high, low) = product(self.mantissa, other.mantissa);
        let exponent = self.exponent.saturating_add(other.exponent);
        if high & TOP == 0 {
            Self { mantissa: high << 1 | low >> 63, exponent }
        } else {
            Self { mantissa: high, exponent: exponent.saturating_add(1) }
        }
    }

    /// This to the power of `steps`, by squaring: at most 32 rounds.
    pub(super) const fn pow(self, mut steps: u32) -> Self {
        let (mut power, mut square) = (Self::ONE, self);
        while steps > 0 {
            if steps & 1 == 1 {
                power = power.times(square);
            }
            square = square.times(square);
            steps >>= 1;
        }
        power
    }

    /// This times `value`, rounded down; saturates.
    pub(super) const fn scale(self, value: u64) -> u64 {
        let (high, low) = product(self.mantissa, value);
        // The product over 2^64 is half of the value at exponent 0.
        let spare = high.leading_zeros();
        if value == 0 || self.exponent < spare {
            // Shifted by less than 64, as something is spare; by 1 and 63 at exponent 0.
            let up = self.exponent.wrapping_add(1);
            high.wrapping_shl(up) | low.wrapping_shr(64_u32.wrapping_sub(up))
        } else {
            u64::MAX
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_become_the_nearest_mantissa_below() {
        for percent in [101, 110, 125, 150, 199, 200, 300, 333, 1_000, 25_600, u32::MAX] {
            let factor = Factor::from_percent(percent);
            assert!(factor.mantissa >= TOP);
            // mantissa * 100 <= percent * 2^(63 - exponent) < (mantissa + 1) * 100
            let exact = u128::from(percent) << (63 - factor.exponent);
            assert!(u128::from(factor.mantissa) * 100 <= exact, "{percent}: {factor:?}");
            assert!((u128::from(factor.mantissa) + 1) * 100 > exact, "{percent}: {factor:?}");
        }
        assert_eq!(Factor::from_percent(200), Factor { mantissa: TOP, exponent: 1 });
        assert_eq!(Factor::from_percent(0), Factor::ONE);
    }

    #[test]
    fn powers_saturate_instead_of_overflowing() {
        assert_eq!(Factor::from_percent(u32::MAX).pow(u32::MAX).scale(1), u64::MAX);
        assert_eq!(Factor::from_percent(u32::MAX).pow(u32::MAX).scale(0), 0);
        assert_eq!(Factor::from_percent(100).pow(u32::MAX).scale(7), 7);
        assert_eq!(Factor::from_percent(200).pow(63).scale(1), 1 << 63);
        assert_eq!(Factor::from_percent(200).pow(64).scale(1), u64::MAX);
        assert_eq!(Factor::from_percent(150).pow(2).scale(4), 9);
    }
}
