//! The rates at which a window trips.

use core::time::Duration;

use crate::breaker::counts::Counts;
use crate::breaker::ring::Sums;
use crate::error::{ConfigError, Setting, setting};
use crate::ratio::Ratio;
use crate::time::{Ticks, ticks_from_duration};

const FAILURES: Setting =
    setting!("the rate of `Rates::failures`" must "be more than 0 % and at most 100 %");
const SLOW_CALLS: Setting =
    setting!("the rate of `Rates::slow_calls`" must "be more than 0 % and at most 100 %");

/// The rates at which a window trips its breaker.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Rates, Ratio};
///
/// // Half of at least 20 calls failed, or 80 % of them took two seconds or more.
/// let rates = Rates::failures(Ratio::percent(50))
///     .slow_calls(Ratio::percent(80), Duration::from_secs(2))
///     .minimum_calls(20);
/// # let _ = rates;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Rates {
    failures: Option<Ratio>,
    slow: Option<(Ratio, Duration)>,
    minimum: u32,
}

impl Rates {
    /// No rate: the window only counts, for a [rule of your own](crate::BreakerConfig::trip_when).
    pub const fn none() -> Self {
        Self { failures: None, slow: None, minimum: 10 }
    }

    /// Trips when the failed share of the calls in the window reaches `rate`, above 0 and at most
    /// 1; equal trips.
    pub const fn failures(rate: Ratio) -> Self {
        Self { failures: Some(rate), ..Self::none() }
    }

    /// Trips when the share of the calls in the window that took at least `duration` reaches
    /// `rate`, above 0 and at most 1, whether they succeeded or not; equal trips. While half-open,
    /// a slow success counts as a failed probe. Calls then read the clock when they begin and when
    /// they end.
    pub const fn slow_calls(self, rate: Ratio, duration: Duration) -> Self {
        Self { slow: Some((rate, duration)), ..self }
    }

    /// Judges no rate by fewer calls than this: 1 to what the window can hold (of a window of time
    /// 65 536, where words are 32 bits 256); 10 unless told otherwise.
    pub const fn minimum_calls(self, calls: u32) -> Self {
        Self { minimum: calls, ..self }
    }
}

/// [`Rates`] in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge {
    pub(super) failures: Option<Ratio>,
    pub(super) slow: Option<Ratio>,
    /// In ticks.
    pub(super) slow_after: u64,
    pub(super) minimum: u32,
}

impl Judge {
    pub(super) const fn new(rates: Rates, hz: u64) -> Result<Self, ConfigError> {
        if let Some(rate) = rates.failures {
            if !rate.is_share() {
                return Err(FAILURES.ratio(rate));
            }
        }
        let (slow, slow_after) = match rates.slow {
            Some((rate, duration)) => {
                if !rate.is_share() {
                    return Err(SLOW_CALLS.ratio(rate));
                }
                (Some(rate), ticks_from_duration(duration, hz))
            }
            None => (None, 0),
        };
        Ok(Self { failures: rates.failures, slow, slow_after, minimum: rates.minimum })
    }

    pub(super) const fn has_rate(&self) -> bool {
        self.failures.is_some() || self.slow.is_some()
    }

    #[inline]
    pub(super) fn is_slow(&self, start: Ticks, now: Ticks) -> bool {
        self.slow.is_some() && now.saturating_since(start) >= self.slow_after
    }

    pub(super) fn trips(&self, sums: Sums) -> bool {
        let reached =
            |rate: Option<Ratio>, part| rate.is_some_and(|r| r.is_reached(part, sums.requests));
        sums.requests >= u64::from(self.minimum)
            && (reached(self.failures, sums.failures) || reached(self.slow, sums.slow))
    }
}

pub(super) fn add(sums: Sums, counts: Counts) -> Counts {
    Counts {
        requests: sums.requests,
        successes: sums.requests.saturating_sub(sums.failures),
        failures: sums.failures,
        slow: sums.slow,
        ..counts
    }
}
