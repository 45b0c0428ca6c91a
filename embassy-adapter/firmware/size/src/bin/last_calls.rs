//! A call through a breaker on a rate over the last calls.
#![no_std]
#![no_main]

use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, LastCalls, Rates, Ratio};
use size::{CLOCK, Uptime, output, program, work};

type Breaker = CircuitBreaker<Uptime, LastCalls<Uptime>>;
const RATES: Rates = Rates::failures(Ratio::percent(50));
static FIRST: Breaker =
    CircuitBreaker::with_window(BreakerConfig::standard(), LastCalls::new(100, RATES), &CLOCK);
static SECOND: Breaker =
    CircuitBreaker::with_window(BreakerConfig::aggressive(), LastCalls::new(50, RATES), &CLOCK);

#[inline(never)]
fn typical(breaker: &Breaker) {
    output(breaker.call(work).is_ok().into());
}

program!(typical, &FIRST, &SECOND);
