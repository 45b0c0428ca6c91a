//! A number of ticks in one word, for settings that change while they are in use: two words could
//! be seen half changed.

use crate::word::{Word, widen};

/// Ticks in one word: exact where words are 64 bits. Where they are 32, the highest 26 bits are
/// kept, and how far they are shifted: less by under one part in 2^25, and exact below 2^26.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Packed(pub(crate) Word);

/// Of a 32-bit word, how many bits say how far the others are shifted.
const SHIFT_BITS: u32 = 6;

impl Packed {
    #[allow(clippy::cast_possible_truncation, reason = "only what fits is kept")]
    pub(crate) const fn new(ticks: u64) -> Self {
        if Word::BITS == u64::BITS {
            return Self(ticks as Word);
        }
        let bits = u64::BITS - ticks.leading_zeros();
        let shift = bits.saturating_sub(u32::BITS - SHIFT_BITS);
        let highest = ticks.wrapping_shr(shift) as Word;
        Self(highest.wrapping_shl(SHIFT_BITS) | shift as Word)
    }

    #[inline]
    pub(crate) const fn ticks(self) -> u64 {
        if Word::BITS == u64::BITS {
            return widen(self.0);
        }
        // Wrapping: the shift is taken from its lowest six bits alone.
        widen(self.0.wrapping_shr(SHIFT_BITS)).wrapping_shl(self.0 as u32)
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
                let most = if Word::BITS == 64 { 0 } else { ticks >> 25 };
                let lost = ticks.checked_sub(packed);
                assert!(lost.is_some_and(|lost| lost <= most), "{ticks} became {packed}");
            }
        }
        assert_eq!(Packed::new(0).ticks(), 0);
    }
}
