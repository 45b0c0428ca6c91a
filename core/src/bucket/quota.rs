//! What is left of a bucket, and what it gives over time: what is told to those who are limited.

use core::time::Duration;

use super::config::or_one;
use super::{BucketState, SharedBucket, TokenBucket, View};
use crate::sync::AtomicWord;
use crate::time::{Clock, Ticks};
use crate::word::widen;

/// What one look at a bucket says to those whom it limits: the limits in force, what is left, and
/// when there is more.
///
/// All of it is of the same instant and the same limits, those of a live change included.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BucketConfig, ManualClock, TokenBucket};
///
/// let clock: ManualClock = ManualClock::new();
/// let bucket = TokenBucket::new(BucketConfig::per_minute(600).burst(100), &clock);
/// bucket.try_acquire(30).unwrap();
///
/// let quota = bucket.quota();
/// assert_eq!((quota.left(), quota.burst()), (70, 100));
/// assert_eq!((quota.next_in(), quota.full_in()), (Duration::from_millis(100), Duration::from_secs(3)));
/// // The burst comes back in 10 seconds, so that is what it is told as.
/// assert_eq!(quota.per_window(), (100, 10));
/// assert_eq!(quota.tokens_in(60), 600);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Quota {
    left: u32,
    burst: u32,
    next_in: Duration,
    full_in: Duration,
    /// The time between two tokens; this and what follows in a unit of their own.
    interval: u128,
    /// It was rounded up by less than this.
    rounding: u128,
    /// A second.
    second: u128,
}

impl Quota {
    /// How many tokens there are.
    #[must_use]
    pub const fn left(&self) -> u32 {
        self.left
    }

    /// How many there are at most.
    #[must_use]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// How long until there is one more, should nobody take any; zero where there are all.
    #[must_use]
    pub const fn next_in(&self) -> Duration {
        self.next_in
    }

    /// How long until there are all, should nobody take any.
    #[must_use]
    pub const fn full_in(&self) -> Duration {
        self.full_in
    }

    /// How many tokens come in so many seconds, rounded down.
    #[must_use]
    pub const fn tokens_in(&self, seconds: u32) -> u32 {
        let time = self.second.saturating_mul(seconds as u128);
        let whole = time / or_one(self.interval);
        let is_exact = whole.saturating_mul(self.interval) == time;
        // A token that is missing only because the interval is rounded up is counted, so that 3 a
        // second are 6 in two, and not 5.
        let most = time.saturating_sub(1) / or_one(self.interval.saturating_sub(self.rounding));
        at_most(whole.saturating_add((most > whole && !is_exact) as u128))
    }

    /// The limit as so many tokens in so many seconds: the fewest whole seconds in which a full
    /// burst comes, and the tokens of these. The one by the other is the rate.
    #[must_use]
    pub const fn per_window(&self) -> (u32, u32) {
        let burst = self.burst as u128;
        let rounding = burst.saturating_mul(self.rounding);
        // What is due to the rounding of the interval makes no further second.
        let slack = if rounding < self.second { rounding } else { 1 };
        let time = burst.saturating_mul(self.interval).saturating_sub(slack);
        let seconds = at_most((time / or_one(self.second)).saturating_add(1));
        let tokens = self.tokens_in(seconds);
        // As many as are told to be left, also where the seconds have no end that can be told.
        (if tokens < self.burst { self.burst } else { tokens }, seconds)
    }
}

const fn at_most(value: u128) -> u32 {
    if value > u32::MAX as u128 { u32::MAX } else { value as u32 }
}

impl<C: Clock> TokenBucket<C> {
    /// What is left, and what there is over time: for telling callers.
    #[must_use]
    pub fn quota(&self) -> Quota {
        self.quota_at(self.clock.now())
    }

    /// [`quota`](Self::quota) at a time of the caller's choice.
    #[must_use]
    pub fn quota_at(&self, now: Ticks) -> Quota {
        self.quota_of(&self.tat, now)
    }

    fn quota_of(&self, tat: &AtomicWord, now: Ticks) -> Quota {
        let View { limits, debt, .. } = self.view_of(tat, self.scale.units(now));
        let left = limits.available(debt);
        let next = limits.price(left.saturating_add(1)).saturating_add(debt);
        // With no debt, one more would be one above the burst.
        let next = if debt == 0 { 0 } else { next.saturating_sub(limits.tolerance()) };
        // In the finer of ticks and units.
        let exponent = self.scale.exponent();
        let (finer, coarser) = (exponent.max(0).unsigned_abs(), exponent.min(0).unsigned_abs());
        let units = |count: u128| count.wrapping_shl(coarser);
        Quota {
            left,
            burst: limits.burst,
            next_in: self.duration(next, now),
            full_in: self.duration(debt, now),
            interval: units(widen(limits.interval).into()),
            rounding: units(1),
            second: u128::from(C::TICKS_PER_SECOND).wrapping_shl(finer),
        }
    }
}

impl<C: Clock> SharedBucket<C> {
    /// What is left of the bucket that is in `state` at `now`: see [`TokenBucket::quota`].
    #[must_use]
    pub fn quota_at(&self, state: &BucketState, now: Ticks) -> Quota {
        self.bucket.quota_of(&state.0, now)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::bucket::{BucketConfig, Rate};
    use crate::time::ManualClock;
    use crate::word::by_width;

    fn quota(config: BucketConfig) -> Quota {
        TokenBucket::new(config, ManualClock::<1_000_000_000>::new()).quota()
    }

    #[test]
    fn a_rate_is_told_as_it_was_configured() {
        // From about a thousand on, 32-bit words do not tell one token more from the rounding.
        for tokens in 1..=by_width(2_000, 16) {
            let second = quota(BucketConfig::per_second(tokens));
            assert_eq!(second.per_window(), (tokens, 1), "{tokens} per second");
            let minute = quota(BucketConfig::per_minute(tokens).burst(tokens));
            assert_eq!(minute.per_window(), (tokens, 60), "{tokens} per minute");
            assert_eq!(minute.tokens_in(3_600), 60 * tokens);
        }
        let slow = quota(BucketConfig::new(Rate::every(Duration::from_secs(3_600))));
        assert_eq!(slow.per_window(), (1, 3_600));
        assert_eq!((slow.tokens_in(3_599), slow.tokens_in(36_000)), (0, 10));
    }

    #[test]
    fn a_window_is_that_of_the_burst() {
        for (tokens, burst, expected) in [
            (100, 20, (100, 1)),
            (100, 250, (300, 3)),
            (3, 4, (6, 2)),
            (3, 3, (3, 1)),
            (7, 1, (7, 1)),
        ] {
            let told = quota(BucketConfig::per_second(tokens).burst(burst)).per_window();
            assert_eq!(told, expected, "{tokens} per second, burst {burst}");
        }
        // More seconds than can be told: the burst all the same.
        let slow = quota(BucketConfig::per_day(1).burst(80_966));
        assert_eq!(slow.per_window(), (80_966, u32::MAX));
        // Two and a half in a second are two, not three.
        let half = quota(BucketConfig::new(Rate::every(Duration::from_millis(400))).burst(1));
        assert_eq!((half.per_window(), half.tokens_in(2)), ((2, 1), 5));
    }

    #[test]
    fn what_is_left_is_told_together_with_when_there_is_more() {
        let clock = ManualClock::<1_000_000_000>::new();
        let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(3), &clock);
        let look =
            |quota: Quota| (quota.left(), quota.next_in().as_millis(), quota.full_in().as_millis());
        assert_eq!(look(bucket.quota()), (3, 0, 0));
        assert!(bucket.try_acquire(1).is_ok());
        assert_eq!(look(bucket.quota()), (2, 100, 100));
        assert!(bucket.try_acquire(2).is_ok());
        assert_eq!(look(bucket.quota()), (0, 100, 300));
        clock.advance(Duration::from_millis(30));
        assert_eq!(look(bucket.quota()), (0, 70, 270));
        clock.advance(Duration::from_millis(100));
        assert_eq!(look(bucket.quota()), (1, 70, 170));

        assert!(bucket.set_rate(Rate::per_second(100)).is_ok());
        assert_eq!(bucket.quota().per_window(), (100, 1), "the limits in force");
    }
}
