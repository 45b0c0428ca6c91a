//! A call through a breaker on a rate over the last time.
#![no_std]
#![no_main]

use core::time::Duration;
use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, LastTime, Rates, Ratio};
use size::{CLOCK, Uptime, output, program, work};

type Breaker = CircuitBreaker<Uptime, LastTime<Uptime>>;
const RATES: Rates = Rates::failures(Ratio::percent(50));
static FIRST: Breaker = CircuitBreaker::with_window(
    BreakerConfig::standard(),
    LastTime::new(Duration::from_secs(10), RATES),
    &CLOCK,
);
static SECOND: Breaker = CircuitBreaker::with_window(
    BreakerConfig::aggressive(),
    LastTime::new(Duration::from_secs(60), RATES),
    &CLOCK,
);

#[inline(never)]
fn typical(breaker: &Breaker) {
    output(breaker.call(work).is_ok().into());
}

program!(typical, &FIRST, &SECOND);
