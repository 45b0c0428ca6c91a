//! One definition of a row, measured in two ways: by criterion on one thread, and by plain loops on
//! several.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};

/// Measures rows. A row's name is `us`, `us, how`, a peer's, or `limit: ..`.
pub(crate) trait Rows {
    /// Whether there is one thread only.
    fn is_alone(&self) -> bool;

    /// The rows that follow do the same job.
    fn group(&mut self, job: &str);

    /// `make` gives each thread its operation, on what they share. The operation says whether it
    /// was let in, which is asserted to be `expected` before and after: so the work is done, and is
    /// the same for all.
    fn row<M, F>(&mut self, name: &str, expected: bool, make: M)
    where
        M: Fn() -> F + Sync,
        F: FnMut() -> bool;
}

/// What no implementation of the job can do without, measured beside it.
pub(crate) fn limit<M, F, T>(rows: &mut impl Rows, name: &str, make: M)
where
    M: Fn() -> F + Sync,
    F: FnMut() -> T,
{
    rows.row(&format!("limit: {name}"), true, || {
        let mut operation = make();
        move || {
            black_box(operation());
            true
        }
    });
}

/// Rows on one thread, nothing contended.
pub(crate) struct OneThread<'a> {
    criterion: &'a mut Criterion,
    job: String,
}

impl<'a> OneThread<'a> {
    pub(crate) fn new(criterion: &'a mut Criterion) -> Self {
        Self { criterion, job: String::new() }
    }
}

impl Rows for OneThread<'_> {
    fn is_alone(&self) -> bool {
        true
    }

    fn group(&mut self, job: &str) {
        self.job = job.to_string();
    }

    fn row<M, F>(&mut self, name: &str, expected: bool, make: M)
    where
        M: Fn() -> F + Sync,
        F: FnMut() -> bool,
    {
        let mut operation = make();
        assert_eq!(operation(), expected, "{}: {name}", self.job);
        let mut group: BenchmarkGroup<'_, WallTime> = self.criterion.benchmark_group(&self.job);
        group.bench_function(name, |b| b.iter(&mut operation));
        group.finish();
        assert_eq!(operation(), expected, "{}: {name}", self.job);
    }
}

/// The output of a future that waits for nothing but a lock which another thread has for a moment:
/// alone it is ready at its first poll. By hand, as an executor has costs of its own: on several
/// threads too, to the advantage of whatever waits.
#[inline(always)]
pub(crate) fn output_of<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::hint::spin_loop();
    }
}
