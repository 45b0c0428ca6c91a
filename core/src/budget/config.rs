//! The settings of a budget, and how they fit into a word.

use core::time::Duration;

use super::state::{Layout, MAX_BALANCE_BITS, Plan};
use crate::error::{ConfigError, Setting, setting};
use crate::ratio::Ratio;
use crate::time::scale::{DEFAULT_LATENESS, HEADROOM, Scale};
use crate::time::{check_rate, ticks_from_duration};
use crate::word::{Word, by_width, mask};

/// An interval of the floor has at least this many units of time, so that rounding it up slows the
/// floor by at most 1/1024 (64-bit words) or 1/16 (32-bit words).
const MIN_INTERVAL: u64 = by_width(1 << 10, 1 << 4) as u64;

/// Units of time are finer than a tick by at most this power of two: enough for a clock of 1 Hz.
const FINEST: u32 = 32;

const MAX_LATENESS: Duration = Duration::from_secs(3_600);

const RATIO: Setting = setting!("the budget's ratio" must "have a denominator of at least 1");
const DENOMINATOR: Setting = setting!(
    "the denominator of the budget's ratio, in lowest terms," must "fit a word with the reserve"
);
const LATENESS: Setting = setting!("the budget's `max_lateness`" must "be at most an hour");
const FLOOR_ALONE: Setting =
    setting!("the `floor_per_second` of a budget at 0 %" must "be at least 1");
const RESERVE: Setting =
    setting!("the budget's `reserve`" must "be at least 1, and at least what one call deposits");

/// The settings of a [`RetryBudget`](crate::RetryBudget).
///
/// The word has to hold `reserve * denominator` and the time of the floor. Where both do not fit,
/// the constructor says what would. 64-bit words have room for any common setting; 32-bit words for
/// a reserve of 100 at 20 %, of 40 at 7 % (where the denominator is 100), of 1000 at 50 %, each
/// with the default floor and lateness and a clock of any common rate.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BudgetConfig, Ratio};
///
/// const CONFIG: BudgetConfig = BudgetConfig::new(Ratio::percent(10))
///     .floor_per_second(1)
///     .reserve(50)
///     .max_lateness(Duration::from_millis(100));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a configuration does nothing by itself"]
pub struct BudgetConfig {
    ratio: Ratio,
    floor: u32,
    reserve: u32,
    lateness: Duration,
}

impl BudgetConfig {
    /// At most `ratio` retries per call in the long run; a floor of 10 retries per second, a
    /// reserve of 100.
    pub const fn new(ratio: Ratio) -> Self {
        Self { ratio, floor: 10, reserve: 100, lateness: DEFAULT_LATENESS }
    }

    /// How many retries per second are allowed beside the ratio, so that a service with little
    /// traffic can retry; 0 for none, 10 by default.
    ///
    /// It pays one retry at a time, at an interval that is rounded up to the word's units of time:
    /// never more than this rate, and less by at most one in 1024 where words are 64 bits wide, one
    /// in 16 where they are 32. As readings are rounded down to such a unit, all payments may be
    /// early by one unit, and not by more.
    pub const fn floor_per_second(mut self, retries: u32) -> Self {
        self.floor = retries;
        self
    }

    /// How many retries can be saved up: the longest burst of retries. At least what one call
    /// deposits; 100 by default.
    pub const fn reserve(mut self, retries: u32) -> Self {
        self.reserve = retries;
        self
    }

    /// How late a reading of the clock may be when it is used, and how far the clock may step back;
    /// up to an hour, one second by default. A later one may be taken for elapsed time, and then
    /// fill the balance once.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.lateness = lateness;
        self
    }

    /// Turns durations into units of time, for a clock that runs at `per_second`.
    pub(super) const fn resolve(self, per_second: u64) -> Result<Plan, ConfigError> {
        if self.ratio.denominator() == 0 {
            return Err(RATIO.ratio(self.ratio));
        }
        if let Err(error) = check_rate(per_second) {
            return Err(error);
        }
        if self.lateness.as_nanos() > MAX_LATENESS.as_nanos() {
            return Err(LATENESS.duration(self.lateness, Duration::ZERO, MAX_LATENESS));
        }
        if self.ratio.numerator() == 0 && self.floor == 0 {
            return Err(FLOOR_ALONE.number(0, 1, u64::MAX));
        }
        let least = self.least_reserve();
        if self.reserve < least {
            return Err(RESERVE.number(self.reserve as u64, least as u64, u64::MAX));
        }
        match self.fit(per_second) {
            Some(plan) => Ok(plan),
            None => Err(self.misfit(per_second)),
        }
    }

    /// The least reserve: what one call deposits must fit, or the ratio would not be exact.
    const fn least_reserve(self) -> u32 {
        // The denominator has been checked.
        let (whole, part) = (self.ratio.numerator(), self.ratio.denominator());
        let (floor, rest) = match whole.checked_div(part) {
            Some(floor) => (floor, whole % part),
            None => (0, 0),
        };
        let least = if rest == 0 { floor } else { floor.saturating_add(1) };
        if least == 0 { 1 } else { least }
    }

    /// The layout for these settings, if the word has the bits.
    const fn fit(self, per_second: u64) -> Option<Plan> {
        let cost = self.ratio.denominator();
        // Cannot overflow: the product of two numbers of 32 bits.
        let full = self.reserve as u64 * cost as u64;
        let balance_bits = u64::BITS - full.leading_zeros();
        if balance_bits == 0 || balance_bits > MAX_BALANCE_BITS {
            return None;
        }
        let layout = Layout::new(balance_bits);
        let start = if self.floor < self.reserve { self.floor } else { self.reserve };
        let plan = Plan {
            layout,
            scale: Scale::fit(1, 1, 0, 0),
            deposit: self.ratio.numerator() as Word,
            cost: cost as Word,
            reserve: self.reserve as Word,
            full: full as Word,
            start: (start as Word).wrapping_mul(cost as Word),
            interval: 0,
            lateness: 0,
        };
        if self.floor == 0 {
            return Some(plan);
        }
        if layout.time_bits() <= HEADROOM {
            return None;
        }
        let lateness = ticks_from_duration(self.lateness, per_second);
        let horizon = lateness.saturating_add(per_second.div_ceil(self.floor as u64));
        let scale = Scale::fit(horizon, layout.time_bits(), HEADROOM, finest(per_second));
        let interval = interval(scale, per_second, self.floor);
        if interval < MIN_INTERVAL {
            return None;
        }
        let interval = layout.raised(interval as Word);
        let lateness = layout.raised(scale.units_up(lateness));
        Some(Plan { scale, interval, lateness, ..plan })
    }

    const fn fits(self, per_second: u64) -> bool {
        self.fit(per_second).is_some()
    }

    /// What would fit, for whoever asked for what does not: each value with all else equal.
    #[cold]
    const fn misfit(self, per_second: u64) -> ConfigError {
        let least = self.least_reserve();
        let most_units = mask(MAX_BALANCE_BITS) as u64;
        if self.ratio.denominator() as u64 > most_units / least as u64 {
            let denominator = self.ratio.denominator() as u64;
            return DENOMINATOR.number(denominator, 1, most_units / least as u64);
        }
        ConfigError::BudgetNeedsMoreBits {
            reserve: self.reserve,
            floor: self.floor,
            fitting_reserve: self.largest_reserve(per_second),
            fitting_floor: self.largest_floor(per_second),
            fitting_lateness: self.largest_lateness(per_second),
        }
    }

    /// The largest reserve up to this one that fits.
    const fn largest_reserve(self, per_second: u64) -> Option<u32> {
        let (mut fits, mut above) = (self.least_reserve(), self.reserve);
        if !self.reserve(fits).fits(per_second) {
            return None;
        }
        // `fits` always does, and `above` never; 32 halvings.
        while let Some(middle) = middle(fits as u64, above as u64) {
            let middle = middle as u32;
            if self.reserve(middle).fits(per_second) {
                fits = middle;
            } else {
                above = middle;
            }
        }
        Some(fits)
    }

    /// The largest floor up to this one that fits; none at all only where there is a ratio.
    const fn largest_floor(self, per_second: u64) -> Option<u32> {
        let (mut fits, mut above) = (if self.ratio.numerator() == 0 { 1 } else { 0 }, self.floor);
        if !self.floor_per_second(fits).fits(per_second) {
            return None;
        }
        while let Some(middle) = middle(fits as u64, above as u64) {
            let middle = middle as u32;
            if self.floor_per_second(middle).fits(per_second) {
                fits = middle;
            } else {
                above = middle;
            }
        }
        Some(fits)
    }

    /// The largest lateness up to this one that fits, in whole microseconds.
    const fn largest_lateness(self, per_second: u64) -> Option<Duration> {
        if !self.max_lateness(Duration::ZERO).fits(per_second) {
            return None;
        }
        // At most an hour, and not a whole microsecond too little.
        let (mut fits, mut above) = (0, (self.lateness.as_micros() as u64).saturating_add(1));
        while let Some(middle) = middle(fits, above) {
            if self.max_lateness(Duration::from_micros(middle)).fits(per_second) {
                fits = middle;
            } else {
                above = middle;
            }
        }
        Some(Duration::from_micros(fits))
    }
}

/// A number between the two, if there is one.
const fn middle(low: u64, high: u64) -> Option<u64> {
    let gap = high.saturating_sub(low);
    if gap > 1 { Some(low.saturating_add(gap / 2)) } else { None }
}

/// How much finer than a tick a unit of time may be, such that a second is counted in 64 bits.
const fn finest(per_second: u64) -> u32 {
    let spare = per_second.leading_zeros() - 1;
    if spare < FINEST { spare } else { FINEST }
}

/// `1 / floor` seconds in units of time, rounded up; 0 where it is far too short.
const fn interval(scale: Scale, per_second: u64, floor: u32) -> u64 {
    let exponent = scale.exponent();
    if exponent >= 0 {
        // No overflow: see `finest`.
        return (per_second << exponent).div_ceil(floor as u64);
    }
    let coarser = exponent.unsigned_abs();
    if (floor as u64).leading_zeros() < coarser {
        return 0;
    }
    match (floor as u64).wrapping_shl(coarser) {
        0 => 0, // No floor, no interval.
        tokens => per_second.div_ceil(tokens),
    }
}
