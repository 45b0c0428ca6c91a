//! The rates at which a window trips.

use core::time::Duration;

use crate::breaker::counts::Counts;
use crate::breaker::ring::Sums;
use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::sync::{AtomicWord, Ordering, SettingWord, constructor};
use crate::time::packed::Packed;
use crate::time::{Ticks, ticks_from_duration};
use crate::word::{WORD_BITS, Word, low_half};

const FAILURES: Setting =
    setting!("the rate of `Rates::failures`" must "be more than 0 % and at most 100 %");
const SLOW_CALLS: Setting =
    setting!("the rate of `Rates::slow_calls`" must "be more than 0 % and at most 100 %");

/// The rates at which a window trips its breaker.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Rates, Ratio};
///
/// // Half of at least 20 calls failed, or 80 % of them took two seconds or more.
/// let rates = Rates::failures(Ratio::percent(50))
///     .slow_calls(Ratio::percent(80), Duration::from_secs(2))
///     .minimum_calls(20);
/// # let _ = rates;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Rates {
    failures: Option<Ratio>,
    slow: Option<(Ratio, Duration)>,
    pub(super) minimum: u32,
}

impl Rates {
    /// No rate: the window only counts, for a [rule of your own](crate::BreakerConfig::trip_when).
    pub const fn none() -> Self {
        Self { failures: None, slow: None, minimum: 10 }
    }

    /// Trips when the failed share of the calls in the window reaches `rate`, above 0 and at most
    /// 1; equal trips.
    pub const fn failures(rate: Ratio) -> Self {
        Self { failures: Some(rate), ..Self::none() }
    }

    /// Trips when the share of the calls in the window that took at least `duration` reaches
    /// `rate`, above 0 and at most 1, whether they succeeded or not; equal trips. While half-open,
    /// a slow success counts as a failed probe. Calls then read the clock when they begin and when
    /// they end. Where words are 32 bits, `duration` is rounded down by under one part in 2^26, and
    /// to nearly 2^58 ticks where it is longer.
    pub const fn slow_calls(self, rate: Ratio, duration: Duration) -> Self {
        Self { slow: Some((rate, duration)), ..self }
    }

    /// Judges no rate by fewer calls than this: 1 to what the window can hold (of a window of time
    /// 65 536, where words are 32 bits 256); 10 unless told otherwise.
    pub const fn minimum_calls(self, calls: u32) -> Self {
        Self { minimum: calls, ..self }
    }
}

/// A rate as the share at which it is reached, in parts of 2^63 (where words are 32 bits 2^31),
/// rounded down; all ones where there is none, which no share reaches.
///
/// Exact, equal included: two different fractions are further apart than what is rounded, up to a
/// denominator of 2^32 (where words are 32 bits 2^18) and as many calls as a window can hold. One
/// word, so that it changes at once, and no division.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Share(Word);

const SHARE_BITS: u32 = WORD_BITS - 1;

impl Share {
    const NONE: Self = Self(Word::MAX);

    #[allow(clippy::cast_possible_truncation, reason = "a share is at most 1")]
    const fn new(rate: Option<Ratio>) -> Self {
        match rate {
            Some(rate) => {
                let whole = (rate.numerator() as u128) << SHARE_BITS;
                // A denominator of 0 is refused before.
                let denominator = if rate.denominator() == 0 { 1 } else { rate.denominator() };
                Self((whole / denominator as u128) as Word)
            }
            None => Self::NONE,
        }
    }

    /// Whether `part` of `whole`, of more than nothing, is at least this.
    #[cfg(any(not(target_has_atomic = "64"), fusebox_word32))]
    fn is_reached(self, part: u32, whole: u32) -> bool {
        u64::from(part) << SHARE_BITS >= u64::from(whole).wrapping_mul(u64::from(self.0))
    }

    /// Whether `part` of `whole`, of more than nothing, is at least this.
    #[cfg(all(target_has_atomic = "64", not(fusebox_word32)))]
    fn is_reached(self, part: u32, whole: u32) -> bool {
        u128::from(part) << SHARE_BITS >= u128::from(whole).wrapping_mul(u128::from(self.0))
    }
}

/// [`Rates`] in use, in ticks. They may change meanwhile.
///
/// A minimum belongs to its rates: a low rate that is meant for a thousand calls must not be judged
/// by the ten of another. So while they change, the minimum is [`CHANGING`], above any number of
/// calls, and a judgement looks at it twice: a call that ends meanwhile is counted, and judged
/// with the next one. It is the claim of the change as well.
#[derive(Debug)]
pub(super) struct Judge {
    failures: SettingWord,
    slow: SettingWord,
    /// [`Packed`] ticks.
    slow_after: SettingWord,
    minimum: AtomicWord,
}

const CHANGING: Word = Word::MAX;

/// The same as words.
#[derive(Clone, Copy)]
struct Words {
    failures: Share,
    slow: Share,
    slow_after: Packed,
    minimum: Word,
}

impl Words {
    const fn new(rates: Rates, hz: u64) -> Result<Self, ConfigError> {
        if let Some(rate) = rates.failures {
            if !rate.is_share() {
                return Err(FAILURES.ratio(rate));
            }
        }
        let (slow, slow_after) = match rates.slow {
            Some((rate, duration)) => {
                if !rate.is_share() {
                    return Err(SLOW_CALLS.ratio(rate));
                }
                (Some(rate), ticks_from_duration(duration, hz))
            }
            // No call takes as long.
            None => (None, u64::MAX),
        };
        let minimum = rates.minimum as Word;
        let (failures, slow) = (Share::new(rates.failures), Share::new(slow));
        Ok(Self { failures, slow, slow_after: Packed::new(slow_after), minimum })
    }
}

impl Judge {
    constructor! {
        /// The window has checked the minimum of calls.
        pub(super) const fn new(rates: Rates, hz: u64) -> Result<Self, ConfigError> {
            let words = check!(Words::new(rates, hz));
            Ok(Self {
                failures: SettingWord::new(words.failures.0),
                slow: SettingWord::new(words.slow.0),
                slow_after: SettingWord::new(words.slow_after.0),
                minimum: AtomicWord::new(words.minimum),
            })
        }
    }

    /// Goes by these rates from now on. The window has checked the minimum of calls.
    pub(super) fn change(&self, rates: Rates, hz: u64) -> Result<(), ConfigError> {
        let words = Words::new(rates, hz)?;
        // Relaxed: only the number is needed, for the claim.
        let old = self.minimum.load(Ordering::Relaxed);
        // Acquire: the stores of a change before this one came before ours; pairs with the Release
        // at the end. Relaxed on failure: nothing is read that it could publish.
        let claim =
            || self.minimum.compare_exchange(old, CHANGING, Ordering::Acquire, Ordering::Relaxed);
        if old == CHANGING || claim().is_err() {
            return Err(ConfigError::ChangeUnderWay);
        }
        // Release: who sees a new rate sees, looking again, that the minimum has changed; pairs
        // with the Acquire loads in `trips`.
        self.failures.store(words.failures.0, Ordering::Release);
        self.slow.store(words.slow.0, Ordering::Release);
        // Relaxed: whether a call was slow is a question of its own.
        self.slow_after.store(words.slow_after.0, Ordering::Relaxed);
        // A store will do, as nobody else writes while the change is under way. Release: publishes
        // the rates to who goes by this minimum; pairs with the Acquire in `trips` and above.
        self.minimum.store(words.minimum, Ordering::Release);
        Ok(())
    }

    fn slow(&self) -> Share {
        // Relaxed: a number that is looked at alone.
        Share(self.slow.load(Ordering::Relaxed))
    }

    pub(super) fn has_rate(&self) -> bool {
        // Relaxed, as in `slow`.
        self.has_slow() || Share(self.failures.load(Ordering::Relaxed)) != Share::NONE
    }

    /// Whether slow calls are told from others.
    #[inline]
    pub(super) fn has_slow(&self) -> bool {
        self.slow() != Share::NONE
    }

    #[inline]
    pub(super) fn is_slow(&self, start: Ticks, now: Ticks) -> bool {
        // Relaxed, as in `slow`.
        let slow_after = Packed(self.slow_after.load(Ordering::Relaxed)).ticks();
        now.saturating_since(start) >= slow_after
    }

    pub(super) fn trips(&self, sums: Sums) -> bool {
        // Acquire: pairs with the last store of `change`, so that the rates are at least as new.
        let minimum = self.minimum.load(Ordering::Acquire);
        if sums.requests < low_half(minimum) {
            return false;
        }
        // Acquire, twice: who sees a newer rate sees a newer minimum below.
        let failures = Share(self.failures.load(Ordering::Acquire));
        let slow = Share(self.slow.load(Ordering::Acquire));
        (failures.is_reached(sums.failures, sums.requests)
            || slow.is_reached(sums.slow, sums.requests))
            // Relaxed: a number; the loads above keep it after them.
            && self.minimum.load(Ordering::Relaxed) == minimum
    }
}

pub(super) fn add(sums: Sums, counts: Counts) -> Counts {
    Counts {
        requests: u64::from(sums.requests),
        // No bucket has more failures than requests.
        successes: u64::from(sums.requests.wrapping_sub(sums.failures)),
        failures: u64::from(sums.failures),
        slow: u64::from(sums.slow),
        ..counts
    }
}
