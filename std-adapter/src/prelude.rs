//! What most code needs: `use fusebox_std::prelude::*`.

#[doc(no_inline)]
pub use crate::{
    Attempt, Backoff, BreakerConfig, BucketConfig, BudgetConfig, Bulkhead, BulkheadConfig,
    CircuitBreaker, Classify, Clock, Consecutive, Counts, Deadline, Decide, Decision, Error, Event,
    FailureIf, Fallback, FallbackFuture, Gate, Histogram, HistogramConfig, Immediate, Jitter,
    LastCalls, LastError, LastTime, LeakyBucket, ManualClock, Meter, Named, Observer, Outcome,
    Permit, Pipeline, PipelineMeter, Queue, Ramp, RampUp, Rate, Rates, Ratio, Reason, Rejection,
    Retry, RetryBudget, RetryIf, Retrying, Semaphore, Shadow, SlidingLog, SlidingLogConfig,
    SlidingWindowConfig, SlidingWindowCounter, State, StdClock, StdRng, Switch, Ticks, Timeout,
    Timer, TokenBucket, WaitGate, WarmUp, WarmUpConfig, WindowedHistogram,
};
#[cfg(feature = "tokio")]
#[doc(no_inline)]
pub use crate::{TokioClock, TokioTimer};
