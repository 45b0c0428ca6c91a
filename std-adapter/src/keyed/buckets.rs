//! A token bucket for each key, one word each.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use fusebox_core::{
    BucketConfig, BucketState, Clock, ConfigError, Gate, Outcome, Quota, Reason, Rejection,
    SharedBucket, TakenTokens, Ticks,
};

use super::table::{Forget, Table};
use crate::StdClock;

/// A token bucket for each key, at most so many of them, that share their limits: each user's
/// requests per second, each address's logins per hour.
///
/// An entry is the key and one word, where a [`Keyed`](crate::Keyed) of
/// [`TokenBucket`](crate::TokenBucket)s has ten and an allocation. What it has less is
/// what a bucket of its own is for: waiting for tokens, reservations, limits that change. To have
/// these, take `Keyed<K, TokenBucket>`.
///
/// A bucket is forgotten only when it is full, and has been for the longest lateness of a reading
/// of the clock: a new one then differs in nothing, unless it
/// [starts](BucketConfig::initially) with less than its burst: then a key that comes again after it
/// was forgotten starts so again. When all of the few dozen that a
/// newcomer looks at are busy, it is refused with [`Reason::Overloaded`], or takes from the [bucket
/// that all such keys share](Self::overflow).
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::net::IpAddr;
/// use std::sync::LazyLock;
///
/// /// Five logins at once from each address, and then one every 12 seconds.
/// static LOGINS: LazyLock<KeyedBuckets<IpAddr>> = LazyLock::new(|| {
///     KeyedBuckets::new(100_000, BucketConfig::per_minute(5).burst(5)).expect("a rate that fits")
/// });
///
/// fn login(from: IpAddr, password: &str) -> Result<&'static str, Error<&'static str>> {
///     LOGINS.of(&from, 1).call(|| if password == "secret" { Ok("welcome") } else { Err("wrong") })
/// }
/// let (here, there) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// for _ in 0..5 {
///     assert_eq!(login(here, "guess"), Err(Error::Inner("wrong")));
/// }
/// let refused = login(here, "secret").unwrap_err().rejection().unwrap();
/// assert_eq!(refused.reason(), Reason::RateLimited);
/// println!("Retry-After: {:?}", refused.retry_after());
/// assert_eq!(login(there, "secret"), Ok("welcome"));
/// ```
///
/// Some keys with limits of their own:
///
/// ```
/// use fusebox_std::prelude::*;
///
/// let limits = KeyedBuckets::new(1_000, BucketConfig::per_second(10))?
///     .override_for("acme".to_owned(), BucketConfig::per_second(1_000))?;
/// assert!(limits.try_acquire("acme", 1_000).is_ok());
/// assert!(limits.try_acquire("ajax", 11).is_err());
/// # Ok::<(), fusebox_std::ConfigError>(())
/// ```
pub struct KeyedBuckets<K, C = StdClock, S = RandomState> {
    table: Table<K, BucketState, S>,
    limits: Limits<K, C>,
    clock: C,
    overflow: Option<(SharedBucket<C>, BucketState)>,
}

/// Whose limits are which.
struct Limits<K, C> {
    common: SharedBucket<C>,
    overrides: HashMap<K, SharedBucket<C>>,
}

impl<K: Hash + Eq, C> Limits<K, C> {
    #[inline]
    fn of<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> &SharedBucket<C>
    where
        K: Borrow<Q>,
    {
        // The map looks first whether it is empty, and hashes nothing then.
        self.overrides.get(key).unwrap_or(&self.common)
    }
}

/// Which buckets are full at an instant.
struct FullAt<'a, K, C>(&'a Limits<K, C>, Ticks);

impl<K: Hash + Eq, C: Clock> Forget<K, BucketState> for FullAt<'_, K, C> {
    fn may(&self, key: &K, state: &BucketState) -> bool {
        self.0.of(key).is_idle_at(state, self.1)
    }
}

impl<K: Hash + Eq> KeyedBuckets<K> {
    /// At most `capacity` buckets that do as `config` says, each made when its key first comes.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_new`](fusebox_core::TokenBucket::try_new).
    pub fn new(capacity: usize, config: BucketConfig) -> Result<Self, ConfigError> {
        Self::with_parts(capacity, config, StdClock, RandomState::new())
    }
}

impl<K: Hash + Eq, C: Clock + Clone, S: BuildHasher> KeyedBuckets<K, C, S> {
    /// [`new`](KeyedBuckets::new) with a clock and a hasher. If keys come from outside, it must be
    /// one that is seeded at random: whoever can find keys of the same hash can make all of them
    /// slow.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedBuckets::new).
    pub fn with_parts(
        capacity: usize,
        config: BucketConfig,
        clock: C,
        hasher: S,
    ) -> Result<Self, ConfigError> {
        let common = SharedBucket::try_new(config, clock.clone())?;
        let limits = Limits { common, overrides: HashMap::new() };
        Ok(Self { table: Table::new(capacity, hasher), limits, clock, overflow: None })
    }

    /// `key` has limits of its own.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedBuckets::new).
    pub fn override_for(mut self, key: K, config: BucketConfig) -> Result<Self, ConfigError> {
        let own = SharedBucket::try_new(config, self.clock.clone())?;
        self.limits.overrides.insert(key, own);
        Ok(self)
    }

    /// All keys for which there is no room share a bucket that does as `config` says, instead of
    /// being refused.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedBuckets::new).
    pub fn overflow(mut self, config: BucketConfig) -> Result<Self, ConfigError> {
        let shared = SharedBucket::try_new(config, self.clock.clone())?;
        self.overflow = Some((shared, BucketState::new()));
        Ok(self)
    }

    /// Takes `tokens` tokens from the bucket of `key`, all or none.
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_acquire`](fusebox_core::TokenBucket::try_acquire); and
    /// [`Reason::Overloaded`] for a new key where the map is full of busy ones, and there is no
    /// [bucket for all of these](Self::overflow).
    #[inline]
    pub fn try_acquire<Q>(&self, key: &Q, tokens: u32) -> Result<(), Rejection>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        self.take_at(key, tokens, self.clock.now()).map(|_| ())
    }

    /// The gate at which each call of `key` takes `tokens` tokens.
    pub const fn of<'a, Q: ?Sized>(
        &'a self,
        key: &'a Q,
        tokens: u32,
    ) -> KeyedTokens<'a, K, Q, C, S> {
        KeyedTokens { buckets: self, key, tokens }
    }

    /// How many tokens there are for `key`; as many as in a new bucket if it is not known.
    #[must_use]
    pub fn peek<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (limits, now) = (self.limits.of(key), self.clock.now());
        let found = self.table.find(key, |state| limits.peek_at(state, now));
        found.unwrap_or_else(|| limits.peek_at(&BucketState::new(), now))
    }

    /// What is left for `key`, and what it gets over time; as of a new bucket if it is not known.
    #[must_use]
    pub fn quota<Q>(&self, key: &Q) -> Quota
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let (limits, now) = (self.limits.of(key), self.clock.now());
        let found = self.table.find(key, |state| limits.quota_at(state, now));
        found.unwrap_or_else(|| limits.quota_at(&BucketState::new(), now))
    }

    /// Forgets the bucket of `key`, so that it has a new one with its next call; whether there was
    /// one. What calls that are under way give back goes to the new one.
    pub fn remove<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.remove(key).is_some()
    }

    /// Forgets all buckets that are full, and gives memory back; how many those were.
    ///
    /// Nothing has to call it: newcomers make room for themselves. It is for a timer that is there
    /// anyway, so that the memory of a busy hour does not stay. It locks a few hundred entries at a
    /// time; but to give back memory it hashes those that are left in a shard anew, up to a quarter
    /// of what there was room for, while nobody else gets at that shard.
    pub fn sweep(&self) -> usize {
        self.table.sweep(&FullAt(&self.limits, self.clock.now()))
    }

    #[inline]
    fn take_at<Q>(&self, key: &Q, tokens: u32, now: Ticks) -> Result<KeyedTaken, Rejection>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let limits = self.limits.of(key);
        let taken = self.table.find_or_add(
            key,
            &FullAt(&self.limits, now),
            |_| BucketState::new(),
            |state| limits.take_at(state, tokens, now),
            |state| limits.take_at(state, tokens, now),
        );
        match (taken, &self.overflow) {
            (Some(taken), _) => Ok(KeyedTaken { taken: taken?, shared: false }),
            (None, Some((limits, state))) => {
                Ok(KeyedTaken { taken: limits.take_at(state, tokens, now)?, shared: true })
            }
            (None, None) => Err(Rejection::new(Reason::Overloaded)),
        }
    }

    /// Gives back what was taken for a call that was never made. Where the bucket was forgotten it
    /// was full, and gets nothing back.
    fn give_back<Q>(&self, key: &Q, token: KeyedTaken, tokens: u32)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let now = self.clock.now();
        if !token.shared {
            let limits = self.limits.of(key);
            self.table.find(key, |state| limits.give_back_at(state, token.taken, tokens, now));
        } else if let Some((limits, state)) = &self.overflow {
            limits.give_back_at(state, token.taken, tokens, now);
        }
    }
}

impl<K, C, S> KeyedBuckets<K, C, S> {
    /// How many buckets there are. Never more than [`capacity`](Self::capacity).
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many buckets there can be, without the one of the overflow.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.table.capacity()
    }
}

impl<K, C, S> fmt::Debug for KeyedBuckets<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedBuckets")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// The bucket of one key seen as a gate for so many tokens per call; see [`KeyedBuckets::of`].
#[must_use]
pub struct KeyedTokens<'a, K, Q: ?Sized = K, C = StdClock, S = RandomState> {
    buckets: &'a KeyedBuckets<K, C, S>,
    key: &'a Q,
    tokens: u32,
}

/// What a call has taken from one of [`KeyedBuckets`].
#[derive(Clone, Copy, Debug)]
pub struct KeyedTaken {
    taken: TakenTokens,
    /// From the bucket of the overflow.
    shared: bool,
}

impl<K, Q, C, S> Gate for KeyedTokens<'_, K, Q, C, S>
where
    K: Hash + Eq + Borrow<Q>,
    Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    C: Clock + Clone,
    S: BuildHasher,
{
    type Token = KeyedTaken;

    #[inline]
    fn enter(&self) -> Result<KeyedTaken, Rejection> {
        self.buckets.take_at(self.key, self.tokens, self.buckets.clock.now())
    }

    #[inline]
    fn exit(&self, token: KeyedTaken, outcome: Outcome) {
        if outcome == Outcome::Refused {
            self.buckets.give_back(self.key, token, self.tokens);
        }
    }
}

impl<K, Q: ?Sized, C, S> Clone for KeyedTokens<'_, K, Q, C, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, Q: ?Sized, C, S> Copy for KeyedTokens<'_, K, Q, C, S> {}

impl<K, Q: fmt::Debug + ?Sized, C, S> fmt::Debug for KeyedTokens<'_, K, Q, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedTokens")
            .field("key", &self.key)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}
