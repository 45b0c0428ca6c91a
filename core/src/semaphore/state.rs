//! The state words of a semaphore: permits that are held, tasks that wait for some, and how many
//! permits there are.

use core::fmt;

use crate::sync::{AtomicWord, Ordering, constructor, swap};
use crate::word::{Field, Word, by_width, mask};

const HELD: Field = Field::lowest(by_width(32, 20));
const WAITERS: Field = HELD.above(Word::BITS - HELD.end());

/// The most permits a semaphore can have.
pub(super) const MAX_PERMITS: u64 = (1 << HELD.width()) - 1;

/// The most places a queue can have: half of what the field can count.
///
/// A granter takes its waiter off the count just after it has granted it, and in between the place
/// may be empty and taken again: the count can be above the number of places by one for each
/// context that was stopped exactly there. The other half of the field is for those.
pub(super) const MAX_PLACES: usize = (WAITERS.max() / 2) as usize;

const _: () = assert!(HELD.width() <= u32::BITS && WAITERS.width() <= u32::BITS);
const _: () = assert!(MAX_PERMITS == mask(by_width(32, 20)) as u64 && MAX_PLACES >= 2047);

/// What the state word says.
///
/// ```text
/// 64-bit words   63           32 31            0
/// 32-bit words   31           20 19            0
///               +---------------+---------------+
///               |    waiters    |     held      |
///               +---------------+---------------+
/// ```
///
/// * `held`: permits that somebody holds or has reserved. What is free is the total less these: so
///   the total can fall below what is out, and then nothing is free until enough has come back.
/// * `waiters`: at least the number of places that are `WAITING`. A waiter adds itself before it
///   publishes its place, and is taken off after its place has left `WAITING`: the count is never
///   too low, so whoever reads 0 overtakes nobody and leaves nobody asleep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Snapshot(Word);

impl Snapshot {
    /// Nothing held, nobody waiting.
    const NEW: Self = Self(0);

    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 64 bits")]
    pub(super) const fn held(self) -> u32 {
        HELD.get(self.0) as u32
    }

    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 64 bits")]
    pub(super) const fn waiters(self) -> u32 {
        WAITERS.get(self.0) as u32
    }

    /// Takes `n` permits of `total` unless somebody waits: a newcomer never overtakes.
    const fn transition_take(self, n: u32, total: u32) -> Option<Self> {
        // Where somebody waits, the whole word is more than any total.
        match self.0.checked_add(n as Word) {
            Some(word) if word <= total as Word => Some(Self(word)),
            _ => None,
        }
    }

    /// Takes `n` permits of `total` on behalf of a waiter.
    const fn transition_reserve(self, n: u32, total: u32) -> Option<Self> {
        match self.held().checked_add(n) {
            // No bit is carried into the other field.
            Some(held) if held <= total => Some(Self(self.0.wrapping_add(n as Word))),
            _ => None,
        }
    }

    /// Gives `n` permits back. Stops at none: a token that is wrongly given back twice must not
    /// make more permits than there are.
    const fn transition_give(self, n: u32) -> Self {
        let held = self.held();
        let given = if n < held { n } else { held };
        Self(self.0.wrapping_sub(given as Word))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("held", &self.held())
            .field("waiters", &self.waiters())
            .finish()
    }
}

/// The state word, and the total.
///
/// **The total is a word of its own**, which changes seldom, so that what is held is counted in
/// full whatever becomes of the total. A taker may go by a total that was changed after it had
/// begun: what is then held above the new one is as if it had been held before.
///
/// Who gives permits back synchronises with who takes them later, so that a semaphore of one
/// permit orders what its holders do, as a lock does. All changes are read-modify-writes, so each
/// giver's Release heads a release sequence that the changes in between, Relaxed ones too, carry on
/// to whoever takes its permits with Acquire, however many givers the permits came from.
pub(super) struct Counts {
    word: AtomicWord,
    total: AtomicWord,
}

impl Counts {
    constructor! {
        /// `permits` free, nobody waiting.
        pub(super) const fn new(permits: u32) -> Self {
            let word = AtomicWord::new(Snapshot::NEW.0);
            Self { word, total: AtomicWord::new(permits as Word) }
        }
    }

    /// How many permits there are.
    #[inline]
    #[allow(clippy::unnecessary_cast, reason = "a conversion where words are 64 bits")]
    pub(super) fn total(&self) -> u32 {
        // Relaxed: a number and nothing behind it. In `grant`, where it must not be old, a fence
        // stands before it.
        self.total.load(Ordering::Relaxed) as u32
    }

    /// Changes how many permits there are. [`grant`](super::pool::Pool::grant) must be called next.
    pub(super) fn set_total(&self, permits: u32) {
        // Relaxed: as `total`; that waiters profit by it is the business of the fence in `grant`.
        self.total.store(Word::from(permits), Ordering::Relaxed);
    }

    pub(super) fn load(&self) -> Snapshot {
        // Relaxed: figures to look at, or a first guess that a CAS confirms; publishes nothing. In
        // `grant`, where it must not be old, a fence stands before it.
        Snapshot(self.word.load(Ordering::Relaxed))
    }

    /// Changes the word by `transition`, and returns what it was. `None`, and nothing is written,
    /// where the transition refuses. Lock-free: a CAS fails only because another one succeeded, or
    /// for no reason, as [`swap`] may.
    #[inline]
    fn update(
        &self,
        success: Ordering,
        transition: impl Fn(Snapshot) -> Option<Snapshot>,
    ) -> Option<Snapshot> {
        let mut old = self.load();
        loop {
            let new = transition(old)?;
            // Relaxed on failure: the value is only the next guess.
            match self.word.compare_exchange_weak(old.0, new.0, success, Ordering::Relaxed) {
                Ok(_) => return Some(old),
                Err(current) => old = Snapshot(current),
            }
        }
    }

    /// As [`update`](Self::update), AcqRel, where a call is no matter: on a small target its
    /// compare-and-swap is that of everybody.
    fn update_by_call(
        &self,
        transition: impl Fn(Snapshot) -> Option<Snapshot>,
    ) -> Option<Snapshot> {
        loop {
            let old = self.load();
            let new = transition(old)?;
            if swap(&self.word, old.0, new.0) {
                return Some(old);
            }
        }
    }

    /// Takes `n` permits if they are free and nobody waits.
    #[inline]
    #[must_use]
    pub(super) fn take(&self, n: u32) -> bool {
        // Acquire: pairs with the Release in `give`; what earlier holders did is done.
        self.update(Ordering::Acquire, |old| old.transition_take(n, self.total())).is_some()
    }

    /// [`take`](Self::take), before a wait.
    #[must_use]
    pub(super) fn take_or_wait(&self, n: u32) -> bool {
        // Acquire: as in `take`.
        self.update_by_call(|old| old.transition_take(n, self.total())).is_some()
    }

    /// Takes `n` permits for a waiter.
    #[must_use]
    pub(super) fn reserve(&self, n: u32) -> bool {
        // Acquire: pairs with the Release in `give`; handed on to the waiter by its slot's Release.
        self.update_by_call(|old| old.transition_reserve(n, self.total())).is_some()
    }

    /// Gives `n` permits back; whether somebody waits for them.
    #[inline]
    #[must_use]
    pub(super) fn give(&self, n: u32) -> bool {
        // Release: publishes what the holder did; pairs with the Acquire in `take` and `reserve`.
        let old = self.update(Ordering::Release, |old| Some(old.transition_give(n)));
        old.is_some_and(|old| old.waiters() > 0)
    }

    /// [`give`](Self::give) where that is seldom.
    ///
    /// Also puts back what was reserved for a waiter that is gone. Release is more than that needs,
    /// as a granter has done nothing that a holder must see.
    #[must_use]
    pub(super) fn give_back(&self, n: u32) -> bool {
        // Release: as in `give`.
        let old = self.update_by_call(|old| Some(old.transition_give(n)));
        old.is_some_and(|old| old.waiters() > 0)
    }

    /// Counts a waiter, before its place is published.
    pub(super) fn waiter_came(&self) {
        // Relaxed: the place is published by its own word. A giver either sees this count in the
        // very word it changes, or is before it in the order of the word's changes, and then
        // the waiter's own look at the word finds the permits.
        // The field is the highest: no bit is carried into another.
        self.word.fetch_add(WAITERS.one(), Ordering::Relaxed);
    }

    /// Takes a waiter off the count, after its place has left `WAITING`: each leaves once.
    pub(super) fn waiter_gone(&self) {
        // Relaxed: publishes nothing; who reads a count that is still too high only takes the
        // longer way.
        self.word.fetch_sub(WAITERS.one(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = MAX_PERMITS as u32;

    #[test]
    fn fields_keep_to_themselves() {
        let all = Snapshot::NEW.transition_take(MOST, MOST).unwrap();
        assert_eq!((all.held(), all.waiters()), (MOST, 0));
        assert_eq!(all.transition_take(1, MOST), None, "nothing is free");
        let queued = Snapshot(all.0 + 2 * WAITERS.one());
        assert_eq!((queued.held(), queued.waiters()), (MOST, 2));
        let free = queued.transition_give(MOST);
        assert_eq!((free.held(), free.waiters()), (0, 2));
        assert_eq!(free.transition_take(1, MOST), None, "somebody waits");
        assert_eq!(free.transition_reserve(MOST, MOST), Some(queued));
    }

    #[test]
    fn giving_stops_at_nothing_held() {
        assert_eq!(Snapshot::NEW.transition_give(u32::MAX), Snapshot::NEW);
    }

    #[test]
    fn nothing_is_free_below_what_is_held() {
        let held = Snapshot::NEW.transition_take(5, 8).unwrap();
        assert_eq!(held.transition_take(1, 3), None);
        assert_eq!(held.transition_give(2).transition_take(1, 3), None);
        assert_eq!(held.transition_give(3).transition_take(1, 3).map(Snapshot::held), Some(3));
    }
}
