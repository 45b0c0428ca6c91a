//! What the primitives without a peer cost, beside what the machine allows: one thread, nothing
//! contended. Those with peers are in `peers`.
//!
//! The rows of `limits` are the parts that no implementation can do without; a primitive is judged
//! by its distance from the sum of those it needs.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Bencher, Criterion, criterion_group, criterion_main};
use fusebox_std::{
    AdaptiveLimit, AdaptiveThrottle, BreakerConfig, BucketConfig, CircuitBreaker, Clock, CoDel,
    CoDelConfig, Consecutive, EnvoyGradient, Gate, Gradient2, Histogram, HistogramConfig,
    LimitAlgorithm, LimitConfig, LoadShedder, Meter, Outcome, Pipeline, PipelineMeter, Priority,
    Rate, Ratio, Rejection, ShedderConfig, SlidingLog, SlidingLogConfig, SlidingWindowConfig,
    SlidingWindowCounter, StdClock, StdRng, ThrottleConfig, TokenBucket, TokioTimer, WarmUp,
    WarmUpConfig, WindowedHistogram,
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

fn lease(c: &mut Criterion) {
    // More than one thread can take in the time of a measurement.
    static PLENTY: TokenBucket<StdClock> =
        TokenBucket::new(BucketConfig::per_second(1_000_000_000).burst(1_000_000), StdClock);

    let mut group = c.benchmark_group("lease");
    group.bench_function("of 1000, granted", |b| {
        let lease = PLENTY.lease(1000);
        b.iter(|| black_box(&lease).try_acquire(1));
    });
    group.finish();
}

fn sliding(c: &mut Criterion) {
    // Its places come free again within a few calls.
    static PLENTY: SlidingLog<100> =
        SlidingLog::new(SlidingLogConfig::per(Duration::from_nanos(1)), StdClock);
    static FULL: SlidingLog<100> = SlidingLog::new(SlidingLogConfig::per_day(), StdClock);
    while FULL.try_acquire().is_ok() {}

    let mut group = c.benchmark_group("sliding");
    group.bench_function("log of 100, granted", |b| b.iter(|| black_box(&PLENTY).try_acquire()));
    group.bench_function("log of 100, denied", |b| b.iter(|| black_box(&FULL).try_acquire()));
    // More than one thread can make in the time of a window.
    static COUNTER: SlidingWindowCounter = SlidingWindowCounter::new(
        SlidingWindowConfig::new(1_000_000, Duration::from_millis(10)),
        StdClock,
    );
    static COUNTED: SlidingWindowCounter =
        SlidingWindowCounter::new(SlidingWindowConfig::per_day(1), StdClock);
    let _ = COUNTED.try_acquire(1);
    group.bench_function("counter, granted", |b| b.iter(|| black_box(&COUNTER).try_acquire(1)));
    group.bench_function("counter, denied", |b| b.iter(|| black_box(&COUNTED).try_acquire(1)));
    group.finish();
}

fn warm_up(c: &mut Criterion) {
    static COLD: WarmUp =
        WarmUp::new(WarmUpConfig::new(Rate::per_second(1), Duration::from_secs(10)), StdClock);
    let _ = COLD.try_acquire();

    let mut group = c.benchmark_group("warm-up");
    group.bench_function("granted at a given time", |b| {
        let limit: WarmUp = WarmUp::new(
            WarmUpConfig::new(Rate::per_second(1_000), Duration::from_secs(10)),
            StdClock,
        );
        let mut now = StdClock.now();
        b.iter(|| {
            now = now.wrapping_add(5_000_000);
            black_box(&limit).try_acquire_at(now)
        });
    });
    group.bench_function("denied", |b| b.iter(|| black_box(&COLD).try_acquire()));
    group.finish();
}

/// Calls of half a microsecond, with the ends of windows among them.
fn limited<A: LimitAlgorithm>(b: &mut Bencher<'_>, limit: &AdaptiveLimit<StdClock, A>) {
    let mut now = StdClock.now();
    b.iter(|| {
        now = now.wrapping_add(1000);
        let entered = black_box(limit).enter_at(now)?;
        limit.exit_at(entered, Outcome::Success, now.wrapping_add(500));
        Ok::<_, Rejection>(())
    });
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
    group.bench_function("adaptive limit, at given times", |b| limited(b, &GRADIENT));
    group.bench_function("adaptive limit by a median, at given times", |b| limited(b, &ENVOY));
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

/// Durations from a tenth of a millisecond to a second, most of them short: what a service sees.
fn durations() -> impl Iterator<Item = Duration> {
    (1..=10_000_u64).map(|rank| Duration::from_micros(100 + 1_000_000 / rank))
}

/// A record is held against one read-modify-write, of a given time against a compare-and-swap.
fn histogram(c: &mut Criterion) {
    static ALL: Histogram = Histogram::new(HistogramConfig::standard());
    static LAST_MINUTE: WindowedHistogram =
        WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), StdClock);
    let now = StdClock.now();
    for elapsed in durations() {
        ALL.record(elapsed);
        LAST_MINUTE.record_at(elapsed, now);
    }
    let p95 = Ratio::percent(95);

    let mut group = c.benchmark_group("histogram");
    let mut elapsed = 1_u64;
    let mut next = move || {
        // A bucket that the processor cannot foresee.
        elapsed = elapsed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        100_000 + (elapsed >> 44)
    };
    group.bench_function("record", |b| b.iter(|| black_box(&ALL).record_ticks(next())));
    group.bench_function("windowed, record at a given time", |b| {
        b.iter(|| black_box(&LAST_MINUTE).record_ticks_at(next(), black_box(now)));
    });
    group.bench_function("percentile", |b| b.iter(|| black_box(&ALL).percentile(p95)));
    group.bench_function("windowed, percentile at a given time", |b| {
        b.iter(|| black_box(&LAST_MINUTE).percentile_at(p95, black_box(now)));
    });
    group.bench_function("snapshot + summary", |b| b.iter(|| black_box(&ALL).snapshot().summary()));
    group.finish();
}

/// What is counted for people, on top of what is metered.
fn meters(c: &mut Criterion) {
    static LATENCIES: Histogram = Histogram::new(HistogramConfig::standard());
    static COUNTED: CircuitBreaker<StdClock, Consecutive, Meter> = CircuitBreaker::with_parts(
        BreakerConfig::standard(),
        Consecutive,
        Meter::new(),
        (),
        StdClock,
    );
    static TIMED: CircuitBreaker<StdClock, Consecutive, Meter<&Histogram>> =
        CircuitBreaker::with_parts(
            BreakerConfig::standard(),
            Consecutive,
            Meter::new().latencies(&LATENCIES),
            (),
            StdClock,
        );
    static CALLS: PipelineMeter<TokioTimer> = PipelineMeter::new(TokioTimer);

    let mut group = c.benchmark_group("meters");
    group.bench_function("breaker, permit + success", |b| {
        b.iter(|| black_box(&COUNTED).permit().map(|permit| permit.success()));
    });
    group.bench_function("breaker with latencies, permit + success", |b| {
        b.iter(|| black_box(&TIMED).permit().map(|permit| permit.success()));
    });
    group.bench_function("pipeline without a meter", |b| {
        b.iter(|| {
            let pipeline = Pipeline::new(black_box(TokioTimer));
            poll_once(pipeline.call(|_| async { Ok::<_, ()>(black_box(1)) }))
        });
    });
    group.bench_function("pipeline", |b| {
        b.iter(|| {
            let pipeline = Pipeline::new(TokioTimer).metered(black_box(&CALLS));
            poll_once(pipeline.call(|_| async { Ok::<_, ()>(black_box(1)) }))
        });
    });
    group.finish();
}

criterion_group!(benches, limits, lease, sliding, warm_up, shedding, histogram, meters);
criterion_main!(benches);
