//! A delay with full jitter.
#![no_std]
#![no_main]

use core::time::Duration;
use fusebox_core::{Backoff, Delays, Jitter, Rng};
use size::{input, output, program};

static RNG: Rng = Rng::from_seed(1);
static FIRST: Backoff<&Rng> =
    Backoff::exponential(Duration::from_millis(10)).jitter(Jitter::Full, &RNG);
static SECOND: Backoff<&Rng> =
    Backoff::exponential(Duration::from_millis(10)).jitter(Jitter::Equal, &RNG);

#[inline(never)]
fn typical(backoff: &Backoff<&Rng>) {
    let delay = backoff.delay(input(), Duration::ZERO);
    output(delay.subsec_nanos());
    output(delay.as_secs() as u32);
}

program!(typical, &FIRST, &SECOND);
