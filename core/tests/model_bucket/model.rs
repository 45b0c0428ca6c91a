//! The reference model: time that never wraps, in 128 bits.

use std::time::Duration;

use fusebox_core::{BucketConfig, Rate, Reason, WORD_BITS};

pub(crate) const TIME_BITS: u32 = WORD_BITS - 1;
pub(crate) const WRAP: i128 = 1 << TIME_BITS;

/// The scale that a bucket chose. It shows nowhere but in `Debug`, as it is nobody's business but a
/// model's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    pub(crate) left: u32,
    pub(crate) right: u32,
    pub(crate) interval: i128,
}

impl Scale {
    pub(crate) fn of(bucket: &impl std::fmt::Debug) -> Self {
        let text = format!("{bucket:?}");
        let number = |name: &str| -> u64 {
            let (_, rest) = text.split_once(name).expect("a field of the bucket");
            rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
        };
        Self {
            left: number("left: ") as u32,
            right: number("right: ") as u32,
            interval: number("interval: ").into(),
        }
    }

    pub(crate) fn units(self, at: i128) -> i128 {
        (at << self.left) >> self.right
    }

    pub(crate) fn units_up(self, ticks: u64) -> i128 {
        ((i128::from(ticks) << self.left) + (1 << self.right) - 1) >> self.right
    }

    /// The ticks that so many units last, rounded down.
    pub(crate) fn ticks(self, units: i128) -> i128 {
        (units << self.right) >> self.left
    }

    /// The ticks from `now` until the reading has grown by `units`.
    pub(crate) fn ticks_until(self, units: i128, now: i128) -> u64 {
        if units == 0 {
            return 0;
        }
        let target = self.units(now) + units;
        // The first tick whose reading is the target.
        let at = ((target << self.right) + (1 << self.left) - 1) >> self.left;
        u64::try_from(at - now).unwrap()
    }
}

/// A duration in ticks, rounded up.
pub(crate) fn ticks_up(duration: Duration, hz: u64) -> u64 {
    u64::try_from((duration.as_nanos() * u128::from(hz)).div_ceil(1_000_000_000)).unwrap()
}

/// A wait that was rounded up from ticks to nanoseconds, in ticks again.
pub(crate) fn ticks_of_wait(wait: Duration, hz: u64) -> u64 {
    u64::try_from(wait.as_nanos() * u128::from(hz) / 1_000_000_000).unwrap_or(u64::MAX)
}

/// Tokens per nanoseconds.
pub(crate) type Exact = (u32, u64);

pub(crate) fn rate((tokens, nanos): Exact) -> Rate {
    const SECOND: u64 = 1_000_000_000;
    match (tokens, nanos / SECOND) {
        (1, _) => Rate::every(Duration::from_nanos(nanos)),
        (_, 1) => Rate::per_second(tokens),
        (_, 60) => Rate::per_minute(tokens),
        (_, 3_600) => Rate::per_hour(tokens),
        _ => Rate::per_day(tokens),
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Setup {
    pub(crate) rate: Exact,
    pub(crate) burst: u32,
    pub(crate) initially: u32,
    pub(crate) wait: Duration,
    pub(crate) lateness: Duration,
}

impl Setup {
    pub(crate) fn config(self) -> BucketConfig {
        BucketConfig::new(rate(self.rate))
            .burst(self.burst)
            .initially(self.initially)
            .max_wait(self.wait)
            .max_lateness(self.lateness)
    }
}

pub(crate) struct Model {
    pub(crate) scale: Scale,
    pub(crate) hz: u64,
    pub(crate) interval: i128,
    pub(crate) burst: u32,
    pub(crate) missing: u32,
    pub(crate) wait: i128,
    pub(crate) lateness: i128,
    /// `None` until the bucket is started.
    pub(crate) tat: Option<i128>,
    pub(crate) slot: u32,
}

/// What was taken: its price, the TAT it led to, and how many ticks later it is there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Took {
    pub(crate) price: i128,
    pub(crate) until: i128,
    pub(crate) wait: u64,
}

/// A refusal, and the ticks after which to come back.
pub(crate) type Refused = (Reason, Option<u64>);

impl Model {
    pub(crate) fn new(setup: Setup, scale: Scale, hz: u64) -> Self {
        Self {
            scale,
            hz,
            interval: scale.interval,
            burst: setup.burst,
            missing: setup.burst - setup.initially,
            wait: scale.units_up(ticks_up(setup.wait, hz)),
            lateness: scale.units_up(ticks_up(setup.lateness, hz)),
            tat: None,
            slot: 0,
        }
    }

    pub(crate) fn tolerance(&self) -> i128 {
        i128::from(self.burst) * self.interval
    }

    /// The debt of a bucket that nobody has used yet.
    pub(crate) fn initial(&self) -> i128 {
        i128::from(self.missing) * self.interval
    }

    /// Moved one unit later where the word is the reserved one.
    pub(crate) fn set(&mut self, tat: i128) -> i128 {
        let reserved = tat.rem_euclid(WRAP) == WRAP - 1 && self.slot == 0;
        let tat = tat + i128::from(reserved);
        self.tat = Some(tat);
        tat
    }

    /// How far ahead `at` reads.
    pub(crate) fn ahead(at: i128, now: i128) -> i128 {
        let distance = (at - now).rem_euclid(WRAP);
        if distance >= WRAP / 2 { 0 } else { distance }
    }

    pub(crate) fn debt(&mut self, now: i128) -> i128 {
        if self.missing > 0 && self.tat.is_none() {
            self.set(self.scale.units(now) + self.initial());
        }
        let Some(tat) = self.tat else { return 0 };
        let horizon = self.tolerance() + self.wait + self.lateness + 1;
        let debt = Self::ahead(tat, self.scale.units(now));
        if debt > horizon { 0 } else { debt }
    }

    pub(crate) fn take(&mut self, n: u32, now: i128, reach: i128) -> Result<Took, Refused> {
        if n == 0 {
            return Ok(Took { price: 0, until: 0, wait: 0 });
        }
        let price = i128::from(n) * self.interval;
        let limit = self.tolerance() + reach;
        // A call that an unstarted bucket lets in starts it as well, with what it takes.
        let starts = self.tat.is_none() && n <= self.burst && self.initial() + price <= limit;
        let debt = if starts { self.initial() } else { self.debt(now) };
        if n > self.burst {
            return Err((Reason::ExceedsBurst, None));
        }
        if debt + price > limit {
            let wait = self.scale.ticks_until(debt + price - limit, now);
            return Err((Reason::RateLimited, Some(wait)));
        }
        let until = self.set(self.scale.units(now) + debt + price);
        let units = (debt + price - self.tolerance()).max(0);
        Ok(Took { price, until, wait: self.scale.ticks_until(units, now) })
    }

    pub(crate) fn lower(&mut self, units: i128, now: i128) {
        let debt = self.debt(now);
        let units = units.min(debt);
        if units > 0 {
            self.set(self.scale.units(now) + debt - units);
        }
    }

    pub(crate) fn give_back(&mut self, took: Took, n: u32, now: i128) {
        let unpaid = Self::ahead(took.until, self.scale.units(now)).min(took.price);
        self.lower(unpaid.min(i128::from(n) * self.interval), now);
    }

    pub(crate) fn available(&mut self, now: i128) -> u32 {
        ((self.tolerance() - self.debt(now)).max(0) / self.interval) as u32
    }

    pub(crate) fn time_until(&mut self, n: u32, now: i128) -> Option<u64> {
        if n == 0 {
            return Some(0);
        }
        let debt = self.debt(now);
        if n > self.burst {
            return None;
        }
        let needed = debt + i128::from(n) * self.interval - self.tolerance();
        Some(self.scale.ticks_until(needed.max(0), now))
    }

    /// The interval of a rate on this scale, if it is as close to it as it must be.
    pub(crate) fn interval_of(&self, (tokens, nanos): Exact) -> Option<i128> {
        let ticks = (u128::from(nanos) * u128::from(self.hz)) << self.scale.left;
        let tokens = (u128::from(tokens) * 1_000_000_000) << self.scale.right;
        let units = ticks.div_ceil(tokens);
        let (precision, bits) = if WORD_BITS == 64 { (1_000_000, 18) } else { (1_000, 8) };
        let precise = (units * tokens - ticks) * precision < units * tokens;
        // Readings that are rounded are so by little of an interval.
        let precise = precise && (self.scale.right == 0 || units >> bits != 0);
        precise.then_some(units as i128)
    }

    pub(crate) fn change(&mut self, interval: i128, burst: u32, now: i128) -> bool {
        let coarsest = self.scale.right == 64 - TIME_BITS;
        let room = if coarsest { WRAP / 2 - 1 } else { (WRAP >> 10) - 1 };
        let tolerance = interval * i128::from(burst);
        if burst == 0 || tolerance + self.wait + self.lateness + 1 > room {
            return false;
        }
        let before = self.tolerance();
        let debt = if self.tat.is_none() { self.initial() } else { self.debt(now) };
        let debt = if debt >= before {
            tolerance + debt - before
        } else {
            let left = (before - debt) * interval / self.interval;
            (tolerance - left).max(0)
        };
        (self.interval, self.burst) = (interval, burst);
        self.slot = 1 - self.slot;
        self.set(self.scale.units(now) + debt);
        true
    }
}
