//! Histograms of latencies: how long calls took, for people and for what waits by percentile.
//!
//! # Algorithm
//!
//! Log-linear buckets, as in HdrHistogram (Gil Tene, 2012): each octave, from a duration to twice
//! as long, is cut into the same number of equal steps. A bucket is so never wider than a fixed
//! share of the durations in it, at any scale, and the bucket of a duration follows from its
//! leading bits: no search, no division, no floating point. `histogram/axis.rs` has the numbers.
//!
//! What is reported for a bucket is its middle, as HdrHistogram does for its mean: with 32 steps it
//! is off by one part in 64, 1.6 %, at most. (Its percentiles are the upper ends of buckets, which
//! err to one side, by twice as much.) Percentiles go by the nearest rank.
//!
//! Minimum, maximum and mean come from the buckets, too, within the same error. Exact ones would be
//! three shared words more for each call to write, of which the sum would overflow where words are
//! 32 bits; and figures that are read from other words than the counts contradict them, as a
//! maximum below the 99th percentile.
//!
//! # The words
//!
//! A bucket is one word (in a [`WindowedHistogram`] one for each slice of time), and a record is
//! one read-modify-write of it. Nothing else is written, but a bit for each octave when it is used
//! for the first time: latencies use few of the octaves, and reading skips the others.
//!
//! # Synchronization
//!
//! Counts publish nothing, so all accesses are Relaxed. Each record is one change of one word; so a
//! snapshot has each record whole or not at all, and where records are taken out, each is taken
//! once: a read-modify-write always continues from the last value. A snapshot that is taken while
//! others record has all that came before it and some of what comes meanwhile.

mod axis;
mod slice;
mod snapshot;
mod windowed;

use core::fmt;
use core::marker::PhantomData;
use core::time::Duration;

pub use snapshot::{HistogramSnapshot, LatencySummary};
pub use windowed::WindowedHistogram;

use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::sync::{AtomicWord, Ordering, array_of, constructor};
use crate::time::{Clock, check_rate, duration_from_ticks, in_ticks, ticks_from_duration};
use crate::word::{WORD_BITS, Word, widen};
use axis::{Axis, Place, Table, UsedOctaves};

const LONGEST: Setting = setting!(
    "the histogram's `longest`" must "be from one tick of the clock to a quarter of its range"
);

/// What a histogram should tell apart.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Histogram, HistogramConfig, ManualClock};
///
/// const UP_TO_10_SECONDS: HistogramConfig = HistogramConfig::up_to(Duration::from_secs(10));
/// let latencies: Histogram<ManualClock> = Histogram::new(UP_TO_10_SECONDS);
/// assert!(latencies.longest() >= Duration::from_secs(10));
/// assert!(latencies.unit() < Duration::from_micros(2));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use = "a configuration does nothing by itself"]
pub struct HistogramConfig {
    longest: Duration,
}

impl HistogramConfig {
    /// Up to a minute.
    pub const fn standard() -> Self {
        Self::up_to(Duration::from_secs(60))
    }

    /// Up to `longest`, from one tick of the clock to a quarter of its range. What takes longer
    /// counts as the longest.
    ///
    /// The octaves reach down from there: 20 octaves of 32 steps to a unit of at most 2^-23 of it,
    /// 4.1 µs for a minute.
    pub const fn up_to(longest: Duration) -> Self {
        Self { longest }
    }

    const fn axis<const OCTAVES: usize, const STEPS: usize>(
        self,
        per_second: u64,
    ) -> Result<Axis<OCTAVES, STEPS>, ConfigError> {
        check!(check_rate(per_second));
        Ok(Axis::up_to(check!(in_ticks(LONGEST, self.longest, per_second, 1))))
    }
}

impl Default for HistogramConfig {
    /// [`HistogramConfig::standard`].
    fn default() -> Self {
        Self::standard()
    }
}

/// How long calls took, in the ticks of the clock `C`, from the beginning or since the last
/// [`reset`](Self::reset). For the last seconds or minutes alone there is [`WindowedHistogram`].
///
/// What is reported is off by one part in `2 * STEPS` at most: 1.6 % with 32 steps. That holds from
/// `STEPS` [`unit`](Self::unit)s up; what is shorter is off by half a unit at most. Longer than
/// [`longest`](Self::longest) counts as that long.
///
/// A record costs one shared read-modify-write; the memory is `OCTAVES * STEPS` words and two more,
/// 5 KiB where words are 64 bits and nothing else is chosen. `OCTAVES` is 2 to 32, and each one
/// more halves the unit; `STEPS` is a power of two from 2 to 256. A microcontroller may do with
/// `Histogram<Rtc, 12, 8>`, which is 392 bytes, for 6.3 % and a unit of at most 2^-13 of the
/// longest.
///
/// Where words are 32 bits, a bucket stops counting short of 2^32.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Histogram, HistogramConfig, ManualClock, Ratio};
///
/// let latencies: Histogram<ManualClock> = Histogram::new(HistogramConfig::standard());
/// for ms in 1..=100 {
///     latencies.record(Duration::from_millis(ms));
/// }
/// let p95 = latencies.percentile(Ratio::percent(95)).unwrap();
/// assert!(p95.abs_diff(Duration::from_millis(95)) <= Duration::from_millis(95) / 64);
///
/// let now = latencies.snapshot();
/// assert_eq!(now.count(), 100);
/// assert_eq!(now.percentile(Ratio::percent(95)), Some(p95));
/// assert!(now.mean() < now.max());
/// ```
///
/// In a `static`, filled by a breaker's [`Meter`](crate::Meter):
///
/// ```
/// # use fusebox_core::{Clock, Ticks};
/// # struct Rtc;
/// # impl Clock for Rtc { const TICKS_PER_SECOND: u64 = 32_768; fn now(&self) -> Ticks { Ticks(0) } }
/// use fusebox_core::{
///     BreakerConfig, CircuitBreaker, Consecutive, Gate, Histogram, HistogramConfig, Meter, Ratio,
/// };
///
/// type Latencies = Histogram<Rtc, 12, 8>;
///
/// static LATENCIES: Latencies = Histogram::new(HistogramConfig::standard());
/// static SENSOR: CircuitBreaker<Rtc, Consecutive, Meter<&Latencies>> = CircuitBreaker::with_parts(
///     BreakerConfig::standard(),
///     Consecutive,
///     Meter::new().latencies(&LATENCIES),
///     (),
///     Rtc,
/// );
/// SENSOR.call(|| Ok::<_, ()>(7)).unwrap();
/// assert!(LATENCIES.percentile(Ratio::percent(50)).is_some());
/// ```
///
/// # Interrupt safety
///
/// Lock-free and without waiting: any method may be called from an interrupt that preempts any
/// other. A [`snapshot`](Self::snapshot) takes as much of the stack as the table of counts.
pub struct Histogram<C, const OCTAVES: usize = 20, const STEPS: usize = 32> {
    axis: Axis<OCTAVES, STEPS>,
    used: UsedOctaves,
    counts: Table<AtomicWord, OCTAVES, STEPS>,
    clock: PhantomData<fn() -> C>,
}

/// Where a count stops. The distance to the end is for those who looked before it was reached and
/// count after it was: more than there can be threads and interrupts.
const FULL: Word = Word::MAX - (Word::MAX >> 16);

impl<C: Clock, const OCTAVES: usize, const STEPS: usize> Histogram<C, OCTAVES, STEPS> {
    constructor! {
        /// An empty histogram.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: HistogramConfig) -> Self {
            match Self::try_new(config) {
                Ok(histogram) => histogram,
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        /// An empty histogram.
        ///
        /// # Errors
        ///
        /// The longest duration is shorter than a tick of the clock, or longer than a quarter of
        /// its range.
        pub const fn try_new(config: HistogramConfig) -> Result<Self, ConfigError> {
            let axis = check!(config.axis(C::TICKS_PER_SECOND));
            let counts = array_of![array_of![AtomicWord::new(0); STEPS]; OCTAVES];
            Ok(Self { axis, used: UsedOctaves::none(), counts, clock: PhantomData })
        }
    }

    /// Counts a call that took `elapsed`.
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        self.record_ticks(ticks_from_duration(elapsed, C::TICKS_PER_SECOND));
    }

    /// Counts a call that took so many ticks of the clock.
    #[inline]
    pub fn record_ticks(&self, elapsed: u64) {
        let place = self.axis.place(elapsed);
        self.used.note(place.octave);
        let count = place.of(&self.counts);
        // Nobody counts to 2^64.
        if WORD_BITS == 32 && count.load(Ordering::Relaxed) >= FULL {
            return;
        }
        // Relaxed: a count publishes nothing.
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// The duration that `share` of all calls took at most; `None` where there were none. A `share`
    /// above 1 is that of all; one that is not a number has no percentile.
    ///
    /// It reads each bucket in use once, and those of one octave again. Several percentiles of one
    /// moment are those of a [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn percentile(&self, share: Ratio) -> Option<Duration> {
        Some(duration_from_ticks(self.percentile_ticks(share, 0)?, C::TICKS_PER_SECOND))
    }

    /// The [`percentile`](Self::percentile) in ticks, where there were at least `minimum` calls.
    pub(crate) fn percentile_ticks(&self, share: Ratio, minimum: u64) -> Option<u64> {
        let count = |place: Place| widen(place.of(&self.counts).load(Ordering::Relaxed));
        let place = Axis::<OCTAVES, STEPS>::ranked(self.used.load(), share, minimum, count)?;
        Some(self.axis.middle(place))
    }

    /// All counts at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot<OCTAVES, STEPS> {
        self.collect(|count| count.load(Ordering::Relaxed))
    }

    /// All counts at this moment, which are 0 again after it: each call is in one of the snapshots
    /// that are taken this way, and in no other.
    #[must_use = "what was counted is forgotten otherwise; see `reset`"]
    pub fn drain(&self) -> HistogramSnapshot<OCTAVES, STEPS> {
        // Relaxed: as when recording.
        self.collect(|count| count.swap(0, Ordering::Relaxed))
    }

    fn collect(&self, read: impl Fn(&AtomicWord) -> Word) -> HistogramSnapshot<OCTAVES, STEPS> {
        HistogramSnapshot::collect(self.axis, C::TICKS_PER_SECOND, self.used.load(), |place| {
            read(place.of(&self.counts))
        })
    }

    /// Forgets all calls so far.
    pub fn reset(&self) {
        for place in Axis::<OCTAVES, STEPS>::places(self.used.load()) {
            // Relaxed: as when recording. A call that is counted meanwhile is forgotten or not.
            place.of(&self.counts).swap(0, Ordering::Relaxed);
        }
    }

    /// Counts all calls of `other` as well, such as one of another core or another process, whose
    /// octaves and steps are the same. Counts saturate.
    ///
    /// Where the units of `other` are finer ones, or the same, nothing is lost by that; where they
    /// are coarser, its error and this one add up.
    pub fn merge(&self, other: &HistogramSnapshot<OCTAVES, STEPS>) {
        for (place, calls) in other.moved_to(self.axis, C::TICKS_PER_SECOND) {
            self.used.note(place.octave);
            let more = |count: Word| Some(count.saturating_add(calls).min(FULL.max(count)));
            // Relaxed: as when recording. Lock-free: a failed swap is another call's progress.
            let count = place.of(&self.counts);
            let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        }
    }

    /// The unit of durations, rounded up to the nanosecond: what differs by less may not be told
    /// apart.
    #[must_use]
    pub const fn unit(&self) -> Duration {
        duration_from_ticks(self.axis.unit(), C::TICKS_PER_SECOND)
    }

    /// The longest duration that is told apart, at least the one that was asked for.
    #[must_use]
    pub const fn longest(&self) -> Duration {
        duration_from_ticks(self.axis.longest(), C::TICKS_PER_SECOND)
    }
}

impl<C: Clock, const OCTAVES: usize, const STEPS: usize> fmt::Debug
    for Histogram<C, OCTAVES, STEPS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().show(f, "Histogram")
    }
}
