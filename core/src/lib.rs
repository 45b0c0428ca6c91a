//! fusebox-core
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod backoff;
mod breaker;
mod bucket;
mod budget;
mod bulkhead;
mod deadline;
mod error;
mod event;
mod gate;
mod pipeline;
mod retry;
mod rng;
mod semaphore;
mod sync;
mod time;
mod timeout;
mod word;

pub use breaker::{Counts, State};
pub use bucket::{
    AcquireTokens, BucketConfig, EnteringBucket, Rate, RateError, Reservation, TakenTokens,
    TokenBucket, Tokens,
};
pub use deadline::{Deadline, DeadlineGate};
pub use error::{ConfigError, Error, Reason, Rejection};
pub use event::{Event, GiveUp, Observer};
pub use gate::{
    Classify, EnterAll, EnterNow, FailureIf, Gate, Guard, Immediate, Observed, ObservedEntering,
    Outcome, Permit, ResultClassify, WaitGate,
};
pub use time::{
    Clock, ManualClock, ManualSleep, Ticks, Timer, duration_from_ticks, ticks_from_duration,
};
pub use word::WORD_BITS;
