//! What most code needs: `use fusebox_std::prelude::*`.

#[doc(no_inline)]
pub use crate::{
    AdaptiveLimit, AdaptiveThrottle, Aimd, Attempt, Backoff, BreakerConfig, BucketConfig,
    BudgetConfig, Bulkhead, BulkheadConfig, CircuitBreaker, Classify, Clock, CoDel, CoDelConfig,
    Counts, Deadline, Decide, Decision, EnvoyGradient, Error, Event, FailureIf, Gate, Gradient2,
    Immediate, Jitter, LastCalls, LastTime, LimitConfig, LoadShedder, ManualClock, Meter, Named,
    Observer, Outcome, Permit, Pipeline, Priority, Queue, Rate, Rates, Ratio, Reason, Rejection,
    Retry, RetryBudget, RetryIf, Retrying, Semaphore, ShedderConfig, State, StdClock, StdRng,
    ThrottleConfig, Ticks, Timeout, Timer, TokenBucket, Vegas, WaitGate,
};
#[cfg(feature = "tokio")]
#[doc(no_inline)]
pub use crate::{TokioClock, TokioTimer};
