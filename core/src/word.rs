//! The machine word that holds a state, and the fields packed into it.

/// The state word: as wide as the target can compare-and-swap, 32 or 64 bits.
#[cfg(any(not(target_has_atomic = "64"), fusebox_word32))]
pub(crate) type Word = u32;
/// The state word: as wide as the target can compare-and-swap, 32 or 64 bits.
#[cfg(all(target_has_atomic = "64", not(fusebox_word32)))]
pub(crate) type Word = u64;

/// The width of the state words on this target, in bits: 64 where the target has 64-bit atomics,
/// otherwise 32. `--cfg fusebox_word32` makes it 32 everywhere, to test small targets on a host.
pub const WORD_BITS: u32 = Word::BITS;

/// Picks the first value where words are 64 bits wide, the second where they are 32.
pub(crate) const fn by_width(wide: u32, narrow: u32) -> u32 {
    if WORD_BITS == 64 { wide } else { narrow }
}

/// A word as a number of a fixed width.
#[inline]
#[allow(clippy::unnecessary_cast, reason = "a conversion where words are 32 bits")]
pub(crate) const fn widen(word: Word) -> u64 {
    word as u64
}

/// The low 32 bits of a word.
#[inline]
#[allow(clippy::unnecessary_cast, reason = "a conversion where words are 64 bits")]
pub(crate) const fn low_half(word: Word) -> u32 {
    word as u32
}

/// The low `bits` bits set.
pub(crate) const fn mask(bits: u32) -> Word {
    if bits >= Word::BITS { Word::MAX } else { ((1 as Word) << bits) - 1 }
}

/// A run of bits in a [`Word`]. A layout is a chain of fields, each `above` the one before, so that
/// shifts follow from widths.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Field {
    shift: u32,
    width: u32,
}

impl Field {
    /// The lowest field of a layout.
    pub(crate) const fn lowest(width: u32) -> Self {
        assert!(width > 0 && width <= Word::BITS);
        Self { shift: 0, width }
    }

    /// The field of `width` bits just above this one.
    pub(crate) const fn above(self, width: u32) -> Self {
        assert!(width > 0 && self.end() + width <= Word::BITS);
        Self { shift: self.end(), width }
    }

    /// The first bit above this field.
    pub(crate) const fn end(self) -> u32 {
        self.shift.saturating_add(self.width)
    }

    /// The field's width in bits.
    pub(crate) const fn width(self) -> u32 {
        self.width
    }

    /// The largest value that fits.
    pub(crate) const fn max(self) -> Word {
        mask(self.width)
    }

    /// What to add to a word for one more in the field: where it is not at its largest.
    pub(crate) const fn one(self) -> Word {
        (1 as Word).wrapping_shl(self.shift)
    }

    /// The field's value in `word`.
    pub(crate) const fn get(self, word: Word) -> Word {
        // Wrapping, here and below: a shift is less than the width of a word, but only known to be
        // so where the layout is constant.
        word.wrapping_shr(self.shift) & self.max()
    }

    /// `word` with the field set to `value`, of which the bits that do not fit are dropped
    /// (counters that wrap, such as generations, rely on that).
    pub(crate) const fn set(self, word: Word, value: Word) -> Word {
        (word & !self.max().wrapping_shl(self.shift))
            | (value & self.max()).wrapping_shl(self.shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_their_neighbours() {
        const LOW: Field = Field::lowest(5);
        const MIDDLE: Field = LOW.above(7);
        const HIGH: Field = MIDDLE.above(Word::BITS - MIDDLE.end());
        let word = HIGH.set(LOW.set(MIDDLE.set(0, 100), 31), HIGH.max());
        assert_eq!((LOW.get(word), MIDDLE.get(word), HIGH.get(word)), (31, 100, HIGH.max()));
        let word = MIDDLE.set(word, MIDDLE.max() + 1);
        assert_eq!((LOW.get(word), MIDDLE.get(word), HIGH.get(word)), (31, 0, HIGH.max()));
        assert_eq!(mask(Word::BITS), Word::MAX);
    }
}
