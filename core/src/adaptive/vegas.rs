//! TCP Vegas for calls.

use super::algorithm::{LimitAlgorithm, MeasuresLatency, Probe, Seen, sealed};
use super::config::LimitConfig;
use super::latency::Gradient;
use crate::error::{Setting, setting};
use crate::inflight::Limit;

const ALPHA: Setting = setting!("the limit's `alpha`" must "be from 1 to 65535, and below `beta`");
const BETA: Setting = setting!("the limit's `beta`" must "be from 2 to 65535, and above `alpha`");

/// Keeps a short queue: grows while it is shorter, shrinks while it is longer.
///
/// The rule of TCP Vegas (Brakmo and Peterson, "TCP Vegas: End to End Congestion Avoidance on a
/// Global Internet", 1995), with the steps of Netflix's concurrency-limits (`VegasLimit`). The
/// queue is what is in flight beyond what the service works on at once:
///
/// ```text
/// queue = limit * (1 - base / latency)
/// ```
///
/// `log` is the decimal logarithm of the limit, rounded down and at least 1; `alpha` is three times
/// that and at least 10 % of the limit, `beta` is six times that and at least 20 %. With a queue of
/// up to `log` the limit grows by `6 log`, below `alpha` by `log`; above `beta` it shrinks by
/// `log`, and between the two it stays. A window with drops shrinks it. (The shares are those that
/// Netflix names for large limits. They keep the chance in the latencies from being taken for a
/// queue.)
///
/// `latency` is the mean of the window, and `base` that of the last probe, or a mean since then
/// that was lower by more than a quarter. Netflix takes the lowest single sample, which is lower
/// than what most calls take without any queue, and now and then whatever sample comes for a new
/// base, which drifts.
#[derive(Clone, Copy, Debug)]
pub struct Vegas {
    alpha: u16,
    beta: u16,
}

impl LimitConfig<Vegas> {
    /// [`Vegas`]: an initial limit of 20, from 1 to 1000; a queue of 3 to 6 times the logarithm.
    pub const fn vegas() -> Self {
        Self::with_algorithm(Vegas { alpha: 3, beta: 6 }, 20, 1, 1_000)
    }

    /// The shortest queue that it aims for, in decimal logarithms of the limit; 3 by default.
    pub const fn alpha(mut self, alpha: u32) -> Self {
        if let Err(error) =
            ALPHA.check(alpha as u64, 1, (self.algorithm.beta as u64).saturating_sub(1))
        {
            return self.fault(error);
        }
        self.algorithm.alpha = alpha as u16;
        self
    }

    /// The longest queue that it aims for, in decimal logarithms of the limit; 6 by default. To
    /// raise both, set this one first.
    pub const fn beta(mut self, beta: u32) -> Self {
        let least = self.algorithm.alpha as u64 + 1;
        if let Err(error) = BETA.check(beta as u64, least, u16::MAX as u64) {
            return self.fault(error);
        }
        self.algorithm.beta = beta as u16;
        self
    }
}

impl LimitAlgorithm for Vegas {}
impl MeasuresLatency for Vegas {}

impl sealed::Algorithm for Vegas {
    const PROBE: Probe = Probe::Half;

    fn next(&self, seen: &mut Seen) -> Limit {
        let limit = seen.limit;
        let log = u64::from(limit.calls().checked_ilog10().unwrap_or(0).max(1));
        let step = |times: u16| Limit::of((log * u64::from(times)) as u32);
        let less = limit.minus(step(1));
        if seen.dropped {
            return less;
        }
        // By less it would follow chance, downwards only.
        if seen.latency.0 < seen.base.0.saturating_sub(seen.base.0 / 4) {
            seen.base = seen.latency;
        }
        let worked_on = seen.base.over(seen.latency, Gradient::ZERO, Gradient::ONE).of(limit);
        let queue = limit.minus(worked_on).calls_up();
        let calls = u64::from(limit.calls());
        let alpha = (u64::from(self.alpha) * log).max(calls / 10);
        let beta = (u64::from(self.beta) * log).max(calls / 5);
        if queue <= log {
            limit.plus(step(self.beta))
        } else if queue < alpha {
            limit.plus(step(1))
        } else if queue > beta {
            less
        } else {
            limit
        }
    }
}
