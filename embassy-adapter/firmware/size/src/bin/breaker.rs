//! A call through a circuit breaker on failures in a row.
#![no_std]
#![no_main]

use fusebox_core::{BreakerConfig, CircuitBreaker, Gate};
use size::{CLOCK, Uptime, output, program, work};

static FIRST: CircuitBreaker<Uptime> = CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
static SECOND: CircuitBreaker<Uptime> = CircuitBreaker::new(BreakerConfig::aggressive(), &CLOCK);

#[inline(never)]
fn typical(breaker: &CircuitBreaker<Uptime>) {
    output(breaker.call(work).is_ok().into());
}

program!(typical, &FIRST, &SECOND);
