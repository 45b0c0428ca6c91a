//! The leaky bucket: calls at an even pace.
//!
//! A leaky bucket as a *meter* has water poured in by each call and loses it at a constant rate; a
//! call whose water would run over does not conform. That is the token bucket seen from the other
//! side: its water is the tokens that are missing. GCRA is defined as either of the two
//! (ITU-T I.371, annex A, gives both algorithms and that they decide alike), and the theoretical
//! arrival time is the instant at which the bucket has run dry. So there is one implementation.
//!
//! A leaky bucket as a *queue* lets calls out one by one, an interval apart. That is a token bucket
//! of one token whose callers wait for their turns; the queue is the turns that are promised, and
//! its length is the longest wait in intervals.
//!
//! What is left to add are the words in which such a bucket is thought of.

use super::TokenBucket;
use super::config::{BucketConfig, Rate, Wait};

/// A leaky bucket: calls at an even pace, and a queue for those that come too early.
///
/// It is a [`TokenBucket`], as the two are one algorithm seen from two sides;
/// [`BucketConfig::paced`] makes one that lets calls out an interval apart.
///
/// | of a leaky bucket | here |
/// |---|---|
/// | leak rate | [`BucketConfig::paced`] and the other rates |
/// | slack: calls that may come at once after a pause, beyond the first | [`BucketConfig::slack`] |
/// | size of the queue | [`BucketConfig::max_queue`] |
/// | pour, drop what runs over | [`try_acquire`](TokenBucket::try_acquire), or as a [`Gate`](crate::Gate) |
/// | wait for one's turn in the queue | [`acquire`](TokenBucket::acquire), or as a [`WaitGate`](crate::WaitGate) |
///
/// # Examples
///
/// A modem that takes a line every 20 ms, and three that wait:
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BucketConfig, LeakyBucket, ManualClock, Rate, Reason};
///
/// let clock: ManualClock = ManualClock::new();
/// let modem = LeakyBucket::new(BucketConfig::paced(Rate::per_second(50)).max_queue(3), &clock);
///
/// assert!(modem.try_acquire(1).is_ok());
/// for place in 1..=3 {
///     let turn = modem.reserve(1).unwrap();
///     assert_eq!(turn.wait(), Duration::from_millis(20) * place);
///     turn.commit();
/// }
/// assert_eq!(modem.reserve(1).unwrap_err().reason(), Reason::RateLimited);
/// ```
pub type LeakyBucket<C> = TokenBucket<C>;

impl BucketConfig {
    /// A bucket that lets calls through at an even pace: one at a time, the next one an interval
    /// later, however long nobody came. Add [`slack`](Self::slack) for those who come late now and
    /// then, and [`max_queue`](Self::max_queue) to say how many of those who come early may wait:
    /// without it, as many as [`max_wait`](Self::max_wait) has turns for.
    pub const fn paced(rate: Rate) -> Self {
        Self::new(rate).burst(1)
    }

    /// How many calls beyond the first may come at once after a pause, as long as it was: a burst
    /// of one more than that.
    ///
    /// Without slack, a caller that is late for its turn has lost part of the rate for good; the
    /// limiter of uber-go/ratelimit, which this is named after, allows 10 unless told otherwise.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{BucketConfig, LeakyBucket, ManualClock, Rate};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let pace = BucketConfig::paced(Rate::per_second(50));
    /// let (strict, slack) =
    ///     (LeakyBucket::new(pace, &clock), LeakyBucket::new(pace.slack(2), &clock));
    /// assert!(strict.try_acquire(1).is_ok() && slack.try_acquire(1).is_ok());
    /// // The turns after 20, 40 and 60 ms: two are missed.
    /// clock.advance(Duration::from_millis(60));
    /// assert!(strict.try_acquire(1).is_ok() && strict.try_acquire(1).is_err());
    /// assert!((0..3).all(|_| slack.try_acquire(1).is_ok()) && slack.try_acquire(1).is_err());
    /// ```
    pub const fn slack(self, calls: u32) -> Self {
        self.burst(calls.saturating_add(1))
    }

    /// How many calls may wait for their turn at a time: a [`max_wait`](Self::max_wait) of so many
    /// intervals between two tokens. Of the two, the one that was set last holds.
    ///
    /// It becomes a time when the bucket is made, and stays that time where the rate changes later.
    pub const fn max_queue(mut self, calls: u32) -> Self {
        self.max_wait = Wait::Intervals(calls);
        self
    }
}
