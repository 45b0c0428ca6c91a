//! fusebox for std and tokio: clocks, timers, randomness, and retries for plain threads around the
//! `no_std` core.
//!
//! The core is re-exported whole, so that this is the one crate to name. Types that need a clock have
//! [`StdClock`] as their default here, and take another, such as a [`ManualClock`] in a test, as a parameter.
//!
//! # Examples
//!
//! ```
//! use fusebox_std::prelude::*;
//! use std::time::Duration;
//!
//! const RETRY: Retry<Backoff<StdRng>> = Retry::new(
//!     Backoff::exponential(Duration::from_millis(100))
//!         .max_delay(Duration::from_secs(5))
//!         .jitter(Jitter::Full, StdRng),
//! );
//!
//! # #[cfg(feature = "tokio")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let answer = Pipeline::new(TokioTimer)
//!     .deadline(Duration::from_secs(2))
//!     .retry(RETRY)
//!     .attempt_timeout(Duration::from_millis(500))
//!     .call(|attempt| async move {
//!         if attempt.is_retry() { Ok("hello") } else { Err("connection reset") }
//!     })
//!     .await;
//! assert_eq!(answer, Ok("hello"));
//! # }
//! # #[cfg(not(feature = "tokio"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `tokio` (default) | [`TokioTimer`]: tokio's time, paused time included |
#![forbid(unsafe_code)]

pub mod blocking;
mod clock;
pub mod prelude;
mod rng;
#[cfg(feature = "tokio")]
mod tokio_timer;

pub use fusebox_core::*;

// What is named here takes precedence over the names of the core.

/// A retry budget; see [`fusebox_core::RetryBudget`].
pub type RetryBudget<C = StdClock> = fusebox_core::RetryBudget<C>;

pub use clock::StdClock;
pub use rng::StdRng;
#[cfg(feature = "tokio")]
pub use tokio_timer::{TokioSleep, TokioTimer, TokioTimer as TokioClock};
