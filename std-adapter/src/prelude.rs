//! What most code needs: `use fusebox_std::prelude::*`.

#[doc(no_inline)]
pub use crate::{
    Attempt, Backoff, BreakerConfig, BucketConfig, BudgetConfig, Bulkhead, BulkheadConfig,
    CircuitBreaker, Classify, Clock, Deadline, Decide, Decision, Error, FailureIf, Gate, Immediate,
    Jitter, LastCalls, LastTime, ManualClock, Observer, Outcome, Permit, Pipeline, Queue, Rate,
    Rates, Ratio, Reason, Rejection, Retry, RetryBudget, RetryIf, Semaphore, State, StdClock,
    StdRng, Timeout, Timer, TokenBucket, WaitGate,
};
#[cfg(feature = "tokio")]
#[doc(no_inline)]
pub use crate::{TokioClock, TokioTimer};
