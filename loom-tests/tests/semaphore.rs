//! The races of the semaphore. Each model ends by checking that all permits are back, and uses
//! wakers that block the thread, so that a lost wake-up is a deadlock, which loom reports.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};

use fusebox_core::{
    Acquire, AcquireBefore, Clock, Deadline, Permit, Queue, Reason, Rejection, Semaphore, Ticks,
    Timer,
};
use loom::future::block_on;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

type Pool = Semaphore<Queue<2>>;
type Wait<'a> = Acquire<&'a Pool>;

/// Checks all interleavings with at most so many forced switches of thread; each race here needs
/// no more than three.
fn model(preemptions: usize, body: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(body);
}

fn pool(permits: u32) -> Arc<Pool> {
    Arc::new(Semaphore::<Queue<2>>::new(permits))
}

/// Takes `n` permits that are known to be free, for another thread to give back.
fn hold(pool: &Pool, n: u32) {
    core::mem::forget(pool.try_acquire_many(n).unwrap());
}

/// Gives back `n` permits that `hold` took.
fn give(pool: &Pool, n: u32) {
    use fusebox_core::{Gate, Outcome};
    // The token of a waiting gate of `n` permits is all that a permit is.
    let token = TOKENS.with(|_| token(n));
    pool.exit(token, Outcome::Success);
}
