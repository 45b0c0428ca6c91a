//! The configuration of a warm-up limiter, and the choice of its time scale.

use core::time::Duration;

use super::{LEVEL_BITS, NEXT_BITS};
use crate::bucket::Rate;
use crate::error::{ConfigError, Setting, check, setting};
use crate::time::scale::{DEFAULT_LATENESS, Scale};
use crate::time::{check_rate, duration_from_ticks, in_ticks};
use crate::word::{Word, by_width, mask};

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
    max_lateness: Duration,
}

impl WarmUpConfig {
    /// A limiter that is at `rate` after `warm_up` of steady calls, and at a third of it when cold.
    ///
    /// The rate is never above what is asked, and below it by less than 1 in 1024, where words are
    /// 32 bits 1 in 64. It warms up more slowly than asked by up to 1 in 16.
    pub const fn new(rate: Rate, warm_up: Duration) -> Self {
        Self { rate, warm_up, max_lateness: DEFAULT_LATENESS }
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
    pub(super) horizon: Word,
    /// The units in a step of the level, as a power of two.
    pub(super) step: u32,
}

impl Fitted {
    pub(super) const fn new(config: WarmUpConfig, hz: u64) -> Result<Self, ConfigError> {
        check!(check_rate(hz));
        check!(config.rate.check());
        let warm_up = check!(in_ticks(WARM_UP, config.warm_up, hz, 1));
        let late = check!(in_ticks(MAX_LATENESS, config.max_lateness, hz, 0));
        let coarsest = NEXT_BITS as i32 - u64::BITS as i32;
        let room = mask(NEXT_BITS - HEADROOM) as u128;
        // The longest of each that would fit with all else equal, and without any lateness.
        let (mut longest_warm_up, mut longest_late, mut longest_alone) = (0, 0, 0);
        let mut exponent = FINEST;
        while exponent >= coarsest {
            let scale = Scale::with_exponent(exponent);
            let (interval, error) = config.rate.rounded(hz, exponent);
            let precise = interval >> PRECISE_BITS != 0 || (exponent >= 0 && error.is_zero());
            if precise && interval <= room / 8 {
                let (warm_up, late) =
                    (scale.units_up(warm_up) as u128, scale.units_up(late) as u128);
                // Pauses are rounded up by a unit.
                let fixed = 3 * interval + 1;
                let most = longest_level(interval);
                if fixed + warm_up + late <= room && warm_up <= most {
                    let bits = Word::BITS - (warm_up as Word).leading_zeros();
                    return Ok(Self {
                        scale,
                        interval: interval as Word,
                        warm_up: warm_up as Word,
                        horizon: (fixed + late) as Word,
                        step: bits.saturating_sub(LEVEL_BITS),
                    });
                }
                let rest = room.saturating_sub(fixed + late);
                let rest = scale.ticks_down(if rest < most { rest } else { most } as u64);
                if rest > longest_warm_up {
                    longest_warm_up = rest;
                }
                let rest = room.saturating_sub(fixed);
                let rest = scale.ticks_down(if rest < most { rest } else { most } as u64);
                if rest > longest_alone {
                    longest_alone = rest;
                }
                let rest = scale.ticks_down(room.saturating_sub(fixed + warm_up) as u64);
                if rest > longest_late && warm_up <= most {
                    longest_late = rest;
                }
            }
            exponent -= 1;
        }
        if longest_warm_up == 0 && longest_late != 0 {
            let most = whole_micros(longest_late, hz);
            return Err(MAX_LATENESS.duration(config.max_lateness, Duration::ZERO, most));
        }
        // Where no warm-up fits beside that lateness, both have to be shorter.
        let most = if longest_warm_up == 0 { longest_alone } else { longest_warm_up };
        Err(WARM_UP.duration(config.warm_up, duration_from_ticks(1, hz), whole_micros(most, hz)))
    }

    /// The pause after a call that finds this level: the area of the module's formula.
    #[inline]
    pub(super) const fn pause(&self, level: Word) -> Word {
        let (full, interval) = (self.warm_up, self.interval);
        let warm = full / 2;
        if level <= warm {
            return interval;
        }
        let left = level.saturating_sub(interval);
        let left = if left > warm { left } else { warm };
        // Neither overflows: an interval, times a level, and twice.
        let area = 2 * (level - left) as u64 * (level + left).saturating_sub(full) as u64;
        // Never by zero; but the compiler cannot know that, and would link a panic.
        let Some(down) = area.checked_div(full as u64) else { return interval };
        let up = down + (down * full as u64 != area) as u64;
        interval + up as Word
    }
}

/// The longest warm-up, in units, of which the steps are short enough beside an interval.
const fn longest_level(interval: u128) -> u128 {
    let step = (interval >> STEPS_BITS).checked_ilog2();
    match step {
        Some(step) => mask(LEVEL_BITS) as u128 * (1u128 << step),
        None => mask(LEVEL_BITS) as u128,
    }
}

/// Ticks as a duration in whole microseconds, rounded down.
const fn whole_micros(ticks: u64, hz: u64) -> Duration {
    let micros = ticks as u128 * 1_000_000 / hz as u128;
    Duration::from_micros(if micros > u64::MAX as u128 { u64::MAX } else { micros as u64 })
}
