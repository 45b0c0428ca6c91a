//! Many plain switches in one word.

use core::fmt;

use super::switched;
use crate::error::Rejection;
use crate::gate::{Gate, Outcome};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::word::Word;

/// Up to 32 plain feature switches in one word: on or off, by hand. All are on at the start.
///
/// For features that are put on and off together, or looked at together; a
/// [`Switch`](super::Switch) knows more.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Gate, Switches};
///
/// static FEATURES: Switches = Switches::new();
/// const SUGGESTIONS: u32 = 0;
/// const THUMBNAILS: u32 = 1;
///
/// FEATURES.at::<SUGGESTIONS>().disable();
/// assert!(FEATURES.at::<SUGGESTIONS>().permit().is_err());
/// assert!(FEATURES.at::<THUMBNAILS>().permit().is_ok());
///
/// // In trouble, everything that can go goes at once.
/// FEATURES.set_all(0);
/// assert!(!FEATURES.at::<THUMBNAILS>().is_enabled());
/// ```
///
/// # Interrupt safety
///
/// Wait-free where the target has atomic bit operations, lock-free elsewhere: one load to ask, one
/// read-modify-write to change.
pub struct Switches {
    /// A bit is set where the switch is off, so that all are on at the start.
    off: AtomicWord,
}

impl Switches {
    /// How many there are: 32, whatever the width of the words.
    pub const COUNT: u32 = u32::BITS;

    constructor! {
        /// All on.
        #[must_use]
        pub const fn new() -> Self {
            Self { off: AtomicWord::new(0) }
        }
    }

    /// Switch number `INDEX`, from 0 to 31; another one does not compile.
    ///
    /// ```compile_fail
    /// # use fusebox_core::Switches;
    /// static FEATURES: Switches = Switches::new();
    /// FEATURES.at::<32>().disable();
    /// ```
    #[must_use]
    pub const fn at<const INDEX: u32>(&self) -> Flag<'_> {
        const { assert!(INDEX < Self::COUNT, "there are 32 switches, numbered from 0") };
        Flag { set: self, index: INDEX }
    }

    /// Switch number `index`, from 0 to 31; `None` for another one.
    #[must_use]
    pub const fn get(&self, index: u32) -> Option<Flag<'_>> {
        if index < Self::COUNT { Some(Flag { set: self, index }) } else { None }
    }

    /// Which are on: bit n for switch number n.
    #[must_use]
    pub fn all(&self) -> u32 {
        !(self.load() as u32)
    }

    /// Puts each on where its bit of `on` is set, and the others off, all at the same moment.
    pub fn set_all(&self, on: u32) {
        // Release: as `Flag::disable`. A store, as it says the whole word, whatever it was.
        self.off.store(Word::from(!on), Ordering::Release);
    }

    fn load(&self) -> Word {
        // Acquire: pairs with the Release of whoever put a switch on; see the module docs.
        self.off.load(Ordering::Acquire)
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Switches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Switches({:#034b})", self.all())
    }
}

/// One of [`Switches`]; a [`Gate`].
#[derive(Clone, Copy, Debug)]
pub struct Flag<'a> {
    set: &'a Switches,
    index: u32,
}

impl Flag<'_> {
    /// The index is below 32.
    const fn bit(self) -> Word {
        (1 as Word) << (self.index & (Switches::COUNT - 1))
    }

    /// Off.
    pub fn disable(self) {
        // Release: publishes what was done before; pairs with the Acquire of `load`.
        self.set.off.fetch_or(self.bit(), Ordering::Release);
    }

    /// On.
    pub fn enable(self) {
        // Release: as above.
        self.set.off.fetch_and(!self.bit(), Ordering::Release);
    }

    /// Whether it is on.
    #[must_use]
    #[inline]
    pub fn is_enabled(self) -> bool {
        self.set.load() & self.bit() == 0
    }
}

impl Gate for Flag<'_> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        switched(self.is_enabled())
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}
