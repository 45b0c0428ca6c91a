//! What most code needs: `use fusebox_embassy::prelude::*`.
//!
//! Its [`Timer`] is the trait. Where code names [`embassy_time::Timer`], that import wins.

#[doc(no_inline)]
pub use crate::{
    Attempt, Backoff, BreakerConfig, BucketConfig, BudgetConfig, Bulkhead, BulkheadConfig,
    CircuitBreaker, Classify, Clock, Counts, Deadline, Decide, Decision, EmbassyClock,
    EmbassyTimer, Error, Event, FailureIf, Gate, Hedge, Immediate, Jitter, LastCalls, LastTime,
    LeakyBucket, ManualClock, Meter, Named, Observer, Outcome, Permit, Pipeline, Queue, Ramp,
    RampUp, Random, Rate, Rates, Ratio, Reason, Rejection, Retry, RetryBudget, RetryIf, Retrying,
    Rng, Semaphore, SlidingLog, SlidingLogConfig, SlidingWindowConfig, SlidingWindowCounter, State,
    Ticks, Timeout, Timer, TokenBucket, WaitGate, WarmUp, WarmUpConfig,
};
