//! What is sampled in a window, and when it is over.

use core::fmt;

use crate::inflight::Share;
use crate::time::Ticks;
use crate::time::scale::{HEADROOM, Scale, ahead};
use crate::word::{Field, Word, by_width, low_half, mask, widen};

use super::latency::{LATENCY_BITS, Latency};

const BUSY: Field = Field::lowest(1);
const COUNT: Field = BUSY.above(by_width(15, 8));
const SUM: Field = COUNT.above(Word::BITS - COUNT.end());

/// The most samples that a window may be asked to hold: whatever the latencies are, so many fit.
pub(super) const MAX_SAMPLES: u32 = by_width(1 << 14, 100);

/// Above this a window takes no more, as the longest latency would not fit.
const FULL: Word = SUM.max() - mask(LATENCY_BITS);

const _: () = assert!(MAX_SAMPLES as u64 <= COUNT.max() as u64);
const _: () = assert!(MAX_SAMPLES as u64 <= (FULL >> LATENCY_BITS) as u64);
/// A mean has [`Latency::FRACTION`] bits of a fraction below those of the sum.
const _: () = assert!(SUM.width() + Latency::FRACTION <= u64::BITS);

/// The latencies of a window, in one word, so that each sample is in it as a whole or not at all.
///
/// ```text
/// 64-bit words   63           16 15          1    0
/// 32-bit words   31            9 8           1    0
///               +---------------+-------------+------+
///               |      sum      |    count    | busy |
///               +---------------+-------------+------+
/// ```
///
/// * `busy`: at least half of the limit was in use when one of the calls ended.
/// * `count`: successful calls.
/// * `sum`: of their latencies, in units. A window that cannot hold another one takes no more, and
///   no drops either, of which it would see too large a share.
///
/// A new window is 0; only the fold begins one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Window(Word);

impl Window {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) const fn new(word: Word) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> Word {
        self.0
    }

    pub(super) const fn is_busy(self) -> bool {
        BUSY.get(self.0) != 0
    }

    pub(super) const fn count(self) -> u32 {
        COUNT.get(self.0) as u32
    }

    /// Whether it takes no further sample.
    pub(super) const fn is_full(self) -> bool {
        COUNT.get(self.0) == COUNT.max() || SUM.get(self.0) > FULL
    }

    /// The mean of the latencies; `None` of none.
    pub(super) const fn mean(self) -> Option<Latency> {
        let sum = widen(SUM.get(self.0)) << Latency::FRACTION;
        match sum.checked_div(self.count() as u64) {
            Some(mean) => Some(Latency(mean)),
            None => None,
        }
    }

    /// One latency more, of less than 2^[`LATENCY_BITS`] units; `None` where it is full.
    #[must_use]
    pub(super) const fn transition_sample(self, units: Word, busy: bool) -> Option<Self> {
        if self.is_full() {
            return None;
        }
        let word = SUM.set(self.0, SUM.get(self.0).saturating_add(units));
        let word = COUNT.set(word, COUNT.get(word) + 1);
        Some(Self(word | BUSY.set(0, busy as Word)))
    }
}

impl fmt::Debug for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Window")
            .field("busy", &self.is_busy())
            .field("count", &self.count())
            .field("sum", &SUM.get(self.0))
            .finish()
    }
}

/// What a whole window says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judged {
    pub(super) window: Window,
    /// Calls that failed, or took too long.
    pub(super) drops: Word,
}

impl Judged {
    /// All calls that say something.
    pub(super) const fn calls(self) -> u64 {
        self.window.count() as u64 + self.dropped()
    }

    /// Counted without an end, and looked at long before it could wrap.
    const fn dropped(self) -> u64 {
        low_half(self.drops) as u64
    }

    /// Whether so many calls were dropped that there is too much load.
    pub(super) const fn is_dropped(self, share: Share) -> bool {
        share.is_reached(self.dropped(), self.calls())
    }
}

const FOLDING: Field = Field::lowest(1);
const STAGE: Field = FOLDING.above(3);
/// No wider than leaves horizons of 32 bits.
const SINCE: Field = STAGE.above(by_width(48, 28));
const _: () = assert!(SINCE.width() - HEADROOM <= u32::BITS);

/// What a window is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No call has ended yet.
    Unstarted,
    /// To adapt the limit.
    Adapt,
    /// The same after a window with drops, by the calls that began since: those that began before
    /// have been answered for.
    Settle,
    /// The limit is reduced, and what was let in before it was is on its way out.
    Drain,
    /// What ends now was let in under the reduced limit, and is measured.
    Measure,
}

impl Stage {
    const fn new(bits: Word) -> Self {
        match bits {
            0 => Self::Unstarted,
            1 => Self::Adapt,
            2 => Self::Settle,
            3 => Self::Drain,
            _ => Self::Measure,
        }
    }
}

/// When the window began, and what it is for.
///
/// ```text
/// 64-bit words   51              4 3       1         0
/// 32-bit words   31              4 3       1         0
///               +-----------------+---------+---------+
///               |      since      |  stage  | folding |
///               +-----------------+---------+---------+
/// ```
///
/// * `folding`: a context turns the window into a limit. Set by a compare-and-swap of the whole
///   word, so by one context and only for the window that it has seen; cleared by the same one,
///   with the word of the next window. Who finds it set goes on without.
/// * `stage`: what the window is for. Left `Unstarted` by the first call that ends, and from then
///   on set by folds.
/// * `since`: when the window began, scaled; wraps.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Phase(Word);

impl Phase {
    /// Nothing has ended yet.
    pub(super) const UNSTARTED: Self = Self(0);

    pub(super) const fn new(word: Word) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> Word {
        self.0
    }

    pub(super) const fn is_folding(self) -> bool {
        FOLDING.get(self.0) != 0
    }

    pub(super) const fn stage(self) -> Stage {
        Stage::new(STAGE.get(self.0))
    }

    /// Whether the latency without load is being measured.
    pub(super) const fn is_probing(self) -> bool {
        matches!(self.stage(), Stage::Drain | Stage::Measure)
    }

    /// Whether the window ends in the end with what it has.
    const fn is_limited(self) -> bool {
        !matches!(self.stage(), Stage::Unstarted | Stage::Adapt)
    }

    /// A window for `stage` begins, and nobody folds it.
    #[must_use]
    pub(super) const fn begun(spans: &Spans, stage: Stage, now: Ticks) -> Self {
        Self(SINCE.set(STAGE.set(0, stage as Word), spans.units(now)))
    }

    #[must_use]
    pub(super) const fn transition_claim(self) -> Self {
        Self(FOLDING.set(self.0, 1))
    }

    /// Whether a call that began at `began` and ends at `now` does not count here: it was let in
    /// before the limit was reduced. However long it took: both readings have all their bits.
    pub(super) const fn is_after(self, spans: &Spans, began: Ticks, now: Ticks) -> bool {
        matches!(self.stage(), Stage::Settle | Stage::Drain)
            && spans.scale.whole(began) < self.since(spans, now)
    }

    /// When the window began, in units that do not wrap: ahead of a reader that is late.
    const fn since(self, spans: &Spans, now: Ticks) -> u64 {
        let (since, units) = (SINCE.get(self.0), spans.units(now));
        let whole = spans.scale.whole(now);
        let late = ahead(since, units, SINCE.width(), spans.lateness as Word);
        if late > 0 {
            whole.saturating_add(widen(late))
        } else {
            whole.saturating_sub(widen(units.wrapping_sub(since) & SINCE.max()))
        }
    }

    /// How long the window has lasted, in units: no time for a reader that is late.
    const fn elapsed(self, spans: &Spans, now: Ticks) -> Word {
        // Less than 2^48, where words are 32 bits wide 2^28: what `since` has taken off.
        spans.scale.whole(now).saturating_sub(self.since(spans, now)) as Word
    }

    /// How long the window has lasted, in whole windows of the configured length.
    pub(super) const fn windows(self, spans: &Spans, now: Ticks) -> u32 {
        // At least a unit long; but the compiler cannot know that, and would link a panic.
        match self.elapsed(spans, now).checked_div(spans.window as Word) {
            Some(windows) if windows > u32::MAX as Word => u32::MAX,
            Some(windows) => windows as u32,
            None => 0,
        }
    }

    /// Whether the window, with these calls in it, of which so many were `dropped` that there is
    /// too much load, or not, is over.
    ///
    /// One that is full goes on until it is as long as any: what is decided for it is decided for
    /// its whole time.
    pub(super) const fn is_over(
        self,
        spans: &Spans,
        judged: Judged,
        dropped: bool,
        now: Ticks,
    ) -> bool {
        // Drops measure nothing; but where there are too many of them, it is not the time to.
        let measure = if dropped { judged.calls() } else { judged.window.count() as u64 };
        let (calls, wanted) = match self.stage() {
            Stage::Unstarted | Stage::Adapt | Stage::Settle => (judged.calls(), spans.min_samples),
            Stage::Drain => (measure, spans.min_samples),
            Stage::Measure => (measure, spans.probe_samples),
        };
        let elapsed = self.elapsed(spans, now);
        elapsed >= spans.window as Word
            && (calls >= wanted as u64 && spans.is_twice_the_mean(elapsed, judged.window)
                || self.is_limited() && elapsed >= spans.give_up as Word)
    }
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Phase")
            .field("folding", &self.is_folding())
            .field("stage", &self.stage())
            .field("since", &SINCE.get(self.0))
            .finish()
    }
}

/// How long windows are, in the units of [`Phase`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Spans {
    window: u32,
    /// What waits for certain calls ends by then with what it has.
    give_up: u32,
    lateness: u32,
    min_samples: u16,
    probe_samples: u16,
    scale: Scale,
    /// How much longer a unit of latency is than one of these, as a power of two.
    latency_exponent: i8,
}

/// [`Spans`] in ticks.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpansInTicks {
    pub(super) window: u64,
    pub(super) give_up: u64,
    pub(super) lateness: u64,
    /// The longest latency that is a sample.
    pub(super) longest: u64,
}

impl Spans {
    /// None of the times is longer than a quarter of the clock's range, and none of the numbers of
    /// samples above [`MAX_SAMPLES`].
    pub(super) const fn new(
        ticks: SpansInTicks,
        latency: Scale,
        min_samples: u32,
        probe_samples: u32,
    ) -> Self {
        // What the time that a window has lasted is compared with.
        let longest = if ticks.longest > ticks.give_up { ticks.longest } else { ticks.give_up };
        let longest = if ticks.window > longest { ticks.window } else { longest };
        let horizon = longest.saturating_add(ticks.lateness);
        let scale = Scale::fit(horizon, SINCE.width(), HEADROOM, 0);
        Self {
            window: scale.units_up(ticks.window) as u32,
            give_up: scale.units_up(ticks.give_up) as u32,
            lateness: scale.units_up(ticks.lateness) as u32,
            min_samples: min_samples as u16,
            probe_samples: probe_samples as u16,
            scale,
            // Each is at most 63, and they are of opposite signs for clocks only that tick less
            // than once in an hour.
            latency_exponent: (scale.exponent() - latency.exponent()) as i8,
        }
    }

    const fn units(&self, at: Ticks) -> Word {
        self.scale.units(at) & SINCE.max()
    }

    /// Whether so many units are at least twice the mean latency of `window`.
    const fn is_twice_the_mean(&self, elapsed: Word, window: Window) -> bool {
        // Twice the sum of the latencies against so many times the time: nothing is divided, and
        // both have less than 64 bits, so nothing is lost by saturating.
        let sum = widen(SUM.get(window.0));
        let time = widen(elapsed).saturating_mul(window.count() as u64);
        let twice = self.latency_exponent as i32 + 1;
        // Shifts that are below 64; see above.
        if twice >= 0 {
            time.wrapping_shr(twice.unsigned_abs()) >= sum
        } else {
            time >= sum.wrapping_shr(twice.unsigned_abs())
        }
    }
}
