//! Resilience for Rust, from firmware to fleets: circuit breakers, rate limits, bulkheads, load
//! shedding and adaptive limits, backoff, retry, budgets, timeouts and deadlines. `no_std`, without
//! allocation, lock-free, on a clock of your choice.
//!
//! ```
//! use core::time::Duration;
//! use fusebox_core::{BreakerConfig, CircuitBreaker, Clock, Error, Gate, Ticks};
//!
//! # struct Rtc;
//! # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
//! # fn read_register() -> Result<u16, &'static str> { Ok(7) }
//! static SENSOR: CircuitBreaker<Rtc> =
//!     CircuitBreaker::new(BreakerConfig::standard().open_for(Duration::from_secs(5)), Rtc);
//!
//! match SENSOR.call(read_register) {
//!     Ok(value) => println!("{value}"),
//!     Err(Error::Rejected(why)) => println!("not now: {why}"),
//!     Err(error) => println!("failed: {error}"),
//! }
//! ```
//!
//! # Primitives
//!
//! | type | what it does | its state |
//! |---|---|---|
//! | [`CircuitBreaker`] | stops calling what keeps failing | one word; windows, ramps and meter by type |
//! | [`TokenBucket`] | at most so many calls per time (GCRA) | one word, and five with the limits in force and the next ones |
//! | [`LeakyBucket`] | calls at an even pace: a token bucket seen from the other side | the same |
//! | [`SlidingLog`] | at most so many calls in any window, exactly | a word per call that it allows, and two |
//! | [`SlidingWindowCounter`] | about so many calls in any window: an estimate | one word |
//! | [`WarmUp`] | a rate that is low after a pause, and rises | one word |
//! | [`Semaphore`] | at most so many at once, with a bounded fair queue | one word, the next ticket, and five words per place in the queue |
//! | [`Bulkhead`] | a semaphore that waits for so long | the same |
//! | [`LoadShedder`] | at most so many at once by priority, and nobody waits | one word |
//! | [`AdaptiveLimit`] | as many at once as the service can take, found out | one word, and six for what it measures |
//! | [`CoDel`] | sheds what has waited too long in a queue that never empties | one word |
//! | [`AdaptiveThrottle`] | holds calls back from a server that refuses most of them | a window of words |
//! | [`RetryBudget`] | retries as a share of calls, with a floor | one word |
//! | [`Deadline`] | the instant by which a call must be done, as a value | none |
//! | [`Timeout`] | how long one attempt may take | none |
//! | [`Backoff`] | the delays between attempts | none |
//! | [`Retry`] | attempts until one succeeds or it is enough | none |
//! | [`Hedge`] | another attempt where the first one is slow; the losers are dropped | none |
//! | [`AfterPercentile`] | the delay of a hedge, measured | two words, and a histogram |
//! | [`Pipeline`] | all of it around one operation | none |
//! | [`Fallback`], [`FallbackFuture`] | what to answer instead, tier by tier | none |
//! | [`Switch`], [`Switches`] | features that are left out in trouble, by hand, by a breaker, or for a share of calls | two words; one for 32 plain ones |
//! | [`Shadow`] | any gate, deciding and reporting without refusing | one word |
//! | [`Group`] | gates by name, a fixed number of them | none |
//! | [`SharedBucket`] | the limits of many token buckets | one word for each bucket |
//! | [`BucketSketch`] | a token bucket for each of any number of keys, erring on the side of refusing | four words for each of as many columns as you choose |
//! | [`Histogram`] | how long calls took: percentiles within 1.6 %, mean, extremes | a word for each of 640 durations, or as many as you choose |
//! | [`WindowedHistogram`] | the same of the last seconds or minutes | four words for each, or 2 to 16 |
//! | [`Meter`], [`PipelineMeter`] | what a breaker or a pipeline shows to people: totals, refusals, rows of failures, latencies | 9 words; 12, and one for each reason to refuse |
//!
//! All down to [`RetryBudget`], switches, shadows and [`Deadline::on`] a clock are [`Gate`]s
//! (`CoDel` in front of one that waits): they say whether a call may run, alone or together as a
//! tuple. A [`Permit`] or a [`Guard`] gives back exactly once what a gate handed out, however the
//! call ends.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `alloc` | `Box`, `Rc` and `Arc` of a gate, clock, timer, observer, budget, policy, rule of delays or random source stand for it, as references do; wait queues whose length is chosen at run time |
//! | `defmt` | `defmt::Format` on every plain value |
//! | `portable-atomic-critical-section` | compare-and-swap from a `critical-section` implementation, where the target has none |
//! | `portable-atomic-unsafe-assume-single-core` | compare-and-swap by masking interrupts, where the target has none and there is one core |
//!
//! # Targets
//!
//! The state words are as wide as the target's compare-and-swap, at most 64 bits; there is no
//! 64-bit atomic on a 32-bit target, as its emulation is a lock that an interrupt can deadlock on.
//!
//! | target | words | progress |
//! |---|---|---|
//! | x86-64, AArch64, RV64 | 64 bits | lock-free |
//! | Cortex-M3 and up, RV32IMAC, other 32-bit targets with compare-and-swap | 32 bits | lock-free |
//! | Cortex-M0, RV32IMC | 32 bits | interrupts are masked for each compare-and-swap, in the way that the binary picks by one of the features above |
//!
//! `--cfg fusebox_word32` gives a 64-bit host the 32-bit words, to test what a small target does. A
//! few limits depend on the width: each setting's documentation gives both.
//!
//! # Cancellation
//!
//! A future may be dropped at any time: it gives back what it took, and before its first poll it
//! took nothing. What dropping one costs its caller is graded in its documentation:
//!
//! | cancel safety | of a future that was dropped before it was ready |
//! |---|---|
//! | Strict | nothing remains: making it anew is as good as having kept it |
//! | Strict, but for .. | the same, but what is named there is lost, such as a turn in a queue |
//! | that of the operation, or of `future` | its own part is strict; how far the operation came is the operation's to say |
//!
//! # Where the reasons are
//!
//! Scaled time and late clocks: [`Clock`] and the source of `time/scale.rs`. The algebra: [`Gate`].
//! Word layouts, orderings and algorithms: the module documentation at the head of each primitive's
//! source.
#![no_std]
#![forbid(unsafe_code)]
#![allow(
    clippy::cast_lossless,
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "a Word is as wide as the target makes it: what widens it on one does nothing on another"
)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod adaptive;
mod backoff;
#[cfg(doctest)]
mod bad_statics;
mod breaker;
mod bucket;
mod budget;
mod bulkhead;
mod codel;
mod deadline;
mod error;
mod event;
mod fallback;
mod gate;
mod group;
mod hedge;
mod histogram;
mod inflight;
mod meter;
mod on_drop;
mod pipeline;
mod pointer;
mod priority;
mod ratio;
mod retry;
mod rng;
mod semaphore;
mod shedder;
mod sliding;
mod switch;
mod sync;
mod throttle;
mod time;
mod timeout;
mod turns;
mod warm_up;
mod wide;
mod word;

pub use adaptive::{
    AdaptiveLimit, AdaptiveSnapshot, Aimd, EnvoyGradient, Gradient2, LimitAlgorithm, LimitConfig,
    MeasuresLatency, Vegas,
};
pub use backoff::{Backoff, DelayIter, Delays, Jitter};
pub use breaker::{
    BreakerConfig, BreakerSnapshot, BreakerToken, CircuitBreaker, Consecutive, Counts, LastCalls,
    LastTime, Meter, Metering, Named, Ramp, RampUp, Rates, State, UntilReady, Window,
};
pub use bucket::{
    AcquireTokens, BucketConfig, BucketSketch, BucketState, LeakyBucket, Lease, Quota, Rate,
    RateError, Reservation, SharedBucket, SketchColumn, SketchTokens, TakenTokens, TokenBucket,
    Tokens,
};
pub use budget::{BudgetConfig, BudgetSnapshot, RetryBudget};
pub use bulkhead::{Bulkhead, BulkheadConfig};
pub use codel::{CoDel, CoDelConfig, CoDelQueue, Sojourn, Waited};
pub use deadline::{Deadline, DeadlineGate};
pub use error::{ConfigError, Error, Reason, Rejection};
pub use event::{Event, GiveUp, Observer};
pub use fallback::{Answer, Fallback, FallbackFuture, FallingBack, First, OrValue, Tiers};
pub use gate::{
    Classify, Entering, FailureIf, Gate, Guard, Idle, Immediate, Observed, Outcome, Permit,
    ResultClassify, Shadow, WaitGate, WaitingAll,
};
pub use group::{Group, GroupIter};
pub use hedge::{
    AfterPercentile, Attempts, Count, Hedge, HedgeCall, HedgeDelay, HedgePolicy, PercentileConfig,
    Percentiles, SideBySide,
};
pub use histogram::{
    Histogram, HistogramConfig, HistogramSnapshot, LatencySummary, WindowedHistogram,
};
pub use meter::Latencies;
pub use pipeline::{
    Call, Parts, Pipeline, PipelineMeter, PipelineMetering, PipelineSnapshot, Rejections,
};
pub use priority::{AtPriority, Priority};
pub use ratio::Ratio;
pub use retry::{
    Attempt, AttemptPolicy, Budget, Decide, DecideValue, Decision, InTurn, OnRetry, Operation,
    Retry, RetryAll, RetryCall, RetryIf, RetryNone, RetryPolicy, RetryState, Retrying, Verdict,
};
pub use rng::{Random, Rng};
#[cfg(feature = "alloc")]
pub use semaphore::HeapQueue;
pub use semaphore::{
    Acquire, AcquireBefore, PermitSource, Queue, Queued, Semaphore, Several, Slots, Taken, Usage,
};
pub use shedder::{Load, LoadShedder, ShedderConfig};
pub use sliding::{
    CountedCall, LimitSnapshot, LogEntry, SlidingLog, SlidingLogConfig, SlidingWindowConfig,
    SlidingWindowCounter,
};
pub use switch::{Flag, Switch, SwitchFor, SwitchSnapshot, Switches};
#[cfg(all(not(loom), fusebox_failed_swaps))]
#[doc(hidden)]
pub use sync::failed_swaps;
pub use throttle::{AdaptiveThrottle, ThrottleConfig, ThrottleSnapshot};
pub use time::{
    Clock, Counter, Extended, ManualClock, ManualSleep, Ticks, Timer, duration_from_ticks,
    ticks_from_duration,
};
pub use timeout::{Timeout, WithTimeout};
pub use turns::{Acquiring, Reserved};
pub use warm_up::{WarmUp, WarmUpConfig, WarmedUp};
pub use word::WORD_BITS;
