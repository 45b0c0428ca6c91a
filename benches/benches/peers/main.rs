//! fusebox beside its peers: the same job with the same settings, and beside both what the machine
//! itself takes for it, all in one run.
//!
//! A peer that cannot be compared is not here: each file says which and why. What a row returns is
//! black-boxed and asserted, so that no work is left out.

mod breaker;
mod bucket;
mod layer;
mod pipeline;
mod retry;
mod rows;
mod semaphore;
mod threads;

use std::sync::OnceLock;

use criterion::Criterion;
use tokio::runtime::{Builder, Runtime};

use rows::{OneThread, Rows};

/// tokio's timers are made, though never waited for, and must be in a runtime for that.
fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_current_thread().enable_time().build().expect("a runtime"))
}

/// What seatbelt reads: the standard library's clock, through tick.
fn tick_clock() -> tick::Clock {
    let _entered = runtime().enter();
    tick::Clock::new_tokio()
}

/// What threads share.
fn shared(rows: &mut impl Rows) {
    breaker::rows(rows);
    bucket::rows(rows);
    bucket::fast_clock(rows);
    semaphore::rows(rows);
    pipeline::rows(rows);
}

fn main() {
    let _entered = runtime().enter();
    let mut criterion = Criterion::default().configure_from_args();
    let mut rows = OneThread::new(&mut criterion);
    shared(&mut rows);
    bucket::at_given_times(&mut rows);
    semaphore::hand_over(&mut rows);
    retry::rows(&mut rows);
    layer::rows(&mut rows);
    criterion.final_summary();
    threads::measure(shared);
}
