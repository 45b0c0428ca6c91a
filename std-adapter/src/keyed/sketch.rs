//! Token buckets for any number of keys in fixed memory.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::ops::Deref;

use fusebox_core::{
    BucketConfig, BucketSketch, Clock, ConfigError, Gate, Outcome, Rejection, SketchColumn,
    SketchTokens,
};

use crate::StdClock;

/// A token bucket for each of any number of keys, in memory that is allocated once: for keys of
/// which there may be more than there is room for, such as the addresses in an attack.
///
/// Keys are not stored: it is a count-min sketch of buckets, in which keys share states by their
/// hashes. A key is never let in where a [bucket of its own](crate::KeyedBuckets) would refuse it,
/// but may be refused where that would let it in: how often, is told at [`BucketSketch`], and by
/// what proof. Each newcomer has a place, nothing is evicted, there is no lock and nothing to
/// sweep.
///
/// [`KeyedBuckets`](crate::KeyedBuckets) is the better choice where you can say how many keys are
/// busy at a time: exact, smaller for that number of keys (20 to 39 bytes for each with `u64`
/// keys), and with limits by key.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::net::Ipv6Addr;
/// use std::sync::LazyLock;
///
/// /// Whole networks, as a client has as many addresses as it likes: 20 requests a second from each.
/// /// 8 MiB, for about 60 000 networks that are busy at a time.
/// static NETWORKS: LazyLock<KeyedSketch<[u16; 4]>> = LazyLock::new(|| {
///     KeyedSketch::new(1 << 18, BucketConfig::per_second(20)).expect("a rate that fits")
/// });
///
/// fn handle(from: Ipv6Addr, request: &str) -> Result<String, Error<std::io::Error>> {
///     let [a, b, c, d, ..] = from.segments();
///     NETWORKS.of(&[a, b, c, d], 1).call(|| Ok(format!("an answer to {request}")))
/// }
/// let from = |host| Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host);
/// let answers = (0..1000).filter(|&host| handle(from(host), "GET /").is_ok()).count();
/// assert!((20..30).contains(&answers), "one network, however many hosts");
/// assert!(handle(Ipv6Addr::LOCALHOST, "GET /").is_ok());
/// ```
pub struct KeyedSketch<K: ?Sized, C = StdClock, S = RandomState> {
    sketch: BucketSketch<C, Box<[SketchColumn]>>,
    hasher: S,
    /// Keys are looked at, and not kept.
    keys: PhantomData<fn(&K)>,
}

impl<K: Hash + ?Sized> KeyedSketch<K> {
    /// Buckets that do as `config` says, in so many columns of four words.
    ///
    /// Four columns for each key that is busy at a time leave 0.24 % of the others affected; see
    /// [`BucketSketch`].
    ///
    /// # Errors
    ///
    /// As [`TokenBucket::try_new`](fusebox_core::TokenBucket::try_new).
    pub fn new(columns: usize, config: BucketConfig) -> Result<Self, ConfigError> {
        Self::with_parts(columns, config, StdClock, RandomState::new())
    }
}

impl<K: Hash + ?Sized, C: Clock, S: BuildHasher> KeyedSketch<K, C, S> {
    /// [`new`](KeyedSketch::new) with a clock and a hasher. If keys come from outside, it must be
    /// one that is seeded at random: whoever can find keys that share the states of another one can
    /// use up its tokens.
    ///
    /// # Errors
    ///
    /// As [`new`](KeyedSketch::new).
    pub fn with_parts(
        columns: usize,
        config: BucketConfig,
        clock: C,
        hasher: S,
    ) -> Result<Self, ConfigError> {
        let columns = (0..columns).map(|_| SketchColumn::new()).collect();
        let sketch = BucketSketch::try_new(config, clock, columns)?;
        Ok(Self { sketch, hasher, keys: PhantomData })
    }

    /// Takes `tokens` tokens from the bucket of `key`, all or none.
    ///
    /// # Errors
    ///
    /// As [`BucketSketch::try_acquire`].
    #[inline]
    pub fn try_acquire<Q>(&self, key: &Q, tokens: u32) -> Result<(), Rejection>
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.sketch.try_acquire(self.hasher.hash_one(key), tokens)
    }

    /// How many tokens there are for `key`; a bucket of its own would hold as many, or more.
    #[must_use]
    pub fn peek<Q>(&self, key: &Q) -> u32
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.sketch.peek(self.hasher.hash_one(key))
    }

    /// The gate at which each call of `key` takes `tokens` tokens. Put it after all other gates of
    /// a call: what it has taken is gone, even if a later one refuses.
    pub fn of<Q>(&self, key: &Q, tokens: u32) -> SketchTokens<'_, C, Box<[SketchColumn]>>
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.sketch.of(self.hasher.hash_one(key), tokens)
    }

    /// How many columns there are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.sketch.width()
    }
}

/// The bucket of one key of a [`KeyedSketch`] as a gate that holds what it needs, for futures that
/// outlive what made them: one token for a call.
///
/// `R` is how the sketch is held: `&'static KeyedSketch`, or an `Arc`. To borrow it, see
/// [`KeyedSketch::of`], which is as this otherwise.
///
/// # Examples
///
/// ```
/// use std::{net::IpAddr, sync::Arc};
/// use fusebox_std::{KeyedSketchBucket, prelude::*};
///
/// let limits = Arc::new(KeyedSketch::<IpAddr>::new(1 << 10, BucketConfig::per_hour(1))?);
/// let bucket = KeyedSketchBucket::new(Arc::clone(&limits), &IpAddr::from([192, 0, 2, 1]));
/// assert!(bucket.permit().is_ok());
/// assert!(bucket.permit().is_err());
/// # Ok::<(), fusebox_std::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct KeyedSketchBucket<R> {
    sketch: R,
    hash: u64,
}

impl<R> KeyedSketchBucket<R> {
    /// The bucket of `key`.
    #[inline]
    pub fn new<K, C, S>(sketch: R, key: &K) -> Self
    where
        R: Deref<Target = KeyedSketch<K, C, S>>,
        K: Hash + ?Sized,
        S: BuildHasher,
    {
        let hash = sketch.hasher.hash_one(key);
        Self { sketch, hash }
    }
}

impl<R, K, C, S> Gate for KeyedSketchBucket<R>
where
    R: Deref<Target = KeyedSketch<K, C, S>>,
    K: ?Sized,
    C: Clock,
{
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        self.sketch.sketch.try_acquire(self.hash, 1)
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}

impl<K: ?Sized, C: Clock, S> fmt::Debug for KeyedSketch<K, C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedSketch").field("width", &self.sketch.width()).finish_non_exhaustive()
    }
}
