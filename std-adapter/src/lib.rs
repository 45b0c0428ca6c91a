//! fusebox for std and tokio: clocks, timers, randomness, and retries for plain threads around the
//! `no_std` core.
//!
//! The core is re-exported whole, so that this is the one crate to name. Types that need a clock
//! have [`StdClock`] as their default here, and take another, such as a [`ManualClock`] in a test,
//! as a parameter.
//!
//! # Examples
//!
//! ```
//! use fusebox_std::prelude::*;
//! use std::time::Duration;
//!
//! const RETRY: Retry<Backoff<StdRng>> = Retry::new(
//!     Backoff::exponential(Duration::from_millis(100))
//!         .max_delay(Duration::from_secs(5))
//!         .jitter(Jitter::Full, StdRng),
//! );
//!
//! # #[cfg(feature = "tokio")]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let answer = Pipeline::new(TokioTimer)
//!     .deadline(Duration::from_secs(2))
//!     .retry(RETRY)
//!     .attempt_timeout(Duration::from_millis(500))
//!     .call(|attempt| async move {
//!         if attempt.is_retry() { Ok("hello") } else { Err("connection reset") }
//!     })
//!     .await;
//! assert_eq!(answer, Ok("hello"));
//! # }
//! # #[cfg(not(feature = "tokio"))]
//! # fn main() {}
//! ```
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `fast-clock` | [`FastClock`]: the processor's time stamp counter |
//! | `keyed` | [`Keyed`] and [`KeyedBuckets`]: a gate for each key, in bounded memory; [`KeyedSketch`]: limits for more keys than there is room for |
//! | `tokio` (default) | [`TokioTimer`]: tokio's time, paused time included; [`with_deadline`]: a deadline that goes along with a task |
//! | `grpc` | refusals and timeouts as gRPC statuses (module `grpc`), for tonic and others, gates that judge by status and hold until a stream ends; implies `http` |
//! | `http` | refusals and timeouts as HTTP responses (module `http`), for axum, hyper and others, and, with `tokio`, deadlines in headers; implies `tower` |
//! | `reqwest` | what the layers have to know of reqwest (module `reqwest`), for its clients; implies `http` and `tokio` |
//! | `tower` | layers for tower (module `tower`): a gate or a whole pipeline around a service |
#![forbid(unsafe_code)]

pub mod blocking;
mod clock;
#[cfg(feature = "fast-clock")]
mod fast_clock;
#[cfg(feature = "grpc")]
pub mod grpc;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "keyed")]
mod keyed;
mod last_error;
mod peer;
pub mod prelude;
mod registry;
#[cfg(feature = "reqwest")]
pub mod reqwest;
mod rng;
#[cfg(feature = "tokio")]
mod task_deadline;
#[cfg(feature = "tokio")]
mod tokio_timer;
#[cfg(feature = "tower")]
pub mod tower;

/// The README's examples are tests too.
#[cfg(all(doctest, feature = "http", feature = "tokio"))]
#[doc = include_str!("../../README.md")]
mod readme {}

pub use fusebox_core::*;

// What is named here takes precedence over the names of the core.

pub use clock::StdClock;
#[cfg(feature = "fast-clock")]
pub use fast_clock::FastClock;
#[cfg(feature = "keyed")]
pub use keyed::{
    Keyed, KeyedBucket, KeyedBuckets, KeyedGate, KeyedSketch, KeyedSketchBucket, KeyedTaken,
    KeyedTokens,
};
pub use last_error::{LastError, Noting};
pub use peer::{NotANetwork, PeerNetwork, TrustedProxies};
pub use registry::{
    Configured, DuplicateName, Inspect, Registry, Reset, SwitchBoard, SwitchTextError,
    SwitchTextProblem, UnknownName,
};
pub use rng::StdRng;
#[cfg(feature = "tokio")]
pub use task_deadline::{WithDeadline, current_deadline, with_deadline};
#[cfg(feature = "tokio")]
pub use tokio_timer::{TokioSleep, TokioTimer, TokioTimer as TokioClock};

/// The core's [`CircuitBreaker`](fusebox_core::CircuitBreaker), on [`StdClock`] unless told
/// otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static DB: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// let rows = DB.call(|| Ok::<_, std::io::Error>(3));
/// assert!(matches!(rows, Ok(3)));
/// ```
///
/// In a test, on a clock that moves when told to:
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::time::Duration;
///
/// let clock: ManualClock = ManualClock::new();
/// let db: CircuitBreaker<_> = CircuitBreaker::new(BreakerConfig::standard(), &clock);
/// db.trip();
/// assert!(db.permit().is_err());
/// clock.advance(Duration::from_secs(30));
/// assert!(db.permit().is_ok());
/// ```
pub type CircuitBreaker<C = StdClock, W = Consecutive, M = (), O = ()> =
    fusebox_core::CircuitBreaker<C, W, M, O>;

/// The core's [`LastCalls`](fusebox_core::LastCalls), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static DB: CircuitBreaker<StdClock, LastCalls> = CircuitBreaker::with_window(
///     BreakerConfig::standard(),
///     LastCalls::new(100, Rates::failures(Ratio::percent(50)).minimum_calls(20)),
///     StdClock,
/// );
/// assert!(DB.permit().is_ok());
/// ```
pub type LastCalls<C = StdClock, const B: usize = 10> = fusebox_core::LastCalls<C, B>;

/// The core's [`LastTime`](fusebox_core::LastTime), on [`StdClock`] unless told otherwise.
pub type LastTime<C = StdClock, const B: usize = 10> = fusebox_core::LastTime<C, B>;

/// The core's [`RampUp`](fusebox_core::RampUp), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_std::prelude::*;
///
/// static DB: CircuitBreaker<StdClock, RampUp> = CircuitBreaker::with_window(
///     BreakerConfig::standard(),
///     RampUp::new(Ramp::linear(Ratio::percent(10), Duration::from_secs(60))),
///     StdClock,
/// );
/// assert!(DB.permit().is_ok());
/// ```
pub type RampUp<C = StdClock, W = Consecutive> = fusebox_core::RampUp<C, W>;

/// The core's [`Histogram`](fusebox_core::Histogram), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static LATENCIES: Histogram = Histogram::new(HistogramConfig::standard());
/// static DB: CircuitBreaker<StdClock, Consecutive, Meter<&Histogram>> = CircuitBreaker::with_parts(
///     BreakerConfig::standard(),
///     Consecutive,
///     Meter::new().latencies(&LATENCIES),
///     (),
///     StdClock,
/// );
/// assert!(DB.call(|| Ok::<_, std::io::Error>(3)).is_ok());
/// assert!(LATENCIES.percentile(Ratio::percent(95)).is_some());
/// ```
pub type Histogram<C = StdClock, const OCTAVES: usize = 20, const STEPS: usize = 32> =
    fusebox_core::Histogram<C, OCTAVES, STEPS>;

/// The core's [`WindowedHistogram`](fusebox_core::WindowedHistogram), on [`StdClock`] unless told
/// otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::time::Duration;
///
/// static LAST_MINUTE: WindowedHistogram =
///     WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), StdClock);
/// LAST_MINUTE.record(Duration::from_millis(5));
/// assert_eq!(LAST_MINUTE.snapshot().count(), 1);
/// ```
pub type WindowedHistogram<
    C = StdClock,
    const SLICES: usize = 4,
    const OCTAVES: usize = 20,
    const STEPS: usize = 32,
> = fusebox_core::WindowedHistogram<C, SLICES, OCTAVES, STEPS>;

/// The core's [`AfterPercentile`](fusebox_core::AfterPercentile), on [`TokioTimer`] unless told
/// otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::time::Duration;
///
/// /// What all but the slowest 5 % of the attempts took in the last minute.
/// static SLOW: AfterPercentile = AfterPercentile::new(
///     PercentileConfig::new(Ratio::percent(95), Duration::from_millis(50)),
///     WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), TokioTimer),
/// );
/// // One more attempt or retry for ten calls.
/// static BUDGET: RetryBudget = RetryBudget::new(BudgetConfig::new(Ratio::percent(10)), StdClock);
///
/// # async fn read(id: u32) -> std::io::Result<u32> { Ok(id) }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let row = Pipeline::new(TokioTimer)
///     .deadline(Duration::from_secs(1))
///     .hedge(Hedge::idempotent(&SLOW).budget(&BUDGET))
///     .call(|_attempt| read(7))
///     .await;
/// assert!(matches!(row, Ok(7)));
/// # }
/// ```
#[cfg(feature = "tokio")]
pub type AfterPercentile<C = TokioTimer, H = WindowedHistogram<C>> =
    fusebox_core::AfterPercentile<C, H>;

/// The core's [`TokenBucket`](fusebox_core::TokenBucket), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static MAILS: TokenBucket = TokenBucket::new(BucketConfig::per_minute(30).burst(5), StdClock);
/// assert!(MAILS.try_acquire(5).is_ok());
/// assert!(MAILS.try_acquire(1).is_err());
/// ```
pub type TokenBucket<C = StdClock> = fusebox_core::TokenBucket<C>;

/// The core's [`LeakyBucket`](fusebox_core::LeakyBucket), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static POSTS: LeakyBucket =
///     LeakyBucket::new(BucketConfig::paced(Rate::per_minute(20)).max_queue(10), StdClock);
/// assert!(POSTS.try_acquire(1).is_ok());
/// assert!(POSTS.try_acquire(1).is_err());
/// ```
pub type LeakyBucket<C = StdClock> = fusebox_core::LeakyBucket<C>;

/// The core's [`SlidingLog`](fusebox_core::SlidingLog), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static LOGINS: SlidingLog<5> = SlidingLog::new(SlidingLogConfig::per_minute(), StdClock);
/// assert!(LOGINS.try_acquire().is_ok());
/// ```
pub type SlidingLog<const N: usize, C = StdClock> = fusebox_core::SlidingLog<N, C>;

/// The core's [`SlidingWindowCounter`](fusebox_core::SlidingWindowCounter), on [`StdClock`] unless
/// told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static SEARCHES: SlidingWindowCounter =
///     SlidingWindowCounter::new(SlidingWindowConfig::per_minute(100), StdClock);
/// assert!(SEARCHES.try_acquire(1).is_ok());
/// ```
pub type SlidingWindowCounter<C = StdClock> = fusebox_core::SlidingWindowCounter<C>;

/// The core's [`WarmUp`](fusebox_core::WarmUp), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
/// use std::time::Duration;
///
/// static CACHE: WarmUp = WarmUp::new(
///     WarmUpConfig::new(Rate::per_second(100), Duration::from_secs(30)),
///     StdClock,
/// );
/// assert!(CACHE.try_acquire().is_ok());
/// ```
pub type WarmUp<C = StdClock> = fusebox_core::WarmUp<C>;

/// The core's [`RetryBudget`](fusebox_core::RetryBudget), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// // One retry for ten calls, and one a second whatever happens.
/// static BUDGET: RetryBudget =
///     RetryBudget::new(BudgetConfig::new(Ratio::percent(10)).floor_per_second(1), StdClock);
/// assert!(BUDGET.try_withdraw().is_ok());
/// ```
pub type RetryBudget<C = StdClock> = fusebox_core::RetryBudget<C>;

/// The core's [`CoDel`](fusebox_core::CoDel), on [`StdClock`] unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static QUEUE: CoDel = CoDel::new(CoDelConfig::new(), StdClock);
///
/// let enqueued = StdClock.now();
/// // .. and when its turn has come:
/// assert!(QUEUE.since(enqueued).permit().is_ok());
/// ```
pub type CoDel<C = StdClock> = fusebox_core::CoDel<C>;

/// The core's [`AdaptiveThrottle`](fusebox_core::AdaptiveThrottle), on [`StdClock`] and [`StdRng`]
/// unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static SEARCH: AdaptiveThrottle =
///     AdaptiveThrottle::new(ThrottleConfig::new(), StdClock, StdRng);
/// assert_eq!(SEARCH.call(|| Ok::<_, std::fmt::Error>("found")), Ok("found"));
/// ```
pub type AdaptiveThrottle<C = StdClock, R = StdRng, const B: usize = 10> =
    fusebox_core::AdaptiveThrottle<C, R, B>;

/// The core's [`AdaptiveLimit`](fusebox_core::AdaptiveLimit), by [`Gradient2`] on [`StdClock`]
/// unless told otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::prelude::*;
///
/// static REQUESTS: AdaptiveLimit = AdaptiveLimit::new(LimitConfig::gradient2(), StdClock);
/// static QUERIES: AdaptiveLimit<StdClock, Vegas> =
///     AdaptiveLimit::new(LimitConfig::vegas().max(50), StdClock);
///
/// let answer = (REQUESTS.at(Priority::High), &QUERIES).call(|| Ok::<_, std::fmt::Error>(7));
/// assert_eq!(answer, Ok(7));
/// ```
pub type AdaptiveLimit<C = StdClock, A = Gradient2> = fusebox_core::AdaptiveLimit<C, A>;
