//! What the algorithms have in common: the steps from a window to the next limit.
//!
//! An algorithm is a pure function of what it remembers and of one window. All it needs beside the
//! limit are two words: the latency without load (`base`), and one of its own.
//!
//! **Background.** Latency says that there is a queue only when compared with the latency without
//! one, which nobody tells and which changes. An algorithm that takes what it sees for the latency
//! without load drifts: while there is a queue it takes the queue for normal, allows a longer one,
//! takes that for normal, and runs away to its maximum (Netflix's Gradient2, whose long-term mean
//! follows the overload it should show: concurrency-limits, pull request #88 and issue #137; its
//! Vegas takes any sample for the new base now and then: issue #165). One that only ever takes
//! lower latencies cannot follow a service that became slower, and throttles it for ever.
//!
//! **Solution.** The base is measured, from time to time, with less load: a *probe*. For its time
//! the limit is half of what it was (Envoy: the least), so that the queue drains. In a first window
//! what was let in before goes out; in a second one the latency is measured, and becomes the base,
//! be it lower or higher. The same idea is `PROBE_RTT` in BBR (Cardwell and others, "BBR:
//! Congestion-Based Congestion Control", ACM Queue 14(5), 2016) and the `minRTT` window of Envoy's
//! adaptive concurrency filter. Two windows, because of the calls that begin after a reduction the
//! quick ones end first: a measure of the first that end would be too low.
//!
//! **Why it works.** Between two probes an algorithm holds the latency to at most t times the base
//! (Vegas: 1.25, Gradient2: 1.5), so what is in flight is at most t times what the service can work
//! on at once, and half of that leaves no queue as t is below 2. Where it was more, because the
//! service has lost capacity or the first base was measured under load, each probe finds a base
//! that is t/2 of the one before. Half and not the least, as the service does most of its work
//! meanwhile.
//!
//! Until two probes in a row agree, they follow each other soon.
//!
//! A probe also follows where the base may be what is wrong, and there is little to lose: when the
//! limit has been at its least for five windows (as in Envoy), and when it is down to half of what
//! it was after the last probe (not in Envoy, where a probe costs more).
//!
//! **Drops during a probe.** A service that fails shows no latency, and a limit that waited for one
//! would stand still for the whole of an outage. So a window of a probe that has too many drops
//! shrinks the limit as any other one does, from where the probe has it. The probe then begins
//! anew, and what it goes back to is that limit: the one before is of a service that did not fail.

use crate::inflight::{Limit, Share};
use crate::rng::mix;
use crate::time::Ticks;
use crate::word::{Field, Word, by_width, widen};

use super::latency::Latency;
use super::window::{Judged, Stage};

/// How to limit what is in flight: [`Aimd`](super::Aimd), [`Vegas`](super::Vegas),
/// [`Gradient2`](super::Gradient2) or [`EnvoyGradient`](super::EnvoyGradient). Sealed.
pub trait LimitAlgorithm: sealed::Algorithm {}

/// The algorithms that compare latencies with the latency without load, which they measure. Sealed.
pub trait MeasuresLatency: LimitAlgorithm {}

pub(super) mod sealed {
    use super::{Latency, Limit, Probe, Seen};

    pub trait Algorithm: Copy {
        /// How the latency without load is measured.
        const PROBE: Probe;

        /// Which percentile of the latencies is taken; where none, their mean.
        #[inline]
        fn percentile(&self) -> Option<u8> {
            None
        }

        /// The next limit, before it is held to its bounds.
        fn next(&self, seen: &mut Seen) -> Limit;

        /// What its own word is after a probe that measured `base`, where that is not the estimate
        /// of a percentile.
        fn after_probe(&self, _base: Latency) -> Latency {
            Latency::UNKNOWN
        }
    }
}

/// How the latency without load is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It is not needed.
    None,
    /// At half of the limit.
    Half,
    /// At the least limit.
    Least,
}

/// What an algorithm goes by.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub(super) limit: Limit,
    /// Too many calls failed.
    pub(super) dropped: bool,
    /// Of the window; unknown only where too many failed.
    pub(super) latency: Latency,
    /// Without load. May be lowered; unknown only where it is not needed, as with drops.
    pub(super) base: Latency,
    /// The algorithm's own word, for those that do not take a percentile.
    pub(super) own: Latency,
}

/// What is remembered from one window to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Memory {
    pub(super) base: Latency,
    pub(super) own: Latency,
    pub(super) plan: Plan,
}

const SAVED: Field = Field::lowest(by_width(24, 12));
const AT_LEAST: Field = SAVED.above(3);
const LEFT: Field = AT_LEAST.above(by_width(28, 17));

/// The most windows from one probe to the next.
pub(super) const MAX_WINDOWS: u32 = LEFT.max() as u32;

/// After so many windows at the least limit, the base is measured again.
const PATIENCE: Word = 5;

/// After so many windows there is another probe, where one has found another base than was known:
/// the first one was measured with whatever load there was at the start, and half of a limit that
/// is far too high leaves a queue.
const SOON: u32 = 10;

/// When to probe.
///
/// ```text
/// 64-bit words   54      27 26       24 23      0
/// 32-bit words   31      15 14       12 11      0
///               +----------+-----------+---------+
///               |   left   | at least  |  saved  |
///               +----------+-----------+---------+
/// ```
///
/// * `saved`: without its fraction, the limit to go back to after the probe; after it, the limit at
///   its end. 0 before the end of the first probe, which changes no limit.
/// * `at least`: windows in a row that ended at the least limit, whatever its fraction: one that is
///   not quite at it is stuck there as well. Stops at [`PATIENCE`], where it is cleared.
/// * `left`: the time until the next probe, in configured windows. Set when a probe ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan(Word);

impl Plan {
    pub(super) const NEW: Self = Self(0);

    pub(super) const fn from_word(word: Word) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> Word {
        self.0
    }

    const fn saved(self) -> u32 {
        SAVED.get(self.0) as u32
    }

    /// A probe begins at `limit`.
    const fn transition_probe(self, limit: Limit) -> Self {
        Self(SAVED.set(0, limit.calls() as Word))
    }

    /// A probe is over and `limit` in force; the next one follows in `windows`.
    const fn transition_probed(windows: u32, limit: Limit) -> Self {
        Self(LEFT.set(SAVED.set(0, limit.calls() as Word), windows as Word))
    }

    /// Whether `limit` is down to half of what it was at the last probe.
    const fn is_halved(self, limit: Limit) -> bool {
        let (calls, saved) = (limit.calls(), self.saved());
        calls < saved && calls * 2 <= saved + 1
    }

    /// A window is over that was as long as `windows` of the configured length, at the least limit
    /// or not; whether to probe now.
    const fn transition_window(self, least: bool, windows: u32) -> (Self, bool) {
        let at_least = if least { AT_LEAST.get(self.0) + 1 } else { 0 };
        let left = LEFT.get(self.0).saturating_sub(windows as Word);
        let next = LEFT.set(AT_LEAST.set(self.0, at_least), left);
        (Self(next), left == 0 || at_least >= PATIENCE)
    }
}

/// A window that is over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Over {
    pub(super) stage: Stage,
    /// When it ended.
    pub(super) now: Ticks,
    /// How long it was, in windows of the configured length.
    pub(super) windows: u32,
}

/// What comes after a window.
#[derive(Clone, Copy, Debug)]
pub(super) struct Next {
    pub(super) memory: Memory,
    pub(super) limit: Limit,
    /// What the next window is for.
    pub(super) stage: Stage,
}

/// The rules of an algorithm within its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<A> {
    pub(super) algorithm: A,
    pub(super) min: u32,
    pub(super) max: u32,
    /// From one probe to the next; 0 where the base is a setting or not needed.
    pub(super) probe_windows: u32,
    pub(super) drops: Share,
}

impl<A: sealed::Algorithm> Rules<A> {
    /// What the first window is for.
    pub(super) const fn first_stage(&self) -> Stage {
        // Nothing is to be drained then; but calls that begin together end in the order of their
        // latencies, and those of the first window would be the quick ones.
        if self.probe_windows == 0 { Stage::Adapt } else { Stage::Drain }
    }

    /// What follows from a window.
    pub(super) fn fold(&self, memory: Memory, limit: Limit, judged: Judged, over: Over) -> Next {
        match over.stage {
            Stage::Unstarted | Stage::Adapt | Stage::Settle => {
                self.fold_window(memory, limit, judged, over.windows)
            }
            Stage::Drain | Stage::Measure if judged.is_dropped(self.drops) => {
                self.fold_trouble(memory, limit, judged)
            }
            Stage::Drain => {
                // What was estimated before was with load.
                let own = if self.estimates() { Latency::UNKNOWN } else { memory.own };
                Next { memory: Memory { own, ..memory }, limit, stage: Stage::Measure }
            }
            Stage::Measure => self.fold_probe(memory, limit, judged, over.now),
        }
    }

    fn estimates(&self) -> bool {
        self.algorithm.percentile().is_some()
    }

    /// The window's latency.
    fn latency(&self, memory: Memory, judged: Judged) -> Latency {
        match judged.window.mean() {
            None => Latency::UNKNOWN,
            Some(_) if self.estimates() => memory.own,
            Some(mean) => mean,
        }
    }

    fn fold_probe(&self, memory: Memory, limit: Limit, judged: Judged, now: Ticks) -> Next {
        let measured = self.latency(memory, judged);
        if !measured.is_known() {
            // Nothing has ended well, and there is no reason to go back to more.
            return Next { memory, limit, stage: Stage::Measure };
        }
        let base = memory.base.after_probe(measured);
        let first = memory.plan.saved() == 0;
        let soon = first || A::PROBE == Probe::Half && measured.is_news(memory.base);
        let own = if self.estimates() { memory.own } else { self.algorithm.after_probe(base) };
        let limit = if first { limit } else { Limit::of(memory.plan.saved()) };
        let plan = Plan::transition_probed(self.until_probe(soon, now), limit);
        Next { memory: Memory { base, own, plan }, limit, stage: Stage::Adapt }
    }

    /// How many windows from now the next probe is.
    fn until_probe(&self, soon: bool, now: Ticks) -> u32 {
        let windows = self.probe_windows;
        if soon && windows > SOON {
            return SOON;
        }
        // Up to 15 % later, by chance, so that those who share a service do not probe in step;
        // Envoy's jitter. The clock's low bits are chance enough.
        let jitter = u64::from(windows) * 15 / 100;
        let chance = ((mix(now.0) >> 32) * (jitter + 1)) >> 32;
        windows.saturating_add(chance as u32).min(MAX_WINDOWS)
    }

    fn fold_window(&self, memory: Memory, limit: Limit, judged: Judged, windows: u32) -> Next {
        if judged.calls() == 0 {
            // The call that ended the window had read its phase before the one that took the
            // samples was seen to: nothing orders the two.
            return Next { memory, limit, stage: Stage::Adapt };
        }
        let (next, seen) = self.step(memory, limit, judged);
        let halved = A::PROBE == Probe::Half && memory.plan.is_halved(next);
        let (plan, probe) = memory.plan.transition_window(next.calls() == self.min, windows);
        let probe = probe || halved;
        let memory = Memory { base: seen.base, own: seen.own, plan };
        if !probe || self.probe_windows == 0 {
            // Once for each trouble, as TCP does once in a round trip: what was let in before the
            // limit shrank goes on to fail for a while.
            let stage = if seen.dropped { Stage::Settle } else { Stage::Adapt };
            return Next { memory, limit: next, stage };
        }
        let reduced = match A::PROBE {
            Probe::None => next,
            Probe::Half => self.hold(Limit(next.0 / 2)),
            Probe::Least => Limit::of(self.min),
        };
        let plan = plan.transition_probe(next);
        Next { memory: Memory { plan, ..memory }, limit: reduced, stage: Stage::Drain }
    }

    /// Too much was dropped while the latency was to be measured: the limit shrinks, and the probe
    /// begins anew, to go back to no more than that.
    fn fold_trouble(&self, memory: Memory, limit: Limit, judged: Judged) -> Next {
        let (next, _) = self.step(memory, limit, judged);
        let first = memory.plan.saved() == 0;
        let plan = if first { memory.plan } else { memory.plan.transition_probe(next) };
        Next { memory: Memory { plan, ..memory }, limit: next, stage: Stage::Drain }
    }

    /// The limit that follows from a window, within its bounds, and what is to be remembered.
    fn step(&self, memory: Memory, limit: Limit, judged: Judged) -> (Limit, Seen) {
        let mut seen = Seen {
            limit,
            dropped: judged.is_dropped(self.drops),
            latency: self.latency(memory, judged),
            base: memory.base,
            own: memory.own,
        };
        let next = self.algorithm.next(&mut seen);
        // What is not used says nothing about whether more could be. And what a rule adds in any
        // case, a queue or a root, is more than it takes off for drops where the limit is small.
        let grows = judged.window.is_busy() && !seen.dropped;
        (self.hold(if grows { next } else { next.min(limit) }), seen)
    }

    /// `limit` within its bounds.
    fn hold(&self, limit: Limit) -> Limit {
        limit.max(Limit::of(self.min)).min(Limit::of(self.max))
    }
}

/// The estimate of a percentile, with one latency more: the `n`-th of a window, from 1 on.
///
/// A step up where the latency is above, down where it is below, so much larger the one than the
/// other that they balance at the percentile (Ma, Muthukrishnan and Sandler, "Frugal Streaming for
/// Estimating Quantiles", 2013). Steps are 1/(n + 1) of the estimate, down to 1/32, up and down
/// being the inverse of each other for the median: from any start it is there in a few dozen
/// latencies, and no outlier, however far out, moves it by more than a step.
pub(super) const fn transition_percentile(
    estimate: Latency,
    latency: Latency,
    percentile: u8,
    n: u32,
) -> Latency {
    if !estimate.is_known() {
        return latency;
    }
    let parts = if n >= 31 { 32 } else { n as u64 + 1 };
    let (part, weight) = if latency.0 > estimate.0 {
        (estimate.0 / parts, percentile as u64)
    } else {
        (estimate.0 / (parts + 1), 100_u64.saturating_sub(percentile as u64))
    };
    // No further than the latency itself, and never to nothing.
    estimate.towards(latency, (part / 50).saturating_mul(weight))
}

/// A latency from its word.
pub(super) const fn latency_of(word: Word) -> Latency {
    Latency(widen(word))
}
