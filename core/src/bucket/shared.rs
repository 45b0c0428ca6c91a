//! Many buckets with the same limits: the limits once, and one word for each bucket.
//!
//! A [`TokenBucket`] keeps clock, limits and scale beside its word: nine words for each of a
//! million users would be eight too many. So its functions take the word as an argument, and here
//! it comes from elsewhere. What is given up is the live change: which of two sets of limits is in
//! force is a bit of the word, and no compare-and-swap can turn it in a million of them at once.

use core::fmt;

use super::state::Tat;
use super::{BucketConfig, TakenTokens, TokenBucket};
use crate::error::{ConfigError, Rejection};
use crate::sync::{AtomicWord, constructor};
use crate::time::{Clock, Ticks};

/// The limits of many token buckets that differ in nothing but what was taken from them: each of
/// them is a [`BucketState`] of one word.
///
/// The limits are fixed; a bucket whose limits change while it is in use is a [`TokenBucket`].
///
/// # Examples
///
/// ```
/// use fusebox_core::{BucketConfig, BucketState, ManualClock, SharedBucket};
///
/// let clock: ManualClock = ManualClock::new();
/// // Each of the sensors may report twice at once, and once a second.
/// let limit = SharedBucket::new(BucketConfig::per_second(1).burst(2), &clock);
/// let sensors = [const { BucketState::new() }; 64];
///
/// assert!(limit.try_acquire(&sensors[3], 2).is_ok());
/// assert!(limit.try_acquire(&sensors[3], 1).is_err());
/// assert!(limit.try_acquire(&sensors[4], 1).is_ok());
/// ```
///
/// # Interrupt safety
///
/// As [`TokenBucket`].
pub struct SharedBucket<C> {
    /// The word in it is not used.
    pub(super) bucket: TokenBucket<C>,
}

/// What was taken from one of the buckets of a [`SharedBucket`]: always the same one, as the word
/// means nothing under other limits.
pub struct BucketState(pub(super) AtomicWord);

#[cfg(not(loom))]
const _: () = assert!(size_of::<BucketState>() == size_of::<crate::word::Word>());

impl BucketState {
    constructor! {
        /// A bucket that nobody has used.
        #[must_use]
        pub const fn new() -> Self {
            Self(AtomicWord::new(Tat::UNSTARTED.0))
        }
    }
}

impl Default for BucketState {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for BucketState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BucketState").finish_non_exhaustive()
    }
}

impl<C: Clock> SharedBucket<C> {
    constructor! {
        /// Buckets that do as `config` says, in the time of `clock`.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would return an error; in a `static`, that is a
        /// compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: BucketConfig, clock: C) -> Self {
            Self { bucket: TokenBucket::new(config, clock) }
        }
    }

    /// [`new`](Self::new) for a configuration that is known only at run time.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_new`].
    pub fn try_new(config: BucketConfig, clock: C) -> Result<Self, ConfigError> {
        TokenBucket::try_new(config, clock).map(|bucket| Self { bucket })
    }

    /// The clock.
    #[must_use]
    pub const fn clock(&self) -> &C {
        &self.bucket.clock
    }

    /// Takes `tokens` tokens from the bucket that is in `state`, all or none.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire`].
    #[inline]
    pub fn try_acquire(&self, state: &BucketState, tokens: u32) -> Result<(), Rejection> {
        self.take_at(state, tokens, self.bucket.clock.now()).map(|_| ())
    }

    /// Takes `tokens` tokens at `now`, and says what that takes to be given back.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire`].
    #[inline]
    pub fn take_at(
        &self,
        state: &BucketState,
        tokens: u32,
        now: Ticks,
    ) -> Result<TakenTokens, Rejection> {
        self.bucket.take(&state.0, tokens, now, 0).map(|taken| taken.tokens)
    }

    /// Gives back what was `taken` as `tokens` tokens of this bucket, as far as time has not paid
    /// for it yet.
    pub fn give_back_at(&self, state: &BucketState, taken: TakenTokens, tokens: u32, now: Ticks) {
        self.bucket.give_back(&state.0, taken, tokens, now);
    }

    /// How many tokens there are at `now`.
    #[must_use]
    pub fn peek_at(&self, state: &BucketState, now: Ticks) -> u32 {
        let view = self.bucket.view_of(&state.0, self.bucket.scale.units(now));
        view.limits.available(view.debt)
    }

    /// Whether a new state in place of this one would change nothing: see
    /// [`Idle`](crate::Idle).
    #[must_use]
    pub fn is_idle_at(&self, state: &BucketState, now: Ticks) -> bool {
        self.bucket.is_full_for_all(&state.0, now)
    }
}

impl<C: Clock> TokenBucket<C> {
    /// Whether the bucket is full for everyone, those included whose reading of the clock is as
    /// late as is supported.
    ///
    /// Were it only full at `now`, a late reader would find debt in it, and none in a new bucket:
    /// it would take the burst as of an earlier time, and leave to the others what has come in
    /// since.
    pub(super) fn is_full_for_all(&self, tat: &AtomicWord, now: Ticks) -> bool {
        let seen = Self::load(tat);
        let latest = self.scale.units(now).wrapping_sub(self.lateness);
        // Limits that are not the word's own would come from a live change, and so from somebody
        // who holds the bucket: see `Idle::is_idle`.
        seen.is_unstarted() || self.actual_debt(seen, self.limits(seen), latest) == 0
    }
}

impl<C: Clock> fmt::Debug for SharedBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBucket").finish_non_exhaustive()
    }
}
