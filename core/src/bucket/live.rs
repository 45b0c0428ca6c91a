//! Changing the limits of a bucket in use.
//!
//! The slot that is not in force is free. A change writes it, then switches to it and converts
//! the debt in one compare-and-swap, so that every caller decides by one set of limits or the
//! other and the tokens in the bucket are the same in both.

use super::state::{Limits, Tat};
use super::{Rate, TokenBucket, config};
use crate::error::ConfigError;
use crate::sync::Ordering;
use crate::time::{Clock, Ticks};
use crate::word::Word;

impl<C: Clock> TokenBucket<C> {
    /// Fills at `rate` from now on.
    ///
    /// The bucket keeps the tokens it holds, rounded down to a unit of time: an empty one stays
    /// empty. Reservations keep their times.
    ///
    /// # Errors
    ///
    /// A [`ConfigError`], and nothing has changed, where the time scale that was chosen for the
    /// first rate cannot hold this one as precisely, or not with this burst; and
    /// [`ConfigError::ChangeUnderWay`].
    ///
    /// # Interrupt safety
    ///
    /// Never waits: a change that finds another one under way is refused.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{BucketConfig, ManualClock, Rate, TokenBucket};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(10), &clock);
    /// bucket.try_acquire(10).unwrap();
    /// bucket.set_rate(Rate::per_second(5)).unwrap();
    /// assert_eq!(bucket.peek(), 0);
    /// assert_eq!(bucket.time_until(1), Some(Duration::from_millis(200)));
    /// ```
    pub fn set_rate(&self, rate: Rate) -> Result<(), ConfigError> {
        self.set_rate_at(rate, self.clock.now())
    }

    /// [`set_rate`](Self::set_rate) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`set_rate`](Self::set_rate).
    pub fn set_rate_at(&self, rate: Rate, now: Ticks) -> Result<(), ConfigError> {
        let interval = config::interval_on(self.scale, rate, C::TICKS_PER_SECOND)?;
        self.change(now, |limits| Limits { interval, ..limits })
    }

    /// Holds at most `tokens` tokens from now on.
    ///
    /// The bucket keeps the tokens it holds, as many as still fit: a larger burst fills with time.
    ///
    /// # Errors
    ///
    /// As [`set_rate`](Self::set_rate).
    pub fn set_burst(&self, tokens: u32) -> Result<(), ConfigError> {
        self.set_burst_at(tokens, self.clock.now())
    }

    /// [`set_burst`](Self::set_burst) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`set_rate`](Self::set_rate).
    pub fn set_burst_at(&self, tokens: u32, now: Ticks) -> Result<(), ConfigError> {
        self.change(now, |limits| Limits { burst: tokens, ..limits })
    }

    /// Puts the limits that `by` makes of the present ones in force, and converts the debt.
    fn change(&self, now: Ticks, by: impl Fn(Limits) -> Limits) -> Result<(), ConfigError> {
        // Acquire: whoever changed the limits before us is done with both slots; pairs with the
        // Release below. On failure nothing is read that it could publish.
        let claim = self.changing.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed);
        if claim.is_err() {
            return Err(ConfigError::ChangeUnderWay);
        }
        let result = self.change_alone(now, by);
        // A store will do, as only its owner ever clears the flag. Release: pairs with the
        // Acquire above.
        self.changing.store(0, Ordering::Release);
        result
    }

    fn change_alone(&self, now: Ticks, by: impl Fn(Limits) -> Limits) -> Result<(), ConfigError> {
        let mut seen = Self::load(&self.tat);
        // The slot in force changes only here, so that it is the same until the end.
        let limits = self.limits(seen);
        let next = by(limits);
        config::check_fit(self.scale, next.interval, next.burst, self.max_wait, self.lateness)?;
        let free = &self.slots[seen.other_slot()];
        // Release: a reader that gets to see these although the word it read names this slot from
        // before must find the word changed when it reads it again; pairs with the fence in
        // `second_look`. Their publication to other readers is the compare-and-swap below.
        free.interval.store(next.interval, Ordering::Release);
        free.burst.store(Word::from(next.burst), Ordering::Release);
        let at = self.scale.units(now);
        loop {
            let debt = self.actual_debt(seen, limits, at);
            let converted = limits.convert(debt, next);
            let word = Tat::new(at.wrapping_add(converted), seen.other_slot());
            match self.tat.compare_exchange(
                seen.0,
                word.0,
                // Release: publishes the new limits; pairs with the Acquire in `load` and
                // `replace`.
                Ordering::Release,
                // Relaxed: the limits are known, as nobody else can have changed them.
                Ordering::Relaxed,
            ) {
                Ok(_) => return Ok(()),
                Err(newer) => seen = Tat(newer),
            }
        }
    }
}
