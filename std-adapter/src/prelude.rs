//! What most code needs: `use fusebox_std::prelude::*`.

#[doc(no_inline)]
pub use crate::{
    AdaptiveLimit, AdaptiveThrottle, AfterPercentile, Aimd, Attempt, Backoff, BreakerConfig,
    BucketConfig, BudgetConfig, Bulkhead, BulkheadConfig, CircuitBreaker, Classify, Clock, CoDel,
    CoDelConfig, Consecutive, Counts, Deadline, Decide, Decision, EnvoyGradient, Error, Event,
    FailureIf, Fallback, FallbackFuture, Gate, Gradient2, Hedge, Histogram, HistogramConfig,
    Immediate, Jitter, LastCalls, LastError, LastTime, LeakyBucket, LimitConfig, LoadShedder,
    ManualClock, Meter, Named, Observer, Outcome, PeerNetwork, PercentileConfig, Permit, Pipeline,
    PipelineMeter, Priority, Queue, Ramp, RampUp, Rate, Rates, Ratio, Reason, Registry, Rejection,
    Retry, RetryBudget, RetryIf, Retrying, Semaphore, Shadow, ShedderConfig, SlidingLog,
    SlidingLogConfig, SlidingWindowConfig, SlidingWindowCounter, State, StdClock, StdRng, Switch,
    SwitchBoard, ThrottleConfig, Ticks, Timeout, Timer, TokenBucket, TrustedProxies, Vegas,
    WaitGate, WarmUp, WarmUpConfig, WindowedHistogram,
};
#[cfg(feature = "keyed")]
#[doc(no_inline)]
pub use crate::{Keyed, KeyedBuckets, KeyedSketch};
#[cfg(feature = "tokio")]
#[doc(no_inline)]
pub use crate::{TokioClock, TokioTimer};
