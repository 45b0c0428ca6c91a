//! Additive increase, multiplicative decrease.

use super::algorithm::{LimitAlgorithm, Probe, Seen, sealed};
use super::config::LimitConfig;
use super::latency::Factor;
use crate::error::{Setting, setting};
use crate::inflight::Limit;
use crate::ratio::Ratio;

const BACKOFF: Setting = setting!("the limit's `backoff`" must "be at least 50 % and below 100 %");
const INCREASE: Setting = setting!("the limit's `increase`" must "be from 1 to 65535");

/// Grows by a little while calls succeed, shrinks by a part when they are dropped.
///
/// The rule of TCP (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for Congestion
/// Avoidance in Computer Networks", 1989; RFC 5681), as Netflix's concurrency-limits has it for
/// calls (`AIMDLimit`): the limit starts at 20, is multiplied by 0.9 where calls were dropped, and
/// grows by 1 otherwise, up to 200. There that is per call, here per window; and as in TCP, where
/// the window of data is, calls that began before the limit shrank do not shrink it once more.
/// There, too, the limit never is below 20, which is more than a small service can do, and more
/// than the share of one client among many: here it goes down to 1.
///
/// It needs no latency without load, shares a service fairly among its clients, and follows any
/// change of it. The price: it only notices too much load when calls fail, so that without
/// [`max_latency`](LimitConfig::max_latency) it fills the service's queue up to the timeouts.
#[derive(Clone, Copy, Debug)]
pub struct Aimd {
    increase: u16,
    backoff: Factor,
}

impl LimitConfig<Aimd> {
    /// [`Aimd`]: an initial limit of 20, from 1 to 200; 1 more for each window, or times 0.9.
    pub const fn aimd() -> Self {
        let algorithm = Aimd { increase: 1, backoff: Factor::new(Ratio::percent(90)) };
        Self::with_algorithm(algorithm, 20, 1, 200)
    }

    /// By how much the limit grows with each window without drops: 1 to 65535, 1 by default.
    pub const fn increase(mut self, calls: u32) -> Self {
        if let Err(error) = INCREASE.check(calls as u64, 1, u16::MAX as u64) {
            return self.fault(error);
        }
        self.algorithm.increase = calls as u16;
        self
    }

    /// What is left of the limit after a window with drops, but at least one call less: 50 % up to
    /// below 100 %, 90 % by default.
    pub const fn backoff(mut self, part: Ratio) -> Self {
        let (numerator, denominator) = (part.numerator() as u64, part.denominator() as u64);
        if numerator >= denominator || numerator * 2 < denominator {
            return self.fault(BACKOFF.ratio(part));
        }
        self.algorithm.backoff = Factor::new(part);
        self
    }
}

impl LimitAlgorithm for Aimd {}

impl sealed::Algorithm for Aimd {
    const PROBE: Probe = Probe::None;

    fn next(&self, seen: &mut Seen) -> Limit {
        let limit = seen.limit;
        if !seen.dropped {
            return limit.plus(Limit::of(self.increase.into()));
        }
        self.backoff.of(limit).min(limit.minus(Limit::of(1)))
    }
}
