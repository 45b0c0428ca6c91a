//! What most code needs: `use fusebox_std::prelude::*`.

#[doc(no_inline)]
pub use crate::{
    Attempt, Backoff, Classify, Clock, Deadline, Decide, Decision, Error, FailureIf, Gate,
    Immediate, Jitter, ManualClock, Observer, Outcome, Permit, Pipeline, Reason, Rejection, Retry,
    RetryBudget, RetryIf, StdClock, StdRng, Timeout, Timer, WaitGate,
};
#[cfg(feature = "tokio")]
#[doc(no_inline)]
pub use crate::{TokioClock, TokioTimer};
