//! fusebox for embassy.
#![no_std]
#![forbid(unsafe_code)]

mod convert;
pub mod prelude;
mod timer;

pub use fusebox_core::*;

// What is named here takes precedence over the names of the core.

pub use convert::{core_duration, embassy_duration, instant_at, ticks_at};
pub use timer::{EmbassySleep, EmbassyTimer, EmbassyTimer as EmbassyClock};

/// The core's [`CircuitBreaker`](fusebox_core::CircuitBreaker), on [`EmbassyClock`] unless told
/// otherwise.
pub type CircuitBreaker<C = EmbassyClock, W = Consecutive, M = (), O = ()> =
    fusebox_core::CircuitBreaker<C, W, M, O>;

/// The core's [`LastCalls`](fusebox_core::LastCalls), on [`EmbassyClock`] unless told otherwise.
pub type LastCalls<C = EmbassyClock, const B: usize = 10> = fusebox_core::LastCalls<C, B>;

/// The core's [`LastTime`](fusebox_core::LastTime), on [`EmbassyClock`] unless told otherwise.
pub type LastTime<C = EmbassyClock, const B: usize = 10> = fusebox_core::LastTime<C, B>;

/// The core's [`TokenBucket`](fusebox_core::TokenBucket), on [`EmbassyClock`] unless told
/// otherwise.
pub type TokenBucket<C = EmbassyClock> = fusebox_core::TokenBucket<C>;

/// The core's [`RetryBudget`](fusebox_core::RetryBudget), on [`EmbassyClock`] unless told
/// otherwise.
pub type RetryBudget<C = EmbassyClock> = fusebox_core::RetryBudget<C>;
