//! Rates, the configuration of a bucket, and the choice of its time scale.
//!
//! **Background.** The interval between two tokens is rounded up to a whole number of units, so
//! that the rate is never above what was asked; it is below it by as much as the rounding. Short
//! units make that little, but a word holds only so many of them, and the burst, the longest wait
//! and the lateness must all fit, many times over, into its wrap.
//!
//! **Solution.** A unit is a clock tick times a power of two. [`Fitted::new`] tries them all. It
//! judges the exact error, a fraction, not its worst case: 10^9 per second on a nanosecond clock is
//! one tick per token and has no error, though one tick is as coarse as a unit gets. Of the scales
//! that leave the full headroom, it takes the one half way between the finest and the coarsest that
//! is surely precise, so that live changes have room on both sides.

use core::time::Duration;

use super::state::{FURTHEST, TIME_BITS};
use crate::error::{ConfigError, Setting, setting};
use crate::time::scale::{DEFAULT_LATENESS, HEADROOM, Scale};
use crate::time::{check_rate, ticks_from_duration, whole_parts};
use crate::word::{Word, by_width, mask, widen};

const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_DAY: u64 = 86_400 * NANOS_PER_SECOND;

/// An interval of at least this many bits is precise, whatever the rounding.
const PRECISE_BITS: u32 = by_width(20, 10);

/// An interval must have at least this many bits where readings are rounded, that is where a unit
/// is longer than a tick: the rounding makes a call early by less than a 256th of an interval.
const READING_BITS: u32 = PRECISE_BITS - 2;

/// The rate may fall short by less than one in this many.
const SHORTFALL: u128 = by_width(1_000_000, 1_000) as u128;

/// The headroom that a scale must leave where precision needs the rest.
const LEAST_HEADROOM: u32 = 10;

/// The coarsest unit, as a power of two of ticks: one that the clock itself wraps together with,
/// after 2^64 ticks. Coarser ones would gain nothing, and jump when the clock wraps.
const COARSEST: i32 = TIME_BITS as i32 - u64::BITS as i32;

/// The finest unit. Finer ones would overflow 128 bits in the worst case of a day at 10^10 Hz.
const FINEST: i32 = 48;

/// The longest wait that a bucket promises unless told otherwise.
pub(crate) const DEFAULT_MAX_WAIT: Duration = Duration::from_secs(1);

const EVERY: Setting = setting!("the rate's `every`" must "be from a nanosecond to a day");
const BURST: Setting = setting!("the bucket's `burst`" must "be at least 1");
const INITIALLY: Setting = setting!("the bucket's `initially`" must "be at most its burst");
const NEW_INTERVAL: Setting = setting!(
    "the time between two tokens of `set_rate`, on the time scale that the bucket was made with,"
        must "be neither too short nor too long"
);

/// Tokens per time, from one per day to 10^9 per second.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::Rate;
///
/// assert_eq!(Rate::every(Duration::from_millis(20)).interval(), Rate::per_second(50).interval());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Rate {
    tokens: u32,
    nanos: u64,
}

impl Rate {
    /// `tokens` per second, 1 to 10^9.
    pub const fn per_second(tokens: u32) -> Self {
        Self { tokens, nanos: NANOS_PER_SECOND }
    }

    /// `tokens` per minute.
    pub const fn per_minute(tokens: u32) -> Self {
        Self { tokens, nanos: 60 * NANOS_PER_SECOND }
    }

    /// `tokens` per hour.
    pub const fn per_hour(tokens: u32) -> Self {
        Self { tokens, nanos: 3_600 * NANOS_PER_SECOND }
    }

    /// `tokens` per day.
    pub const fn per_day(tokens: u32) -> Self {
        Self { tokens, nanos: NANOS_PER_DAY }
    }

    /// One token every `interval`, from a nanosecond to a day.
    pub const fn every(interval: Duration) -> Self {
        let nanos = interval.as_nanos();
        Self { tokens: 1, nanos: if nanos > u64::MAX as u128 { u64::MAX } else { nanos as u64 } }
    }

    /// The time between two tokens, rounded up to the nanosecond.
    #[must_use]
    pub const fn interval(self) -> Duration {
        let nanos = divided_up(self.nanos as u128, self.tokens as u128);
        Duration::from_nanos(at_most(nanos, u64::MAX))
    }

    /// The tokens of one second, at least 1: the burst unless told otherwise.
    const fn of_a_second(self) -> u32 {
        if self.nanos == 0 {
            return 1;
        }
        let tokens = self.tokens as u128 * NANOS_PER_SECOND as u128 / self.nanos as u128;
        if tokens == 0 {
            1
        } else if tokens > u32::MAX as u128 {
            u32::MAX
        } else {
            tokens as u32
        }
    }

    /// The setting that gave so many tokens per so long.
    const fn setting(self) -> Setting {
        match self.nanos / NANOS_PER_SECOND {
            1 => setting!("the rate's `per_second`" must "be from 1 to 10^9"),
            60 => setting!("the rate's `per_minute`" must "be at least 1"),
            3_600 => setting!("the rate's `per_hour`" must "be at least 1"),
            _ => setting!("the rate's `per_day`" must "be at least 1"),
        }
    }

    pub(crate) const fn check(self) -> Result<(), ConfigError> {
        // One token is as well `every` as `per_second`, and wrong only as the former.
        if self.tokens == 1 {
            if self.nanos == 0 || self.nanos > NANOS_PER_DAY {
                let (value, min) = (Duration::from_nanos(self.nanos), Duration::from_nanos(1));
                return Err(EVERY.duration(value, min, Duration::from_nanos(NANOS_PER_DAY)));
            }
        } else if self.tokens == 0 || self.tokens as u64 > self.nanos {
            let most = if self.nanos > u32::MAX as u64 { u64::MAX } else { self.nanos };
            return Err(self.setting().number(self.tokens as u64, 1, most));
        }
        Ok(())
    }

    /// The interval in units of 2^-`exponent` ticks, rounded up, and what the rounding does.
    pub(crate) const fn rounded(self, per_second: u64, exponent: i32) -> (u128, RateError) {
        let (left, right) = if exponent < 0 { (0, exponent) } else { (exponent, 0) };
        // Nothing here wraps for a rate that was checked: see `FINEST` and `COARSEST`.
        let ticks = (self.nanos as u128).wrapping_mul(per_second as u128);
        let ticks = ticks.wrapping_shl(left.unsigned_abs());
        let tokens = self.tokens as u128 * NANOS_PER_SECOND as u128;
        let tokens = tokens.wrapping_shl(right.unsigned_abs());
        let units = divided_up(ticks, tokens);
        let of = units.wrapping_mul(tokens);
        (units, RateError { short: of.wrapping_sub(ticks), of })
    }
}

/// How far a bucket keeps below the rate that was asked of it: an exact fraction of that rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RateError {
    short: u128,
    of: u128,
}

impl RateError {
    /// Whether the rate is exactly what was asked.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.short == 0
    }

    /// The fraction by which the rate falls short, as numerator and denominator, not reduced.
    #[must_use]
    pub const fn fraction(self) -> (u128, u128) {
        (self.short, self.of)
    }

    /// The shortfall in parts per billion, rounded up.
    #[must_use]
    pub const fn parts_per_billion(self) -> u32 {
        // The shortfall is below one interval's rounding: far under 2^98, so that this cannot
        // overflow.
        match self.short.checked_mul(NANOS_PER_SECOND as u128) {
            Some(billionths) => divided_up(billionths, self.of) as u32,
            None => (self.short / or_one(self.of / NANOS_PER_SECOND as u128)) as u32,
        }
    }

    const fn is_small(self) -> bool {
        self.short.saturating_mul(SHORTFALL) < self.of
    }
}

/// What a token bucket should do: how fast it fills, how much it holds, how long it lets callers
/// wait.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BucketConfig, ManualClock, TokenBucket};
///
/// const UPLOADS: BucketConfig =
///     BucketConfig::per_minute(30).burst(5).max_wait(Duration::from_secs(10));
/// let clock: ManualClock = ManualClock::new();
/// let bucket = TokenBucket::new(UPLOADS, &clock);
/// assert_eq!(bucket.peek(), 5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct BucketConfig {
    rate: Rate,
    burst: Option<u32>,
    initially: Option<u32>,
    pub(super) max_wait: Wait,
    max_lateness: Duration,
}

/// The longest wait: a time, or so many intervals between two tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Wait {
    For(Duration),
    Intervals(u32),
}

impl BucketConfig {
    /// A bucket that fills at `rate` and holds the tokens of one second, at least 1.
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            burst: None,
            initially: None,
            max_wait: Wait::For(DEFAULT_MAX_WAIT),
            max_lateness: DEFAULT_LATENESS,
        }
    }

    /// [`new`](Self::new) at `tokens` per second, 1 to 10^9.
    pub const fn per_second(tokens: u32) -> Self {
        Self::new(Rate::per_second(tokens))
    }

    /// [`new`](Self::new) at `tokens` per minute.
    pub const fn per_minute(tokens: u32) -> Self {
        Self::new(Rate::per_minute(tokens))
    }

    /// [`new`](Self::new) at `tokens` per hour.
    pub const fn per_hour(tokens: u32) -> Self {
        Self::new(Rate::per_hour(tokens))
    }

    /// [`new`](Self::new) at `tokens` per day.
    pub const fn per_day(tokens: u32) -> Self {
        Self::new(Rate::per_day(tokens))
    }

    /// [`new`](Self::new) at one token every `interval`, a nanosecond to a day.
    pub const fn every(interval: Duration) -> Self {
        Self::new(Rate::every(interval))
    }

    /// How many tokens the bucket holds, at least 1: what may be taken at once after a pause.
    pub const fn burst(mut self, tokens: u32) -> Self {
        self.burst = Some(tokens);
        self
    }

    /// How many tokens it holds when first used, at most the burst; full unless told otherwise.
    ///
    /// It fills from its first use on, not from when it was made: a constructor has no clock to
    /// read.
    pub const fn initially(mut self, tokens: u32) -> Self {
        self.initially = Some(tokens);
        self
    }

    /// How far ahead tokens may be reserved, and so the longest that `acquire` waits; one second
    /// unless told otherwise. Zero lets nobody wait.
    pub const fn max_wait(mut self, wait: Duration) -> Self {
        self.max_wait = Wait::For(wait);
        self
    }

    /// How late a reading of the clock may come to be used, which is also how far the clock may
    /// step back, for the limit to be kept strictly; one second unless told otherwise.
    ///
    /// What comes later than this, and the burst and the longest wait, finds the bucket full.
    /// That is how it recovers from a clock that was set back for good.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.max_lateness = lateness;
        self
    }
}

/// A configuration in the units of the scale chosen for it.
#[derive(Clone, Copy)]
pub(super) struct Fitted {
    pub(super) scale: Scale,
    pub(super) interval: Word,
    pub(super) burst: u32,
    /// Tokens missing at first.
    pub(super) missing: u32,
    pub(super) max_wait: Word,
    pub(super) lateness: Word,
}

/// What has to fit, in ticks, tokens, and the clock's ticks per second.
#[derive(Clone, Copy)]
struct Demand {
    rate: Rate,
    burst: u32,
    max_wait: Wait,
    lateness: u64,
    per_second: u64,
}

/// The units that the tolerance, the longest wait and the lateness may come to together.
const fn room(exponent: i32, headroom: u32) -> u128 {
    if exponent == COARSEST { FURTHEST as u128 } else { mask(TIME_BITS - headroom) as u128 }
}

/// The longest wait, the lateness, and one unit for the reserved value of the word.
const fn margin(max_wait: Word, lateness: Word) -> u128 {
    max_wait as u128 + lateness as u128 + 1
}

/// Whether the rate is kept closely enough; and where readings are rounded, the rounding is
/// little of an interval as well.
const fn is_precise(interval: u128, error: RateError, exponent: i32) -> bool {
    error.is_small() && (exponent >= 0 || interval >> READING_BITS != 0)
}

impl Demand {
    const fn margin(&self, exponent: i32) -> u128 {
        let late = Scale::with_exponent(exponent).units_up(self.lateness);
        margin(self.wait(exponent), late)
    }

    /// The longest wait in units.
    const fn wait(&self, exponent: i32) -> Word {
        match self.max_wait {
            Wait::For(time) => {
                Scale::with_exponent(exponent).units_up(ticks_from_duration(time, self.per_second))
            }
            // Intervals of the bucket's own, rounded as they are: so many, and not one less or
            // more because of the rounding.
            Wait::Intervals(intervals) => {
                let interval = self.rate.rounded(self.per_second, exponent).0;
                let units = interval.saturating_mul(intervals as u128);
                if units > Word::MAX as u128 { Word::MAX } else { units as Word }
            }
        }
    }

    const fn tolerance(&self, exponent: i32) -> u128 {
        // At most 2^32 tokens of less than 2^128 / 10^9 units, and those only on scales that are
        // far too fine: saturation is as good as the truth.
        self.rate.rounded(self.per_second, exponent).0.saturating_mul(self.burst as u128)
    }

    const fn fits(&self, exponent: i32, headroom: u32) -> bool {
        self.tolerance(exponent).saturating_add(self.margin(exponent)) <= room(exponent, headroom)
    }

    const fn is_precise(&self, exponent: i32) -> bool {
        let (interval, error) = self.rate.rounded(self.per_second, exponent);
        is_precise(interval, error, exponent)
    }

    /// The exponent of the scale to use.
    const fn choose(&self) -> Option<i32> {
        let mut exponent = FINEST;
        while exponent >= COARSEST {
            if self.fits(exponent, HEADROOM) && self.is_precise(exponent) {
                let (interval, _) = self.rate.rounded(self.per_second, exponent);
                let bits = u128::BITS - interval.leading_zeros();
                let spare = bits.saturating_sub(PRECISE_BITS + 1) as i32;
                let middle = exponent - spare / 2;
                return Some(if middle < COARSEST { COARSEST } else { middle });
            }
            exponent -= 1;
        }
        exponent = COARSEST;
        while exponent <= FINEST {
            if self.fits(exponent, LEAST_HEADROOM) && self.is_precise(exponent) {
                return Some(exponent);
            }
            exponent += 1;
        }
        None
    }

    /// What would fit, for whoever asked for what does not: each value with all else equal.
    const fn misfit(&self) -> ConfigError {
        let (mut burst, mut lateness, mut wait) = (0, None, None);
        let mut exponent = COARSEST;
        while exponent <= FINEST {
            if self.is_precise(exponent) {
                let scale = Scale::with_exponent(exponent);
                let room = room(exponent, LEAST_HEADROOM);
                let (interval, _) = self.rate.rounded(self.per_second, exponent);
                let (late, waiting) = (scale.units_up(self.lateness), self.wait(exponent));
                let tokens = room.saturating_sub(self.margin(exponent)) / or_one(interval);
                burst = greater(burst, at_most(tokens, u32::MAX as u64));
                let tolerance = self.tolerance(exponent);
                let rest = room.checked_sub(tolerance.saturating_add(margin(waiting, 0)));
                lateness = self.longer(lateness, scale, rest);
                let rest = room.checked_sub(tolerance.saturating_add(margin(0, late)));
                wait = self.longer(wait, scale, rest);
            }
            exponent += 1;
        }
        ConfigError::RateNeedsMoreBits {
            burst: self.burst,
            fitting_burst: if burst == 0 { None } else { Some(burst as u32) },
            fitting_lateness: lateness,
            fitting_wait: wait,
        }
    }

    /// The longer of a time and the units that are left, if any time fits.
    const fn longer(
        &self,
        time: Option<Duration>,
        scale: Scale,
        left: Option<u128>,
    ) -> Option<Duration> {
        let Some(units) = left else { return time };
        let other = self.micros(scale, units);
        match time {
            Some(time) if time.as_micros() >= other as u128 => Some(time),
            _ => Some(Duration::from_micros(other)),
        }
    }

    /// The whole microseconds in so many units.
    const fn micros(&self, scale: Scale, units: u128) -> u64 {
        let ticks = scale.ticks_down(at_most(units, u64::MAX));
        whole_parts(ticks, 1_000_000, self.per_second)
    }
}

const fn at_most(value: u128, most: u64) -> u64 {
    if value > most as u128 { most } else { value as u64 }
}

/// A divisor that is never 0, as the optimiser may know it.
pub(super) const fn or_one(divisor: u128) -> u128 {
    if divisor == 0 { 1 } else { divisor }
}

/// `value / divisor`, rounded up. Unlike `div_ceil`, without a panic for the compiler to link.
const fn divided_up(value: u128, divisor: u128) -> u128 {
    let divisor = or_one(divisor);
    let rest = if value % divisor == 0 { 0 } else { 1 };
    (value / divisor).saturating_add(rest)
}

const fn greater(a: u64, b: u64) -> u64 {
    if a > b { a } else { b }
}

impl Fitted {
    pub(super) const fn new(config: BucketConfig, per_second: u64) -> Result<Self, ConfigError> {
        if let Err(error) = check_rate(per_second) {
            return Err(error);
        }
        if let Err(error) = config.rate.check() {
            return Err(error);
        }
        let burst = match config.burst {
            Some(0) => return Err(BURST.number(0, 1, u64::MAX)),
            Some(burst) => burst,
            None => config.rate.of_a_second(),
        };
        let missing = match config.initially {
            None => 0,
            Some(tokens) if tokens <= burst => burst - tokens,
            Some(tokens) => return Err(INITIALLY.number(tokens as u64, 0, burst as u64)),
        };
        let demand = Demand {
            rate: config.rate,
            burst,
            max_wait: config.max_wait,
            lateness: ticks_from_duration(config.max_lateness, per_second),
            per_second,
        };
        let Some(exponent) = demand.choose() else {
            return Err(demand.misfit());
        };
        let scale = Scale::with_exponent(exponent);
        Ok(Self {
            scale,
            interval: config.rate.rounded(per_second, exponent).0 as Word,
            burst,
            missing,
            max_wait: demand.wait(exponent),
            lateness: scale.units_up(demand.lateness),
        })
    }
}

/// What the rounding to this scale does to `rate`.
pub(super) const fn rate_error(rate: Rate, scale: Scale, per_second: u64) -> RateError {
    if rate.check().is_err() {
        return RateError { short: 1, of: 1 };
    }
    rate.rounded(per_second, scale.exponent()).1
}

/// The interval of `rate` on a scale that was chosen for another one.
pub(super) const fn interval_on(
    scale: Scale,
    rate: Rate,
    per_second: u64,
) -> Result<Word, ConfigError> {
    if let Err(error) = rate.check() {
        return Err(error);
    }
    let (interval, error) = rate.rounded(per_second, scale.exponent());
    if interval <= FURTHEST as u128 && is_precise(interval, error, scale.exponent()) {
        return Ok(interval as Word);
    }
    // An interval of so many units is precise, whatever it is exactly.
    let least = scale.ticks_up(1 << PRECISE_BITS) as u128 * NANOS_PER_SECOND as u128;
    let most = scale.ticks_down(widen(FURTHEST)) as u128 * NANOS_PER_SECOND as u128;
    let least = at_most(divided_up(least, per_second as u128), NANOS_PER_DAY);
    let most = at_most(most / per_second as u128, NANOS_PER_DAY);
    let (min, max) = (Duration::from_nanos(least), Duration::from_nanos(most));
    Err(NEW_INTERVAL.duration(rate.interval(), min, max))
}

/// How long so many units are, rounded down to the nanosecond.
pub(super) const fn duration(scale: Scale, units: Word, per_second: u64) -> Duration {
    // Cannot overflow: at most 63 bits of units, 30 for the nanoseconds, and 33 for the shift.
    let nanos = units as u128 * NANOS_PER_SECOND as u128;
    let exponent = scale.exponent();
    let nanos = if exponent < 0 {
        (nanos << -exponent) / per_second as u128
    } else {
        nanos / ((per_second as u128) << exponent)
    };
    Duration::from_nanos(at_most(nanos, u64::MAX))
}

/// Whether a burst at an interval fits a scale, on which the longest wait and the lateness are so
/// many units.
pub(super) const fn check_fit(
    scale: Scale,
    interval: Word,
    burst: u32,
    max_wait: Word,
    lateness: Word,
) -> Result<(), ConfigError> {
    if burst == 0 {
        return Err(BURST.number(0, 1, u64::MAX));
    }
    let room = room(scale.exponent(), LEAST_HEADROOM).saturating_sub(margin(max_wait, lateness));
    if interval as u128 * burst as u128 <= room {
        return Ok(());
    }
    let most = at_most(room / or_one(interval as u128), u32::MAX as u64);
    Err(ConfigError::RateNeedsMoreBits {
        burst,
        fitting_burst: if most == 0 { None } else { Some(most as u32) },
        fitting_lateness: None,
        fitting_wait: None,
    })
}
