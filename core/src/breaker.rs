//! The circuit breaker.

use core::fmt;

/// The state of a circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum State {
    /// Calls are let in and judged.
    Closed,
    /// Calls are refused until the open time is over.
    Open,
    /// A few probes are let in; their results decide.
    HalfOpen,
    /// Calls are refused until someone says otherwise.
    ForcedOpen,
    /// Calls are let in and not counted.
    Disabled,
    /// Calls are let in and counted, but never trip the breaker.
    MetricsOnly,
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
        })
    }
}

/// What a breaker has counted.
///
/// A breaker counts no more than its rules and parts need: see each field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct Counts {
    /// Calls that were judged.
    pub requests: u64,
    /// Those of them that succeeded.
    pub successes: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them, successful or not, that took at least the slow-call duration.
    pub slow: u64,
    /// Successes since the last failure. Only a meter counts them.
    pub consecutive_successes: u64,
    /// Failures since the last success. Always counted.
    pub consecutive_failures: u64,
    /// Calls that said nothing about what they called. Only a meter counts them.
    pub ignored: u64,
    /// Calls that were refused. Only a meter counts them.
    pub rejected: u64,
}
