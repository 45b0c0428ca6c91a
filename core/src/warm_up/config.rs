//! The configuration of a warm-up limiter, and the choice of its time scale.

use core::time::Duration;

use super::{LEVEL_BITS, NEXT_BITS};
use crate::bucket::{DEFAULT_MAX_WAIT, Rate};
use crate::error::{ConfigError, Setting, check, setting};
use crate::time::scale::{DEFAULT_LATENESS, Scale};
use crate::time::{check_rate, duration_from_ticks, in_ticks, whole_parts};
use crate::word::{Word, by_width, mask, widen};

/// An interval must have at least this many bits: it is rounded up by less than a unit.
const PRECISE_BITS: u32 = by_width(10, 6);

/// An interval must be at least so many steps of the level, as a power of two: each call lowers the
/// level by up to one step less than it should.
const STEPS_BITS: u32 = 4;

/// How far the wrap must be from all times together, as a power of two.
const HEADROOM: u32 = by_width(8, 4);

/// The finest unit, as a power of two of parts of a tick.
const FINEST: i32 = 20;

const WARM_UP: Setting = setting!(
    "the time to warm up"
        must "be at least a tick, and not so long beside the interval of the rate that a word cannot \
              hold both"
);
const MAX_WAIT: Setting = setting!(
    "the `max_wait` of a warm-up"
        must "not be so long beside the interval of the rate that a word cannot hold both"
);
const MAX_LATENESS: Setting = setting!(
    "the `max_lateness` of a warm-up"
        must "not be so long beside the interval of the rate that a word cannot hold both"
);

/// What a warm-up limiter should do: which rate it rises to, and how long that takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct WarmUpConfig {
    rate: Rate,
    warm_up: Duration,
    max_wait: Duration,
    max_lateness: Duration,
}

impl WarmUpConfig {
    /// A limiter that is at `rate` after `warm_up` of steady calls, and at a third of it when cold.
    ///
    /// Over time the rate is never above what is asked, and below it by less than 1 in 1024, where
    /// words are 32 bits 1 in 64. It warms up more slowly than asked by up to 1 in 16.
    pub const fn new(rate: Rate, warm_up: Duration) -> Self {
        Self { rate, warm_up, max_wait: DEFAULT_MAX_WAIT, max_lateness: DEFAULT_LATENESS }
    }

    /// How far ahead turns may be taken, and so the longest that `acquire` waits; one second unless
    /// told otherwise. Zero lets nobody wait.
    ///
    /// The pause after a cold call is up to three intervals, so a limit of less lets the second of
    /// two callers wait only once it is warm.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = wait;
        self
    }

    /// How late a reading of the clock may come to be used, which is also how far the clock may
    /// step back, for the pace to be kept strictly; one second unless told otherwise.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.max_lateness = lateness;
        self
    }
}

/// A configuration in the units of the scale chosen for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fitted {
    pub(super) scale: Scale,
    pub(super) interval: Word,
    pub(super) warm_up: Word,
    pub(super) max_wait: Word,
    pub(super) lateness: Word,
    pub(super) horizon: Word,
    /// The units in a step of the level, as a power of two.
    pub(super) step: u32,
}

/// A configuration in ticks, before its scale is known.
struct Demand {
    warm_up: u64,
    wait: u64,
    late: u64,
}

/// The longest of each time, in ticks, that would fit with all else equal, on any scale.
struct Longest {
    warm_up: u64,
    wait: u64,
    late: u64,
    /// The warm-up that would fit without any waiting or lateness.
    alone: u64,
}

/// What a word has room for, in units.
const ROOM: u64 = widen(mask(NEXT_BITS - HEADROOM));

impl Longest {
    /// What would fit on a scale on which the interval is so many units.
    const fn with(mut self, demand: &Demand, scale: Scale, interval: u64) -> Self {
        let [warm_up, wait, late] = demand.units(scale);
        let rest = ROOM.saturating_sub(pauses(interval));
        let most = longest_level(interval);
        let beside = rest.saturating_sub(wait).saturating_sub(late);
        self.warm_up = longer(self.warm_up, scale, if beside < most { beside } else { most });
        self.alone = longer(self.alone, scale, if rest < most { rest } else { most });
        if warm_up <= most {
            let rest = rest.saturating_sub(warm_up);
            self.wait = longer(self.wait, scale, rest.saturating_sub(late));
            self.late = longer(self.late, scale, rest.saturating_sub(wait));
        }
        self
    }

    const fn error(&self, config: WarmUpConfig, hz: u64) -> ConfigError {
        if self.warm_up == 0 && self.late != 0 {
            let most = whole_micros(self.late, hz);
            return MAX_LATENESS.duration(config.max_lateness, Duration::ZERO, most);
        }
        if self.warm_up == 0 && self.wait != 0 {
            let most = whole_micros(self.wait, hz);
            return MAX_WAIT.duration(config.max_wait, Duration::ZERO, most);
        }
        // Where no warm-up fits beside the other two, all have to be shorter.
        let most = if self.warm_up == 0 { self.alone } else { self.warm_up };
        WARM_UP.duration(config.warm_up, duration_from_ticks(1, hz), whole_micros(most, hz))
    }
}

impl Demand {
    const fn units(&self, scale: Scale) -> [u64; 3] {
        [
            widen(scale.units_up(self.warm_up)),
            widen(scale.units_up(self.wait)),
            widen(scale.units_up(self.late)),
        ]
    }
}

impl Fitted {
    pub(super) const fn new(config: WarmUpConfig, hz: u64) -> Result<Self, ConfigError> {
        check!(check_rate(hz));
        check!(config.rate.check());
        let demand = Demand {
            warm_up: check!(in_ticks(WARM_UP, config.warm_up, hz, 1)),
            wait: check!(in_ticks(MAX_WAIT, config.max_wait, hz, 0)),
            late: check!(in_ticks(MAX_LATENESS, config.max_lateness, hz, 0)),
        };
        let mut longest = Longest { warm_up: 0, wait: 0, late: 0, alone: 0 };
        let coarsest = NEXT_BITS as i32 - u64::BITS as i32;
        let mut exponent = FINEST;
        while exponent >= coarsest {
            let scale = Scale::with_exponent(exponent);
            let (interval, error) = config.rate.rounded(hz, exponent);
            let precise = interval >> PRECISE_BITS != 0 || (exponent >= 0 && error.is_zero());
            if precise && interval <= ROOM as u128 / 8 {
                let interval = interval as u64;
                let [warm_up, wait, late] = demand.units(scale);
                // Saturating, as each of them may be as long as a word.
                let ahead = pauses(interval).saturating_add(wait).saturating_add(late);
                if ahead.saturating_add(warm_up) <= ROOM && warm_up <= longest_level(interval) {
                    let bits = u64::BITS - warm_up.leading_zeros();
                    return Ok(Self {
                        scale,
                        interval: interval as Word,
                        warm_up: warm_up as Word,
                        max_wait: wait as Word,
                        lateness: late as Word,
                        horizon: ahead as Word,
                        step: bits.saturating_sub(LEVEL_BITS),
                    });
                }
                longest = longest.with(&demand, scale, interval);
            }
            exponent = exponent.wrapping_sub(1);
        }
        Err(longest.error(config, hz))
    }

    /// The pause after a call that finds this level: the area of the module's formula.
    #[inline]
    pub(super) const fn pause(&self, level: Word) -> Word {
        let (full, interval) = (widen(self.warm_up), widen(self.interval));
        let (level, warm) = (widen(level), full / 2);
        if level <= warm {
            return self.interval;
        }
        let left = level.saturating_sub(interval);
        let left = if left > warm { left } else { warm };
        // Nothing wraps here: an interval, times a level, and twice.
        let width = level.wrapping_sub(left);
        let height = level.wrapping_add(left).saturating_sub(full).wrapping_mul(2);
        let area = width.wrapping_mul(height);
        // Never by zero; but the compiler cannot know that, and would link a panic.
        let Some(down) = area.checked_div(full) else { return self.interval };
        let up = down.wrapping_add((down.wrapping_mul(full) != area) as u64);
        self.interval.wrapping_add(up as Word)
    }
}

/// The longest pause, in units: three intervals, rounded up.
const fn pauses(interval: u64) -> u64 {
    interval.saturating_mul(3).saturating_add(1)
}

/// The longest warm-up, in units, of which the steps are short enough beside an interval.
const fn longest_level(interval: u64) -> u64 {
    let most = widen(mask(LEVEL_BITS));
    match (interval >> STEPS_BITS).checked_ilog2() {
        // Saturating: an interval has more room than a level.
        Some(step) if step < most.leading_zeros() => most.wrapping_shl(step),
        Some(_) => u64::MAX,
        None => most,
    }
}

/// The longer one of a number of ticks and one of units.
const fn longer(ticks: u64, scale: Scale, units: u64) -> u64 {
    let other = scale.ticks_down(units);
    if other > ticks { other } else { ticks }
}

/// Ticks as a duration in whole microseconds, rounded down.
const fn whole_micros(ticks: u64, hz: u64) -> Duration {
    Duration::from_micros(whole_parts(ticks, 1_000_000, hz))
}
