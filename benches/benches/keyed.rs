//! Limits by key, beside governor's: time per call with 10^3 keys and with 10^6, bytes per key with
//! 10^6, and what a flood of 10^7 others does to them.
//!
//! All of them hash with the standard library's hasher, which costs more than others and is safe
//! with keys from outside. governor reads the time stamp counter unless told otherwise; the rows
//! with the standard library's clock are the ones to compare.

use std::collections::hash_map::RandomState;
use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group};
use fusebox_benches::{Counting, Table, allocated, take_peak};
use fusebox_std::{
    BucketConfig, Keyed, KeyedBuckets, KeyedSketch, Random, Rng, StdClock, TokenBucket,
};
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const KEYS: u64 = 1_000_000;
/// As many as stay in the processor's caches.
const FEW: u64 = 1_000;
const FLOOD: u64 = 10_000_000;

/// No key runs out of these while it is measured.
const PLENTY: BucketConfig = BucketConfig::per_second(1_000_000).burst(100_000);
/// What is taken of these is not back before the end.
const SCARCE: BucketConfig = BucketConfig::per_hour(1).burst(1);

type GovernorStd =
    RateLimiter<u64, DashMapStateStore<u64>, MonotonicClock, NoOpMiddleware<Instant>>;

fn quota() -> Quota {
    let number = |n| NonZeroU32::new(n).expect("not 0");
    Quota::per_second(number(1_000_000)).allow_burst(number(100_000))
}

fn buckets(keys: u64, config: BucketConfig) -> KeyedBuckets<u64> {
    KeyedBuckets::new(keys as usize, config).expect("a rate that fits")
}

fn gates(keys: u64, config: BucketConfig) -> Keyed<u64, TokenBucket> {
    Keyed::new(keys as usize, move |_| TokenBucket::new(config, StdClock))
}

/// Half a column for each key: these take so little of what they may that it does not matter how
/// often they meet.
fn sketch(keys: u64, config: BucketConfig) -> KeyedSketch<u64> {
    KeyedSketch::new(keys as usize / 2, config).expect("a rate that fits")
}

fn governor_std() -> GovernorStd {
    RateLimiter::new(quota(), DashMapStateStore::with_hasher(RandomState::new()), MonotonicClock)
}

/// Fills a map, and says of one of 10^6 keys what it takes.
fn filled<M>(
    table: &mut Table,
    name: &str,
    keys: u64,
    map: impl Fn() -> M,
    add: impl Fn(&M, u64),
) -> M {
    let before = allocated();
    take_peak();
    let map = map();
    let start = Instant::now();
    (0..keys).for_each(|key| add(&map, key));
    if keys != KEYS {
        return map;
    }
    let time = start.elapsed().as_nanos() as f64 / KEYS as f64;
    let per_key = |bytes: usize| (bytes - before) as f64 / KEYS as f64;
    let (now, peak) = (per_key(allocated()), per_key(take_peak()));
    println!(
        "{name:<32} {now:>6.1} bytes per key, {peak:>6.1} at the most, {time:>4.0} ns to add one"
    );
    table.add(&[name], &[now, peak, time]);
    map
}

/// A map that is full of busy keys, and 10^7 others that come: it grows by none of them, and none
/// of the busy ones has its token back.
fn flood() {
    let map = buckets(KEYS, SCARCE);
    for key in 0..KEYS {
        assert!(map.try_acquire(&key, 1).is_ok());
    }
    let before = allocated();
    let start = Instant::now();
    for key in KEYS..KEYS + FLOOD {
        assert!(map.try_acquire(&key, 1).is_err());
    }
    let time = start.elapsed().as_nanos() as f64 / FLOOD as f64;
    assert!(map.len() <= map.capacity());
    assert!(allocated() <= before, "memory has grown");
    assert!((0..KEYS).all(|key| map.peek(&key) == 0), "a busy key was forgotten");

    // And where everybody is idle at once, newcomers replace each other, and the bound holds.
    let map = KeyedBuckets::<u64>::new(
        KEYS as usize,
        BucketConfig::per_second(1_000_000_000).burst(1).max_lateness(Duration::ZERO),
    );
    let map = map.expect("a rate that fits");
    let start = Instant::now();
    let let_in = (0..FLOOD).filter(|key| map.try_acquire(key, 1).is_ok()).count();
    let churn = start.elapsed().as_nanos() as f64 / FLOOD as f64;
    assert_eq!((map.len(), map.capacity(), let_in), (KEYS as usize, KEYS as usize, FLOOD as usize));
    println!(
        "10^7 new keys: {time:.0} ns to refuse one where all are busy, {churn:.0} ns to let one in \
         where all are idle"
    );
}

/// Keys in an order that no cache foresees; 0 where there is one key only.
fn any_of(keys: u64) -> impl FnMut() -> u64 {
    let rng = Rng::from_seed(1);
    move || rng.below(keys)
}

/// The rows of maps of so many keys: of calls of one key, and of calls of any.
fn rows(c: &mut Criterion, table: &mut Table, keys: u64, of: &str) {
    let buckets = filled(
        table,
        "KeyedBuckets",
        keys,
        || buckets(keys, PLENTY),
        |map, key| {
            map.try_acquire(&key, 1).expect("there are plenty");
        },
    );
    let gates = filled(
        table,
        "Keyed<TokenBucket>",
        keys,
        || gates(keys, PLENTY),
        |map, key| {
            map.get(&key).and_then(|gate| gate.try_acquire(1)).expect("there are plenty");
        },
    );
    let sketch = filled(
        table,
        "KeyedSketch",
        keys,
        || sketch(keys, PLENTY),
        |map, key| {
            map.try_acquire(&key, 1).expect("there are plenty");
        },
    );
    let default = || DefaultKeyedRateLimiter::keyed(quota());
    let governor = filled(table, "governor", keys, default, |map, key| {
        map.check_key(&key).expect("there are plenty");
    });
    let governor_std = filled(table, "governor, std's clock", keys, governor_std, |map, key| {
        map.check_key(&key).expect("there are plenty");
    });

    for called in [1, keys] {
        let mut group = c.benchmark_group(format!("keyed, {called} of {of}"));
        let mut key = any_of(called);
        group.bench_function("KeyedBuckets", |b| {
            b.iter(|| black_box(&buckets).try_acquire(&key(), 1));
        });
        let mut key = any_of(called);
        group.bench_function("Keyed<TokenBucket>", |b| {
            b.iter(|| black_box(&gates).get(&key()).and_then(|gate| gate.try_acquire(1)));
        });
        let mut key = any_of(called);
        group.bench_function("KeyedSketch", |b| {
            b.iter(|| black_box(&sketch).try_acquire(&key(), 1));
        });
        let mut key = any_of(called);
        group.bench_function("governor, std's clock", |b| {
            b.iter(|| black_box(&governor_std).check_key(&key()).is_ok());
        });
        let mut key = any_of(called);
        group.bench_function("governor", |b| {
            b.iter(|| black_box(&governor).check_key(&key()).is_ok());
        });
        group.finish();
    }
}

fn calls(c: &mut Criterion) {
    let mut table = Table::new("keyed");
    rows(c, &mut table, FEW, "10^3");
    rows(c, &mut table, KEYS, "10^6");
    table.save();
}

criterion_group!(benches, calls);

fn main() {
    flood();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
