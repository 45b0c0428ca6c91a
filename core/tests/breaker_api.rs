//! The circuit breaker's public face: configuration, events, figures, calls, waiting.

#[path = "breaker_api/calls.rs"]
mod calls;
#[path = "breaker_api/config.rs"]
mod config;
#[path = "breaker_api/events.rs"]
mod events;
#[path = "breaker_api/figures.rs"]
mod figures;
#[path = "breaker_api/live.rs"]
mod live;
#[path = "breaker_api/ramp.rs"]
mod ramp;
#[path = "breaker_api/rules.rs"]
mod rules;
#[path = "breaker_api/waiting.rs"]
mod waiting;

use std::time::Duration;

use fusebox_core::{
    CircuitBreaker, Clock, Gate, ManualClock, Metering, Observer, WORD_BITS, Window,
};

/// A clock in milliseconds: on it every time used here is exact, whatever the width of a word.
type Millis = ManualClock<1_000>;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn by_width<T>(wide: T, narrow: T) -> T {
    if WORD_BITS == 64 { wide } else { narrow }
}

fn fail<C, W, M, O>(breaker: &CircuitBreaker<C, W, M, O>, times: usize)
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    for _ in 0..times {
        breaker.permit().expect("let in").failure();
    }
}

fn succeed<C, W, M, O>(breaker: &CircuitBreaker<C, W, M, O>, times: usize)
where
    C: Clock,
    W: Window<C>,
    M: Metering<C>,
    O: Observer,
{
    for _ in 0..times {
        breaker.permit().expect("let in").success();
    }
}
