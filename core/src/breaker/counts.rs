//! What a breaker shows of itself.

use core::fmt;
use core::time::Duration;

use crate::histogram::LatencySummary;

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Calls are let in and judged. Set by enough good probes and by `reset`; left when a rule
    /// trips.
    Closed = 0,
    /// Calls are refused until the open time is over. Set when a rule trips or a probe fails; left
    /// by the first call after the open time.
    Open = 1,
    /// A few probes are let in; their results decide. Set by the first call after the open time.
    HalfOpen = 2,
    /// Calls are refused. Set and left only by hand.
    ForcedOpen = 3,
    /// Calls are let in and counted, but never trip the breaker. Set and left only by hand.
    MetricsOnly = 4,
    /// Calls are let in and not counted. Set and left only by hand.
    Disabled = 5,
    /// A growing share of the calls is let in, and judged. Set by enough good probes where the
    /// breaker [ramps up](crate::RampUp); left when a rule trips, and to closed by the first call
    /// after the ramp.
    RampingUp = 6,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
            Self::ForcedOpen => "forced open",
            Self::Disabled => "disabled",
            Self::MetricsOnly => "metrics only",
            Self::RampingUp => "ramping up",
        })
    }
}

/// What a breaker has counted in its present generation.
///
/// It counts no more than its window and its meter need, because whoever counts a success pays a
/// shared write: where neither counts a thing, it is 0. In half-open, requests, successes and
/// failures are those of the probes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counts {
    /// Calls in the window that succeeded or failed.
    pub requests: u64,
    /// Those of them that succeeded.
    pub successes: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them, successful or not, that took at least the slow-call duration.
    pub slow: u64,
    /// Successes since the last failure. Only a meter counts them.
    pub consecutive_successes: u64,
    /// Failures since the last success. Every breaker counts them.
    pub consecutive_failures: u64,
    /// Calls that ended saying nothing, ever. Only a meter counts them.
    pub ignored: u64,
    /// Calls that were refused, ever. Only a meter counts them.
    pub rejected: u64,
}

/// A breaker at one moment; see [`CircuitBreaker::snapshot`](super::CircuitBreaker::snapshot).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct BreakerSnapshot {
    /// The state.
    pub state: State,
    /// Grows by one with each transition, and wraps.
    pub generation: u16,
    /// What its window has counted.
    pub counts: Counts,
    /// All that was ever counted, where the breaker has a meter.
    pub totals: Option<Counts>,
    /// Calls running now, where the breaker has a meter.
    pub running: Option<u64>,
    /// How long ago the last failure was, where there was one and the breaker has a meter.
    pub since_last_failure: Option<Duration>,
    /// How long ago the state last changed, where it did and the breaker has a meter.
    pub since_last_change: Option<Duration>,
    /// How long the calls took that succeeded or failed, where there were any and the breaker has
    /// a meter with [`latencies`](crate::Meter::latencies).
    pub latency: Option<LatencySummary>,
    /// The time left until a probe may be let in; `None` unless open.
    pub until_half_open: Option<Duration>,
    /// The time left until all calls are let in; zero once that is over, until a call comes;
    /// `None` unless ramping up.
    pub until_closed: Option<Duration>,
}
