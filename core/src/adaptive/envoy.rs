//! The gradient controller of Envoy.

use super::algorithm::{LimitAlgorithm, MeasuresLatency, Probe, Seen, sealed};
use super::config::LimitConfig;
use super::latency::{Factor, Gradient};
use crate::error::{Setting, setting};
use crate::inflight::Limit;
use crate::ratio::Ratio;

const BUFFER: Setting = setting!("the limit's `buffer`" must "be at most 300 %");
const PERCENTILE: Setting = setting!("the limit's `percentile`" must "be from 1 to 99");

/// Follows the ratio of the latency without load to the latency, and grows by a square root.
///
/// The gradient controller of Envoy's adaptive concurrency filter, with its defaults:
///
/// ```text
/// gradient = (base + buffer * base) / latency     from 0.5 to 2; buffer 25 %
/// limit    = gradient * limit + sqrt(gradient * limit)
/// ```
///
/// `latency` is the median (`percentile`) of the latencies, estimated in one word, and `base` the
/// same, measured from 50 calls at the least limit, 3. That begins anew every minute, and where the
/// limit was 3 for five windows. A window with drops has the gradient 0.5; Envoy does not look at
/// failures.
///
/// Of the four it is the quickest. During a probe it lets next to nothing through: 17 latencies'
/// time in a minute.
#[derive(Clone, Copy, Debug)]
pub struct EnvoyGradient {
    buffer: Factor,
    percentile: u8,
}

impl LimitConfig<EnvoyGradient> {
    /// [`EnvoyGradient`]: an initial limit of 3, from 3 to 1000; a probe of 50 calls each minute.
    pub const fn envoy_gradient() -> Self {
        let buffer = Factor::new(Ratio::percent(25));
        Self::with_algorithm(EnvoyGradient { buffer, percentile: 50 }, 3, 3, 1_000)
            .probe_interval(core::time::Duration::from_secs(60))
            .probe_samples(50)
            .min_samples(1)
    }

    /// How much longer than without load a call may take before the limit shrinks, at most 300 %;
    /// 25 % by default.
    pub const fn buffer(mut self, part: Ratio) -> Self {
        let (numerator, denominator) = (part.numerator() as u64, part.denominator() as u64);
        if denominator == 0 || numerator > denominator * 3 {
            return self.fault(BUFFER.ratio(part));
        }
        self.algorithm.buffer = Factor::new(part);
        self
    }

    /// Which percentile of the latencies is compared, 1 to 99; the median by default.
    pub const fn percentile(mut self, percentile: u32) -> Self {
        if let Err(error) = PERCENTILE.check(percentile as u64, 1, 99) {
            return self.fault(error);
        }
        self.algorithm.percentile = percentile as u8;
        self
    }
}

impl LimitAlgorithm for EnvoyGradient {}
impl MeasuresLatency for EnvoyGradient {}

impl sealed::Algorithm for EnvoyGradient {
    const PROBE: Probe = Probe::Least;

    #[inline]
    fn percentile(&self) -> Option<u8> {
        Some(self.percentile)
    }

    fn next(&self, seen: &mut Seen) -> Limit {
        let gradient = if seen.dropped {
            Gradient::HALF
        } else {
            let base = seen.base.times(self.buffer.and_one());
            base.over(seen.latency, Gradient::HALF, Gradient::TWO)
        };
        let limit = gradient.of(seen.limit);
        limit.plus(limit.root())
    }
}
