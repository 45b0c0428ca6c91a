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

/// The product of two numbers: its upper and its lower half.
#[inline]
pub(crate) const fn product(one: u64, other: u64) -> (u64, u64) {
    (upper_product(one, other), one.wrapping_mul(other))
}

/// `value * by + more`; saturates.
pub(crate) const fn multiply_add(value: u64, by: u32, more: u64) -> u64 {
    // On paper, in digits of 32 bits: the product of two and two more never overflow two digits.
    const DIGIT: u64 = u32::MAX as u64;
    let low = (value & DIGIT).wrapping_mul(by as u64).wrapping_add(more & DIGIT);
    let high = (value >> 32).wrapping_mul(by as u64).wrapping_add(more >> 32);
    let high = high.wrapping_add(low >> 32);
    if high > DIGIT { u64::MAX } else { high << 32 | low & DIGIT }
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

/// The quotient and the rest of a number, given by its upper and its lower half, whose upper half
/// is less than what it is divided `by`, so that the quotient has 64 bits; by 1 in place of 0.
#[inline]
pub(crate) const fn divide((high, low): (u64, u64), by: u64) -> (u64, u64) {
    let by = if by == 0 { 1 } else { by };
    if cfg!(not(target_pointer_width = "64")) {
        let mut number = (high, low);
        bit_by_bit(&mut number, by);
        (number.1, number.0)
    } else if high == 0 {
        (low / by, low % by)
    } else {
        let number = ((high as u128) << 64) | low as u128;
        ((number / by as u128) as u64, (number % by as u128) as u64)
    }
}

/// Divides on paper: in place of the upper half comes the rest, in place of the lower the quotient.
///
/// What the compiler would link for as wide a division is ten times as long.
#[inline(never)]
const fn bit_by_bit(number: &mut (u64, u64), by: u64) {
    let (mut high, mut low) = *number;
    let mut bits = u64::BITS;
    while bits > 0 {
        bits -= 1;
        let carry = high >> 63;
        high = high << 1 | low >> 63;
        low <<= 1;
        // With the bit that was carried out the upper half is the larger one, and what is left
        // after the subtraction is right all the same.
        if carry != 0 || high >= by {
            high = high.wrapping_sub(by);
            low |= 1;
        }
    }
    *number = (high, low);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_division_leaves_the_rest() {
        let edges =
            [0, 1, 2, 3, 999_999_999, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX - 1, u64::MAX];
        for (high, low) in edges.iter().flat_map(|high| edges.map(|low| (*high, low))) {
            for by in edges.into_iter().filter(|by| high < *by) {
                let number = u128::from(high) << 64 | u128::from(low);
                let expected = ((number / u128::from(by)) as u64, (number % u128::from(by)) as u64);
                assert_eq!(divide((high, low), by), expected, "{number} / {by}");
                let mut paper = (high, low);
                bit_by_bit(&mut paper, by);
                assert_eq!((paper.1, paper.0), expected, "{number} / {by}");
            }
        }
        assert_eq!(divide((0, 7), 0), (7, 0));
    }

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
