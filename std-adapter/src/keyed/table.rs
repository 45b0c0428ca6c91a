//! A map that never holds more than it was made for, and forgets nothing but what is idle.
//!
//! # Background
//!
//! A cache (moka, `quick_cache`, scc's `HashCache`) throws out what was not used for longest,
//! whether or not it is still needed: a flood of new keys would throw out emptied buckets, and hand
//! out fresh ones. A concurrent map (dashmap, papaya, scc's `HashMap`) throws out nothing; what is
//! to be forgotten would have to be found by going through all of it, or through a whole shard at a
//! time. papaya and scc's index read without any lock, but keep each entry in a block of its own,
//! which costs a state of one word another 30 bytes, and to remove an entry only if nobody uses it
//! takes a counter in each.
//!
//! # Solution
//!
//! Shards, as in dashmap: each a hash table behind a read-write lock. Reading is one look under the
//! lock of one shard of many, shared with other readers. hashbrown's `HashTable` lets a hand walk
//! over the places of a table, so that each newcomer that finds the map full looks at the next few
//! places only, and takes the first that is idle. It looks as a reader does, and takes the lock for
//! itself only where it has found something: a flood against a map of busy keys writes nothing
//! that those would have to wait for.
//!
//! # Why it works
//!
//! The number of entries is counted before they are added: a newcomer claims a place or takes over
//! the place of what it has removed. What is removed is judged under the lock that excludes every
//! reader of its shard, and so everyone who could get hold of it.
//!
//! Many may come at once for the same new key, such as a host that everybody calls after a restart.
//! So the newcomers of a shard take turns, and who has its turn looks for the key again before it
//! claims a place, removes anything or is refused: one of them adds the entry, and the others find
//! it. What they add is made before, under no lock and with nothing claimed, so each of them makes
//! one. But who finds the map full and nothing idle makes none, however long that would take: a
//! flood would have it made again and again.
//!
//! Code of the user's that runs under the lock of a shard: `Eq`, `Hash` and `Clone` of keys, the
//! hasher, and [`Forget`], which asks whether a gate is idle, and so its clock. It must be asked
//! under the lock: somebody could use the gate between the answer and the removal. Whatever else is
//! the user's runs outside, also what makes and drops gates.
//!
//! A gate that used its own map when it is asked would wait for itself. Where assertions are on,
//! that panics instead ([`Asking`]).

use std::borrow::Borrow;
#[cfg(debug_assertions)]
use std::cell::Cell;
use std::hash::{BuildHasher, Hash};
use std::mem;
#[cfg(debug_assertions)]
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;

use hashbrown::HashTable;

/// How many places of a shard a newcomer looks at. A table in use is from a fifth full to seven
/// eighths, so that it sees a dozen entries in each at the least.
const PLACES: usize = 64;

/// In how many shards it does, beside its own.
const SHARDS_LOOKED_AT: usize = 4;

/// After so many newcomers in a row that found nothing, the next ones look in their own shard only,
/// until one of them finds something: whoever floods the map shall not choose what that costs.
const FAILURES_BORNE: usize = 8;

/// A shard has this many entries at least, so that a small map is looked at as a whole.
const LEAST_PER_SHARD: usize = 128;

/// How many places a sweep looks at under one lock.
const SWEPT_AT_ONCE: usize = 256;

/// Whether an entry may be forgotten; asked under the lock of its shard.
pub(super) trait Forget<K, V> {
    /// Somebody new has come, and may need room.
    fn newcomer(&self) {}

    /// Whether it looks like it: others may be using it.
    fn may(&self, key: &K, value: &V) -> bool;

    /// Whether it may, where nobody else can get hold of it.
    fn may_alone(&self, key: &K, value: &mut V) -> bool {
        self.may(key, value)
    }
}

pub(super) struct Table<K, V, S> {
    shards: Box<[Shard<K, V>]>,
    hasher: S,
    capacity: usize,
    /// The entries there are, and those about to be added.
    claimed: AtomicUsize,
    /// The next shard to look for something idle in.
    hand: AtomicUsize,
    /// How many newcomers in a row have found nothing idle.
    failures: AtomicUsize,
}

/// On cache lines of its own: the lock is written to by each reader. (Two, as they are fetched in
/// pairs.)
#[repr(align(128))]
struct Shard<K, V> {
    entries: RwLock<HashTable<(K, V)>>,
    /// Held by the newcomer whose turn it is. No other lock is held by who waits for it.
    turn: Mutex<()>,
    /// The next place to look at.
    hand: AtomicUsize,
}

/// A place of a shard where something looked idle.
type Spot<'a, K, V> = (&'a Shard<K, V>, usize);

/// A place for one entry, free again when it is dropped.
struct Claim<'a>(&'a AtomicUsize);

impl Claim<'_> {
    /// It is the entry's now.
    fn keep(self) {
        mem::forget(self);
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        // Relaxed, as every access to this number: it publishes nothing. That entries are removed
        // before others are added in their place is a matter of each shard's lock.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// This thread is asking gates of a map whether they may be forgotten: they must not use it
/// themselves. Checked where assertions are on, as each look would have to pay for it.
struct Asking {
    /// The address of the map whose gates were being asked before, or 0.
    #[cfg(debug_assertions)]
    outer: usize,
}

#[cfg(debug_assertions)]
thread_local! {
    /// The address of the map whose gates are being asked, or 0.
    static ASKED: Cell<usize> = const { Cell::new(0) };
}

#[cfg(debug_assertions)]
impl Asking {
    fn new<T>(table: &T) -> Self {
        Self { outer: ASKED.replace(ptr::from_ref(table).addr()) }
    }

    #[track_caller]
    fn assert_not<T>(table: &T) {
        assert!(
            ASKED.get() != ptr::from_ref(table).addr(),
            "a gate used the map that it is in while it was asked whether it is idle"
        );
    }
}

#[cfg(debug_assertions)]
impl Drop for Asking {
    fn drop(&mut self) {
        ASKED.set(self.outer);
    }
}

#[cfg(not(debug_assertions))]
impl Asking {
    const fn new<T>(_table: &T) -> Self {
        Self {}
    }

    const fn assert_not<T>(_table: &T) {}
}

impl<K, V, S> Table<K, V, S> {
    pub(super) fn new(capacity: usize, hasher: S) -> Self {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let most = (threads * 4).next_power_of_two();
        let mut shards = 1;
        while shards < most && capacity / (2 * shards) >= LEAST_PER_SHARD {
            shards *= 2;
        }
        Self {
            shards: (0..shards).map(|_| Shard::new()).collect(),
            hasher,
            capacity,
            claimed: AtomicUsize::new(0),
            hand: AtomicUsize::new(0),
            failures: AtomicUsize::new(0),
        }
    }

    pub(super) const fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many entries there are, counting those about to be added.
    pub(super) fn len(&self) -> usize {
        self.claimed.load(Ordering::Relaxed)
    }

    /// The shard of a hash and those after it. A table finds its places by the lowest bits of the
    /// hash and by the highest seven.
    fn shard(&self, place: usize) -> &Shard<K, V> {
        // There is a power of two of them.
        &self.shards[place & (self.shards.len() - 1)]
    }

    fn shard_of(&self, hash: u64) -> &Shard<K, V> {
        self.shard((hash >> 32) as usize)
    }

    /// What `take` makes of each entry, under the lock, to `visit`, without it; one shard after
    /// another, so that what is taken of the others is not kept from being forgotten.
    pub(super) fn for_each<T>(&self, take: impl Fn(&K, &V) -> T, visit: impl FnMut(T)) {
        Asking::assert_not(self);
        let taken = |shard: &Shard<K, V>| -> Vec<T> {
            shard.read().iter().map(|(key, value)| take(key, value)).collect()
        };
        self.shards.iter().flat_map(taken).for_each(visit);
    }

    /// A place that nobody has.
    fn claim(&self) -> Option<Claim<'_>> {
        let one_more = |claimed: usize| (claimed < self.capacity).then(|| claimed + 1);
        self.claimed.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Claim(&self.claimed))
    }

    /// Where there is an entry that looks idle, for a newcomer of this hash.
    fn find_idle(&self, hash: u64, forget: &impl Forget<K, V>) -> Option<Spot<'_, K, V>> {
        let _asking = Asking::new(self);
        // Relaxed, all three: a rough count, and any place to begin at will do.
        let failures = self.failures.load(Ordering::Relaxed);
        let elsewhere = || {
            let looked_at = SHARDS_LOOKED_AT.min(self.shards.len());
            let first = self.hand.fetch_add(looked_at, Ordering::Relaxed);
            (0..looked_at).find_map(|n| self.shard(first.wrapping_add(n)).find_idle(forget))
        };
        let mut found = self.shard_of(hash).find_idle(forget);
        if found.is_none() && failures < FAILURES_BORNE {
            found = elsewhere();
        }
        let now = if found.is_some() { 0 } else { (failures + 1).min(FAILURES_BORNE) };
        if now != failures {
            self.failures.store(now, Ordering::Relaxed);
        }
        found
    }

    /// Removes an entry, the one that looked idle before or another one, and leaves its place
    /// claimed. It is `removed` then, to be dropped under no lock.
    fn forget_one(
        &self,
        idle: Option<Spot<'_, K, V>>,
        hash: u64,
        forget: &impl Forget<K, V>,
        removed: &mut Option<(K, V)>,
    ) -> Option<Claim<'_>> {
        let _asking = Asking::new(self);
        let remove =
            |(shard, place): Spot<'_, K, V>| self.remove_at(&mut shard.write(), place, forget);
        let found = idle.and_then(remove).or_else(|| self.find_idle(hash, forget).and_then(remove));
        let (claim, entry) = found?;
        *removed = Some(entry);
        Some(claim)
    }

    /// Removes what may be forgotten of the next places of a shard, into `removed`, which is to be
    /// dropped after the lock that is held here, also if a gate panics; whether there were any
    /// places.
    fn forget_from(
        &self,
        shard: &Shard<K, V>,
        first: usize,
        forget: &impl Forget<K, V>,
        removed: &mut Vec<(K, V)>,
    ) -> bool {
        let _asking = Asking::new(self);
        let found: Vec<usize> = {
            let entries = shard.read();
            let places = entries.num_buckets();
            if first >= places {
                return false;
            }
            (first..places.min(first + SWEPT_AT_ONCE))
                .filter(|&place| entries.get_bucket(place).is_some_and(|(k, v)| forget.may(k, v)))
                .collect()
        };
        if !found.is_empty() {
            let mut entries = shard.write();
            for place in found {
                if let Some((claim, entry)) = self.remove_at(&mut entries, place, forget) {
                    drop(claim);
                    removed.push(entry);
                }
            }
        }
        true
    }

    /// Removes what is at `place`, if it may be forgotten: the table may have changed meanwhile.
    /// Its place stays claimed as long as the claim is there.
    fn remove_at(
        &self,
        entries: &mut HashTable<(K, V)>,
        place: usize,
        forget: &impl Forget<K, V>,
    ) -> Option<(Claim<'_>, (K, V))> {
        let mut entry = entries.get_bucket_entry(place).ok()?;
        let (key, value) = entry.get_mut();
        forget.may_alone(key, value).then(|| (Claim(&self.claimed), entry.remove().0))
    }
}

impl<K: Hash + Eq, V, S: BuildHasher> Table<K, V, S> {
    /// What `look` says of the entry of `key`, if there is one.
    pub(super) fn find<Q, R>(&self, key: &Q, look: impl FnOnce(&V) -> R) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Asking::assert_not(self);
        let hash = self.hasher.hash_one(key);
        self.shard_of(hash).read().find(hash, |entry| entry.0.borrow() == key).map(|(_, v)| look(v))
    }

    /// What `look` says of the entry of `key`; if there is none, what `look_alone` says of the one
    /// that `make` makes, while others are kept out of the shard; `None` where there is no room for
    /// it.
    ///
    /// Two closures for the same, so that the first is written into its only place: one that is
    /// called in two places is called, and hands on what it says through memory.
    #[inline]
    pub(super) fn find_or_add<Q, R>(
        &self,
        key: &Q,
        forget: &impl Forget<K, V>,
        make: impl FnOnce(&K) -> V,
        look: impl FnOnce(&V) -> R,
        look_alone: impl Fn(&V) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        Asking::assert_not(self);
        let hash = self.hasher.hash_one(key);
        let found = self.shard_of(hash).read().find(hash, |entry| entry.0.borrow() == key).map(
            // The closure, not the function: the lock is held while it looks.
            |entry| look(&entry.1),
        );
        match found {
            Some(said) => Some(said),
            None => self.add(hash, key, forget, make, look_alone),
        }
    }

    /// The rare side of `find_or_add`, kept out of the callers' code.
    #[inline(never)]
    fn add<Q, R>(
        &self,
        hash: u64,
        key: &Q,
        forget: &impl Forget<K, V>,
        make: impl FnOnce(&K) -> V,
        look: impl Fn(&V) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ToOwned<Owned = K> + ?Sized,
    {
        forget.newcomer();
        let full = self.len() >= self.capacity;
        let idle = if full { self.find_idle(hash, forget) } else { None };
        let mut made = (!full || idle.is_some()).then(|| {
            let owned = key.to_owned();
            let value = make(&owned);
            (owned, value)
        });
        let mut removed = None;
        // The locks are declared after these two, and so given up before what is left in them is
        // dropped.
        let shard = self.shard_of(hash);
        let _turn = shard.turn();
        // Somebody else may have been faster.
        if let Some((_, value)) = shard.read().find(hash, |entry| entry.0.borrow() == key) {
            return Some(look(value));
        }
        made.as_ref()?;
        let forget_one = || self.forget_one(idle, hash, forget, &mut removed);
        let claim = self.claim().or_else(forget_one)?;
        let rehash = |entry: &(K, V)| self.hasher.hash_one(&entry.0);
        let mut entries = shard.write();
        let added = entries.insert_unique(hash, made.take()?, rehash);
        claim.keep();
        Some(look(&added.get().1))
    }

    /// Takes out the entry of `key`.
    pub(super) fn remove<Q>(&self, key: &Q) -> Option<(K, V)>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        Asking::assert_not(self);
        let hash = self.hasher.hash_one(key);
        let mut entries = self.shard_of(hash).write();
        let found = entries.find_entry(hash, |entry| entry.0.borrow() == key).ok()?;
        let (removed, _) = found.remove();
        drop(entries);
        drop(Claim(&self.claimed));
        Some(removed)
    }

    /// Removes all that may be forgotten, and gives back memory that is not needed any more; how
    /// many those were.
    pub(super) fn sweep(&self, forget: &impl Forget<K, V>) -> usize {
        Asking::assert_not(self);
        let (mut all, mut removed) = (0, Vec::new());
        for shard in &self.shards {
            let mut at = 0;
            while self.forget_from(shard, at, forget, &mut removed) {
                all += removed.len();
                removed.clear();
                at += SWEPT_AT_ONCE;
            }
            let mut entries = shard.write();
            if entries.len() < entries.capacity() / 4 {
                let keep = entries.len() * 2;
                entries.shrink_to(keep, |entry| self.hasher.hash_one(&entry.0));
            }
        }
        all
    }
}

impl<K, V> Shard<K, V> {
    const fn new() -> Self {
        Self {
            entries: RwLock::new(HashTable::new()),
            turn: Mutex::new(()),
            hand: AtomicUsize::new(0),
        }
    }

    // A panic under the lock comes from the traits of a key or of a gate. hashbrown leaves a table
    // whole that can be used, at worst without some of its entries, and a gate is asked before its
    // entry is touched.

    fn read(&self) -> RwLockReadGuard<'_, HashTable<(K, V)>> {
        self.entries.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, HashTable<(K, V)>> {
        self.entries.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of the next few entries looks idle.
    fn find_idle(&self, forget: &impl Forget<K, V>) -> Option<Spot<'_, K, V>> {
        let entries = self.read();
        let places = entries.num_buckets();
        // Relaxed: any place to begin at will do.
        let first = self.hand.fetch_add(PLACES, Ordering::Relaxed);
        // There is a power of two of them, or none.
        (0..PLACES.min(places))
            .map(|n| first.wrapping_add(n) & (places - 1))
            .find(|&place| entries.get_bucket(place).is_some_and(|(k, v)| forget.may(k, v)))
            .map(|place| (self, place))
    }
}
