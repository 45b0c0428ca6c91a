//! A permit that is waited for.
#![no_std]
#![no_main]

use fusebox_core::{Queue, Semaphore};
use size::{output, program, run, work};

static FIRST: Semaphore<Queue<4>> = Semaphore::new(1);
static SECOND: Semaphore<Queue<4>> = Semaphore::new(2);

#[inline(never)]
fn typical(semaphore: &Semaphore<Queue<4>>) {
    if let Some(Ok(_permit)) = run(semaphore.acquire()) {
        output(work().is_ok().into());
    }
}

program!(typical, &FIRST, &SECOND);
