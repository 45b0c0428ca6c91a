//! What a breaker counts for people rather than for its rules: an optional part.

use core::fmt::Debug;
use core::time::Duration;

use super::counts::Counts;
use crate::error::{Reason, Rejection, setting};
use crate::gate::Outcome;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::{Ticks, duration_from_ticks};
use crate::word::Word;

/// What a breaker shows of its meter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub(super) totals: Option<Counts>,
    pub(super) running: Option<u64>,
    pub(super) since_failure: Option<Duration>,
    pub(super) since_change: Option<Duration>,
}

/// The meter of a breaker: `()` for none, or a [`Meter`]. Sealed.
pub trait Metering: sealed::Metering {}

pub(super) mod sealed {
    use super::{Counts, Outcome, Reading, Rejection, Ticks};

    pub trait Metering {
        /// Counts a call in, unless too many are running.
        fn begin(&self) -> Result<(), Rejection>;
        /// Counts a call out; `now` is read on a failure only.
        fn end(&self, outcome: Outcome, slow: bool, hz: u64, now: impl FnOnce() -> Ticks);
        fn refused(&self);
        /// Takes note of the time of a transition, if there is anything to take note with.
        fn changed(&self, hz: u64, now: impl FnOnce() -> Ticks);
        /// Adds to the counts that rules are told.
        fn add_to(&self, counts: Counts) -> Counts;
        fn read(&self, hz: u64, now: impl FnOnce() -> Ticks) -> Reading;
    }
}

impl Metering for () {}

impl sealed::Metering for () {
    #[inline]
    fn begin(&self) -> Result<(), Rejection> {
        Ok(())
    }

    #[inline]
    fn end(&self, _outcome: Outcome, _slow: bool, _hz: u64, _now: impl FnOnce() -> Ticks) {}

    #[inline]
    fn refused(&self) {}

    #[inline]
    fn changed(&self, _hz: u64, _now: impl FnOnce() -> Ticks) {}

    #[inline]
    fn add_to(&self, counts: Counts) -> Counts {
        counts
    }

    #[inline]
    fn read(&self, _hz: u64, _now: impl FnOnce() -> Ticks) -> Reading {
        Reading::default()
    }
}

/// Counts the calls of a breaker: totals, calls running now, the times of the last failure and the
/// last change; and limits, if asked to, how many may run at once.
///
/// It costs three shared read-modify-writes per call, which is why it is not part of every breaker.
/// Counters are words: where those are 32 bits they wrap at 2^32, and times are kept to about a
/// millisecond, for 24 days.
///
/// # Examples
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, ManualClock, Meter, Reason};
///
/// let clock: ManualClock = ManualClock::new();
/// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
///     .metered(Meter::new().max_concurrent(1));
///
/// let first = breaker.permit().unwrap();
/// assert_eq!(breaker.snapshot().running, Some(1));
/// assert_eq!(breaker.permit().unwrap_err().reason(), Reason::BulkheadFull);
/// first.success();
/// let totals = breaker.snapshot().totals.unwrap();
/// assert_eq!((totals.successes, totals.rejected), (1, 1));
/// ```
#[derive(Debug)]
pub struct Meter {
    /// 0 where there is no limit.
    max_concurrent: u32,
    running: AtomicWord,
    successes: AtomicWord,
    /// What `successes` was at the last failure.
    successes_before: AtomicWord,
    failures: AtomicWord,
    slow: AtomicWord,
    ignored: AtomicWord,
    rejected: AtomicWord,
    /// Scaled times plus one; 0 for never.
    last_failure: AtomicWord,
    last_change: AtomicWord,
}

impl Meter {
    constructor! {
        /// A meter at 0, without a limit.
        #[must_use]
        pub const fn new() -> Self {
            Self {
                max_concurrent: 0,
                running: AtomicWord::new(0),
                successes: AtomicWord::new(0),
                successes_before: AtomicWord::new(0),
                failures: AtomicWord::new(0),
                slow: AtomicWord::new(0),
                ignored: AtomicWord::new(0),
                rejected: AtomicWord::new(0),
                last_failure: AtomicWord::new(0),
                last_change: AtomicWord::new(0),
            }
        }
    }

    /// Lets at most `calls` run at once, at least 1; a call more is refused with
    /// [`Reason::BulkheadFull`].
    ///
    /// # Panics
    ///
    /// Where `calls` is 0; in a `static` that is a compile error.
    #[must_use]
    #[track_caller]
    pub const fn max_concurrent(mut self, calls: u32) -> Self {
        if calls == 0 {
            setting!("the meter's `max_concurrent`" must "be at least 1")
                .number(0, 1, u64::MAX)
                .fail();
        }
        self.max_concurrent = calls;
        self
    }

    /// How far to shift ticks so that 32-bit words hold 24 days at least: to half a millisecond or
    /// more. 64-bit words hold ticks.
    const fn shift(hz: u64) -> u32 {
        let per_milli = hz / 1000;
        if Word::BITS == 64 || per_milli == 0 { 0 } else { per_milli.ilog2() }
    }

    fn stamp(word: &AtomicWord, hz: u64, now: Ticks) {
        let units = (now.0 >> Self::shift(hz)) as Word;
        // A plain store: the last writer wins, and all that is lost is an instant about as recent.
        // Relaxed: it is a figure for people, and publishes nothing.
        word.store(units.wrapping_add(1).max(1), Ordering::Relaxed);
    }

    fn since(word: &AtomicWord, hz: u64, now: Ticks) -> Option<Duration> {
        let stamped = word.load(Ordering::Relaxed);
        if stamped == 0 {
            return None;
        }
        let now = (now.0 >> Self::shift(hz)) as Word;
        let age = now.wrapping_sub(stamped.wrapping_sub(1));
        // A reader that is late sees an instant in the future; by less than this, which is nine
        // hours at least.
        let age = if age > Word::MAX - Word::MAX / 64 { 0 } else { age };
        #[allow(clippy::useless_conversion, reason = "a conversion where words are 32 bits")]
        let ticks = u64::from(age) << Self::shift(hz);
        Some(duration_from_ticks(ticks, hz))
    }

    fn totals(&self) -> Counts {
        // Relaxed: figures that are each right, taken one after the other.
        #[allow(clippy::useless_conversion, reason = "a conversion where words are 32 bits")]
        let read = |word: &AtomicWord| u64::from(word.load(Ordering::Relaxed));
        let (successes, failures) = (read(&self.successes), read(&self.failures));
        Counts {
            requests: successes.wrapping_add(failures),
            successes,
            failures,
            slow: read(&self.slow),
            consecutive_successes: self.in_a_row(),
            consecutive_failures: 0,
            ignored: read(&self.ignored),
            rejected: read(&self.rejected),
        }
    }

    fn in_a_row(&self) -> u64 {
        let successes = self.successes.load(Ordering::Relaxed);
        let row = successes.wrapping_sub(self.successes_before.load(Ordering::Relaxed));
        // A failure that was counted between the two loads has left nothing in a row.
        if row > Word::MAX / 2 { 0 } else { row as u64 }
    }

    fn count(word: &AtomicWord) {
        // Relaxed: a counter publishes nothing.
        word.fetch_add(1, Ordering::Relaxed);
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Metering for Meter {}

impl sealed::Metering for Meter {
    fn begin(&self) -> Result<(), Rejection> {
        let limit = self.max_concurrent as Word;
        if limit == 0 {
            Self::count(&self.running);
            return Ok(());
        }
        // Acquire: pairs with the Release in `end`: whoever takes the last place comes after the
        // one who left it. Relaxed on failure: nothing is entered. Lock-free: a failed swap
        // is another call's progress.
        let more = |running: Word| if running < limit { Some(running + 1) } else { None };
        match self.running.fetch_update(Ordering::Acquire, Ordering::Relaxed, more) {
            Ok(_) => Ok(()),
            Err(_) => Err(Rejection::new(Reason::BulkheadFull)),
        }
    }

    fn end(&self, outcome: Outcome, slow: bool, hz: u64, now: impl FnOnce() -> Ticks) {
        match outcome {
            Outcome::Success => Self::count(&self.successes),
            Outcome::Failure => {
                Self::count(&self.failures);
                let successes = self.successes.load(Ordering::Relaxed);
                // A note that is older than the one that stands comes too late. Relaxed: a figure,
                // as in `count`.
                let note = |before: Word| {
                    let more = successes.wrapping_sub(before);
                    if more > Word::MAX / 2 { None } else { Some(successes) }
                };
                let _ =
                    self.successes_before.fetch_update(Ordering::Relaxed, Ordering::Relaxed, note);
                Self::stamp(&self.last_failure, hz, now());
            }
            Outcome::Ignored | Outcome::Abandoned => Self::count(&self.ignored),
            // It never ran.
            Outcome::Refused => {}
        }
        if slow {
            Self::count(&self.slow);
        }
        // Release: pairs with the Acquire in `begin`.
        self.running.fetch_sub(1, Ordering::Release);
    }

    fn refused(&self) {
        Self::count(&self.rejected);
    }

    fn changed(&self, hz: u64, now: impl FnOnce() -> Ticks) {
        Self::stamp(&self.last_change, hz, now());
    }

    fn add_to(&self, counts: Counts) -> Counts {
        let totals = self.totals();
        Counts {
            consecutive_successes: totals.consecutive_successes,
            ignored: totals.ignored,
            rejected: totals.rejected,
            ..counts
        }
    }

    fn read(&self, hz: u64, now: impl FnOnce() -> Ticks) -> Reading {
        let now = now();
        #[allow(clippy::useless_conversion, reason = "a conversion where words are 32 bits")]
        Reading {
            totals: Some(self.totals()),
            running: Some(self.running.load(Ordering::Relaxed).into()),
            since_failure: Self::since(&self.last_failure, hz, now),
            since_change: Self::since(&self.last_change, hz, now),
        }
    }
}
