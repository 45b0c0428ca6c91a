//! A number of ticks in one word, for settings that change while they are in use: two words could
//! be seen half changed.

use crate::word::{Word, low_half, widen};

/// Ticks in one word: exact where words are 64 bits. Where they are 32, the highest 27 bits are
/// kept, and how far they are shifted: less by under one part in 2^26, and exact below 2^27. What
/// does not fit is the most that does, nearly 2^58: nine years in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed(pub(crate) Word);

/// Of a 32-bit word, how many bits say how far the others are shifted: so few that it is by less
/// than a word, which takes a small target half the code.
const SHIFT_BITS: u32 = 5;

impl Packed {
    #[allow(clippy::cast_possible_truncation, reason = "only what fits is kept")]
    pub(crate) const fn new(ticks: u64) -> Self {
        if Word::BITS == u64::BITS {
            return Self(ticks as Word);
        }
        let bits = u64::BITS - ticks.leading_zeros();
        let shift = bits.saturating_sub(u32::BITS - SHIFT_BITS);
        if shift >= u32::BITS {
            return Self(Word::MAX);
        }
        let highest = ticks.wrapping_shr(shift) as Word;
        Self(highest.wrapping_shl(SHIFT_BITS) | shift as Word)
    }

    #[inline]
    pub(crate) const fn ticks(self) -> u64 {
        if Word::BITS == u64::BITS {
            return widen(self.0);
        }
        // Masked, as the compiler does not know that a shift is taken from five bits alone.
        widen(self.0.wrapping_shr(SHIFT_BITS)).wrapping_shl(low_half(self.0) & 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_time_is_as_long_as_the_word_can_tell() {
        for bits in 0..u64::BITS {
            for ticks in [1 << bits, u64::MAX >> bits, (u64::MAX / 3) >> bits] {
                let packed = Packed::new(ticks).ticks();
                let most = match Word::BITS {
                    64 => 0,
                    _ if ticks >> 58 == 0 => ticks >> 26,
                    _ => ticks - ((1 << 58) - (1 << 31)),
                };
                let lost = ticks.checked_sub(packed);
                assert!(lost.is_some_and(|lost| lost <= most), "{ticks} became {packed}");
            }
        }
        assert_eq!(Packed::new(0).ticks(), 0);
    }
}
