//! A delay that is a percentile of the latencies.
//!
//! **Background.** The delay that makes 5 % of all calls twice is the 95th percentile of how long
//! an attempt takes, and that changes with the service and with the time of day. Reading it goes
//! through a table of counts, which takes about a microsecond, too much for each call.
//!
//! **Solution.** The delay in force is kept in a word, and when the next reading is due in another:
//! a call pays two loads. The one call that moves the second word on does the reading.
//!
//! **What is measured** is the first attempt of each call, by the hedge itself, and where another
//! attempt was faster, for as long as the first one had run by then. That is no full measurement,
//! but a lower bound above the delay in force, which is all that the percentile needs: as many
//! calls count as slower than it as there are. Were they left out, or counted as fast as the answer
//! came, no call would ever seem slower than the delay; the percentile of those below it would be
//! the next delay, and so on down, to a second attempt for nearly every call.
//!
//! A first attempt that failed is left out: a connection that is refused at once says nothing about
//! how long an answer takes. So is one that the call's deadline cut off before the delay in force
//! was over, which would count as fast, however slow the service is. That is a bias towards calls
//! with time enough, and the smaller one.
//!
//! # Synchronization
//!
//! All accesses are Relaxed: the words publish nothing, and any mixture of old and new is right.
//! With a new due time and the old delay, a call waits as long as the calls before it did. Where
//! two readings overlap, as the first took longer than the time between them, the older may be the
//! one that stays, until the next.

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

use super::delay::HedgeDelay;
use crate::error::{ConfigError, Setting, check, setting};
use crate::histogram::{Histogram, WindowedHistogram};
use crate::pointer::through_pointers;
use crate::ratio::Ratio;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::scale::{DEFAULT_LATENESS, HEADROOM, Scale, ahead};
use crate::time::{Clock, Ticks, check_rate, duration_from_ticks, in_ticks, ticks_from_duration};
use crate::word::{WORD_BITS, Word, widen};

const AT_MOST: Setting = setting!(
    "the hedge's `at_most`" must "be from one tick of the clock to a quarter of its range"
);
const AT_LEAST: Setting = setting!("the hedge's `at_least`" must "be at most its `at_most`");
const UNTIL_KNOWN: Setting =
    setting!("the delay of a hedge whose percentile is not known" must "be at most its `at_most`");
const EVERY: Setting = setting!(
    "the hedge's `every`" must "be from one tick of the clock to a quarter of its range"
);
const SHARE: Setting = setting!("the percentile of a hedge" must "be above 0 % and at most 100 %");

/// Which percentile of the latencies a hedge waits for, and within which bounds.
///
/// # Examples
///
/// See [`AfterPercentile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a configuration does nothing by itself"]
pub struct PercentileConfig {
    share: Ratio,
    until_known: Duration,
    minimum_calls: u32,
    at_least: Duration,
    at_most: Duration,
    every: Duration,
}

impl PercentileConfig {
    /// The time that `share` of all first attempts take at most; `until_known` as long as there are
    /// too few of them. From 100 attempts on, between no delay and a minute, read anew each second.
    pub const fn new(share: Ratio, until_known: Duration) -> Self {
        Self {
            share,
            until_known,
            minimum_calls: 100,
            at_least: Duration::ZERO,
            at_most: Duration::from_secs(60),
            every: Duration::from_secs(1),
        }
    }

    /// How many attempts the histogram must hold.
    pub const fn minimum_calls(mut self, calls: u32) -> Self {
        self.minimum_calls = calls;
        self
    }

    /// The shortest delay, however fast the service is: one that is a mere fluctuation apart from
    /// the usual is not worth another attempt.
    pub const fn at_least(mut self, delay: Duration) -> Self {
        self.at_least = delay;
        self
    }

    /// The longest delay, however slow it is, from one tick of the clock to a quarter of its range.
    pub const fn at_most(mut self, delay: Duration) -> Self {
        self.at_most = delay;
        self
    }

    /// How long a reading is used, from one tick of the clock to a quarter of its range.
    pub const fn every(mut self, time: Duration) -> Self {
        self.every = time;
        self
    }

    const fn resolve(self, per_second: u64) -> Result<Plan, ConfigError> {
        check!(check_rate(per_second));
        if !self.share.is_share() {
            return Err(SHARE.ratio(self.share));
        }
        let at_most = check!(in_ticks(AT_MOST, self.at_most, per_second, 1));
        let at_least = ticks_from_duration(self.at_least, per_second);
        if at_least > at_most {
            return Err(AT_LEAST.duration(self.at_least, Duration::ZERO, self.at_most));
        }
        let until_known = ticks_from_duration(self.until_known, per_second);
        if until_known > at_most {
            return Err(UNTIL_KNOWN.duration(self.until_known, Duration::ZERO, self.at_most));
        }
        let every = check!(in_ticks(EVERY, self.every, per_second, 1));
        let horizon = every.saturating_add(ticks_from_duration(DEFAULT_LATENESS, per_second));
        let due = Scale::fit(horizon, WORD_BITS, HEADROOM, 0);
        Ok(Plan {
            share: self.share,
            minimum_calls: self.minimum_calls,
            until_known,
            at_least,
            at_most,
            delay: Scale::fit(at_most, WORD_BITS, 0, 0),
            due,
            every: due.units_up(every),
            horizon: due.units_up(horizon),
        })
    }
}

/// The configuration in ticks.
#[derive(Clone, Copy, Debug)]
struct Plan {
    share: Ratio,
    minimum_calls: u32,
    until_known: u64,
    at_least: u64,
    at_most: u64,
    /// Of the delay in its word.
    delay: Scale,
    /// Of the time at which the next reading is due; the two below are in its units.
    due: Scale,
    every: Word,
    horizon: Word,
}

/// A percentile of how long first attempts take, as the delay of a [`Hedge`](super::Hedge) on the
/// timer `C`.
///
/// It measures that itself, in a histogram that should be used for nothing else: a
/// [`WindowedHistogram`], or a [`Histogram`] where what was years ago may count. A call pays two
/// loads for the delay, and for the measurement a reading of the clock and what a record costs.
///
/// # Examples
///
/// ```
/// use core::future::pending;
/// use core::time::Duration;
/// use fusebox_core::{
///     AfterPercentile, Attempt, Hedge, HistogramConfig, ManualClock, PercentileConfig, Ratio,
///     WindowedHistogram,
/// };
///
/// static CLOCK: ManualClock = ManualClock::new();
/// /// What all but the slowest 5 % took in the last minute; 100 ms before that is known.
/// static SLOW: AfterPercentile<&ManualClock> = AfterPercentile::new(
///     PercentileConfig::new(Ratio::percent(95), Duration::from_millis(100)),
///     WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &CLOCK),
/// );
///
/// # pollster::block_on(async {
/// let hedge = Hedge::idempotent(&SLOW);
/// for _ in 0..1000 {
///     let read = |_| async {
///         CLOCK.advance(Duration::from_millis(20));
///         Ok::<_, ()>(())
///     };
///     hedge.call(&CLOCK, read).await.unwrap();
/// }
/// assert!(SLOW.delay().abs_diff(Duration::from_millis(20)) < Duration::from_micros(313));
/// # });
/// ```
///
/// # Interrupt safety
///
/// Lock-free and without waiting.
pub struct AfterPercentile<C, H = WindowedHistogram<C>> {
    delay: AtomicWord,
    due: AtomicWord,
    plan: Plan,
    latencies: H,
    clock: PhantomData<fn() -> C>,
}

impl<C: Clock, H> AfterPercentile<C, H> {
    constructor! {
        /// A delay that is measured in `latencies`, a histogram over the timer of the calls or a
        /// reference to one.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: PercentileConfig, latencies: H) -> Self {
            match config.resolve(C::TICKS_PER_SECOND) {
                Ok(plan) => Self::of(plan, latencies),
                Err(error) => error.fail(),
            }
        }
    }

    /// As [`new`](Self::new), for settings that are known only at run time.
    ///
    /// # Errors
    ///
    /// A share that is not above 0 and at most 1; a longest delay, or a time between readings, that
    /// is less than a tick of the clock or more than a quarter of its range; another delay that is
    /// longer than the longest.
    pub fn try_new(config: PercentileConfig, latencies: H) -> Result<Self, ConfigError> {
        Ok(Self::of(config.resolve(C::TICKS_PER_SECOND)?, latencies))
    }

    constructor! {
        const fn of(plan: Plan, latencies: H) -> Self {
            Self {
                delay: AtomicWord::new(plan.delay.units_up(plan.until_known)),
                due: AtomicWord::new(0),
                plan,
                latencies,
                clock: PhantomData,
            }
        }
    }

    /// The delay in force.
    #[must_use]
    pub fn delay(&self) -> Duration {
        duration_from_ticks(self.ticks(), C::TICKS_PER_SECOND)
    }

    /// The histogram in which it is measured.
    #[must_use]
    pub const fn latencies(&self) -> &H {
        &self.latencies
    }

    #[inline]
    fn ticks(&self) -> u64 {
        // Relaxed: a figure by itself; see the module.
        self.plan.delay.ticks_down(widen(self.delay.load(Ordering::Relaxed)))
    }
}

impl<C: Clock, H: Percentiles<C>> AfterPercentile<C, H> {
    /// Reads the percentile anew, unless another context does.
    #[cold]
    fn renew(&self, due: Word, now: Ticks) {
        let plan = &self.plan;
        let next = plan.due.units(now).wrapping_add(plan.every);
        // Relaxed: it only settles who does the reading. Not repeated: a failure says that another
        // context does; or, on LL/SC targets, that the next call may.
        let moved =
            self.due.compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if moved {
            let minimum = u64::from(plan.minimum_calls);
            let ticks = match self.latencies.percentile(plan.share, minimum, now) {
                // Not `clamp`, which may panic.
                Some(ticks) => ticks.max(plan.at_least).min(plan.at_most),
                None => plan.until_known,
            };
            // Relaxed: as in `ticks`. A plain store: the last reading stays.
            self.delay.store(plan.delay.units_up(ticks), Ordering::Relaxed);
        }
    }
}

impl<C: Clock, H: Percentiles<C>> HedgeDelay<C> for AfterPercentile<C, H> {
    #[inline]
    fn delay(&self, now: Ticks) -> u64 {
        // Relaxed: see `renew`.
        let due = self.due.load(Ordering::Relaxed);
        if ahead(due, self.plan.due.units(now), WORD_BITS, self.plan.horizon) == 0 {
            self.renew(due, now);
        }
        self.ticks()
    }

    #[inline]
    fn learns(&self) -> bool {
        true
    }

    #[inline]
    fn learn(&self, took: u64, now: Ticks) {
        self.latencies.record(took, now);
    }
}

impl<C: Clock, H> fmt::Debug for AfterPercentile<C, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AfterPercentile")
            .field("share", &self.plan.share)
            .field("delay", &self.delay())
            .finish_non_exhaustive()
    }
}

/// What an [`AfterPercentile`] on the timer `C` is measured in: a [`Histogram`] or a
/// [`WindowedHistogram`] over the same clock, or a pointer to one. Sealed.
pub trait Percentiles<C>: sealed::Percentiles<C> {}

mod sealed {
    use super::{Ratio, Ticks};

    pub trait Percentiles<C> {
        fn record(&self, ticks: u64, now: Ticks);

        /// In ticks; `None` where there are fewer calls than the minimum, or none.
        fn percentile(&self, share: Ratio, minimum: u64, now: Ticks) -> Option<u64>;
    }
}

impl<C: Clock, const O: usize, const S: usize> Percentiles<C> for Histogram<C, O, S> {}

impl<C: Clock, const O: usize, const S: usize> sealed::Percentiles<C> for Histogram<C, O, S> {
    #[inline]
    fn record(&self, ticks: u64, _now: Ticks) {
        self.record_ticks(ticks);
    }

    fn percentile(&self, share: Ratio, minimum: u64, _now: Ticks) -> Option<u64> {
        self.percentile_ticks(share, minimum)
    }
}

impl<C: Clock, const L: usize, const O: usize, const S: usize> Percentiles<C>
    for WindowedHistogram<C, L, O, S>
{
}

impl<C: Clock, const L: usize, const O: usize, const S: usize> sealed::Percentiles<C>
    for WindowedHistogram<C, L, O, S>
{
    #[inline]
    fn record(&self, ticks: u64, now: Ticks) {
        self.record_ticks_at(ticks, now);
    }

    fn percentile(&self, share: Ratio, minimum: u64, now: Ticks) -> Option<u64> {
        self.percentile_ticks_at(share, minimum, now)
    }
}

macro_rules! pointer_percentiles {
    ($pointer:ty) => {
        impl<C, H: Percentiles<C>> Percentiles<C> for $pointer {}

        impl<C, H: Percentiles<C>> sealed::Percentiles<C> for $pointer {
            #[inline]
            fn record(&self, ticks: u64, now: Ticks) {
                (**self).record(ticks, now);
            }

            fn percentile(&self, share: Ratio, minimum: u64, now: Ticks) -> Option<u64> {
                (**self).percentile(share, minimum, now)
            }
        }
    };
}

through_pointers!(pointer_percentiles, H);
