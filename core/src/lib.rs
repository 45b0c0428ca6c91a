//! fusebox-core
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod backoff;
#[cfg(doctest)]
mod bad_statics;
mod breaker;
mod bucket;
mod budget;
mod bulkhead;
mod deadline;
mod error;
mod event;
mod gate;
mod pipeline;
mod ratio;
mod retry;
mod rng;
mod semaphore;
mod sync;
mod time;
mod timeout;
mod word;

pub use backoff::{Backoff, DelayIter, Delays, Jitter};
pub use breaker::{
    BreakerConfig, BreakerSnapshot, BreakerToken, CircuitBreaker, Consecutive, Counts, LastCalls,
    LastTime, Meter, Metering, Named, Rates, State, UntilReady, Window,
};
pub use deadline::{Deadline, DeadlineGate};
pub use error::{ConfigError, Error, Reason, Rejection};
pub use event::{Event, GiveUp, Observer};
pub use gate::{
    Classify, EnterAll, EnterNow, FailureIf, Gate, Guard, Immediate, Observed, ObservedEntering,
    Outcome, Permit, ResultClassify, WaitGate,
};
pub use ratio::Ratio;
pub use rng::{Random, Rng};
pub use time::{
    Clock, ManualClock, ManualSleep, Ticks, Timer, duration_from_ticks, ticks_from_duration,
};
pub use word::WORD_BITS;
