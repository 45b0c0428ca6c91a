//! A gate for each key: each user's limit, each host's breaker, each tenant's bulkhead.
//!
//! [`Keyed`] has a gate of any kind for each key, and hands it out. [`KeyedBuckets`] is for token
//! buckets that share their limits, as most limits by key do: its entries are one word each.
//! [`KeyedSketch`] is for more keys than there is room for: it keeps none, and errs a little.
//!
//! The first two are bounded by the number of keys that they were made for. What may be forgotten
//! to make room is only what is [idle](Idle): see there for what an attacker would gain otherwise.
//! There is no task in the background: a newcomer that finds no room makes some (`keyed/table.rs`
//! has how), and a `sweep` can be called from wherever something runs from time to time.

mod bucket;
mod buckets;
mod sketch;
mod stale;
mod table;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

pub use bucket::KeyedBucket;
pub use buckets::{KeyedBuckets, KeyedTaken, KeyedTokens};
pub use sketch::{KeyedSketch, KeyedSketchBucket};

use fusebox_core::{
    ConfigError, Deadline, Gate, Idle, Outcome, Reason, Rejection, Timer, WaitGate,
};

use crate::registry::{Configured, Inspect};
use stale::Epochs;
use table::{Forget, Table};

/// How long nobody has used a gate until what it remembers is forgotten where it is stale, unless
/// told otherwise.
const STALE_AFTER: Duration = Duration::from_secs(600);

/// A gate of any kind for each key, at most so many of them.
///
/// [`get`](Self::get) finds the gate of a key, or makes it. What it hands out is the gate, and
/// keeps it: as long as somebody has it, and so while a call runs or waits behind it, it is not
/// forgotten.
///
/// # When it is full
///
/// A new key takes the place of one that is [idle](Idle): whose bucket is full, whose breaker is
/// closed and has nothing on record, whose permits are all back. So nobody is better off for having
/// been forgotten, and worse off only where a new gate lets in less than one that is long in use: a
/// bucket that [starts](fusebox_core::BucketConfig::initially) with less than its burst starts so
/// again.
///
/// If nothing is idle among the few dozen that it looks at, the key is refused with
/// [`Reason::Overloaded`], or gets the [gate that all such keys share](Self::overflow). A flood of
/// new keys, whoever makes them up, so costs no more memory than was allowed and takes nothing from
/// those that are busy; whether it can keep other newcomers out depends on how long its keys stay
/// busy, so let the map have more room than there are users at a time.
///
/// A breaker that is open, or has a failure on record, is not idle, and if its key is never called
/// again it never will be. So what nobody has used for [`stale_after`](Self::stale_after) is also
/// forgotten where it is [stale](Idle::is_stale): a breaker whose open time is over, but never a
/// bucket with debt or a bulkhead with permits out.
///
/// Gates are asked whether they are idle under a lock of the map, so that nobody can use them
/// between the answer and the end. Neither a gate of your own nor its clock may use the map then,
/// and `Eq`, `Hash` and `Clone` of a key never may: they would wait for themselves for ever. With
/// debug assertions, a gate that does panics.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::sync::LazyLock;
///
/// /// A breaker for each host, so that one that is down does not take the others with it.
/// static HOSTS: LazyLock<Keyed<String, CircuitBreaker>> =
///     LazyLock::new(|| Keyed::new(10_000, |_host| {
///         CircuitBreaker::new(BreakerConfig::standard(), StdClock)
///     }));
///
/// fn fetch(host: &str) -> Result<String, Error<std::io::Error>> {
///     HOSTS.get(host)?.call(|| Ok(format!("a page of {host}")))
/// }
/// assert_eq!(fetch("example.org").unwrap(), "a page of example.org");
///
/// HOSTS.get("example.net")?.trip();
/// assert!(fetch("example.net").is_err());
/// assert!(fetch("example.org").is_ok());
/// # Ok::<(), Rejection>(())
/// ```
///
/// Settings by key, from a table:
///
/// ```
/// use fusebox_std::prelude::*;
///
/// let paying = [("acme".to_owned(), BulkheadConfig::new(100))];
/// let tenants: Keyed<String, Bulkhead> =
///     Keyed::configured(1_000, BulkheadConfig::new(2), paying)?;
///
/// assert_eq!(tenants.get("acme")?.semaphore().available(), 100);
/// let permits = [tenants.get("ajax")?, tenants.get("ajax")?].map(Permit::enter);
/// assert!(permits.iter().all(Result::is_ok));
/// assert!(tenants.get("ajax")?.permit().is_err(), "two of this tenant's calls are running");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// On trial at first, for each key, and counting from when somebody says so: new keys by what makes
/// their gates, the others by [`for_each`](Self::for_each). A [`Shadow`](fusebox_core::Shadow) that
/// counts is never idle, but it is stale when its gate is: let there be room for all the keys that
/// come within [`stale_after`](Self::stale_after), and when the trial is over, make gates without
/// one.
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::sync::LazyLock;
/// use std::sync::atomic::{AtomicBool, Ordering};
///
/// static ENFORCED: AtomicBool = AtomicBool::new(false);
/// static LIMITS: LazyLock<Keyed<String, Shadow<TokenBucket>>> = LazyLock::new(|| {
///     Keyed::new(1_000, |_| {
///         let limit = Shadow::new(TokenBucket::new(BucketConfig::per_hour(1), StdClock));
///         if ENFORCED.load(Ordering::SeqCst) {
///             limit.enforce();
///         }
///         limit
///     })
/// });
///
/// let serve = |user: &str| LIMITS.get(user).unwrap().call(|| Ok::<_, ()>("served"));
/// assert!(serve("ann").is_ok() && serve("ann").is_ok(), "the second is only reported");
///
/// ENFORCED.store(true, Ordering::SeqCst);
/// LIMITS.for_each(|_user, limit| limit.enforce());
/// assert!(serve("ann").is_err());
/// assert!(serve("bob").is_ok() && serve("bob").is_err());
/// ```
pub struct Keyed<K, G, S = RandomState> {
    table: Table<K, Arc<Entry<G>>, S>,
    make: Box<dyn Fn(&K) -> G + Send + Sync>,
    overflow: Option<Arc<Entry<G>>>,
    epochs: Arc<Epochs>,
}

#[derive(Debug)]
struct Entry<G> {
    gate: G,
    /// The epoch in which a use of it last ended.
    used: AtomicU32,
    epochs: Arc<Epochs>,
}

impl<K: Hash + Eq, G: Idle> Keyed<K, G> {
    /// At most `capacity` gates, each made by `make` of its key when that first comes.
    ///
    /// A gate is asked [whether it is idle](Idle) under a lock, and must not use the map then;
    /// `make` may. Where several come at once with the same new key, each of them makes a gate, and
    /// all get the same one.
    ///
    /// With room for none, all keys are [refused or share one gate](Self::overflow).
    pub fn new(capacity: usize, make: impl Fn(&K) -> G + Send + Sync + 'static) -> Self {
        Self::with_hasher(capacity, make, RandomState::new())
    }

    /// At most `capacity` gates that do as `config` says, except for the keys in `overrides`.
    ///
    /// # Errors
    ///
    /// One of the configurations is not valid.
    #[allow(clippy::missing_panics_doc, reason = "every configuration is tried out first")]
    pub fn configured(
        capacity: usize,
        config: G::Config,
        overrides: impl IntoIterator<Item = (K, G::Config)>,
    ) -> Result<Self, ConfigError>
    where
        K: Send + Sync + 'static,
        G: Configured<Config: Copy + Send + Sync + 'static>,
    {
        let overrides: HashMap<K, G::Config> = overrides.into_iter().collect();
        for config in overrides.values().chain([&config]) {
            G::configured(*config)?;
        }
        Ok(Self::new(capacity, move |key| {
            let config = *overrides.get(key).unwrap_or(&config);
            G::configured(config).expect("every configuration was tried out")
        }))
    }
}

impl<K: Hash + Eq, G: Idle, S: BuildHasher> Keyed<K, G, S> {
    /// [`new`](Self::new) with a hasher. If keys come from outside, it must be one that is seeded
    /// at random: whoever can find keys of the same hash can make all of them slow.
    pub fn with_hasher(
        capacity: usize,
        make: impl Fn(&K) -> G + Send + Sync + 'static,
        hasher: S,
    ) -> Self {
        Self {
            table: Table::new(capacity, hasher),
            make: Box::new(make),
            overflow: None,
            epochs: Arc::new(Epochs::new(STALE_AFTER)),
        }
    }

    /// The gate that all keys share for which there is no room, instead of being refused.
    #[must_use]
    pub fn overflow(mut self, gate: G) -> Self {
        self.overflow = Some(self.entry(gate));
        self
    }

    /// A gate that nobody has used for at least so long is forgotten where it is
    /// [stale](Idle::is_stale), when there is need of room and in a [`sweep`](Self::sweep): 10
    /// minutes unless told otherwise, at most 24 days. A use ends when what [`get`](Self::get)
    /// returned is dropped, and so with the call, however long that takes.
    ///
    /// Time is looked at by newcomers and sweeps only, so it may take longer: three halves of it,
    /// and from one of these to the next of them at least.
    #[must_use]
    pub fn stale_after(self, unused: Duration) -> Self {
        self.epochs.set_time(unused);
        self
    }

    /// The gate of `key`, made if there is none.
    ///
    /// # Errors
    ///
    /// [`Reason::Overloaded`] for a new key where the map is full of busy ones, and there is no
    /// [gate for all of these](Self::overflow).
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Result<KeyedGate<G>, Rejection>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        let make = |key: &K| self.entry((self.make)(key));
        let found = self.table.find_or_add(key, self, make, Arc::clone, Arc::clone);
        match found.or_else(|| self.overflow.clone()) {
            Some(entry) => Ok(KeyedGate { entry, is_use: true }),
            None => Err(Rejection::new(Reason::Overloaded)),
        }
    }

    /// The gate of `key`, if it is there: to look at it. Not a use of it, and neither is a call
    /// through what this returns.
    pub fn peek<Q>(&self, key: &Q) -> Option<KeyedGate<G>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.find(key, |entry| KeyedGate { entry: Arc::clone(entry), is_use: false })
    }

    /// Forgets the gate of `key`, idle or not. Who has it goes on with it.
    pub fn remove<Q>(&self, key: &Q) -> Option<KeyedGate<G>>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.table.remove(key).map(|(_, entry)| KeyedGate { entry, is_use: false })
    }

    /// Forgets all that is idle, or stale and long unused, and gives memory back; how many gates
    /// those were.
    ///
    /// Nothing has to call it: newcomers make room for themselves. It is for a timer that is there
    /// anyway, so that the memory of a busy hour does not stay. It locks a few hundred entries at a
    /// time; but to give back memory it hashes those that are left in a shard anew, up to a quarter
    /// of what there was room for, while nobody else gets at that shard.
    pub fn sweep(&self) -> usize {
        self.epochs.advance();
        self.table.sweep(self)
    }

    /// Shows each gate to `visit`, by key and in no order: to change their limits while they are in
    /// use. Not a use of them.
    ///
    /// Runs under no lock, so that `visit` may use the map. It sees each gate that is there from
    /// beginning to end; one that is made meanwhile may be left out, so change first what makes
    /// them, and visit again where it matters that a gate being made just then is not missed. The
    /// gates of a shard, which are all in a small map, are not forgotten while it is at them.
    ///
    /// The gate of the overflow has no key, and is not visited: see
    /// [`overflow_gate`](Self::overflow_gate).
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::prelude::*;
    ///
    /// let tenants: Keyed<u32, Bulkhead> = Keyed::configured(100, BulkheadConfig::new(2), [])?;
    /// for tenant in 0..3 {
    ///     tenants.get(&tenant)?;
    /// }
    /// tenants.for_each(|&tenant, bulkhead| {
    ///     if tenant != 1 {
    ///         bulkhead.set_max_concurrent(8).expect("a number that fits");
    ///     }
    /// });
    /// assert_eq!(tenants.get(&1)?.semaphore().permits(), 2);
    /// assert_eq!(tenants.get(&2)?.semaphore().permits(), 8);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn for_each(&self, mut visit: impl FnMut(&K, &G))
    where
        K: Clone,
    {
        self.table.for_each(Self::handle, |(key, entry)| visit(&key, &entry.gate));
    }

    /// A snapshot of each gate, by key and in no order; one after another, not all at one moment,
    /// and without the one of the [overflow](Self::overflow_gate).
    #[must_use]
    pub fn snapshot(&self) -> Vec<(K, G::Snapshot)>
    where
        K: Clone,
        G: Inspect,
    {
        let mut all = Vec::with_capacity(self.len());
        self.table.for_each(Self::handle, |(key, entry)| all.push((key, entry.gate.inspect())));
        all
    }

    fn handle(key: &K, entry: &Arc<Entry<G>>) -> (K, Arc<Entry<G>>)
    where
        K: Clone,
    {
        (key.clone(), Arc::clone(entry))
    }

    fn entry(&self, gate: G) -> Arc<Entry<G>> {
        let epochs = Arc::clone(&self.epochs);
        Arc::new(Entry { gate, used: AtomicU32::new(epochs.now()), epochs })
    }
}

impl<K, G, S> Keyed<K, G, S> {
    /// How many gates there are. Never more than [`capacity`](Self::capacity).
    #[must_use]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many gates there can be, without the one of the overflow.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.table.capacity()
    }

    /// The gate that all keys share for which there is no room, if there [is one](Self::overflow):
    /// to look at it, and to change it where [`for_each`](Self::for_each) changes the others.
    #[must_use]
    pub fn overflow_gate(&self) -> Option<&G> {
        self.overflow.as_ref().map(|entry| &entry.gate)
    }
}

impl<K, G: Idle, S> Forget<K, Arc<Entry<G>>> for Keyed<K, G, S> {
    fn newcomer(&self) {
        self.epochs.advance();
    }

    fn may(&self, _key: &K, entry: &Arc<Entry<G>>) -> bool {
        Arc::strong_count(entry) == 1 && self.is_forgettable(entry)
    }

    fn may_alone(&self, _key: &K, entry: &mut Arc<Entry<G>>) -> bool {
        // If nobody else has it now, nobody can come to have it: entries are found under the lock
        // that is held here, and there is no other way to one. And whatever the last one who had it
        // did to the gate is seen here.
        Arc::get_mut(entry).is_some_and(|entry| self.is_forgettable(entry))
    }
}

impl<K, G: Idle, S> Keyed<K, G, S> {
    fn is_forgettable(&self, entry: &Entry<G>) -> bool {
        // Relaxed: in `may` it is a guess; in `may_alone` it is ordered by the count of the `Arc`,
        // which whoever noted a use lowered after that.
        let used = entry.used.load(Ordering::Relaxed);
        entry.gate.is_idle() || (self.epochs.is_long_ago(used) && entry.gate.is_stale())
    }
}

impl<K, G, S> fmt::Debug for Keyed<K, G, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyed")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

/// The gate of one key; see [`Keyed::get`].
///
/// It dereferences to the gate, so that [`Permit::enter`](crate::Permit::enter) takes it and makes
/// a permit that can be sent along. Whoever has it keeps its key from being forgotten.
pub struct KeyedGate<G> {
    entry: Arc<Entry<G>>,
    /// Whether to note a use, when it ends.
    is_use: bool,
}

impl<G> Drop for KeyedGate<G> {
    #[inline]
    fn drop(&mut self) {
        // Here and not in `get`: as long as this is there, nobody asks when the gate was used.
        if self.is_use {
            self.entry.epochs.touch(&self.entry.used);
        }
    }
}

impl<G> Deref for KeyedGate<G> {
    type Target = G;

    #[inline]
    fn deref(&self) -> &G {
        &self.entry.gate
    }
}

impl<G> Clone for KeyedGate<G> {
    fn clone(&self) -> Self {
        Self { entry: Arc::clone(&self.entry), is_use: self.is_use }
    }
}

impl<G: fmt::Debug> fmt::Debug for KeyedGate<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyedGate").field(&self.entry.gate).finish()
    }
}

impl<G: Gate> Gate for KeyedGate<G> {
    type Token = G::Token;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        (**self).enter()
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        (**self).exit(token, outcome);
    }
}

impl<T: Timer, G: WaitGate<T>> WaitGate<T> for KeyedGate<G> {
    type Waiting = G::Waiting;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>> {
        (**self).poll_enter(waiting, timer, until, cx)
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
        (**self).cancel_enter(waiting, timer);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        (**self).may_wait()
    }
}
