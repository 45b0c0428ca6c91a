//! A growth factor and its powers, without floats and without division.

use crate::wide::upper_product;

/// The first bit of a mantissa.
const TOP: u64 = 1 << 63;

/// A number of at least 1: `mantissa * 2^(exponent - 64)`, the top bit of the mantissa set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Factor {
    pub(super) mantissa: u64,
    pub(super) exponent: u32,
}

impl Factor {
    const ONE: Self = Self { mantissa: TOP, exponent: 1 };

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
        Self { mantissa, exponent: 64_u32.saturating_sub(shift).saturating_sub(missing) }
    }

    /// `value`, of less than 2^63, times this to the power of `steps`, rounded down; 2^63 or more
    /// where it is that.
    pub(super) const fn grow(self, mut value: u64, steps: u32) -> u64 {
        let Self { mut mantissa, mut exponent } = Self::ONE;
        // By squaring, from the highest bit of `steps`: at most 32 rounds. As soon as the power is
        // too much it ends, so that the exponent never overflows.
        let mut bits = u32::BITS.wrapping_sub(steps.leading_zeros());
        while bits > 0 && exponent <= u64::BITS {
            bits = bits.wrapping_sub(1);
            mantissa = upper_product(mantissa, mantissa);
            exponent = exponent.wrapping_add(exponent);
            if steps.wrapping_shr(bits) & 1 == 1 {
                mantissa = upper_product(mantissa, self.mantissa);
                exponent = exponent.wrapping_add(self.exponent);
            }
            // At most twice, as each mantissa was at least a half.
            while mantissa & TOP == 0 {
                mantissa <<= 1;
                exponent = exponent.wrapping_sub(1);
            }
        }
        // What the exponent says goes into the value, so that the mantissa is a part of it.
        while exponent > 0 {
            exponent = exponent.wrapping_sub(1);
            value = match value.checked_mul(2) {
                Some(twice) => twice,
                None => return u64::MAX,
            };
        }
        upper_product(mantissa, value)
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
            // mantissa * 100 <= percent * 2^(64 - exponent) < (mantissa + 1) * 100
            let exact = u128::from(percent) << (64 - factor.exponent);
            assert!(u128::from(factor.mantissa) * 100 <= exact, "{percent}: {factor:?}");
            assert!((u128::from(factor.mantissa) + 1) * 100 > exact, "{percent}: {factor:?}");
        }
        assert_eq!(Factor::from_percent(200), Factor { mantissa: TOP, exponent: 2 });
        assert_eq!(Factor::from_percent(0), Factor::ONE);
    }

    #[test]
    fn powers_saturate_instead_of_overflowing() {
        assert_eq!(Factor::from_percent(u32::MAX).grow(1, u32::MAX), u64::MAX);
        assert_eq!(Factor::from_percent(u32::MAX).grow(0, u32::MAX), 0);
        assert_eq!(Factor::from_percent(100).grow(7, u32::MAX), 7);
        assert_eq!(Factor::from_percent(200).grow(1, 62), 1 << 62);
        assert!(Factor::from_percent(200).grow(1, 63) >= 1 << 63);
        assert_eq!(Factor::from_percent(200).grow(1, 64), u64::MAX);
        assert_eq!(Factor::from_percent(150).grow(4, 2), 9);
    }
}
