//! Token buckets: granted and denied, on the standard library's clock, on the time stamp counter,
//! and at times that are given.
//!
//! Granted: 10^9 tokens a second and a burst of 10^6, more than a thread can take. Denied: one a
//! day, and that one is taken. leaky-bucket adds its tokens in steps, here 10^6 each millisecond,
//! and reads its clock only when it has none left; so its grants are compared with the others', but
//! they are another job where the rate matters.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use better_bucket::{BucketBuilder, BucketConfig as BetterConfig, BucketCore};
use fusebox_std::{BucketConfig, Clock, FastClock, StdClock, Ticks, TokenBucket};
use governor::clock::{Clock as GovernorClock, MonotonicClock, QuantaClock};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use ratelimit::Ratelimiter;

use crate::rows::{Rows, limit};

const RATE: u32 = 1_000_000_000;
const BURST: u32 = 1_000_000;
const A_DAY: Duration = Duration::from_secs(24 * 3600);

const PLENTY: BucketConfig = BucketConfig::per_second(RATE).burst(BURST);
const SCARCE: BucketConfig = BucketConfig::per_day(1).burst(1);

type Governor<C> =
    RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as GovernorClock>::Instant>>;

pub(crate) fn rows(rows: &mut impl Rows) {
    granted(rows);
    denied(rows);
}

fn plenty() -> Quota {
    let number = |n| NonZeroU32::new(n).expect("not 0");
    Quota::per_second(number(RATE)).allow_burst(number(BURST))
}

fn scarce() -> Quota {
    Quota::with_period(A_DAY).expect("not 0")
}

fn better(amount: u32, period: Duration, burst: u32) -> BucketBuilder {
    BucketBuilder::new().capacity(burst).refill(amount, period).initial(burst)
}

fn granted(rows: &mut impl Rows) {
    rows.group("token bucket granted");
    let bucket = TokenBucket::<StdClock>::new(PLENTY, StdClock);
    rows.row("us", true, || || black_box(&bucket).try_acquire(1).is_ok());
    let peer: Governor<_> = RateLimiter::direct_with_clock(plenty(), MonotonicClock);
    rows.row("governor", true, || || black_box(&peer).check().is_ok());
    let peer = better(RATE, Duration::from_secs(1), BURST).build().expect("good settings");
    rows.row("better-bucket", true, || || black_box(&peer).try_acquire(1));
    let peer = Ratelimiter::builder(u64::from(RATE))
        .max_tokens(u64::from(BURST))
        .initial_available(u64::from(BURST))
        .build()
        .expect("good settings");
    rows.row("ratelimit", true, || || black_box(&peer).try_wait().is_ok());
    let peer = leaky_bucket::RateLimiter::builder()
        .interval(Duration::from_millis(1))
        .refill(BURST as usize)
        .initial(BURST as usize)
        .max(BURST as usize)
        .build();
    rows.row("leaky-bucket", true, || || black_box(&peer).try_acquire(1));
    clock_and_swap(rows, "clock reading, load, compare-and-swap", || StdClock.now().0);
}

fn clock_and_swap(rows: &mut impl Rows, name: &str, now: impl Fn() -> u64 + Sync) {
    let word = AtomicU64::new(0);
    let (word, now) = (&word, &now);
    limit(rows, name, || {
        move || {
            let now = now();
            let old = black_box(word).load(Ordering::Relaxed);
            word.compare_exchange(old, now, Ordering::AcqRel, Ordering::Relaxed)
        }
    });
}

fn denied(rows: &mut impl Rows) {
    rows.group("token bucket denied");
    let bucket = TokenBucket::<StdClock>::new(SCARCE, StdClock);
    assert!(bucket.try_acquire(1).is_ok());
    rows.row("us", false, || || black_box(&bucket).try_acquire(1).is_ok());
    let peer: Governor<_> = RateLimiter::direct_with_clock(scarce(), MonotonicClock);
    assert!(peer.check().is_ok());
    rows.row("governor", false, || || black_box(&peer).check().is_ok());
    let peer = better(1, A_DAY, 1).build().expect("good settings");
    assert!(peer.try_acquire(1));
    rows.row("better-bucket", false, || || black_box(&peer).try_acquire(1));
    // It says when to come back only by this form, as ours and governor's always do.
    rows.row("better-bucket, with a time to come back", false, || {
        || black_box(black_box(&peer).acquire(1)).is_allowed()
    });
    let peer = Ratelimiter::builder(1)
        .period(A_DAY)
        .max_tokens(1)
        .initial_available(1)
        .build()
        .expect("good settings");
    assert!(peer.try_wait().is_ok());
    rows.row("ratelimit", false, || || black_box(&peer).try_wait().is_ok());
    let peer = leaky_bucket::RateLimiter::builder().interval(A_DAY).initial(1).max(1).build();
    assert!(peer.try_acquire(1));
    rows.row("leaky-bucket", false, || || black_box(&peer).try_acquire(1));
    let word = AtomicU64::new(0);
    limit(rows, "clock reading and load", || {
        || StdClock.now().0 ^ black_box(&word).load(Ordering::Acquire)
    });
}

/// Rows that make no sense on several threads: time is what one of them says.
pub(crate) fn at_given_times(rows: &mut impl Rows) {
    rows.group("token bucket granted, at a given time");
    let step = Duration::from_micros(1);
    let bucket = TokenBucket::<StdClock>::new(PLENTY, StdClock);
    rows.row("us", true, || {
        let mut now = StdClock.now();
        let bucket = &bucket;
        move || {
            now = now.wrapping_add(1000);
            black_box(bucket).try_acquire_at(1, now).is_ok()
        }
    });
    let peer: Governor<_> = RateLimiter::direct_with_clock(plenty(), Given::default());
    let time = peer.clock().0.clone();
    rows.row("governor", true, || {
        let (peer, time) = (&peer, &time);
        move || {
            // A load and a store: what a plain variable would cost.
            time.store(time.load(Ordering::Relaxed) + 1000, Ordering::Relaxed);
            black_box(peer).check().is_ok()
        }
    });
    let config: BetterConfig =
        better(RATE, Duration::from_secs(1), BURST).build_config().expect("good settings");
    let peer = BucketCore::new(config, Duration::ZERO);
    rows.row("better-bucket", true, || {
        let mut now = Duration::ZERO;
        let peer = &peer;
        move || {
            now += step;
            black_box(peer).try_acquire_at(1, now)
        }
    });
    let mut now = Ticks(0);
    clock_free_swap(rows, move || {
        now = now.wrapping_add(1000);
        now.0
    });
}

fn clock_free_swap(rows: &mut impl Rows, mut next: impl FnMut() -> u64 + Clone + Sync) {
    let word = AtomicU64::new(0);
    let _ = next();
    limit(rows, "load and compare-and-swap", || {
        let (word, mut next) = (&word, next.clone());
        move || {
            let old = black_box(word).load(Ordering::Relaxed);
            word.compare_exchange(old, next(), Ordering::AcqRel, Ordering::Relaxed)
        }
    });
}

/// A clock that says what it was told.
#[derive(Clone, Debug, Default)]
struct Given(Arc<AtomicU64>);

impl GovernorClock for Given {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.0.load(Ordering::Relaxed).into()
    }
}

/// Both read the time stamp counter through the same crate.
pub(crate) fn fast_clock(rows: &mut impl Rows) {
    FastClock::calibrate();
    rows.group("token bucket granted, by the time stamp counter");
    let bucket = TokenBucket::new(PLENTY, FastClock);
    rows.row("us", true, || || black_box(&bucket).try_acquire(1).is_ok());
    let peer: Governor<_> = RateLimiter::direct_with_clock(plenty(), QuantaClock::default());
    rows.row("governor", true, || || black_box(&peer).check().is_ok());
    clock_and_swap(rows, "clock reading, load, compare-and-swap", || FastClock.now().0);

    rows.group("token bucket denied, by the time stamp counter");
    let bucket = TokenBucket::new(SCARCE, FastClock);
    assert!(bucket.try_acquire(1).is_ok());
    rows.row("us", false, || || black_box(&bucket).try_acquire(1).is_ok());
    let peer: Governor<_> = RateLimiter::direct_with_clock(scarce(), QuantaClock::default());
    assert!(peer.check().is_ok());
    rows.row("governor", false, || || black_box(&peer).check().is_ok());
    let word = AtomicU64::new(0);
    limit(rows, "clock reading and load", || {
        || FastClock.now().0 ^ black_box(&word).load(Ordering::Acquire)
    });
}
