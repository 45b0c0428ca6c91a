//! What a breaker counts for people rather than for its rules: an optional part.

use core::time::Duration;

use super::counts::Counts;
use crate::error::{Reason, Rejection, setting};
use crate::gate::Outcome;
use crate::histogram::LatencySummary;
use crate::meter::{Latencies, Stamp, Start, Streak, count, read};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::{Clock, Ticks};
use crate::word::Word;

/// What a breaker shows of its meter.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    pub(super) totals: Option<Counts>,
    pub(super) running: Option<u64>,
    pub(super) since_failure: Option<Duration>,
    pub(super) since_change: Option<Duration>,
    pub(super) latency: Option<LatencySummary>,
}

/// The meter of a breaker over the clock `C`: `()` for none, or a [`Meter`]. Sealed.
pub trait Metering<C>: sealed::Metering<C> {}

pub(super) mod sealed {
    use super::{Counts, Outcome, Reading, Rejection, Start, Ticks};

    pub trait Metering<C> {
        /// What a call carries for this meter.
        type Start: Start;

        /// Counts a call in, unless too many are running.
        fn begin(&self) -> Result<(), Rejection>;
        /// Counts a call out; `now` is read on a failure, and for latencies.
        fn end(&self, outcome: Outcome, slow: bool, start: Self::Start, now: impl Fn() -> Ticks);
        fn refused(&self);
        /// Takes note of the time of a transition, if there is anything to take note with.
        fn changed(&self, now: impl FnOnce() -> Ticks);
        /// Adds to the counts that rules are told.
        fn add_to(&self, counts: Counts) -> Counts;
        fn read(&self, now: impl FnOnce() -> Ticks) -> Reading;
    }
}

impl<C> Metering<C> for () {}

impl<C> sealed::Metering<C> for () {
    type Start = ();

    #[inline]
    fn begin(&self) -> Result<(), Rejection> {
        Ok(())
    }

    #[inline]
    fn end(&self, _outcome: Outcome, _slow: bool, (): (), _now: impl Fn() -> Ticks) {}

    #[inline]
    fn refused(&self) {}

    #[inline]
    fn changed(&self, _now: impl FnOnce() -> Ticks) {}

    #[inline]
    fn add_to(&self, counts: Counts) -> Counts {
        counts
    }

    #[inline]
    fn read(&self, _now: impl FnOnce() -> Ticks) -> Reading {
        Reading::default()
    }
}

/// Counts the calls of a breaker: totals, calls running now, the times of the last failure and the
/// last change; their [`latencies`](Self::latencies), if asked to; and limits, if asked to, how
/// many may run at once.
///
/// It costs three shared read-modify-writes per call, which is why it is not part of every breaker;
/// with latencies four, and two readings of the clock. Counters are words: where those are 32 bits
/// they wrap at 2^32, and times are kept to about a millisecond, for 24 days.
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
pub struct Meter<L = ()> {
    /// 0 where there is no limit.
    max_concurrent: u32,
    running: AtomicWord,
    successes: Streak,
    failures: AtomicWord,
    slow: AtomicWord,
    ignored: AtomicWord,
    rejected: AtomicWord,
    last_failure: Stamp,
    last_change: Stamp,
    latencies: L,
}

impl Meter {
    constructor! {
        /// A meter at 0, without latencies and without a limit.
        #[must_use]
        pub const fn new() -> Self {
            Self::of(0, ())
        }
    }

    constructor! {
        /// The same meter with the latencies of the calls that succeeded or failed: a
        /// [`Histogram`](crate::Histogram) or a [`WindowedHistogram`](crate::WindowedHistogram), or
        /// a reference to one, over the clock of the breaker. It starts at 0.
        ///
        /// # Examples
        ///
        /// ```
        /// use core::time::Duration;
        /// use fusebox_core::{
        ///     BreakerConfig, CircuitBreaker, Gate, HistogramConfig, ManualClock, Meter,
        ///     WindowedHistogram,
        /// };
        ///
        /// let clock: ManualClock = ManualClock::new();
        /// let last_minute: WindowedHistogram<_> =
        ///     WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &clock);
        /// let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock)
        ///     .metered(Meter::new().latencies(last_minute));
        ///
        /// let call = breaker.permit().unwrap();
        /// clock.advance(Duration::from_millis(250));
        /// call.success();
        ///
        /// let latency = breaker.snapshot().latency.unwrap();
        /// assert_eq!(latency.count, 1);
        /// assert!(latency.p99.abs_diff(Duration::from_millis(250)) < Duration::from_millis(4));
        /// ```
        #[must_use]
        pub const fn latencies<L>(self, latencies: L) -> Meter<L> {
            Meter::of(self.max_concurrent, latencies)
        }
    }
}

impl<L> Meter<L> {
    constructor! {
        const fn of(max_concurrent: u32, latencies: L) -> Self {
            Self {
                max_concurrent,
                running: AtomicWord::new(0),
                successes: Streak::new(),
                failures: AtomicWord::new(0),
                slow: AtomicWord::new(0),
                ignored: AtomicWord::new(0),
                rejected: AtomicWord::new(0),
                last_failure: Stamp::never(),
                last_change: Stamp::never(),
                latencies,
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

    fn totals(&self) -> Counts {
        let (successes, failures) = (self.successes.all(), read(&self.failures));
        Counts {
            requests: successes.wrapping_add(failures),
            successes,
            failures,
            slow: read(&self.slow),
            consecutive_successes: self.successes.in_a_row(),
            consecutive_failures: 0,
            ignored: read(&self.ignored),
            rejected: read(&self.rejected),
        }
    }
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Clock, L: Latencies<C>> Metering<C> for Meter<L> {}

impl<C: Clock, L: Latencies<C>> sealed::Metering<C> for Meter<L> {
    type Start = L::Start;

    fn begin(&self) -> Result<(), Rejection> {
        let limit = self.max_concurrent as Word;
        if limit == 0 {
            count(&self.running);
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

    fn end(&self, outcome: Outcome, slow: bool, start: L::Start, now: impl Fn() -> Ticks) {
        match outcome {
            Outcome::Success => {
                self.successes.count();
                self.latencies.record(start, now);
            }
            Outcome::Failure => {
                count(&self.failures);
                self.successes.end();
                let now = now();
                self.last_failure.set(C::TICKS_PER_SECOND, now);
                self.latencies.record(start, || now);
            }
            Outcome::Ignored | Outcome::Abandoned => count(&self.ignored),
            // It never ran.
            Outcome::Refused => {}
        }
        if slow {
            count(&self.slow);
        }
        // Release: pairs with the Acquire in `begin`.
        self.running.fetch_sub(1, Ordering::Release);
    }

    fn refused(&self) {
        count(&self.rejected);
    }

    fn changed(&self, now: impl FnOnce() -> Ticks) {
        self.last_change.set(C::TICKS_PER_SECOND, now());
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

    fn read(&self, now: impl FnOnce() -> Ticks) -> Reading {
        let (now, hz) = (now(), C::TICKS_PER_SECOND);
        Reading {
            totals: Some(self.totals()),
            running: Some(read(&self.running)),
            since_failure: self.last_failure.since(hz, now),
            since_change: self.last_change.since(hz, now),
            latency: self.latencies.summary(|| now),
        }
    }
}
