//! The histogram of the last time.

use core::fmt;
use core::time::Duration;

use super::axis::{Axis, Place, Table, UsedOctaves};
use super::slice::{Counted, Slice, Slices};
use super::{HistogramConfig, HistogramSnapshot};
use crate::error::{ConfigError, Setting, check, setting};
use crate::ratio::Ratio;
use crate::sync::{AtomicWord, Ordering, array_of, constructor};
use crate::time::scale::DEFAULT_LATENESS;
use crate::time::{Clock, Ticks, duration_from_ticks, in_ticks, ticks_from_duration};
use crate::word::{Word, widen};

const SPAN: Setting = setting!(
    "the histogram's `span`" must "be from a tick for each slice to a quarter of the clock's range"
);

/// How long calls took in the last time, by the clock `C`.
///
/// What it reports is off by as much as in a [`Histogram`](super::Histogram). It slides in slices
/// of a power of two of ticks, so that no time has to be divided; what is read covers the present
/// slice and a few before it, never more than was asked for. With 4 slices that is at least half of
/// it, with 2, 8 or 16 a quarter, two thirds, four fifths; mostly it is more, see
/// [`span`](Self::span) and [`slice`](Self::slice).
///
/// A record costs a clock reading and one shared read-modify-write; the memory is
/// `SLICES * OCTAVES * STEPS` words and a few more, 20 KiB where words are 64 bits and nothing else
/// is chosen. `SLICES` is 2, 4, 8 or 16; for the others see [`Histogram`](super::Histogram).
///
/// A bucket counts 2^40 - 1 calls of one slice, where words are 32 bits 65535, and stays there.
/// Where nothing was counted in it for a multiple of 2^24 turns, each `SLICES` slices long (2^16
/// turns where words are 32 bits), it is taken for recent once more: with a span of half a minute,
/// that is 18 years, or 26 days.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{HistogramConfig, ManualClock, Ratio, WindowedHistogram};
///
/// let clock: ManualClock = ManualClock::new();
/// let last_minute: WindowedHistogram<_> =
///     WindowedHistogram::new(Duration::from_secs(60), HistogramConfig::standard(), &clock);
///
/// last_minute.record(Duration::from_secs(3));
/// clock.advance(Duration::from_secs(60));
/// last_minute.record(Duration::from_millis(5));
/// let median = last_minute.percentile(Ratio::percent(50)).unwrap();
/// assert!(median < Duration::from_millis(6), "the bad time is over");
/// ```
///
/// # Interrupt safety
///
/// As [`Histogram`](super::Histogram).
pub struct WindowedHistogram<
    C,
    const SLICES: usize = 4,
    const OCTAVES: usize = 20,
    const STEPS: usize = 32,
> {
    axis: Axis<OCTAVES, STEPS>,
    slices: Slices<SLICES>,
    used: UsedOctaves,
    counts: Table<[AtomicWord; SLICES], OCTAVES, STEPS>,
    clock: C,
}

impl<C: Clock, const SLICES: usize, const OCTAVES: usize, const STEPS: usize>
    WindowedHistogram<C, SLICES, OCTAVES, STEPS>
{
    constructor! {
        /// An empty histogram over the last `span`.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(span: Duration, config: HistogramConfig, clock: C) -> Self {
            match Self::cut(span, config) {
                Ok(cut) => Self::of(cut, clock),
                Err(error) => error.fail(),
            }
        }
    }

    /// An empty histogram over the last `span`.
    ///
    /// # Errors
    ///
    /// As [`Histogram::try_new`](super::Histogram::try_new); or a `span` of less than a tick for
    /// each slice, or more than a quarter of the clock's range.
    pub fn try_new(span: Duration, config: HistogramConfig, clock: C) -> Result<Self, ConfigError> {
        Ok(Self::of(Self::cut(span, config)?, clock))
    }

    constructor! {
        const fn of(
            (axis, slices): (Axis<OCTAVES, STEPS>, Slices<SLICES>),
            clock: C,
        ) -> Self {
            let counts =
                array_of![array_of![array_of![AtomicWord::new(0); SLICES]; STEPS]; OCTAVES];
            Self { axis, slices, used: UsedOctaves::none(), counts, clock }
        }
    }

    const fn cut(
        span: Duration,
        config: HistogramConfig,
    ) -> Result<(Axis<OCTAVES, STEPS>, Slices<SLICES>), ConfigError> {
        let axis = check!(config.axis(C::TICKS_PER_SECOND));
        let span = check!(in_ticks(SPAN, span, C::TICKS_PER_SECOND, SLICES as u64));
        let lateness = ticks_from_duration(DEFAULT_LATENESS, C::TICKS_PER_SECOND);
        Ok((axis, Slices::over(span, lateness)))
    }

    /// Counts a call that took `elapsed` and ended now.
    #[inline]
    pub fn record(&self, elapsed: Duration) {
        self.record_at(elapsed, self.clock.now());
    }

    /// Counts a call that took `elapsed` and ended at `now`.
    #[inline]
    pub fn record_at(&self, elapsed: Duration, now: Ticks) {
        self.record_ticks_at(ticks_from_duration(elapsed, C::TICKS_PER_SECOND), now);
    }

    /// Counts a call that took so many ticks of the clock and ended at `now`.
    #[inline]
    pub fn record_ticks_at(&self, elapsed: u64, now: Ticks) {
        self.add(self.axis.place(elapsed), 1, now);
    }

    #[inline]
    fn add(&self, place: Place, calls: Word, now: Ticks) {
        self.used.note(place.octave);
        let (slice, turn) = self.slices.of(now);
        let word = &place.of(&self.counts)[slice];
        let mut old = Slice(word.load(Ordering::Relaxed));
        // Lock-free: a failed swap is another call's progress.
        while let Counted::As(new) = old.transition_count(turn, calls, &self.slices) {
            // Relaxed: a count publishes nothing.
            match word.compare_exchange(old.0, new.0, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(newer) => old = Slice(newer),
            }
        }
    }

    /// The duration that `share` of the calls in the window took at most; `None` where there were
    /// none. A `share` above 1 is that of all; one that is not a number has no percentile.
    ///
    /// It reads each bucket in use once, and those of one octave again. Several percentiles of one
    /// moment are those of a [`snapshot`](Self::snapshot).
    #[must_use]
    pub fn percentile(&self, share: Ratio) -> Option<Duration> {
        self.percentile_at(share, self.clock.now())
    }

    /// The [`percentile`](Self::percentile) as of `now`.
    #[must_use]
    pub fn percentile_at(&self, share: Ratio, now: Ticks) -> Option<Duration> {
        Some(duration_from_ticks(self.percentile_ticks_at(share, 0, now)?, C::TICKS_PER_SECOND))
    }

    /// The same in ticks, where there were at least `minimum` calls.
    pub(crate) fn percentile_ticks_at(
        &self,
        share: Ratio,
        minimum: u64,
        now: Ticks,
    ) -> Option<u64> {
        let due = self.slices.due(now);
        let count = |place| widen(self.count(place, &due));
        let place = Axis::<OCTAVES, STEPS>::ranked(self.used.load(), share, minimum, count)?;
        Some(self.axis.middle(place))
    }

    /// All counts of the window at this moment.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot<OCTAVES, STEPS> {
        self.snapshot_at(self.clock.now())
    }

    /// The [`snapshot`](Self::snapshot) as of `now`.
    #[must_use]
    pub fn snapshot_at(&self, now: Ticks) -> HistogramSnapshot<OCTAVES, STEPS> {
        let due = self.slices.due(now);
        HistogramSnapshot::collect(self.axis, C::TICKS_PER_SECOND, self.used.load(), |place| {
            self.count(place, &due)
        })
    }

    /// The sum of the slices that are due.
    #[inline]
    fn count(&self, place: Place, due: &[Option<Word>; SLICES]) -> Word {
        let slices = place.of(&self.counts).iter().zip(due);
        slices.fold(0, |sum: Word, (word, due)| match due {
            // Relaxed: figures that are each right, taken one after the other. At most 16 counts
            // of less than half a word: the sum does not wrap, whatever the compiler believes.
            Some(turn) => sum.wrapping_add(Slice(word.load(Ordering::Relaxed)).count_in(*turn)),
            None => sum,
        })
    }

    /// Forgets all calls so far.
    pub fn reset(&self) {
        for place in Axis::<OCTAVES, STEPS>::places(self.used.load()) {
            for word in place.of(&self.counts) {
                // Relaxed: as in `add`. A call that is counted meanwhile is forgotten or not.
                word.swap(Slice::EMPTY.0, Ordering::Relaxed);
            }
        }
    }

    /// Counts all calls of `other` as if they had ended now; otherwise as
    /// [`Histogram::merge`](super::Histogram::merge).
    pub fn merge(&self, other: &HistogramSnapshot<OCTAVES, STEPS>) {
        self.merge_at(other, self.clock.now());
    }

    /// [`merge`](Self::merge) as of `now`.
    pub fn merge_at(&self, other: &HistogramSnapshot<OCTAVES, STEPS>, now: Ticks) {
        for (place, calls) in other.moved_to(self.axis, C::TICKS_PER_SECOND) {
            self.add(place, calls, now);
        }
    }

    /// How much time is covered at most, the present slice included: no more than was asked for. A
    /// call is forgotten after this time, or up to a [`slice`](Self::slice) earlier.
    #[must_use]
    pub const fn span(&self) -> Duration {
        duration_from_ticks(self.slices.ticks().1, C::TICKS_PER_SECOND)
    }

    /// The length of a slice: in steps of this the window slides.
    #[must_use]
    pub const fn slice(&self) -> Duration {
        duration_from_ticks(self.slices.ticks().0, C::TICKS_PER_SECOND)
    }

    /// As [`Histogram::unit`](super::Histogram::unit).
    #[must_use]
    pub const fn unit(&self) -> Duration {
        duration_from_ticks(self.axis.unit(), C::TICKS_PER_SECOND)
    }

    /// As [`Histogram::longest`](super::Histogram::longest).
    #[must_use]
    pub const fn longest(&self) -> Duration {
        duration_from_ticks(self.axis.longest(), C::TICKS_PER_SECOND)
    }
}

impl<C: Clock, const SLICES: usize, const OCTAVES: usize, const STEPS: usize> fmt::Debug
    for WindowedHistogram<C, SLICES, OCTAVES, STEPS>
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without a look at the clock, which may be busy printing itself.
        f.debug_struct("WindowedHistogram")
            .field("span", &self.span())
            .field("unit", &self.unit())
            .field("longest", &self.longest())
            .finish_non_exhaustive()
    }
}
