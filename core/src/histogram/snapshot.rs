//! What a histogram had counted at one moment.

use core::fmt;
use core::time::Duration;

use super::axis::{Axis, Octaves, Place, Table};
use crate::ratio::Ratio;
use crate::time::{duration_from_ticks, ticks_from_duration};
use crate::word::{Word, widen};

/// All counts of a histogram at one moment, for any number of figures that belong together.
///
/// It is a table of `OCTAVES * STEPS` words, 5 KiB where words are 64 bits and nothing else is
/// chosen. Figures are `None` where nothing was counted; the error of a duration is that of the
/// histogram.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Histogram, HistogramConfig, ManualClock};
///
/// let [one, other] =
///     [(); 2].map(|()| Histogram::<ManualClock>::new(HistogramConfig::standard()));
/// one.record(Duration::from_millis(10));
/// other.record(Duration::from_millis(30));
///
/// let mut both = one.snapshot();
/// both.merge(&other.snapshot());
/// let figures = both.summary().unwrap();
/// assert_eq!(figures.count, 2);
/// assert!(figures.mean > Duration::from_millis(19) && figures.mean < Duration::from_millis(21));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct HistogramSnapshot<const OCTAVES: usize = 20, const STEPS: usize = 32> {
    axis: Axis<OCTAVES, STEPS>,
    per_second: u64,
    used: Octaves,
    counts: Table<Word, OCTAVES, STEPS>,
}

/// The figures of latencies that most people ask for, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub struct LatencySummary {
    /// How many calls these are.
    pub count: u64,
    /// The average.
    pub mean: Duration,
    /// The shortest.
    pub min: Duration,
    /// The longest.
    pub max: Duration,
    /// The median: half of the calls took this long at most.
    pub p50: Duration,
    /// 95 % took this long at most.
    pub p95: Duration,
    /// 99 % took this long at most.
    pub p99: Duration,
}

impl fmt::Display for LatencySummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, mean, min, max, p50, p95, p99 } = self;
        write!(f, "{count} calls, mean {mean:?}, min {min:?}, p50 {p50:?}, p95 {p95:?}, ")?;
        write!(f, "p99 {p99:?}, max {max:?}")
    }
}

impl<const OCTAVES: usize, const STEPS: usize> HistogramSnapshot<OCTAVES, STEPS> {
    pub(super) fn collect(
        axis: Axis<OCTAVES, STEPS>,
        per_second: u64,
        used: Octaves,
        count: impl Fn(Place) -> Word,
    ) -> Self {
        let mut counts = [[0; STEPS]; OCTAVES];
        // Not `enumerate`, whose counter may overflow on paper.
        let octaves = (0..OCTAVES).zip(&mut counts).filter(|(octave, _)| used.has(*octave));
        for (octave, steps) in octaves {
            for (step, calls) in (0..STEPS).zip(steps) {
                *calls = count(Place { octave, step });
            }
        }
        Self { axis, per_second, used, counts }
    }

    /// What was counted, from the shortest durations to the longest.
    fn counted(&self) -> impl DoubleEndedIterator<Item = (Place, Word)> {
        let octaves = (0..OCTAVES).zip(&self.counts).filter(|(octave, _)| self.used.has(*octave));
        octaves
            .flat_map(|(octave, steps)| {
                let places = (0..STEPS).zip(steps);
                places.map(move |(step, calls)| (Place { octave, step }, *calls))
            })
            .filter(|(_, calls)| *calls > 0)
    }

    /// The same, in the buckets of another table.
    pub(super) fn moved_to(
        &self,
        axis: Axis<OCTAVES, STEPS>,
        per_second: u64,
    ) -> impl Iterator<Item = (Place, Word)> {
        self.counted().map(move |(place, calls)| {
            let ticks = self.axis.middle(place);
            let same = self.per_second == per_second;
            let ticks =
                if same { ticks } else { ticks_from_duration(self.duration(ticks), per_second) };
            (axis.place(ticks), calls)
        })
    }

    fn duration(&self, ticks: u64) -> Duration {
        duration_from_ticks(ticks, self.per_second)
    }

    /// How many calls were counted; saturates.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counted().fold(0, |sum, (_, calls)| sum.saturating_add(widen(calls)))
    }

    /// The shortest duration.
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        self.counted().next().map(|(place, _)| self.duration(self.axis.middle(place)))
    }

    /// The longest duration.
    #[must_use]
    pub fn max(&self) -> Option<Duration> {
        self.counted().next_back().map(|(place, _)| self.duration(self.axis.middle(place)))
    }

    /// The average.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        let (mut sum, mut all) = (0_u128, 0_u128);
        for (place, calls) in self.counted() {
            let calls = u128::from(widen(calls));
            // At most 2^13 buckets of 2^64 calls of 2^63 ticks each: saturates where that is too
            // much, far beyond any number of calls that anyone makes.
            sum = sum.saturating_add(calls.saturating_mul(self.axis.middle(place).into()));
            all = all.saturating_add(calls);
        }
        Some(self.duration(u64::try_from(sum.checked_div(all)?).unwrap_or(u64::MAX)))
    }

    /// The duration that `share` of all calls took at most. A `share` above 1 is that of all; one
    /// that is not a number has no percentile.
    #[must_use]
    pub fn percentile(&self, share: Ratio) -> Option<Duration> {
        let count = |place: Place| widen(*place.of(&self.counts));
        let place = Axis::<OCTAVES, STEPS>::ranked(self.used, share, 0, count)?;
        Some(self.duration(self.axis.middle(place)))
    }

    /// The figures that most people ask for; `None` where nothing was counted.
    #[must_use]
    pub fn summary(&self) -> Option<LatencySummary> {
        Some(LatencySummary {
            count: self.count(),
            mean: self.mean()?,
            min: self.min()?,
            max: self.max()?,
            p50: self.percentile(Ratio::percent(50))?,
            p95: self.percentile(Ratio::percent(95))?,
            p99: self.percentile(Ratio::percent(99))?,
        })
    }

    /// Adds the calls of `other`. Counts saturate.
    ///
    /// Where the units of `other` are finer ones, or the same, nothing is lost by that; where they
    /// are coarser, its error and this one add up.
    pub fn merge(&mut self, other: &Self) {
        for (place, calls) in other.moved_to(self.axis, self.per_second) {
            self.used = self.used.with(place.octave);
            let count = place.of_mut(&mut self.counts);
            *count = count.saturating_add(calls);
        }
    }

    pub(super) fn show(&self, f: &mut fmt::Formatter<'_>, name: &str) -> fmt::Result {
        let mut out = f.debug_struct(name);
        match self.summary() {
            Some(summary) => out.field("summary", &summary),
            None => out.field("count", &0),
        };
        out.finish_non_exhaustive()
    }
}

impl<const OCTAVES: usize, const STEPS: usize> fmt::Debug for HistogramSnapshot<OCTAVES, STEPS> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.show(f, "HistogramSnapshot")
    }
}
