//! A permit, taken and given back.
#![no_std]
#![no_main]

use fusebox_core::Semaphore;
use size::{output, program, work};

static FIRST: Semaphore = Semaphore::new(1);
static SECOND: Semaphore = Semaphore::new(2);

#[inline(never)]
fn typical(semaphore: &Semaphore) {
    if let Ok(_permit) = semaphore.try_acquire() {
        output(work().is_ok().into());
    }
}

program!(typical, &FIRST, &SECOND);
