//! Limits by key in memory that does not depend on how many keys there are.
//!
//! # Background
//!
//! Whoever limits by address meets more addresses than there is memory for. A table of them is full
//! at some time, and has to refuse newcomers or to forget somebody.
//!
//! # Solution
//!
//! A count-min sketch (Cormode, Muthukrishnan: "An Improved Data Stream Summary: The Count-Min
//! Sketch and its Applications", Journal of Algorithms 55, 2005) whose counters are token buckets.
//! Keys are not stored. Each has one state in each of four rows, found by a hash, and shares it
//! with whatever other keys fall there. The others can only make a state look emptier than the
//! key's own bucket would be, so the truth is nearest in the fullest of its four: that one decides.
//!
//! What is let in is not added to all four, but raises them as far as the one that decided
//! (Estan, Varghese: "New Directions in Traffic Measurement and Accounting", SIGCOMM 2002, call it
//! conservative update). Here that is a maximum of instants: each of the four is full again no
//! earlier than the deciding one. So a state is not the sum of what its keys took, but the most
//! that any of them seemed to have taken: keys that keep well within the limit do not add up.
//!
//! # Why it errs on one side
//!
//! Each state of a key is full again no earlier than the key's own bucket would be: so it is at the
//! start, and each grant moves the own bucket from its instant, or from now if that is later, by
//! the price, and each of the four from one that is no earlier to at least as much after it. So no
//! key is ever let in where its own bucket would have refused.
//!
//! # Why several threads cannot let one key in twice
//!
//! Whoever wants tokens first raises the three states that do not decide, and then swaps the
//! fourth, which is what lets it in. Let two calls of one key decide on different states, each
//! before it sees the other's grant. Each has raised the other's state before it swaps its own.
//! Where a raise came before the swap, the swap fails, or begins from what was raised. So both
//! raises came after the swaps, and each swap after itself: a contradiction, by the orderings that
//! are said at both. What was raised for a call that was refused after all, as another key's call
//! raised the deciding state meanwhile, is lost: the safe side.
//!
//! # Lock freedom
//!
//! A turn is repeated because somebody has raised the deciding state. Usually that one is let in.
//! Calls of different keys that share two states may raise each other's; then all of them, though
//! nobody was let in, see debts that are larger by a token each, on average, and after a burst of
//! such turns they are refused.

use core::fmt;

use super::shared::{BucketState, SharedBucket};
use super::state::Tat;
use super::{BucketConfig, TokenBucket, View};
use crate::error::{ConfigError, Reason, Rejection};
use crate::gate::{Gate, Outcome};
use crate::rng::mix;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::{Clock, Ticks};
use crate::word::Word;

/// How many states each key has.
///
/// Of the memory that there is, 0.7 rows for each state that a busy key has would err least, as in
/// a Bloom filter; but each row costs a cache miss, and four bring the error below one in a
/// hundred.
const ROWS: usize = 4;

/// A token bucket for each of any number of keys, in memory that does not grow with them: for keys
/// that are made up by others, as addresses are.
///
/// It may refuse a call that the key's own bucket would let in. It never lets one in that the key's
/// own bucket would refuse, unless the limits are not full [initially](BucketConfig::initially):
/// they begin to fill when the first of the keys that share their states comes.
///
/// # How often it errs
///
/// A key is *busy* for as long as an empty bucket takes to fill after it has last been let in. Let
/// there be `width` columns and at most `busy` busy keys at a time. Then an innocent key, drawn at
/// random, shares all of its states with busy ones, and so is affected at all, with a probability
/// of less than `(busy / width)^4`. With `width >= e * busy` that is less than e^-4, 1.8 %, which
/// is what Cormode and Muthukrishnan prove for 4 rows and `ε = 1 / busy` (theorem 1). The figure
/// for independent hashes is `(1 - (1 - 1 / width)^busy)^4`:
///
/// | columns for each busy key | bytes for each, where words are 64 bits | keys affected |
/// |---|---|---|
/// | 1 | 32 | 16 % |
/// | 2 | 64 | 2.4 % |
/// | 4 | 128 | 0.24 % |
/// | 8 | 256 | 0.019 % |
///
/// Who is affected is not yet refused: what it takes comes on top of what one of four strangers has
/// taken, the one that took the least. In a flood of more busy keys than there are columns most are
/// affected, and all keys together are let in at most four times `width` as often as one is.
///
/// # Examples
///
/// A gateway that forwards ten messages a minute from each sensor, whoever the sensors are:
///
/// ```
/// use fusebox_core::{BucketConfig, BucketSketch, ManualClock, SketchColumn, Switch};
///
/// static CLOCK: ManualClock = ManualClock::new();
/// /// 8 KiB, or 4 where words are 32 bits.
/// static SENSORS: BucketSketch<&ManualClock, [SketchColumn; 256]> = BucketSketch::new(
///     BucketConfig::per_minute(10).burst(10),
///     &CLOCK,
///     [const { SketchColumn::new() }; 256],
/// );
///
/// fn is_forwarded(sender: &[u8; 6]) -> bool {
///     SENSORS.try_acquire(Switch::key(sender), 1).is_ok()
/// }
/// let (chatty, quiet) = ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]);
/// assert_eq!((0..100).filter(|_| is_forwarded(&chatty)).count(), 10);
/// assert!(is_forwarded(&quiet));
/// ```
///
/// # Interrupt safety
///
/// As [`TokenBucket`].
pub struct BucketSketch<C, S> {
    limits: SharedBucket<C>,
    columns: S,
}

/// One state in each row of a [`BucketSketch`]: a sketch is as wide as it has columns.
#[derive(Debug)]
pub struct SketchColumn([BucketState; ROWS]);

impl SketchColumn {
    constructor! {
        /// A column that nobody has used.
        #[must_use]
        pub const fn new() -> Self {
            Self(crate::sync::array_of![BucketState::new(); ROWS])
        }
    }
}

impl Default for SketchColumn {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, S: AsRef<[SketchColumn]>> BucketSketch<C, S> {
    constructor! {
        /// Buckets that do as `config` says, in the time of `clock`, with their states in new
        /// `columns`, at most 2^32 of them.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would return an error; in a `static`, that is a
        /// compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: BucketConfig, clock: C, columns: S) -> Self {
            Self { limits: SharedBucket::new(config, clock), columns }
        }
    }

    /// [`new`](Self::new) for a configuration that is known only at run time.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_new`].
    pub fn try_new(config: BucketConfig, clock: C, columns: S) -> Result<Self, ConfigError> {
        SharedBucket::try_new(config, clock).map(|limits| Self { limits, columns })
    }

    /// How many columns there are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.as_ref().len()
    }

    /// Takes `tokens` tokens from the bucket of the key with this `hash`, all or none.
    ///
    /// Where keys come from outside, the hash must be one that is seeded at random: who can find
    /// keys that share the states of another one can use up its tokens. It need not be well mixed.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire`]; and [`Reason::Overloaded`] if there is no column.
    #[inline]
    pub fn try_acquire(&self, hash: u64, tokens: u32) -> Result<(), Rejection> {
        self.try_acquire_at(hash, tokens, self.limits.clock().now())
    }

    /// [`try_acquire`](Self::try_acquire) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_at(&self, hash: u64, tokens: u32, now: Ticks) -> Result<(), Rejection> {
        match self.states(hash) {
            Some(states) => self.limits.bucket.take_from_fullest(states, tokens, now),
            None => Err(Rejection::new(Reason::Overloaded)),
        }
    }

    /// How many tokens there are now for the key with this `hash`: its own bucket would hold as
    /// many, or more.
    #[must_use]
    pub fn peek(&self, hash: u64) -> u32 {
        self.peek_at(hash, self.limits.clock().now())
    }

    /// [`peek`](Self::peek) at a time of the caller's choice.
    #[must_use]
    pub fn peek_at(&self, hash: u64, now: Ticks) -> u32 {
        let most = |states: [&AtomicWord; ROWS]| {
            let views = states.map(|state| self.limits.bucket.view_at(state, now));
            views.iter().map(|view| view.limits.available(view.debt)).max()
        };
        self.states(hash).and_then(most).unwrap_or(0)
    }

    /// The gate at which each call of the key with this `hash` takes `tokens` tokens.
    pub const fn of(&self, hash: u64, tokens: u32) -> SketchTokens<'_, C, S> {
        SketchTokens { sketch: self, hash, tokens }
    }

    /// The states of a key, of each row one.
    #[inline]
    fn states(&self, hash: u64) -> Option<[&AtomicWord; ROWS]> {
        let columns = self.columns.as_ref();
        // Halves of two mixes, as four hashes that have nothing to do with each other. What costs
        // less, one hash and its multiples (Kirsch, Mitzenmacher 2006), lets keys that share two
        // states share the others, too.
        let (a, b) = (mix(hash), mix(!hash));
        let of_row = |row: usize, bits: u64| {
            let SketchColumn(states) = columns.get(place(bits, columns.len()))?;
            states.get(row).map(|state| &state.0)
        };
        Some([of_row(0, a)?, of_row(1, a >> 32)?, of_row(2, b)?, of_row(3, b >> 32)?])
    }
}

/// One of so many places, by the low 32 bits of `hash`.
fn place(hash: u64, places: usize) -> usize {
    let places = u32::try_from(places).unwrap_or(u32::MAX);
    ((hash & 0xffff_ffff).wrapping_mul(u64::from(places)) >> 32) as usize
}

impl<C: Clock> TokenBucket<C> {
    fn view_at(&self, state: &AtomicWord, now: Ticks) -> View {
        self.view_of(state, self.scale.units(now))
    }

    /// Takes `tokens` tokens of a key whose bucket is at least as full as the fullest of `states`.
    #[inline]
    fn take_from_fullest(
        &self,
        states: [&AtomicWord; ROWS],
        tokens: u32,
        now: Ticks,
    ) -> Result<(), Rejection> {
        if tokens == 0 {
            return Ok(());
        }
        let at = self.scale.units(now);
        loop {
            let views = states.map(|state| (state, self.glance(state, at)));
            // The first one where there are several: calls of one key meet at one state.
            let fullest = views.iter().enumerate().min_by_key(|(_, (_, view))| view.debt);
            let Some((decides, &(deciding, View { seen, limits, debt }))) = fullest else {
                return Err(Rejection::new(Reason::Overloaded));
            };
            let (price, tolerance) = (limits.price(tokens), limits.tolerance());
            if price > tolerance {
                return Err(Rejection::new(Reason::ExceedsBurst));
            }
            // Neither wraps: see `take`.
            let debt = debt.wrapping_add(price);
            if debt > tolerance {
                return Err(self.limited(debt.wrapping_sub(tolerance), now));
            }
            let next = Tat::new(at.wrapping_add(debt), seen.slot());
            for (row, &(state, view)) in views.iter().enumerate() {
                if row != decides {
                    self.raise(state, view, debt, next, at);
                }
            }
            // Release: what was raised before; pairs with the Acquires in `raise` and `load`, so
            // that who finds this state raised swaps none of the others as it was before.
            // Relaxed, where it fails: all of them are looked at again.
            let (ok, failed) = (Ordering::Release, Ordering::Relaxed);
            if deciding.compare_exchange_weak(seen.0, next.0, ok, failed).is_ok() {
                return Ok(());
            }
        }
    }

    /// A state whose limits never change, and its debt.
    #[inline]
    fn glance(&self, state: &AtomicWord, at: Word) -> View {
        let seen = Self::load(state);
        if seen.is_unstarted() && self.missing != 0 {
            return self.view_of(state, at);
        }
        let limits = self.limits(seen);
        View { seen, limits, debt: self.actual_debt(seen, limits, at) }
    }

    /// Makes `state` full no earlier than at `next`, which is `debt` ahead.
    #[inline]
    fn raise(&self, state: &AtomicWord, mut view: View, debt: Word, next: Tat, at: Word) {
        while view.debt < debt {
            let seen = view.seen.0;
            // Acquire, both here and in the look: if this comes after a grant that was decided by
            // this state, then the raises that came before that grant are seen by the swap that
            // comes after this. Release is not needed: what is published by the grants continues
            // through read-modify-writes.
            let (ok, failed) = (Ordering::Acquire, Ordering::Relaxed);
            match state.compare_exchange_weak(seen, next.0, ok, failed) {
                Ok(_) => return,
                Err(_) => view = self.glance(state, at),
            }
        }
    }
}

/// A key of a [`BucketSketch`], as a gate.
///
/// What a call has taken is gone, even if a later gate refuses it: the states are shared with other
/// keys, and what is given back to one of them might be another's. So this gate comes last.
#[must_use]
pub struct SketchTokens<'a, C, S> {
    sketch: &'a BucketSketch<C, S>,
    hash: u64,
    tokens: u32,
}

impl<C: Clock, S: AsRef<[SketchColumn]>> Gate for SketchTokens<'_, C, S> {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.sketch.try_acquire(self.hash, self.tokens)
    }

    #[inline]
    fn exit(&self, _token: (), _outcome: Outcome) {}
}

impl<C, S> Clone for SketchTokens<'_, C, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, S> Copy for SketchTokens<'_, C, S> {}

impl<C, S> fmt::Debug for SketchTokens<'_, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SketchTokens").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}

impl<C: Clock, S: AsRef<[SketchColumn]>> fmt::Debug for BucketSketch<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketSketch").field("width", &self.width()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_one_of_those_there_are_and_all_are_as_likely() {
        for places in [1, 2, 3, 1000, usize::MAX] {
            assert_eq!(place(0xffff_ffff_0000_0000, places), 0);
            assert!(place(u64::MAX, places) < places);
        }
        let mut counts = [0_u32; 10];
        for n in 0..10_000_u64 {
            if let Some(count) = counts.get_mut(place(mix(n), 10)) {
                *count += 1;
            }
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
