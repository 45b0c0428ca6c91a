//! A breaker's configuration, checked and turned into ticks.

use super::config::BreakerConfig;
use super::counts::Counts;
use super::state::{
    Generation, MAX_FAILURES, MAX_PROBES, MAX_STREAK, OPEN_BITS, PROBE_BITS, PROBE_HEADROOM,
};
use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::rng::mix32;
use crate::time::scale::{Coarse, HEADROOM};
use crate::time::{Ticks, check_rate, in_ticks};
use crate::word::{Word, widen};

const CONSECUTIVE_FAILURES: Setting = setting!(
    "the breaker's `consecutive_failures`" must "be from 1 to 2^32 - 1" or "be from 1 to 1048575"
);
const OPEN_JITTER: Setting = setting!("the breaker's `open_jitter`" must "be at most 100 %");
const MOST_PROBES: Setting =
    setting!("the breaker's `max_probes`" must "be from 1 to 63" or "be from 1 to 15");
const SUCCESS_THRESHOLD: Setting =
    setting!("the breaker's `success_threshold`" must "be from 1 to 63" or "be from 1 to 15");
const PROBE_FAILURE_RATE: Setting = setting!(
    "the breaker's `probe_failure_rate`" must "be more than 0 % and at most 100 %"
);
const PROBES_TO_JUDGE: Setting = setting!(
    "the number of probes of the breaker's `probe_failure_rate`"
        must "be from 1 to 63" or "be from 1 to 15"
);
const OPEN_GROWTH: Setting = setting!("the breaker's `open_growth`" must "be at least 100 %");
const OPEN_FOR: Setting = setting!(
    "the breaker's `open_for`" must "be from one tick of the clock to a quarter of its range"
);
const OPEN_AT_MOST: Setting = setting!(
    "the longest time of the breaker's `open_growth`"
        must "be from `open_for` to a quarter of the clock's range"
);
const HALF_OPEN_TIMEOUT: Setting = setting!(
    "the breaker's `half_open_timeout`"
        must "be from one tick of the clock to a quarter of its range"
);
const MAX_LATENESS: Setting = setting!(
    "the breaker's `max_lateness`" must "be at most a quarter of the clock's range"
);

const _: () = assert!(MAX_FAILURES < widen(Word::MAX));
const _: () = assert!(OPEN_BITS - HEADROOM < u32::BITS && PROBE_BITS - PROBE_HEADROOM < u16::BITS);

/// What the state machine goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) custom: Option<fn(&Counts) -> bool>,
    open_for: u64,
    open_at_most: u64,
    growth: Factor,
    seed: u32,
    /// The random part of an open time, in parts of 2^32; 0 for none.
    jitter: u32,
    /// So many failures in a row trip: more than a word counts where they are no rule.
    pub(super) consecutive: Word,
    /// In units, as are the next two. The headroom leaves a horizon at most 24 bits.
    pub(super) open_horizon: u32,
    /// The headroom leaves this one at most 12 bits, and what is rounded up in it.
    pub(super) probe_horizon: u16,
    /// How long the probes have from the reading at which the last one was let in.
    pub(super) probe_time: u16,
    pub(super) open_scale: Coarse,
    pub(super) probe_scale: Coarse,
    /// After having reopened so often, it stays open for the longest time.
    longest_after: u8,
    pub(super) max_probes: u8,
    /// The most probes of one half-open; judged by successes in a row, more than there can be.
    pub(super) round: u8,
    /// So many probes that reported close, unless so many of them failed: that reopens.
    pub(super) probes_to_close: u8,
    pub(super) failures_to_reopen: u8,
    pub(super) abandoned_fails: bool,
}

impl Rules {
    /// Checks `config` for a clock of `hz` ticks per second.
    pub(super) const fn new(config: &BreakerConfig, hz: u64) -> Result<Self, ConfigError> {
        check!(check_rate(hz));
        let consecutive = config.consecutive as u64;
        if consecutive > MAX_FAILURES {
            return Err(CONSECUTIVE_FAILURES.number(consecutive, 1, MAX_FAILURES));
        }
        if config.jitter_percent > 100 {
            return Err(OPEN_JITTER.ratio(Ratio::percent(config.jitter_percent)));
        }
        check!(MOST_PROBES.check(config.max_probes as u64, 1, MAX_PROBES));
        let to_close = config.success_threshold as u64;
        let (round, failures_to_reopen) = match config.probe_rate {
            Some(rate) => {
                if !rate.is_share() {
                    return Err(PROBE_FAILURE_RATE.ratio(rate));
                }
                check!(PROBES_TO_JUDGE.check(to_close, 1, MAX_PROBES));
                // Of all probes of the round: reached now means reached at its end as well.
                (to_close as u8, rate.least_part(to_close as u32) as u8)
            }
            None => {
                check!(SUCCESS_THRESHOLD.check(to_close, 1, MAX_PROBES));
                (u8::MAX, 1)
            }
        };
        let growth = config.growth;
        if growth.denominator() == 0 || growth.numerator() < growth.denominator() {
            return Err(OPEN_GROWTH.ratio(growth));
        }
        let open_for = check!(in_ticks(OPEN_FOR, config.open_for, hz, 1));
        let open_at_most = check!(in_ticks(OPEN_AT_MOST, config.open_at_most, hz, open_for));
        let timeout = check!(in_ticks(HALF_OPEN_TIMEOUT, config.half_open_timeout, hz, 1));
        let lateness = check!(in_ticks(MAX_LATENESS, config.lateness, hz, 0));

        // Each is at most a quarter of the range.
        let open_reach = open_at_most.saturating_add(lateness);
        let open_scale = Coarse::fit(open_reach, OPEN_BITS, HEADROOM);
        let probe_reach = timeout.saturating_add(lateness);
        let probe_scale = Coarse::fit(probe_reach, PROBE_BITS, PROBE_HEADROOM);
        // One unit more than the time rounded up, as a reading is rounded down: never early.
        let probe_time = probe_scale.units_up(timeout).saturating_add(1);
        let growth = Factor::new(growth);
        Ok(Self {
            custom: config.custom,
            open_for,
            open_at_most,
            growth,
            seed: (config.seed ^ (config.seed >> 32)) as u32,
            jitter: share_of_one(config.jitter_percent),
            consecutive: if consecutive == 0 { Word::MAX } else { consecutive as Word },
            open_horizon: open_scale.units_up(open_reach) as u32,
            // The time is rounded up by itself: so must the lateness be, or a reader that is just
            // so late would take a live deadline for a stale one.
            probe_horizon: probe_time.saturating_add(probe_scale.units_up(lateness)) as u16,
            probe_time: probe_time as u16,
            open_scale,
            probe_scale,
            longest_after: growth.steps(open_for, open_at_most),
            max_probes: config.max_probes as u8,
            round,
            probes_to_close: to_close as u8,
            failures_to_reopen,
            abandoned_fails: config.abandoned_fails,
        })
    }

    /// How many ticks to let pass before looking again whether a probe has come back.
    pub(super) const fn look_again(&self) -> u64 {
        self.open_for / 16 + 1
    }

    /// How many ticks to stay open after having reopened `streak` times.
    ///
    /// `min(at_most, open_for * growth^streak)`, less a random part of at most the jitter: after
    /// the cap, so that the cap holds.
    pub(super) fn open_time(&self, streak: u32, generation: Generation, now: Ticks) -> u64 {
        let mut wait = self.open_at_most;
        if streak < self.longest_after as u32 {
            wait = self.open_for;
            for _ in 0..streak {
                wait = self.growth.of(wait);
            }
        }
        let late = (now.0 >> 32) as u32;
        let random = mix32(self.seed ^ now.0 as u32 ^ late.rotate_left(16) ^ u32::from(generation));
        // Never the whole of the jitter.
        let part = (u64::from(self.jitter) * u64::from(random)) >> 32;
        wait.wrapping_sub(part_of(wait, part as u32))
    }
}

/// `percent` of 1, at most 100, in parts of 2^32, rounded down; all but one part for the whole.
const fn share_of_one(percent: u32) -> u32 {
    let parts = ((percent as u64) << 32) / 100;
    if parts > u32::MAX as u64 { u32::MAX } else { parts as u32 }
}

/// So many parts of 2^32 of `ticks`, rounded down.
#[inline]
const fn part_of(ticks: u64, parts: u32) -> u64 {
    // In halves, the carry of the lower one added to the upper: no product is longer than 64 bits,
    // nor is that sum.
    let low = (ticks & 0xffff_ffff) * parts as u64;
    ((ticks >> 32) * parts as u64).wrapping_add(low >> 32)
}

/// A number of at least 1 that times are multiplied by: `whole + parts / 2^32`.
///
/// Not a fraction of two numbers, as a small target would need half a kilobyte to divide 64 bits.
#[derive(Clone, Copy, Debug)]
struct Factor {
    whole: u32,
    parts: u32,
}

impl Factor {
    /// `ratio`, of at least 1, rounded up: a product that is a whole number of ticks is then
    /// exactly that, up to 2^32 over the denominator.
    const fn new(ratio: Ratio) -> Self {
        let (numerator, denominator) = (ratio.numerator() as u64, ratio.denominator() as u64);
        // A denominator of 0 is refused in `Rules::new`.
        let denominator = if denominator == 0 { 1 } else { denominator };
        let parts = ((numerator % denominator) << 32).div_ceil(denominator);
        Self { whole: (numerator / denominator) as u32, parts: parts as u32 }
    }

    /// This times `ticks`, rounded down; wraps.
    const fn of(self, ticks: u64) -> u64 {
        ticks.wrapping_mul(self.whole as u64).wrapping_add(part_of(ticks, self.parts))
    }

    /// After how many multiplications `from` is at least `to`, of at most `LONGEST`: until then
    /// none of them wraps. One more than there can be, where it never is.
    const fn steps(self, from: u64, to: u64) -> u8 {
        let (mut ticks, mut steps) = (from, 0);
        while ticks < to && steps <= MAX_STREAK as u8 {
            // The product of the next whole number wraps: then this one is about as long, and
            // longer than any time.
            let wraps = ticks.checked_mul(self.whole as u64 + 1).is_none();
            ticks = if wraps { to } else { self.of(ticks) };
            steps += 1;
        }
        steps
    }
}
