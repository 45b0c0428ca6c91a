//! Arithmetic on more bits than a small target has, without what it would link for a division.

/// The upper half of the product of two numbers, which is all that a fraction of a number needs.
///
/// Without the lower half, which is cheap to have by itself, all fits the registers of a call.
// One copy where it is long.
#[cfg_attr(not(target_pointer_width = "64"), inline(never))]
#[cfg_attr(target_pointer_width = "64", inline)]
pub(crate) const fn upper_product(one: u64, other: u64) -> u64 {
    (((one as u128) * (other as u128)) >> 64) as u64
}

/// Whole billions in a number, and what is left: seconds in nanoseconds.
///
/// Multiplies by the inverse instead of dividing (Granlund and Montgomery, "Division by Invariant
/// Integers using Multiplication", PLDI 1994). 10^9 is 2^9 times 1953125, so that what is
/// left to divide has 55 bits; the inverse in parts of 2^75, rounded up, is then off by so little
/// that the quotient is exact.
pub(crate) const fn billions(number: u64) -> (u64, u32) {
    /// 2^75 / 1953125, rounded up.
    const INVERSE: u64 = ((1_u128 << 75) / 1_953_125 + 1) as u64;
    // (INVERSE * 1953125 - 2^75) * 2^55 < 2^75: the error never adds up to one.
    const _: () = assert!(INVERSE as u128 * 1_953_125 - (1 << 75) < 1 << 20);
    let whole = upper_product(number >> 9, INVERSE) >> 11;
    (whole, number.wrapping_sub(whole.wrapping_mul(1_000_000_000)) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn billions_are_exact_at_their_edges() {
        let check = |number: u64| {
            let expected = (number / 1_000_000_000, (number % 1_000_000_000) as u32);
            assert_eq!(billions(number), expected, "{number}");
        };
        for whole in (0..64).map(|bit| (1_u64 << bit) / 1_000_000_000).chain([18_446_744_073]) {
            for near in 0..3 {
                check((whole * 1_000_000_000).saturating_add(near).saturating_sub(1));
            }
        }
        check(u64::MAX);
    }

    #[test]
    fn an_upper_product_has_all_its_carries() {
        assert_eq!(upper_product(u64::MAX, u64::MAX), u64::MAX - 1);
        assert_eq!(upper_product(1 << 40, 1 << 40), 1 << 16);
        assert_eq!(upper_product(u64::MAX, 1), 0);
    }
}
