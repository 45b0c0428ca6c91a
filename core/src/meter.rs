//! What the meters of breakers and pipelines are made of: counts, times and latencies for people.
//!
//! All accesses are Relaxed, here and in the meters, unless a comment says otherwise: these are
//! figures that are each right and are taken one after the other, and they publish nothing.

use core::fmt::Debug;
use core::time::Duration;

use crate::histogram::{Histogram, LatencySummary, WindowedHistogram};
use crate::pointer::through_pointers;
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::word::{Word, widen};

/// Counts one more.
pub(crate) fn count(word: &AtomicWord) {
    add(word, 1);
}

/// Counts so many more; writes nothing for none.
pub(crate) fn add(word: &AtomicWord, more: u32) {
    if more > 0 {
        word.fetch_add(Word::from(more), Ordering::Relaxed);
    }
}

/// The count so far.
pub(crate) fn read(word: &AtomicWord) -> u64 {
    widen(word.load(Ordering::Relaxed))
}

/// A count, and how much of it was counted without something else in between.
#[derive(Debug)]
pub(crate) struct Streak {
    all: AtomicWord,
    /// What `all` was when the present streak began.
    before: AtomicWord,
}

impl Streak {
    constructor! {
        pub(crate) const fn new() -> Self {
            Self { all: AtomicWord::new(0), before: AtomicWord::new(0) }
        }
    }

    pub(crate) fn count(&self) {
        count(&self.all);
    }

    /// Something else came in between. Writes only where there is a streak to end.
    pub(crate) fn end(&self) {
        let all = self.all.load(Ordering::Relaxed);
        // A note that is older than the one that stands comes too late.
        let note = |before: Word| {
            let more = all.wrapping_sub(before);
            if more == 0 || more > Word::MAX / 2 { None } else { Some(all) }
        };
        let _ = self.before.fetch_update(Ordering::Relaxed, Ordering::Relaxed, note);
    }

    pub(crate) fn all(&self) -> u64 {
        read(&self.all)
    }

    pub(crate) fn in_a_row(&self) -> u64 {
        let all = self.all.load(Ordering::Relaxed);
        let row = all.wrapping_sub(self.before.load(Ordering::Relaxed));
        // A streak that ended between the two loads has left nothing in a row.
        if row > Word::MAX / 2 { 0 } else { widen(row) }
    }
}

/// When something happened last.
#[derive(Debug)]
pub(crate) struct Stamp(AtomicWord);

impl Stamp {
    constructor! {
        pub(crate) const fn never() -> Self {
            Self(AtomicWord::new(0))
        }
    }

    /// How far to shift ticks so that 32-bit words hold 24 days at least: to half a millisecond or
    /// more. 64-bit words hold ticks.
    const fn shift(hz: u64) -> u32 {
        let per_milli = hz / 1000;
        if Word::BITS == 64 || per_milli == 0 { 0 } else { per_milli.ilog2() }
    }

    const fn units(hz: u64, at: Ticks) -> Word {
        at.0.wrapping_shr(Self::shift(hz)) as Word
    }

    pub(crate) fn set(&self, hz: u64, now: Ticks) {
        // A plain store: the last writer wins, and all that is lost is an instant about as recent.
        // One more than the time, as 0 is for never.
        self.0.store(Self::units(hz, now).wrapping_add(1).max(1), Ordering::Relaxed);
    }

    pub(crate) fn since(&self, hz: u64, now: Ticks) -> Option<Duration> {
        let stamped = self.0.load(Ordering::Relaxed);
        if stamped == 0 {
            return None;
        }
        let age = Self::units(hz, now).wrapping_sub(stamped.wrapping_sub(1));
        // A reader that is late sees an instant in the future; by less than this, which is nine
        // hours at least.
        let age = if age > Word::MAX - Word::MAX / 64 { 0 } else { age };
        Some(duration_from_ticks(widen(age).wrapping_shl(Self::shift(hz)), hz))
    }
}

/// When a call began, where anyone wants to know.
pub trait Start: Copy + Debug + Send + Sync {
    /// Whether it is known at all.
    const IS_KNOWN: bool;
    /// Takes note of the time.
    fn at(now: Ticks) -> Self;
    /// The time; the origin where it was not taken.
    fn ticks(self) -> Ticks;
}

impl Start for () {
    const IS_KNOWN: bool = false;

    #[inline]
    fn at(_now: Ticks) -> Self {}

    #[inline]
    fn ticks(self) -> Ticks {
        Ticks::ZERO
    }
}

impl Start for Ticks {
    const IS_KNOWN: bool = true;

    #[inline]
    fn at(now: Ticks) -> Self {
        now
    }

    #[inline]
    fn ticks(self) -> Ticks {
        self
    }
}

/// The latencies that a meter keeps: `()` for none, a [`Histogram`], a [`WindowedHistogram`], or a
/// pointer to one of these, each over the clock `C` of what it measures. Sealed.
pub trait Latencies<C>: sealed::Latencies<C> {}

pub(crate) mod sealed {
    use super::{LatencySummary, Start, Ticks};

    pub trait Latencies<C> {
        /// What a call carries.
        type Start: Start;

        /// Counts a call that ended `now`.
        fn record(&self, start: Self::Start, now: impl FnOnce() -> Ticks);

        fn summary(&self, now: impl FnOnce() -> Ticks) -> Option<LatencySummary>;
    }
}

impl<C> Latencies<C> for () {}

impl<C> sealed::Latencies<C> for () {
    type Start = ();

    #[inline]
    fn record(&self, (): (), _now: impl FnOnce() -> Ticks) {}

    #[inline]
    fn summary(&self, _now: impl FnOnce() -> Ticks) -> Option<LatencySummary> {
        None
    }
}

impl<C: Clock, const OCTAVES: usize, const STEPS: usize> Latencies<C>
    for Histogram<C, OCTAVES, STEPS>
{
}

impl<C: Clock, const OCTAVES: usize, const STEPS: usize> sealed::Latencies<C>
    for Histogram<C, OCTAVES, STEPS>
{
    type Start = Ticks;

    #[inline]
    fn record(&self, start: Ticks, now: impl FnOnce() -> Ticks) {
        self.record_ticks(now().saturating_since(start));
    }

    fn summary(&self, _now: impl FnOnce() -> Ticks) -> Option<LatencySummary> {
        self.snapshot().summary()
    }
}

impl<C: Clock, const SLICES: usize, const OCTAVES: usize, const STEPS: usize> Latencies<C>
    for WindowedHistogram<C, SLICES, OCTAVES, STEPS>
{
}

impl<C: Clock, const SLICES: usize, const OCTAVES: usize, const STEPS: usize> sealed::Latencies<C>
    for WindowedHistogram<C, SLICES, OCTAVES, STEPS>
{
    type Start = Ticks;

    #[inline]
    fn record(&self, start: Ticks, now: impl FnOnce() -> Ticks) {
        let now = now();
        self.record_ticks_at(now.saturating_since(start), now);
    }

    fn summary(&self, now: impl FnOnce() -> Ticks) -> Option<LatencySummary> {
        self.snapshot_at(now()).summary()
    }
}

macro_rules! pointer_latencies {
    ($pointer:ty) => {
        impl<C, L: Latencies<C>> Latencies<C> for $pointer {}

        impl<C, L: Latencies<C>> sealed::Latencies<C> for $pointer {
            type Start = L::Start;

            #[inline]
            fn record(&self, start: L::Start, now: impl FnOnce() -> Ticks) {
                (**self).record(start, now);
            }

            fn summary(&self, now: impl FnOnce() -> Ticks) -> Option<LatencySummary> {
                (**self).summary(now)
            }
        }
    };
}

through_pointers!(pointer_latencies, L);
