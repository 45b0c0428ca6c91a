//! A key and where its bucket is, as one gate.

use std::hash::{BuildHasher, Hash};
use std::ops::Deref;

use fusebox_core::{Clock, Gate, Outcome, Quota, Rejection};

use super::{KeyedBuckets, KeyedTaken};

/// The bucket of one key as a gate that owns the key, for futures that outlive what made them.
///
/// `R` is how the buckets are held: `&'static KeyedBuckets`, or an `Arc`. To borrow them both, see
/// [`KeyedBuckets::of`].
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use fusebox_std::{Gate, KeyedBucket, KeyedBuckets, prelude::*};
///
/// let limits = Arc::new(KeyedBuckets::new(1_000, BucketConfig::per_hour(1))?);
/// let bucket = KeyedBucket::new(Arc::clone(&limits), "ada".to_owned());
/// assert!(bucket.permit().is_ok());
/// assert!(bucket.permit().is_err());
/// # Ok::<(), fusebox_std::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct KeyedBucket<R, K> {
    buckets: R,
    key: K,
    tokens: u32,
}

impl<R, K> KeyedBucket<R, K> {
    /// The bucket of `key`, which gives one token for a call.
    pub const fn new(buckets: R, key: K) -> Self {
        Self { buckets, key, tokens: 1 }
    }

    /// The same for calls that take several.
    pub const fn tokens(mut self, tokens: u32) -> Self {
        self.tokens = tokens;
        self
    }
}

impl<R, K, C, S> KeyedBucket<R, K>
where
    R: Deref<Target = KeyedBuckets<K, C, S>>,
    K: Hash + Eq,
    C: Clock + Clone,
    S: BuildHasher,
{
    /// What is left in it: see [`KeyedBuckets::quota`].
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.buckets.quota(&self.key)
    }
}

impl<R, K, C, S> Gate for KeyedBucket<R, K>
where
    R: Deref<Target = KeyedBuckets<K, C, S>>,
    K: Hash + Eq + Clone,
    C: Clock + Clone,
    S: BuildHasher,
{
    type Token = KeyedTaken;

    #[inline]
    fn enter(&self) -> Result<KeyedTaken, Rejection> {
        self.buckets.of(&self.key, self.tokens).enter()
    }

    #[inline]
    fn exit(&self, token: KeyedTaken, outcome: Outcome) {
        self.buckets.of(&self.key, self.tokens).exit(token, outcome);
    }
}
