//! What every primitive of fusebox does, checked on any target: plain functions without a test
//! harness, without allocation and without a panic, for firmware and for `cargo test` alike.
//!
//! | part | what it is |
//! |---|---|
//! | [`checks`] | the behaviour of every primitive on a clock that is moved by hand: deterministic, no time passes |
//! | [`checks::timed`] | what needs time to pass, on the timer of the platform |
//! | [`storm`] | shared primitives used by many contexts at once, and the invariants that must hold afterwards |
//!
//! Nothing here prints: each part hands a name and a result to a closure of the caller, which
//! prints them in the way that its platform can.
//!
//! ```
//! use fusebox_suite::checks;
//!
//! let mut failed = 0;
//! checks::run::<1_000_000>(|name, result| match result {
//!     Ok(()) => println!("ok      {name}"),
//!     Err(failure) => {
//!         failed += 1;
//!         println!("FAILED  {name}: {failure}");
//!     }
//! });
//! assert_eq!(failed, 0);
//! ```
//!
//! # Features
//!
//! | feature | what it does |
//! |---|---|
//! | `portable-atomic-critical-section`, `portable-atomic-unsafe-assume-single-core` | as in the core |
#![no_std]
#![forbid(unsafe_code)]

pub mod checks;
mod failure;
pub mod storm;
mod turn;

pub use failure::{Checked, Failure, Figure};
pub use turn::{Polled, PolledSleep, advance_until, block_on, poll_once};
