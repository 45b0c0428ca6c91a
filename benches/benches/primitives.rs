//! What each primitive costs, beside what the machine allows: one thread, nothing contended.
//!
//! The rows of `limits` are the parts that no implementation can do without; a primitive is judged by its
//! distance from the sum of those it needs.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use fusebox_core::{BreakerConfig, CircuitBreaker, Clock, Gate, Ticks};

/// The system's monotonic clock, in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Monotonic;

static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for Monotonic {
    const TICKS_PER_SECOND: u64 = 1_000_000_000;

    fn now(&self) -> Ticks {
        Ticks(ORIGIN.elapsed().as_nanos() as u64)
    }
}

/// The output of a future that is ready at its first poll. By hand, as an executor has costs of its own.
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
    group.bench_function("clock", |b| b.iter(|| Monotonic.now()));
    group.bench_function("clock + compare-and-swap", |b| {
        b.iter(|| {
            let now = Monotonic.now().0;
            let old = black_box(&word).load(Ordering::Relaxed);
            word.compare_exchange(old, now, Ordering::AcqRel, Ordering::Relaxed)
        });
    });
    group.finish();
}

fn breaker(c: &mut Criterion) {
    static BREAKER: CircuitBreaker<Monotonic> =
        CircuitBreaker::new(BreakerConfig::standard(), Monotonic);
    static OPEN: CircuitBreaker<Monotonic> =
        CircuitBreaker::new(BreakerConfig::standard(), Monotonic);
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

criterion_group!(benches, limits, breaker);
criterion_main!(benches);
