//! An interrupt before each instruction of what the primitives do.
//!
//! Everything here that changes a state word is a *race*: an operation, and a conflicting one on
//! the same primitive in a timer's interrupt. Each race is run again and again, with the interrupt
//! one instruction later each time, and what came of it must be what would have come of the same
//! operations one after another: nothing lost, nothing invented, nothing wedged. See `race.rs`.
#![no_std]
#![no_main]

mod breaker;
mod bucket;
mod budget;
mod clock;
mod explore;
mod histogram;
mod planted;
mod race;
mod semaphore;
mod switch;
mod time;

use board::Report;
use explore::Margins;
use fusebox_core::Rejection;

board::program!(run);

fn run() -> Report {
    let (mut report, mut margins) = (Report::open("sweep"), Margins::default());
    let primitives = [bucket::CASES, semaphore::CASES, breaker::CASES, budget::CASES];
    let others = [switch::CASES, clock::CASES, histogram::CASES, planted::CASES];
    for case in primitives.into_iter().chain(others).flatten() {
        case.explore(&mut report, &mut margins);
    }
    margins.report(&mut report);
    report
}

/// What a gate answered: 0 if it let the call in, else its reason and when to come back.
fn answer(entered: Result<(), Rejection>) -> u32 {
    entered.map_or_else(
        |refused| {
            let wait = refused.retry_after().map_or(0, |wait| wait.as_millis() as u32);
            1 + refused.reason() as u32 + wait * 100
        },
        |()| 0,
    )
}
