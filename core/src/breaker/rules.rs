//! A breaker's configuration, checked and turned into ticks.

use super::config::BreakerConfig;
use super::counts::Counts;
use super::state::{Generation, MAX_FAILURES, MAX_PROBES, OPEN_BITS, PROBE_BITS, PROBE_HEADROOM};
use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::rng::mix32;
use crate::time::scale::{HEADROOM, Scale};
use crate::time::{Ticks, check_rate, in_ticks};

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

const _: () = assert!(OPEN_BITS - HEADROOM < u32::BITS && PROBE_BITS - PROBE_HEADROOM < u16::BITS);

/// What the state machine goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) custom: Option<fn(&Counts) -> bool>,
    pub(super) probe_rate: Option<Ratio>,
    open_for: u64,
    open_at_most: u64,
    growth: Factor,
    seed: u32,
    /// The random part of an open time, in parts of 2^31; 0 for none.
    jitter: u32,
    /// 0 where failures in a row are no rule.
    pub(super) consecutive: u32,
    /// In units, as are the next two. The headroom leaves a horizon at most 24 bits.
    pub(super) open_horizon: u32,
    /// The headroom leaves this one at most 12 bits, and what is rounded up in it.
    pub(super) probe_horizon: u16,
    /// How long the probes have from the reading at which the last one was let in.
    pub(super) probe_time: u16,
    pub(super) open_scale: Scale,
    pub(super) probe_scale: Scale,
    pub(super) max_probes: u8,
    /// The successes that close; judged by rate, the probes of a round.
    pub(super) probes_to_judge: u8,
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
        let to_judge = config.success_threshold as u64;
        match config.probe_rate {
            Some(rate) => {
                if !rate.is_share() {
                    return Err(PROBE_FAILURE_RATE.ratio(rate));
                }
                check!(PROBES_TO_JUDGE.check(to_judge, 1, MAX_PROBES));
            }
            None => {
                check!(SUCCESS_THRESHOLD.check(to_judge, 1, MAX_PROBES));
            }
        }
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
        let open_scale = Scale::fit(open_reach, OPEN_BITS, HEADROOM, 0);
        let probe_reach = timeout.saturating_add(lateness);
        let probe_scale = Scale::fit(probe_reach, PROBE_BITS, PROBE_HEADROOM, 0);
        // One unit more than the time rounded up, as a reading is rounded down: never early.
        let probe_time = probe_scale.units_up(timeout).saturating_add(1);
        Ok(Self {
            custom: config.custom,
            probe_rate: config.probe_rate,
            open_for,
            open_at_most,
            growth: Factor::new(growth),
            seed: (config.seed ^ (config.seed >> 32)) as u32,
            jitter: percent_of_one(config.jitter_percent),
            consecutive: config.consecutive,
            open_horizon: open_scale.units_up(open_reach) as u32,
            // The time is rounded up by itself: so must the lateness be, or a reader that is just
            // so late would take a live deadline for a stale one.
            probe_horizon: probe_time.saturating_add(probe_scale.units_up(lateness)) as u16,
            probe_time: probe_time as u16,
            open_scale,
            probe_scale,
            max_probes: config.max_probes as u8,
            probes_to_judge: config.success_threshold as u8,
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
        let mut wait = self.open_for;
        for _ in 0..streak {
            if wait >= self.open_at_most {
                break;
            }
            wait = self.growth.of(wait).min(self.open_at_most);
        }
        if self.jitter == 0 {
            return wait;
        }
        let late = (now.0 >> 32) as u32;
        let random = mix32(self.seed ^ now.0 as u32 ^ late.rotate_left(16) ^ u32::from(generation));
        // Never the whole of the jitter.
        let part = (u64::from(self.jitter) * u64::from(random)) >> 32;
        wait.saturating_sub(Factor { mantissa: part as u32, shift: 31 }.of(wait))
    }
}

/// `percent` of 1, in parts of 2^31, rounded down.
const fn percent_of_one(percent: u32) -> u32 {
    (((percent as u64) << 31) / 100) as u32
}

/// `numerator * 2^shift / denominator`, rounded up. The denominator is not 0.
const fn shifted_over(numerator: u64, shift: u8, denominator: u64) -> u64 {
    let wide = numerator.wrapping_shl(shift as u32);
    let (Some(whole), Some(rest)) = (wide.checked_div(denominator), wide.checked_rem(denominator))
    else {
        return u64::MAX;
    };
    if rest == 0 { whole } else { whole.saturating_add(1) }
}

/// A number that times are multiplied by: `mantissa / 2^shift`.
///
/// Not a fraction of two numbers, as a small target would need half a kilobyte to divide 64 bits.
#[derive(Clone, Copy, Debug)]
struct Factor {
    mantissa: u32,
    shift: u8,
}

impl Factor {
    /// `ratio`, of at least 1, rounded up in the 32nd bit: a product that is a whole number of
    /// ticks is then exactly that, up to 2^31 over the denominator.
    const fn new(ratio: Ratio) -> Self {
        let (numerator, denominator) = (ratio.numerator() as u64, ratio.denominator() as u64);
        // A denominator of 0 is refused in `Rules::new`.
        let denominator = if denominator == 0 { 1 } else { denominator };
        let mut shift: u8 = 31;
        let mut mantissa = shifted_over(numerator, shift, denominator);
        // Ends at the latest where nothing is shifted: the numerator has 32 bits.
        while mantissa > u32::MAX as u64 && shift > 0 {
            shift = shift.saturating_sub(1);
            mantissa = shifted_over(numerator, shift, denominator);
        }
        Self { mantissa: mantissa as u32, shift }
    }

    /// This times `ticks`, rounded down; saturates.
    const fn of(self, ticks: u64) -> u64 {
        // In halves, the carry of the lower one added to the upper: no product is longer than 64
        // bits, nor is that sum.
        let low = (ticks & 0xffff_ffff) * self.mantissa as u64;
        let high = ((ticks >> 32) * self.mantissa as u64).wrapping_add(low >> 32);
        let shift = (self.shift & 31) as u32;
        let upper = 32 - shift;
        if high.leading_zeros() < upper {
            return u64::MAX;
        }
        high << upper | (low as u32 >> shift) as u64
    }
}
