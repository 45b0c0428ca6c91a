//! Gates by key: the bound, and who may be forgotten.
//!
//! Maps without a bound, or without anything that empties them, grow until the process is killed:
//! seen at users of governor (posthog#43949, agave#6893). Maps with a bound that throw out whatever
//! was not used for longest give an attacker a fresh burst for a flood of other keys.
#![cfg(feature = "keyed")]

use std::hash::RandomState;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{Idle, KeyedGate, Random, Rng};

type Buckets<'a, K> = KeyedBuckets<K, &'a ManualClock>;
type Permits = Semaphore<Queue<0>>;

/// Keys in a flood: `FUSEBOX_KEYS` says how many for a longer run.
fn flood() -> std::ops::Range<u64> {
    let keys = std::env::var("FUSEBOX_KEYS").map_or(20_000, |keys| keys.parse().unwrap());
    1 << 32..(1 << 32) + keys
}

fn buckets<K: std::hash::Hash + Eq>(
    capacity: usize,
    config: BucketConfig,
    clock: &ManualClock,
) -> Buckets<'_, K> {
    KeyedBuckets::with_parts(capacity, config, clock, RandomState::new()).unwrap()
}

fn semaphores(capacity: usize) -> Keyed<u64, Permits> {
    Keyed::new(capacity, |_| Semaphore::new(1))
}

#[test]
fn a_flood_neither_exceeds_the_bound_nor_refills_a_bucket() {
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(10_000, BucketConfig::per_hour(3).burst(3), &clock);
    for user in 0..9_000 {
        limits.try_acquire(&user, 3).unwrap();
    }
    let mut let_in = 0;
    for stranger in flood() {
        let_in += u64::from(limits.try_acquire(&stranger, 1).is_ok());
        assert!(limits.len() <= 10_000);
    }
    assert_eq!((limits.len(), let_in), (10_000, 1_000), "as many as there was room for");
    let spent = |user: &u64| limits.peek(user) == 0 && limits.try_acquire(user, 1).is_err();
    assert!((0..9_000).all(|user| spent(&user)), "no bucket was forgotten");

    // When what they took is paid for, newcomers take their places.
    clock.advance(Duration::from_secs(3 * 3600 + 1));
    let newcomers = || (0..5_000).map(|n| n + (1 << 40));
    assert!(newcomers().all(|key| limits.try_acquire(&key, 1).is_ok()));
    assert!(newcomers().all(|key| limits.peek(&key) == 2), "and are not forgotten themselves");
    assert!(limits.len() <= 10_000);
}

/// Bug 26: keys that come once and never again, as addresses do, stayed for ever: in maps that are
/// emptied only by whoever thinks of it, a process grows until it is killed.
#[test]
fn keys_that_never_come_again_take_no_memory() {
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(1_000, BucketConfig::per_second(100).burst(1), &clock);
    let gates = semaphores(1_000);
    for visitor in flood() {
        assert!(limits.try_acquire(&visitor, 1).is_ok(), "those before it are long gone");
        assert!(gates.get(&visitor).unwrap().call(|| Ok::<_, ()>(())).is_ok());
        assert!(limits.len() <= 1_000 && gates.len() <= 1_000);
        clock.advance(Duration::from_millis(10));
    }
    clock.advance(Duration::from_secs(2));
    assert_eq!((limits.sweep(), gates.sweep()), (1_000, 1_000));
    assert!(limits.is_empty() && gates.is_empty());
}

#[test]
fn a_sketch_has_room_for_all() {
    let clock: ManualClock = ManualClock::new();
    let config = BucketConfig::per_hour(3).burst(3);
    let limits: KeyedSketch<str, _, _> =
        KeyedSketch::with_parts(50_000, config, &clock, RandomState::new()).unwrap();
    assert!((0..3).all(|_| limits.of("acme", 1).call(|| Ok::<_, ()>(())).is_ok()));
    assert_eq!(limits.try_acquire("acme", 1).unwrap_err().reason(), Reason::RateLimited);
    let refused = (0..20_000).filter(|n| limits.try_acquire(&n.to_string(), 3).is_err()).count();
    // The share of all those that came when `n` had: less than the one for the last, 1.2 %.
    assert!(refused < 100, "{refused}");
    assert_eq!((limits.peek("acme"), limits.width()), (0, 50_000), "nothing is evicted");
    clock.advance(Duration::from_secs(3_601));
    assert_eq!(limits.peek("acme"), 3);
}

#[test]
fn permits_that_are_out_are_not_handed_out_again() {
    let gates = semaphores(1_000);
    let held: Vec<_> =
        (0..900).map(|key| Permit::enter(gates.get(&key).unwrap()).unwrap()).collect();
    let kept: Vec<_> = (900..950).map(|key| gates.get(&key).unwrap()).collect();
    let mut refused = 0;
    for stranger in flood() {
        refused += usize::from(gates.get(&stranger).is_err());
        assert!(gates.len() <= 1_000);
    }
    assert!(refused < flood().count() / 100, "{refused} found nobody idle, of 50 there are");
    assert!((0..900).all(|key| gates.get(&key).unwrap().permit().is_err()), "still out");
    let same = |(key, gate): (u64, &KeyedGate<Permits>)| {
        std::ptr::eq::<Permits>(&**gate, &*gates.peek(&key).unwrap())
    };
    assert!((900..950).zip(&kept).all(same), "whoever has a gate has the one that others get");
    drop(held);
    assert!((0..900).all(|key| gates.get(&key).unwrap().permit().is_ok()), "all came back");
    assert_eq!(gates.sweep(), 950);
    assert_eq!(gates.len(), 50, "those that somebody has");
}

#[test]
fn a_permit_outlives_its_entry() {
    let gates = semaphores(10);
    let permit = Permit::enter(gates.get(&1).unwrap()).unwrap();
    let removed = gates.remove(&1).unwrap();
    assert!(removed.permit().is_err() && gates.is_empty());
    assert!(gates.get(&1).unwrap().permit().is_ok(), "a new one");
    permit.success();
    assert!(removed.permit().is_ok());
}

#[test]
fn where_all_are_busy_newcomers_are_refused_or_share() {
    let gates = semaphores(2);
    let held = [1, 2].map(|key| Permit::enter(gates.get(&key).unwrap()).unwrap());
    let refused = gates.get(&3).unwrap_err();
    assert_eq!((refused.reason(), gates.len()), (Reason::Overloaded, 2));
    drop(held);
    assert!(gates.get(&3).is_ok());

    let gates = semaphores(1).overflow(Semaphore::new(1));
    let _own = gates.get(&1).unwrap();
    let shared = Permit::enter(gates.get(&2).unwrap()).unwrap();
    assert!(gates.get(&3).unwrap().permit().is_err(), "the same gate");
    drop(shared);
    assert!(gates.get(&3).unwrap().permit().is_ok());
    assert_eq!((gates.len(), gates.capacity()), (1, 1));
    assert_eq!(semaphores(0).get(&1).unwrap_err().reason(), Reason::Overloaded);
}

#[test]
fn what_was_taken_from_the_shared_bucket_goes_back_to_it() {
    let clock: ManualClock = ManualClock::new();
    let hourly = BucketConfig::per_hour(1).burst(5);
    let limits = buckets(1, hourly, &clock).overflow(hourly).unwrap();
    limits.try_acquire(&1, 5).unwrap();
    let gate = limits.of(&2, 5);
    let token = gate.enter().unwrap();
    assert!(limits.try_acquire(&3, 1).is_err(), "the shared one is empty");

    // Meanwhile it has got a place of its own, and used what it has.
    limits.remove(&1);
    limits.try_acquire(&2, 5).unwrap();
    gate.exit(token, Outcome::Refused);
    assert_eq!(limits.peek(&2), 0, "what it had taken elsewhere is not its own");
    assert!(limits.try_acquire(&3, 5).is_ok());
}

#[test]
fn a_call_that_a_later_gate_refuses_has_its_tokens_back() {
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(10, BucketConfig::per_hour(9).burst(9), &clock);
    let off = Switch::new();
    off.disable();
    assert!((limits.of(&1, 4), &off).call(|| Ok::<_, ()>(())).is_err());
    assert_eq!(limits.peek(&1), 9);
    off.enable();
    assert!((limits.of(&1, 4), &off).call(|| Ok::<_, ()>(())).is_ok());
    assert_eq!((limits.peek(&1), limits.peek(&2)), (5, 9));
    assert_eq!(limits.len(), 1, "looking adds nothing");
}

#[test]
fn some_keys_have_settings_of_their_own() {
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(10, BucketConfig::per_hour(2).burst(2), &clock);
    let limits =
        limits.override_for("acme".to_owned(), BucketConfig::per_hour(7).burst(7)).unwrap();
    let bursts = |key: &str| (0..9).filter(|_| limits.try_acquire(key, 1).is_ok()).count();
    assert_eq!((bursts("acme"), bursts("ajax")), (7, 2));
    assert!(limits.override_for("bad".to_owned(), BucketConfig::per_hour(0)).is_err());

    let (good, bad) = (BulkheadConfig::new(1), BulkheadConfig::new(0));
    assert!(Keyed::<u8, Bulkhead>::configured(9, good, [(1, bad)]).is_err());
    assert!(Keyed::<u8, Bulkhead>::configured(9, bad, [(1, good)]).is_err());
    let hosts: Keyed<u8, Bulkhead> =
        Keyed::configured(9, good, [(1, BulkheadConfig::new(5))]).unwrap();
    let permits = |key: u8| hosts.get(&key).unwrap().semaphore().permits();
    assert_eq!((permits(1), permits(2)), (5, 1));
}

/// Four breakers, and room for no more: clean, one failure, open, open for long.
fn breakers(clock: &'static ManualClock) -> Keyed<u64, CircuitBreaker<&'static ManualClock>> {
    let config = BreakerConfig::standard().open_for(Duration::from_secs(30));
    let gates = Keyed::new(4, move |_| CircuitBreaker::new(config, clock));
    let _ = gates.get(&0).unwrap();
    gates.get(&1).unwrap().permit().unwrap().failure();
    gates.get(&2).unwrap().trip();
    gates.get(&3).unwrap().force_open();
    gates
}

#[test]
fn an_open_breaker_is_not_closed_by_being_forgotten() {
    static CLOCK: ManualClock = ManualClock::new();
    let gates = breakers(&CLOCK);
    for stranger in flood().take(1_000) {
        assert!(gates.get(&stranger).is_ok(), "there is one place");
    }
    assert!(gates.peek(&0).is_none());
    let failures = gates.peek(&1).unwrap().snapshot().counts.consecutive_failures;
    assert_eq!((failures, gates.len()), (1, 4));
    assert_eq!(gates.get(&2).unwrap().state(), State::Open);
    assert_eq!(gates.get(&3).unwrap().state(), State::ForcedOpen);
}

#[test]
fn a_breaker_that_nobody_uses_is_forgotten_when_it_is_stale() {
    static CLOCK: ManualClock = ManualClock::new();
    let gates = breakers(&CLOCK).stale_after(Duration::ZERO);
    // Each sweep is an epoch.
    assert_eq!([gates.sweep(), gates.sweep(), gates.sweep()], [1, 0, 1]);
    assert!(gates.peek(&1).is_none(), "one failure, long ago");
    CLOCK.advance(Duration::from_secs(30));
    assert_eq!(gates.get(&2).unwrap().state(), State::Open);
    assert_eq!([gates.sweep(), gates.sweep(), gates.sweep()], [0, 0, 1]);
    assert!(gates.peek(&2).is_none(), "its time was over, and long unused");
    assert_eq!(gates.get(&3).unwrap().state(), State::ForcedOpen, "never what was set by hand");
}

/// Only `get` was a use: what a call left on record that took longer than that time, or came
/// through a gate that was kept, was forgotten as soon as nobody had the gate any more.
#[test]
fn a_gate_is_in_use_until_who_has_it_is_done() {
    static CLOCK: ManualClock = ManualClock::new();
    let gates = breakers(&CLOCK).stale_after(Duration::ZERO);
    let _ = gates.remove(&0);
    let (kept, call) = (gates.get(&1).unwrap(), Permit::enter(gates.get(&4).unwrap()).unwrap());
    // Each sweep is an epoch.
    assert_eq!([(); 5].map(|()| gates.sweep()), [0; 5]);
    assert!(kept.call(|| Err::<(), _>("down")).is_err());
    call.failure();
    drop(kept);
    assert_eq!([gates.sweep(), gates.sweep()], [0, 0]);
    let failures = |key| gates.peek(&key).unwrap().snapshot().counts.consecutive_failures;
    assert_eq!((failures(1), failures(4)), (2, 1));
    assert_eq!(gates.sweep(), 2, "to look at it is not a use");
}

#[test]
fn memory_comes_back_when_it_is_swept() {
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(100_000, BucketConfig::per_second(1), &clock);
    for key in 0..50_000 {
        limits.try_acquire(&key, 1).unwrap();
    }
    assert_eq!(limits.sweep(), 0);
    clock.advance(Duration::from_secs(3));
    limits.try_acquire(&7, 1).unwrap();
    assert_eq!((limits.sweep(), limits.len()), (49_999, 1));
    assert_eq!((limits.peek(&7), limits.peek(&8)), (0, 1));
}

#[test]
fn what_panics_in_the_making_leaves_its_place_free() {
    let gates: Keyed<u64, Permits> = Keyed::new(1, |&key| {
        assert!(key != 13, "unlucky");
        Semaphore::new(1)
    });
    for _ in 0..3 {
        assert!(catch_unwind(AssertUnwindSafe(|| gates.get(&13))).is_err());
    }
    assert!(gates.is_empty());
    let _gate = gates.get(&1).unwrap();
    assert_eq!(gates.len(), 1);
}

/// Each that came for a new key claimed a place before anybody looked for the key again: of 16
/// threads that called one host at an empty map for 4, 12 were refused, and at a full one each had
/// another gate forgotten.
#[test]
fn newcomers_with_the_same_key_take_one_place() {
    let map: Arc<OnceLock<Keyed<u64, Permits>>> = Arc::default();
    let (own, last) = (Arc::clone(&map), AtomicU64::new(0));
    let gates = map.get_or_init(|| {
        Keyed::new(2, move |&key| {
            // Somebody else comes for it while it is made, and is done first.
            if key > 1 && last.swap(key, Ordering::Relaxed) != key {
                assert!(own.get().unwrap().get(&key).is_ok());
            }
            Semaphore::new(1)
        })
    });
    let busy = Permit::enter(gates.get(&1).unwrap()).unwrap();
    let gate = gates.get(&2).unwrap();
    assert!(std::ptr::eq::<Permits>(&*gate, &*gates.peek(&2).unwrap()), "all have the same one");
    drop((busy, gate));
    assert!(gates.get(&3).is_ok());
    let left = [1, 2].iter().filter(|key| gates.peek(*key).is_some()).count();
    assert_eq!((left, gates.len()), (1, 2), "one was forgotten");
}

/// The same with threads, where it takes long to copy a key, and to find a gate that is idle.
#[test]
fn threads_with_the_same_key_take_one_place() {
    #[derive(PartialEq, Eq, Hash)]
    struct Slow;
    const PAUSE: Duration = Duration::from_millis(10);
    impl Clone for Slow {
        fn clone(&self) -> Self {
            thread::sleep(PAUSE);
            Self
        }
    }
    impl Idle for Slow {
        fn is_idle(&self) -> bool {
            thread::sleep(PAUSE);
            true
        }
    }
    let eight = |visit: &(dyn Fn() + Sync)| {
        let start = Barrier::new(8);
        let visit = || {
            start.wait();
            visit();
        };
        thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(visit))));
    };
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(2, BucketConfig::per_hour(8).burst(8), &clock);
    eight(&|| limits.try_acquire(&Slow, 1).unwrap());
    assert_eq!((limits.len(), limits.peek(&Slow)), (1, 0));

    let gates = Keyed::new(8, |_: &u64| Slow);
    assert!((0..8).all(|key| gates.get(&key).is_ok()));
    eight(&|| assert!(gates.get(&8).is_ok()));
    let left = (0..8).filter(|key| gates.peek(key).is_some()).count();
    assert_eq!((left, gates.len()), (7, 8), "one was forgotten");
}

/// What is made may take long, and who floods the map shall not choose how often it is.
#[test]
fn nothing_is_made_for_who_is_refused() {
    static MADE: AtomicUsize = AtomicUsize::new(0);
    let gates: Keyed<u64, Permits> = Keyed::new(2, |_| {
        MADE.fetch_add(1, Ordering::Relaxed);
        Semaphore::new(1)
    });
    let _kept = [1, 2].map(|key| gates.get(&key).unwrap());
    assert!(flood().take(100).all(|key| gates.get(&key).is_err()));
    assert_eq!(MADE.load(Ordering::Relaxed), 2);
}

/// Where a bucket does not start full, one that was forgotten starts as it did at first: whoever
/// waited for the burst has to wait again, and never gains.
#[test]
fn a_forgotten_bucket_starts_as_it_did_at_first() {
    let clock: ManualClock = ManualClock::new();
    let limits = buckets(1, BucketConfig::per_second(1).burst(5).initially(2), &clock);
    limits.try_acquire(&1, 2).unwrap();
    clock.advance(Duration::from_secs(10));
    assert_eq!(limits.peek(&1), 5);
    limits.try_acquire(&2, 1).unwrap();
    assert_eq!((limits.len(), limits.peek(&1)), (1, 2), "not 5, as it would have been");
}

/// An enforced shadow was never stale, so that a map of them filled for good.
#[test]
fn shadows_that_count_are_forgotten_when_they_are_stale() {
    static CLOCK: ManualClock = ManualClock::new();
    static ENFORCED: AtomicBool = AtomicBool::new(false);
    let limit = |_: &u64| {
        let limit = Shadow::new(TokenBucket::new(BucketConfig::per_second(1), &CLOCK));
        if ENFORCED.load(Ordering::SeqCst) {
            limit.enforce();
        }
        limit
    };
    let gates = Keyed::new(2, limit).stale_after(Duration::ZERO);
    assert!([1, 1, 1, 2].iter().all(|key| gates.get(key).unwrap().permit().is_ok()));
    ENFORCED.store(true, Ordering::SeqCst);
    gates.for_each(|_, limit| limit.enforce());
    assert!(gates.get(&1).unwrap().permit().is_err());
    assert_eq!([gates.sweep(), gates.sweep(), gates.sweep()], [0, 0, 0], "there is debt");
    CLOCK.advance(Duration::from_secs(5));
    assert!(gates.get(&3).is_ok(), "there is room again");
    assert!(gates.get(&3).unwrap().permit().is_ok() && gates.get(&3).unwrap().permit().is_err());
}

#[test]
fn all_are_visited_under_no_lock() {
    let gates = Keyed::<u64, Bulkhead>::configured(1_000, BulkheadConfig::new(1), []).unwrap();
    (0..500).for_each(|key| drop(gates.get(&key)));
    let mut seen = Vec::new();
    gates.for_each(|&key, bulkhead| {
        bulkhead.set_max_concurrent(3).unwrap();
        assert!(gates.get(&key).is_ok() && gates.get(&(key + 1_000)).is_ok());
        let _ = gates.remove(&(key + 1_000));
        seen.push(key);
    });
    seen.retain(|&key| key < 1_000);
    seen.sort_unstable();
    assert_eq!(seen, Vec::from_iter(0..500));
    assert!(gates.snapshot().iter().all(|(_, usage)| usage.permits() == 3));
    assert_eq!(gates.sweep(), 500, "and nobody has them any more");
}

/// It could not be reached, so that a trial did not end for the keys that share it.
#[test]
fn the_gate_of_the_overflow_is_changed_on_its_own() {
    let new = |_: &u64| Shadow::new(Semaphore::<Queue<0>>::new(1));
    let gates = Keyed::new(1, new);
    assert!(gates.overflow_gate().is_none());
    let gates = gates.overflow(new(&0));
    let (own, shared) = (gates.get(&1).unwrap(), gates.get(&2).unwrap());
    let mut visited = 0;
    gates.for_each(|_, gate| {
        visited += 1;
        gate.enforce();
    });
    assert_eq!((visited, own.is_enforced(), shared.is_enforced()), (1, true, false));
    gates.overflow_gate().unwrap().enforce();
    assert!(shared.is_enforced());
}

/// What a sweep had removed before the panic never gave its places back, and was dropped under a
/// lock of the map.
#[test]
fn a_gate_that_panics_when_it_is_asked_costs_no_room() {
    type Map = Arc<OnceLock<Keyed<u64, Moody>>>;
    struct Moody(Map);
    static ASKED: AtomicU32 = AtomicU32::new(0);
    static LOCKED: AtomicBool = AtomicBool::new(false);
    impl Idle for Moody {
        fn is_idle(&self) -> bool {
            // All eight are asked, and then each again before it is removed.
            assert!(ASKED.fetch_add(1, Ordering::Relaxed) != 8 + 3, "the clock is broken");
            true
        }
    }
    impl Drop for Moody {
        fn drop(&mut self) {
            let (map, (done, is_done)) = (Arc::clone(&self.0), mpsc::channel());
            thread::spawn(move || done.send(map.get().map(|map| map.peek(&9).is_some())));
            let locked = is_done.recv_timeout(Duration::from_secs(5)).is_err();
            LOCKED.fetch_or(locked, Ordering::Relaxed);
        }
    }
    let map: Map = Arc::default();
    let own = Arc::clone(&map);
    let gates = map.get_or_init(|| Keyed::new(8, move |_| Moody(Arc::clone(&own))));
    assert!((0..8).all(|key| gates.get(&key).is_ok()));
    assert!(catch_unwind(AssertUnwindSafe(|| gates.sweep())).is_err());
    assert_eq!(gates.len(), 5, "three were removed");
    assert!(!LOCKED.load(Ordering::Relaxed), "dropped under the lock");
    assert_eq!((gates.sweep(), gates.len()), (5, 0));
}

/// It would wait for itself for ever.
#[test]
#[cfg(debug_assertions)]
fn a_gate_that_uses_its_map_when_it_is_asked_panics() {
    struct Nosy(Arc<OnceLock<Keyed<u64, Nosy>>>);
    impl Idle for Nosy {
        fn is_idle(&self) -> bool {
            self.0.get().is_none_or(|map| map.peek(&2).is_none())
        }
    }
    let map: Arc<OnceLock<Keyed<u64, Nosy>>> = Arc::default();
    let own = Arc::clone(&map);
    let gates = map.get_or_init(|| Keyed::new(1, move |_| Nosy(Arc::clone(&own))));
    gates.get(&1).unwrap();
    let told = |asked: &dyn Fn()| {
        let panic = catch_unwind(AssertUnwindSafe(asked)).unwrap_err();
        panic.downcast::<&str>().unwrap().contains("asked whether it is idle")
    };
    assert!(told(&|| drop(gates.get(&2))) && told(&|| assert_eq!(gates.sweep(), 0)));
    assert!(gates.peek(&1).is_some(), "and the map is as it was");
}

/// A gate that uses the map it is in, when it is made and when it is dropped, would wait for itself
/// for ever if that were done under a lock. (Where it is asked whether it is idle, it must not.)
#[test]
fn a_gate_may_use_its_own_map() {
    type Map = Mutex<Option<Arc<Keyed<u64, Nosy>>>>;
    struct Nosy(Arc<Map>);
    impl Idle for Nosy {
        fn is_idle(&self) -> bool {
            true
        }
    }
    impl Drop for Nosy {
        fn drop(&mut self) {
            let map = self.0.lock().unwrap().clone();
            let _ = map.map(|map| map.peek(&1).is_some());
        }
    }
    let map: Arc<Map> = Arc::default();
    let for_each = Arc::clone(&map);
    let gates = Arc::new(Keyed::new(2, move |&key| {
        let gates = for_each.lock().unwrap().clone();
        if let (Some(gates), 1) = (gates, key % 2) {
            let _ = gates.get(&(key + 1));
        }
        Nosy(Arc::clone(&for_each))
    }));
    *map.lock().unwrap() = Some(Arc::clone(&gates));
    for key in 1..100 {
        assert!(gates.get(&key).is_ok());
    }
    gates.sweep();
    assert!(gates.is_empty());
    map.lock().unwrap().take();
}

/// Whoever gets in is alone behind the gate of its key, whatever is found, added, forgotten,
/// removed and swept at the same time.
#[test]
fn one_key_has_one_gate_under_concurrency() {
    const KEYS: usize = 64;
    let gates = semaphores(KEYS / 2);
    let inside: [AtomicU32; KEYS] = [const { AtomicU32::new(0) }; KEYS];
    let (let_in, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let visit = |seed: u64| {
        let rng = Rng::from_seed(seed);
        for _ in 0..20_000 {
            let key = (rng.below(KEYS as u64)) as usize;
            match gates.get(&(key as u64)) {
                Err(rejection) => {
                    assert_eq!(rejection.reason(), Reason::Overloaded);
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                Ok(gate) => {
                    let Ok(permit) = gate.permit() else { continue };
                    assert_eq!(inside[key].fetch_add(1, Ordering::Relaxed), 0, "key {key}");
                    let_in.fetch_add(1, Ordering::Relaxed);
                    assert!(gates.len() <= gates.capacity());
                    if key % 3 == 0 {
                        thread::yield_now();
                    }
                    inside[key].fetch_sub(1, Ordering::Relaxed);
                    permit.success();
                }
            }
        }
    };
    thread::scope(|scope| {
        let visitors: Vec<_> = (1..5).map(|seed| scope.spawn(move || visit(seed))).collect();
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                gates.sweep();
            }
        });
        let ended: Vec<_> = visitors.into_iter().map(|visitor| visitor.join()).collect();
        stop.store(true, Ordering::Relaxed);
        ended.into_iter().for_each(Result::unwrap);
    });
    let counts = (let_in.into_inner(), refused.into_inner());
    assert!(counts.0 > 10_000, "{counts:?}");
    gates.sweep();
    assert!(gates.is_empty());
}
