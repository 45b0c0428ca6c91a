//! What each primitive costs, beside what the machine allows: one thread, nothing contended.
//!
//! The rows of `limits` are the parts that no implementation can do without; a primitive is judged by its
//! distance from the sum of those it needs.

use std::hint::black_box;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use fusebox_core::{Clock, Ticks};

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

criterion_group!(benches, limits);
criterion_main!(benches);
