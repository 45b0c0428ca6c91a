//! Gates and switches by name.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{ConfigError, Configured, Inspect, SwitchTextProblem};

static BREAKERS: Registry<CircuitBreaker> = Registry::new();

#[test]
fn a_name_is_given_once() {
    let gates = Registry::new();
    let first = gates.add("db", Semaphore::<Queue<0>>::new(1)).unwrap();
    let error = gates.add("db", Semaphore::new(2)).unwrap_err();
    assert_eq!(error.name(), "db");
    assert_eq!(error.to_string(), "`db` is registered already");
    assert!(Arc::ptr_eq(&first, &gates.get("db").unwrap()), "the first one stays");
    assert!(gates.remove("db").is_some() && gates.is_empty());
    assert!(gates.remove("db").is_none());
    assert!(gates.add("db", Semaphore::new(2)).is_ok());
}

#[test]
fn all_who_come_at_once_get_the_same() {
    let gates: Registry<Bulkhead> = Registry::new();
    let start = Barrier::new(4);
    let found: Vec<_> = thread::scope(|scope| {
        let come = || {
            start.wait();
            gates.get_or_create("db", BulkheadConfig::new(3)).unwrap()
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(come)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(found.iter().all(|gate| Arc::ptr_eq(gate, &found[0])));
    assert_eq!(gates.len(), 1);
}

#[test]
fn a_bad_configuration_leaves_nothing_behind() {
    let never = BreakerConfig::standard().max_probes(0);
    assert!(matches!(BREAKERS.get_or_create("bad", never), Err(ConfigError::OutOfRange { .. })));
    assert!(BREAKERS.get("bad").is_none());
    let error = BREAKERS.call("bad", || Ok::<_, ()>(1)).unwrap_err();
    assert_eq!(error.name(), "bad");
}

#[test]
fn all_are_looked_at_and_reset_in_the_order_of_their_names() {
    let breakers: Registry<CircuitBreaker> = Registry::new();
    for name in ["web", "db", "mail"] {
        breakers.get_or_create(name, BreakerConfig::standard()).unwrap().trip();
    }
    let states = |breakers: &Registry<CircuitBreaker>| -> Vec<_> {
        breakers.snapshot().into_iter().map(|(name, s)| (name.to_string(), s.state)).collect()
    };
    let all = |state| ["db", "mail", "web"].map(|name| (name.to_owned(), state)).to_vec();
    assert_eq!(states(&breakers), all(State::Open));
    breakers.reset_all();
    assert_eq!(states(&breakers), all(State::Closed));

    let clock: ManualClock = ManualClock::new();
    let buckets: Registry<TokenBucket<&ManualClock>> = Registry::new();
    let bucket = buckets.get_or_create_with("mail", || {
        TokenBucket::new(BucketConfig::per_hour(5).burst(5), &clock)
    });
    bucket.try_acquire(4).unwrap();
    assert_eq!(buckets.snapshot()[0].1, 1);
    buckets.reset_all();
    assert_eq!(bucket.peek(), 5, "full again");
}

/// Whatever has a snapshot can be looked at by name, and made of its configuration.
#[test]
fn all_kinds_are_made_and_looked_at() {
    fn seen<G: Configured + Inspect>(config: G::Config) -> G::Snapshot {
        let gates: Registry<G> = Registry::new();
        gates.get_or_create("db", config).unwrap();
        let [(_, snapshot)] = gates.snapshot().try_into().ok().unwrap();
        snapshot
    }
    assert_eq!(seen::<AdaptiveLimit>(LimitConfig::gradient2()).in_flight(), 0);
    assert_eq!(seen::<AdaptiveThrottle>(ThrottleConfig::new()).requests(), 0);
    assert_eq!(seen::<LoadShedder>(ShedderConfig::new(7)).limit(), 7);
    assert_eq!(seen::<SlidingWindowCounter>(SlidingWindowConfig::per_minute(9)).left(), 9);
    assert_eq!(seen::<SlidingLog<5>>(SlidingLogConfig::per_minute()).left(), 5);
    assert_eq!(seen::<TokenBucket>(BucketConfig::per_minute(9).burst(9)), 9);
    assert_eq!(seen::<Bulkhead>(BulkheadConfig::new(3)).permits(), 3);
    assert!(seen::<RetryBudget>(BudgetConfig::new(Ratio::percent(10))).retries() < 100);
    assert!(seen::<CircuitBreaker>(BreakerConfig::standard()).totals.is_none());
    assert_eq!(seen::<Histogram>(HistogramConfig::standard()).count(), 0);

    type Metered = CircuitBreaker<StdClock, LastTime, Meter>;
    let breakers: Registry<Metered> = Registry::new();
    let windows = || LastTime::new(Duration::from_secs(60), Rates::failures(Ratio::percent(50)));
    breakers.get_or_create_with("db", || {
        CircuitBreaker::with_parts(BreakerConfig::standard(), windows(), Meter::new(), (), StdClock)
    });
    assert!(breakers.snapshot()[0].1.totals.is_some());
    breakers.reset_all();

    let latencies: Registry<Histogram> = Registry::new();
    let db = latencies.get_or_create("db", HistogramConfig::standard()).unwrap();
    db.record(Duration::from_millis(5));
    assert_eq!(latencies.snapshot()[0].1.count(), 1);
    latencies.reset_all();
    assert_eq!(db.snapshot().count(), 0);
}

/// A lock held over any of these would never be had again.
#[test]
fn a_registry_may_be_used_from_what_it_calls_and_drops() {
    struct Nested(Arc<Registry<Nested>>);
    impl Drop for Nested {
        fn drop(&mut self) {
            let _ = self.0.len();
        }
    }
    let gates = Arc::new(Registry::new());
    let outer = gates.get_or_create_with("outer", || {
        gates.add("inner", Nested(Arc::clone(&gates))).unwrap();
        Nested(Arc::clone(&gates))
    });
    assert!(gates.add("inner", Nested(Arc::clone(&gates))).is_err(), "dropped without the lock");
    drop((outer, gates.remove("outer"), gates.remove("inner")));
    assert!(gates.is_empty());
}

#[test]
fn a_panic_in_what_makes_a_gate_leaves_the_registry_in_use() {
    let gates: Registry<Bulkhead> = Registry::new();
    let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        gates.get_or_create_with("db", || panic!("no such host"))
    }));
    assert!(made.is_err() && gates.is_empty());
    assert!(gates.get_or_create("db", BulkheadConfig::new(1)).is_ok());
}

fn board() -> SwitchBoard {
    let board = SwitchBoard::new();
    board.add("a").unwrap();
    board.add("b").unwrap();
    board
}

#[test]
fn a_text_sets_the_switches_it_names() {
    let board = board();
    board.apply(" a = off ,, b=12.5 %\n").unwrap();
    let [(_, a), (_, b)] = board.snapshot().try_into().unwrap();
    assert_eq!((a.enabled, a.by_hand), (false, Some(false)));
    assert_eq!((b.enabled, b.by_hand, b.share), (true, None, Ratio::new(1, 8)));

    board.apply("a=on\nb=forced").unwrap();
    let [(_, a), (_, b)] = board.snapshot().try_into().unwrap();
    assert_eq!((a.enabled, a.by_hand, a.share), (true, None, Ratio::percent(100)));
    assert_eq!((b.by_hand, b.share), (Some(true), Ratio::percent(100)));

    for (text, share) in
        [("0%", (0, 1)), ("100%", (1, 1)), ("0.01%", (1, 10_000)), ("007.50%", (3, 40))]
    {
        board.apply(&format!("a={text}")).unwrap();
        let expected = Ratio::new(share.0, share.1);
        assert_eq!(board.get("a").unwrap().snapshot().share, expected, "{text}");
    }
    assert_eq!(board.apply(""), Ok(()));
    board.reset_all();
    assert!(board.require("a").unwrap().snapshot().enabled);
}

#[test]
fn a_text_that_is_wrong_sets_nothing_and_says_where() {
    use SwitchTextProblem::*;
    let board = board();
    for (part, problem) in [
        ("b", NoValue),
        ("b=", NoValue),
        ("=on", NoName),
        ("c=on", UnknownName),
        ("B=on", UnknownName),
        ("b=maybe", UnknownValue),
        ("b=ON", UnknownValue),
        ("b=25", UnknownValue),
        ("b=%", UnknownValue),
        ("b=-1%", UnknownValue),
        ("b=+1%", UnknownValue),
        ("b=1.%", UnknownValue),
        ("b=.5%", UnknownValue),
        ("b=1.234%", UnknownValue),
        ("b=100.01%", AboveWhole),
        ("b=99999999999999999999999%", AboveWhole),
        ("a=on", Twice),
    ] {
        let error = board.apply(&format!("a=off, {part} ,b=on")).unwrap_err();
        assert_eq!((error.part(), error.problem()), (part, problem));
        assert!(error.to_string().contains(part));
        assert!(board.get("a").unwrap().is_enabled(), "{part}: nothing was set");
    }
}

#[test]
fn the_shares_of_two_switches_fall_on_different_users() {
    let board = board();
    board.apply("a=50%, b=50%").unwrap();
    let on = |name: &str, user| board.get(name).unwrap().is_enabled_for(user);
    let both = (0..1000).filter(|&user| on("a", user) && on("b", user)).count();
    assert!((200..300).contains(&both), "{both} of 1000, and would be 500 without a salt each");
}
