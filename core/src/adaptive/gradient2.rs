//! Netflix's second gradient algorithm.

use super::algorithm::{LimitAlgorithm, MeasuresLatency, Probe, Seen, sealed};
use super::config::LimitConfig;
use super::latency::{Factor, Gradient, Latency};
use crate::error::{Setting, setting};
use crate::inflight::Limit;
use crate::ratio::Ratio;

const SMOOTHING: Setting =
    setting!("the limit's `smoothing`" must "be more than 0 % and at most 100 %");
const TOLERANCE: Setting =
    setting!("the limit's `tolerance`" must "be at least 100 % and below 200 %");
const LONG: Setting = setting!("the limit's `long_window`" must "be from 1 to 65535 windows");
const QUEUE: Setting = setting!("the limit's `queue`" must "be from 1 to 65535");

/// Shrinks as the latency grows beyond what is usual, and grows by a constant.
///
/// Netflix's concurrency-limits (`Gradient2Limit`), with its defaults:
///
/// ```text
/// gradient = tolerance * long / latency           from 0.5 to 1; tolerance 1.5
/// new      = gradient * limit + queue             queue 4
/// limit    = (1 - smoothing) * limit + smoothing * new       smoothing 0.2
/// ```
///
/// `latency` is the mean of the window and `long` its exponentially weighted mean over 600 windows,
/// which is cut by a twentieth where it is more than twice the latency. There, nothing keeps `long`
/// from following an overload, until that counts as usual and the limit runs away. Here `long` is
/// never above the base that the last probe measured. A window with drops has the gradient 0.5;
/// Netflix's algorithm does not look at drops.
#[derive(Clone, Copy, Debug)]
pub struct Gradient2 {
    smoothing: Factor,
    tolerance: Factor,
    queue: u16,
    long: u16,
}

impl LimitConfig<Gradient2> {
    /// [`Gradient2`]: an initial limit of 20, from 20 to 200.
    pub const fn gradient2() -> Self {
        let algorithm = Gradient2 {
            smoothing: Factor::new(Ratio::percent(20)),
            tolerance: Factor::new(Ratio::percent(150)),
            queue: 4,
            long: 600,
        };
        Self::with_algorithm(algorithm, 20, 20, 200)
    }

    /// How far each window takes the limit to its new value; more than 0 %, at most 100 %, 20 % by
    /// default.
    pub const fn smoothing(mut self, part: Ratio) -> Self {
        if !part.is_share() {
            return self.fault(SMOOTHING.ratio(part));
        }
        self.algorithm.smoothing = Factor::new(part);
        self
    }

    /// How much longer than usual a call may take before the limit shrinks; at least 100 %, 150 %
    /// by default. Below 200 %, as more could not be told from usual by a probe at half of the
    /// limit.
    pub const fn tolerance(mut self, part: Ratio) -> Self {
        let (numerator, denominator) = (part.numerator() as u64, part.denominator() as u64);
        if numerator < denominator || denominator == 0 || numerator >= denominator * 2 {
            return self.fault(TOLERANCE.ratio(part));
        }
        self.algorithm.tolerance = Factor::new(part);
        self
    }

    /// By how much the limit grows where the latency is as usual, before smoothing; 1 to 65535
    /// calls, 4 by default.
    pub const fn queue(mut self, calls: u32) -> Self {
        if let Err(error) = QUEUE.check(calls as u64, 1, u16::MAX as u64) {
            return self.fault(error);
        }
        self.algorithm.queue = calls as u16;
        self
    }

    /// Over how many windows the usual latency is averaged; 1 to 65535, 600 by default.
    pub const fn long_window(mut self, windows: u32) -> Self {
        if let Err(error) = LONG.check(windows as u64, 1, u16::MAX as u64) {
            return self.fault(error);
        }
        self.algorithm.long = windows as u16;
        self
    }
}

impl Gradient2 {
    /// The weighted mean after one more latency: of weight 2 in `long` + 1.
    fn average(&self, long: Latency, latency: Latency) -> Latency {
        let parts = u64::from(self.long) + 1;
        long.towards(latency, latency.distance(long).saturating_mul(2) / parts)
    }
}

impl LimitAlgorithm for Gradient2 {}
impl MeasuresLatency for Gradient2 {}

impl sealed::Algorithm for Gradient2 {
    const PROBE: Probe = Probe::Half;

    fn next(&self, seen: &mut Seen) -> Limit {
        let gradient = if seen.dropped {
            Gradient::HALF
        } else {
            let known = if seen.own.is_known() { seen.own } else { seen.base };
            let mut long = self.average(known, seen.latency);
            if long.0 > seen.latency.0.saturating_mul(2) {
                long = Latency(long.0 / 20 * 19);
            }
            seen.own = long.min(seen.base);
            seen.own.times(self.tolerance).over(seen.latency, Gradient::HALF, Gradient::ONE)
        };
        let new = gradient.of(seen.limit).plus(Limit::of(self.queue.into()));
        self.smoothing.between(seen.limit, new)
    }

    fn after_probe(&self, base: Latency) -> Latency {
        // What a probe has measured is usual at once, not after 600 windows.
        base
    }
}
