//! What each primitive costs, beside what the machine allows: one thread, nothing contended.
//!
//! The rows of `limits` are the parts that no implementation can do without; a primitive is judged
//! by its distance from the sum of those it needs.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use fusebox_std::{
    AdaptiveLimit, AdaptiveThrottle, Backoff, BreakerConfig, BucketConfig, Bulkhead,
    BulkheadConfig, CircuitBreaker, Clock, CoDel, CoDelConfig, EnvoyGradient, Gate, Gradient2,
    LimitConfig, LoadShedder, Outcome, Pipeline, Priority, Queue, Retry, Semaphore, ShedderConfig,
    StdClock, StdRng, ThrottleConfig, TokenBucket, TokioTimer,
};

/// The output of a future that is ready at its first poll. By hand, as an executor has costs of its
/// own.
#[inline(always)]
fn poll_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn limits(c: &mut Criterion) {
    let mut group = c.benchmark_group("limits");
    let word = AtomicU64::new(0);
    group.bench_function("load", |b| b.iter(|| black_box(&word).load(Ordering::Acquire)));
    group.bench_function("compare-and-swap", |b| {
        b.iter(|| {
            let old = black_box(&word).load(Ordering::Relaxed);
            word.compare_exchange(old, old ^ 1, Ordering::AcqRel, Ordering::Relaxed)
        });
    });
    group.bench_function("read-modify-write", |b| {
        b.iter(|| black_box(&word).fetch_add(1, Ordering::AcqRel));
    });
    group.bench_function("clock", |b| b.iter(|| StdClock.now()));
    group.bench_function("clock + compare-and-swap", |b| {
        b.iter(|| {
            let now = StdClock.now().0;
            let old = black_box(&word).load(Ordering::Relaxed);
            word.compare_exchange(old, now, Ordering::AcqRel, Ordering::Relaxed)
        });
    });
    group.finish();
}

fn breaker(c: &mut Criterion) {
    static BREAKER: CircuitBreaker<StdClock> =
        CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    static OPEN: CircuitBreaker<StdClock> =
        CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    while OPEN.permit().map(|permit| permit.failure()).is_ok() {}

    let mut group = c.benchmark_group("breaker");
    group.bench_function("closed, permit + success", |b| {
        b.iter(|| black_box(&BREAKER).permit().map(|permit| permit.success()));
    });
    group.bench_function("closed, call", |b| {
        b.iter(|| black_box(&BREAKER).call(|| Ok::<_, ()>(black_box(1))));
    });
    group.bench_function("closed, guard", |b| {
        b.iter(|| poll_once(black_box(&BREAKER).guard(async { Ok::<_, ()>(black_box(1)) })));
    });
    group.bench_function("open, refused", |b| {
        b.iter(|| black_box(&OPEN).call(|| Ok::<_, ()>(black_box(1))));
    });
    group.finish();
}

fn bucket(c: &mut Criterion) {
    // More than one thread can take in the time of a measurement.
    static PLENTY: TokenBucket<StdClock> =
        TokenBucket::new(BucketConfig::per_second(1_000_000_000).burst(1_000_000), StdClock);
    static DRY: TokenBucket<StdClock> =
        TokenBucket::new(BucketConfig::per_day(1).burst(1), StdClock);
    let _ = DRY.permit().map(|permit| permit.success());

    let mut group = c.benchmark_group("bucket");
    group.bench_function("granted", |b| b.iter(|| black_box(&PLENTY).try_acquire(1)));
    group.bench_function("denied", |b| b.iter(|| black_box(&DRY).try_acquire(1)));
    group.bench_function("granted at a given time", |b| {
        let mut now = StdClock.now();
        b.iter(|| {
            now = now.wrapping_add(1000);
            black_box(&PLENTY).try_acquire_at(1, now)
        });
    });
    group.finish();
}

fn semaphore(c: &mut Criterion) {
    static SEMAPHORE: Semaphore<Queue<0>> = Semaphore::new(64);
    static QUEUED: Semaphore<Queue<16>> = Semaphore::new(64);

    let mut group = c.benchmark_group("semaphore");
    group.bench_function("no queue, permit + release", |b| {
        b.iter(|| black_box(&SEMAPHORE).permit().map(|permit| permit.success()));
    });
    group.bench_function("empty queue, permit + release", |b| {
        b.iter(|| black_box(&QUEUED).permit().map(|permit| permit.success()));
    });
    group.finish();
}

fn shedding(c: &mut Criterion) {
    static SHEDDER: LoadShedder = LoadShedder::new(ShedderConfig::new(64));
    static CODEL: CoDel = CoDel::new(CoDelConfig::new(), StdClock);
    static THROTTLE: AdaptiveThrottle =
        AdaptiveThrottle::new(ThrottleConfig::new(), StdClock, StdRng);
    static GRADIENT: AdaptiveLimit<StdClock, Gradient2> =
        AdaptiveLimit::new(LimitConfig::gradient2(), StdClock);
    static ENVOY: AdaptiveLimit<StdClock, EnvoyGradient> =
        AdaptiveLimit::new(LimitConfig::envoy_gradient(), StdClock);

    let mut group = c.benchmark_group("shedding");
    group.bench_function("load shedder, permit + success", |b| {
        let normal = black_box(&SHEDDER).at(Priority::Normal);
        b.iter(|| normal.permit().map(|permit| permit.success()));
    });
    group.bench_function("adaptive limit, permit + success", |b| {
        b.iter(|| black_box(&GRADIENT).permit().map(|permit| permit.success()));
    });
    group.bench_function("adaptive limit, at given times", |b| {
        let mut now = StdClock.now();
        b.iter(|| {
            now = now.wrapping_add(1000);
            let entered = black_box(&GRADIENT).enter_at(now)?;
            Ok::<_, fusebox_std::Rejection>(GRADIENT.exit_at(
                entered,
                Outcome::Success,
                now.wrapping_add(500),
            ))
        });
    });
    group.bench_function("adaptive limit by a median, at given times", |b| {
        let mut now = StdClock.now();
        b.iter(|| {
            now = now.wrapping_add(1000);
            let entered = black_box(&ENVOY).enter_at(now)?;
            Ok::<_, fusebox_std::Rejection>(ENVOY.exit_at(
                entered,
                Outcome::Success,
                now.wrapping_add(500),
            ))
        });
    });
    group.bench_function("CoDel, at given times", |b| {
        let mut now = StdClock.now();
        b.iter(|| {
            let enqueued = now;
            now = now.wrapping_add(1000);
            black_box(&CODEL).admit_at(enqueued, now)
        });
    });
    group.bench_function("adaptive throttle, permit + success", |b| {
        b.iter(|| black_box(&THROTTLE).permit().map(|permit| permit.success()));
    });
    group.finish();
}

fn pipeline(c: &mut Criterion) {
    const RETRY: Retry = Retry::new(Backoff::constant(Duration::from_millis(10))).max_attempts(3);
    static BULKHEAD: Bulkhead = Bulkhead::new(BulkheadConfig::new(64));
    static BREAKER: CircuitBreaker<StdClock> =
        CircuitBreaker::new(BreakerConfig::standard(), StdClock);

    let mut group = c.benchmark_group("pipeline");
    group.bench_function("bulkhead + breaker + retry", |b| {
        b.iter(|| {
            poll_once(
                Pipeline::new(TokioTimer)
                    .per_call(black_box(&BULKHEAD))
                    .retry(RETRY)
                    .per_attempt(black_box(&BREAKER))
                    .call(|_| async { Ok::<_, ()>(black_box(1)) }),
            )
        });
    });
    group.finish();
}

criterion_group!(benches, limits, breaker, bucket, semaphore, shedding, pipeline);
criterion_main!(benches);
