//! Limits for any number of keys in fixed memory: how often that errs, and on which side.

use core::time::Duration;
use std::thread;

use fusebox_core::*;

/// A minute in which nothing comes back.
const SCARCE: BucketConfig = BucketConfig::per_hour(10).burst(10);

type Sketch<'a> = BucketSketch<&'a ManualClock, Box<[SketchColumn]>>;

fn sketch(config: BucketConfig, columns: usize, clock: &ManualClock) -> Sketch<'_> {
    let columns = (0..columns).map(|_| SketchColumn::default()).collect();
    BucketSketch::try_new(config, clock, columns).unwrap()
}

#[test]
fn a_key_has_its_limit() {
    let clock: ManualClock = ManualClock::new();
    let limits = sketch(BucketConfig::per_second(2).burst(3), 64, &clock);
    assert!(limits.try_acquire(7, 2).is_ok());
    let refused = limits.try_acquire(7, 2).unwrap_err();
    assert_eq!(refused.reason(), Reason::RateLimited);
    let wait = refused.retry_after().unwrap();
    // Where words are 32 bits, an interval may be a thousandth longer.
    assert!(wait >= Duration::from_millis(500) && wait < Duration::from_millis(501), "{wait:?}");
    assert_eq!(limits.try_acquire(7, 4).unwrap_err().reason(), Reason::ExceedsBurst);
    assert_eq!((limits.peek(7), limits.peek(8), limits.width()), (1, 3, 64));
    clock.advance(wait);
    assert_eq!((limits.peek(7), limits.try_acquire(7, 2)), (2, Ok(())));

    let calls = (0..9).filter(|_| limits.of(8, 1).call(|| Ok::<_, ()>(())).is_ok());
    assert_eq!(calls.count(), 3);

    let none = sketch(SCARCE, 0, &clock);
    assert_eq!(
        (none.try_acquire(1, 1).unwrap_err().reason(), none.peek(1)),
        (Reason::Overloaded, 0)
    );
}

#[test]
fn what_is_not_full_initially_fills_from_the_first_use() {
    let clock: ManualClock = ManualClock::new();
    let limits = sketch(BucketConfig::per_second(1).burst(5).initially(0), 1, &clock);
    clock.advance(Duration::from_secs(60));
    assert!(limits.try_acquire(1, 1).is_err());
    clock.advance(Duration::from_millis(1_001));
    assert!(limits.try_acquire(1, 1).is_ok());
    assert!(limits.try_acquire(1, 1).is_err());
}

/// The share of the keys that nobody has used that seem to have been, beside the one that the
/// documentation tells.
#[test]
fn the_share_of_affected_keys_is_the_one_that_is_told() {
    const COLUMNS: u32 = 2_000;
    const STRANGERS: u64 = 200_000;
    let clock: ManualClock = ManualClock::new();
    for (busy, told) in [(2_000_u32, 0.160), (1_000, 0.024), (500, 0.0024)] {
        let limits = sketch(SCARCE, COLUMNS as usize, &clock);
        for key in 0..u64::from(busy) {
            let _ = limits.try_acquire(key, 10);
        }
        let affected = |key: &u64| limits.peek(*key) < 10;
        let share =
            (1 << 40..(1 << 40) + STRANGERS).filter(affected).count() as f64 / STRANGERS as f64;
        let exact = (1.0 - (1.0 - 1.0 / f64::from(COLUMNS)).powi(busy as i32)).powi(4);
        assert!((exact / told - 1.0).abs() < 0.03, "{exact} where {told} is told");
        // Three deviations of that many draws, and the states that busy keys did not get to raise.
        let deviation = (exact / STRANGERS as f64).sqrt();
        assert!(share < exact + 3.0 * deviation, "{share} at {busy}, not {exact}");
        assert!(share > 0.8 * exact, "{share} at {busy}, not {exact}");
        let bound = (f64::from(busy) / f64::from(COLUMNS)).powi(4);
        assert!(share < bound, "{share}, above the bound of {bound}");
    }
}

/// 10^5 keys that each take a token of ten: a sketch that added them up would refuse everybody.
#[test]
fn keys_within_their_limit_do_not_add_up() {
    let clock: ManualClock = ManualClock::new();
    let limits = sketch(SCARCE, 10_000, &clock);
    let let_in = (0..20_000_u64).filter(|&key| limits.try_acquire(key, 1).is_ok()).count();
    assert_eq!(let_in, 20_000, "twice as many keys as columns, and eight tokens to spare");
    let left = (0..20_000_u64).map(|key| limits.peek(key)).min();
    assert!(left >= Some(5), "{left:?}");
}

#[test]
fn a_flood_of_keys_has_no_more_than_all_states_hold() {
    let clock: ManualClock = ManualClock::new();
    let limits = sketch(SCARCE, 50, &clock);
    let let_in = (0..100_000_u64).filter(|&key| limits.try_acquire(key, 1).is_ok()).count();
    assert!((500..=4 * 50 * 10).contains(&let_in), "{let_in}");
    assert!(limits.try_acquire(1 << 40, 1).is_err(), "strangers are refused then");
}

#[test]
fn threads_never_let_more_in_than_the_own_buckets_would() {
    const KEYS: u64 = 12;
    let clock: ManualClock = ManualClock::new();
    for round in 0..200 {
        // Few columns, so that keys meet in some of their states.
        let limits = sketch(SCARCE, 5, &clock);
        let visit = |first: u64| {
            let mut let_in = [0_u32; KEYS as usize];
            for n in 0..KEYS * 15 {
                let key = (first + n) % KEYS;
                let hash = (round << 8) | key;
                let_in[key as usize] += u32::from(limits.try_acquire(hash, 1).is_ok());
            }
            let_in
        };
        let counts = thread::scope(|scope| {
            let visitors = [0, 0, 5].map(|first| scope.spawn(move || visit(first)));
            visitors.map(|visitor| visitor.join().unwrap())
        });
        for key in 0..KEYS as usize {
            let of_key = counts.iter().map(|let_in| let_in[key]).sum::<u32>();
            assert!(of_key <= 10, "{of_key} for {key}");
        }
    }
}
