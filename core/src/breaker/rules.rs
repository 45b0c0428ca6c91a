//! A breaker's configuration, checked and turned into ticks.

use core::time::Duration;

use super::config::BreakerConfig;
use super::counts::Counts;
use super::state::{Generation, MAX_FAILURES, MAX_PROBES, OPEN_BITS, PROBE_BITS, PROBE_HEADROOM};
pub(super) use crate::error::check;
use crate::error::{ConfigError, Setting, setting};
use crate::ratio::Ratio;
use crate::rng::mix;
use crate::time::scale::{HEADROOM, Scale};
use crate::time::{Ticks, check_rate, duration_from_ticks, ticks_from_duration};

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

const _: () = assert!(OPEN_BITS - HEADROOM < u32::BITS && PROBE_BITS - PROBE_HEADROOM < u32::BITS);

/// What the state machine goes by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) custom: Option<fn(&Counts) -> bool>,
    pub(super) probe_rate: Option<Ratio>,
    open_for: u64,
    open_at_most: u64,
    pub(super) half_open_timeout: u64,
    seed: u32,
    growth: Ratio,
    /// 0 where failures in a row are no rule.
    pub(super) consecutive: u32,
    /// In units. The headroom leaves each horizon at most 24 bits.
    pub(super) open_horizon: u32,
    pub(super) probe_horizon: u32,
    pub(super) open_scale: Scale,
    pub(super) probe_scale: Scale,
    jitter_percent: u8,
    pub(super) max_probes: u8,
    /// The successes that close; judged by rate, the probes of a round.
    pub(super) probes_to_judge: u8,
    pub(super) abandoned_fails: bool,
}

/// The longest time that is taken: the horizon must stay clear of the 64-bit end.
pub(super) const LONGEST: u64 = u64::MAX >> 2;

/// A duration in ticks, from `least` to [`LONGEST`].
pub(super) const fn in_ticks(
    setting: Setting,
    duration: Duration,
    hz: u64,
    least: u64,
) -> Result<u64, ConfigError> {
    let ticks = ticks_from_duration(duration, hz);
    if ticks < least || ticks > LONGEST {
        let (min, max) = (duration_from_ticks(least, hz), Duration::from_secs(LONGEST / hz));
        return Err(setting.duration(duration, min, max));
    }
    Ok(ticks)
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

        let open_scale = Scale::fit(open_at_most + lateness, OPEN_BITS, HEADROOM, 0);
        let probe_scale = Scale::fit(timeout + lateness, PROBE_BITS, PROBE_HEADROOM, 0);
        Ok(Self {
            custom: config.custom,
            probe_rate: config.probe_rate,
            open_for,
            open_at_most,
            half_open_timeout: timeout,
            seed: (config.seed ^ (config.seed >> 32)) as u32,
            growth: config.growth,
            consecutive: config.consecutive,
            open_horizon: open_scale.units_up(open_at_most + lateness) as u32,
            // The deadline is set one unit late, and the timeout is rounded up by itself: so must
            // the lateness be, or a reader that is just so late would take a live
            // deadline for a stale one.
            probe_horizon: (probe_scale.units_up(timeout) + probe_scale.units_up(lateness)) as u32
                + 1,
            open_scale,
            probe_scale,
            jitter_percent: config.jitter_percent as u8,
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
    /// the cap, so that the cap holds. The only multiplications and divisions of 64-bit numbers
    /// are here, where a breaker opens.
    pub(super) fn open_time(&self, streak: u32, generation: Generation, now: Ticks) -> u64 {
        let mut wait = self.open_for;
        for _ in 0..streak {
            if wait >= self.open_at_most {
                break;
            }
            wait = grown(wait, self.growth).min(self.open_at_most);
        }
        let percent = u64::from(self.jitter_percent);
        let span = wait / 100 * percent + wait % 100 * percent / 100;
        if span == 0 {
            return wait;
        }
        let random =
            mix(u64::from(self.seed) << 16 ^ u64::from(generation) ^ now.0.rotate_left(32));
        // span * random / 2^32 without 128 bits; never the whole span.
        let random = random >> 32;
        let part = (span >> 32) * random + (((span & 0xffff_ffff) * random) >> 32);
        wait - part
    }
}

/// `wait * growth`, rounded down; saturates.
fn grown(wait: u64, growth: Ratio) -> u64 {
    let (numerator, denominator) = (u64::from(growth.numerator()), u64::from(growth.denominator()));
    let (Some(whole), Some(rest)) = (wait.checked_div(denominator), wait.checked_rem(denominator))
    else {
        // A denominator of 0 is refused in `new`.
        return wait;
    };
    // The rest is below 2^32, so its product fits.
    whole.saturating_mul(numerator).saturating_add(rest * numerator / denominator)
}
