//! The sliding log: at most `N` calls in any window, exactly.
//!
//! # Algorithm
//!
//! The log has `N` places. A call takes one, and a place that was taken cannot be taken again
//! before a window has passed. So of the calls that took one and the same place, a window holds at
//! most one, and of all calls at most `N`: nothing but the word of each place has to be right for
//! that. A call finds no place only where all `N` were taken within the last window, so nobody is
//! refused who could be let in.
//!
//! Why not a ring whose head is the oldest entry, the usual way: a call that was refused elsewhere
//! gives its place back, and a hole in the middle of a ring is no use until the head gets there.
//! Here any free place will do. `next` says where to look first; it goes round, so that as long as
//! calls come in order, that is the oldest place, and the first look finds it. It is a hint: no
//! answer depends on it.
//!
//! # Refusals are cheap
//!
//! Who looked at all places in vain knows when the first one comes free, and notes it in the word
//! `full`: until then everybody is refused by that word alone. A place that is given back
//! meanwhile makes the note wrong; so whoever gives one back clears it, and counts a generation
//! on, and a note is made only if the generation is the one from before the look. Whoever finds
//! that its time has passed takes it away.
//!
//! # Late readers
//!
//! A reader that is late by no more than `max_lateness` sees places taken further ahead than a
//! window, and takes none of them. What is further ahead is stale, and free (`time/scale.rs`).
//!
//! A call counts from its own reading of the clock, or from that of the newest call before it
//! where that is later: its place is taken for as long as the newest one's, and not less. By its
//! own reading alone the limit would hold as well; but a crowd of late readers would take places
//! for the little of a window that is left, and those after them again. A word that is mistaken for
//! a live one after a wrap may so make a place taken for longer by a lateness, and a late reader
//! sees it further ahead by one more: that is what the horizon has room for.
//!
//! Readings are rounded down where a unit of the word is longer than a tick. A window is rounded
//! up by one unit more, so that none is ever shorter than asked; it is longer by less than two
//! units, which is less than a 128th.
//!
//! # Synchronization
//!
//! A place's word carries all there is to know of it. `full` is read with Acquire before the
//! places are looked at, noted with Release after, and cleared with Release after the place that
//! was given back. So a call that has seen the new generation has also seen that place free, and
//! one that has not fails to make its note, and looks again: a refusal is right at one moment, the
//! one of its note.
//!
//! # Lock freedom
//!
//! A look at a place is repeated where another call took or freed it in between, a look at all
//! places where another one was given back.

use core::fmt;
use core::time::Duration;

use super::LimitSnapshot;
use super::span::{Room, Span};
use crate::error::{ConfigError, Reason, Rejection, Setting, check, setting};
use crate::gate::{Gate, Idle, Outcome};
use crate::sync::{AtomicWord, Ordering, array_of, constructor};
use crate::time::scale::{DEFAULT_LATENESS, HEADROOM, ahead};
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::word::{Field, WORD_BITS, Word, by_width};

const WINDOW: Setting = setting!(
    "the window of a sliding log" must "be from one tick of the clock to a quarter of its range"
);
const MAX_LATENESS: Setting = setting!(
    "the log's `max_lateness`"
        must "not be so much longer than the window that a word cannot hold both"
);

/// Until when a place, or the whole log, is taken.
///
/// ```text
///  63                            16 15           1     0
/// +--------------------------------+--------------+-------+
/// | TIME: until when, scaled, wraps| GENERATION   | TAKEN |
/// +--------------------------------+--------------+-------+
/// ```
///
/// (26, 5 and 1 bits where words are 32 bits wide.)
///
/// * `TAKEN`: `TIME` means something. In a place, set by who takes it first, and never cleared: an
///   instant that has passed is as good as none. In `full`, set by who finds all places taken and
///   cleared by who gives one back, or finds that the time has passed.
/// * `GENERATION`: in `full` the number of places that were given back; wraps. A call that looks at
///   the places while exactly a whole turn of them is given back may note that all are taken when
///   some are free, which keeps others out for up to a window. In places always 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Until(Word);

const TAKEN: Field = Field::lowest(1);
const GENERATION: Field = TAKEN.above(by_width(15, 5));
const TIME: Field = GENERATION.above(WORD_BITS - GENERATION.end());
const _: () = assert!(TIME.end() == WORD_BITS);

const ROOM: Room = Room {
    bits: TIME.width(),
    headroom: HEADROOM,
    windows: 1,
    precise: 8,
    // Two readings that are rounded down may be a window apart in units and less than that in
    // ticks; one unit more, and they are not.
    longer: 1,
};

impl Until {
    /// Never taken; in `full`, nothing known.
    const FREE: Self = Self(0);

    const fn time(self) -> Option<Word> {
        if TAKEN.get(self.0) == 0 { None } else { Some(TIME.get(self.0)) }
    }

    /// Taken until `time`, in the same generation.
    const fn transition_take(self, time: Word) -> Self {
        Self(TIME.set(TAKEN.set(self.0, 1), time))
    }

    /// Nothing known, in the same generation.
    const fn transition_forget(self) -> Self {
        Self(GENERATION.set(0, GENERATION.get(self.0)))
    }

    /// Nothing known, in the next generation.
    const fn transition_next(self) -> Self {
        Self(GENERATION.set(0, GENERATION.get(self.0).wrapping_add(1)))
    }

    const fn same_generation(self, other: Self) -> bool {
        GENERATION.get(self.0) == GENERATION.get(other.0)
    }
}

impl fmt::Debug for Until {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Until")
            .field("time", &self.time())
            .field("generation", &GENERATION.get(self.0))
            .finish()
    }
}

/// What a sliding log should do: how long its window is. How many calls a window may hold is the
/// `N` of [`SlidingLog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct SlidingLogConfig {
    window: Duration,
    max_lateness: Duration,
}

impl SlidingLogConfig {
    /// At most `N` calls in any `window`: from one tick of the clock to a quarter of its range.
    pub const fn per(window: Duration) -> Self {
        Self { window, max_lateness: DEFAULT_LATENESS }
    }

    /// At most `N` calls in any second.
    pub const fn per_second() -> Self {
        Self::per(Duration::from_secs(1))
    }

    /// At most `N` calls in any minute.
    pub const fn per_minute() -> Self {
        Self::per(Duration::from_secs(60))
    }

    /// At most `N` calls in any hour.
    pub const fn per_hour() -> Self {
        Self::per(Duration::from_secs(3_600))
    }

    /// At most `N` calls in any 24 hours.
    pub const fn per_day() -> Self {
        Self::per(Duration::from_secs(86_400))
    }

    /// How late a reading of the clock may come to be used, which is also how far the clock may
    /// step back, for the limit to be kept strictly; one second unless told otherwise.
    ///
    /// A reading that is later finds the places free. That is how the log recovers from a clock
    /// that was set back for good.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.max_lateness = lateness;
        self
    }
}

/// At most `N` calls in any window of time, exactly: a rate limit without a burst on top.
///
/// By the readings of the clock that calls are let in by, no window holds more than `N`, and nobody
/// is refused while it holds less, where a reading that is late counts as late as the newest one
/// before it. It takes a word per call, and a refusal may look at all of them, once until the next
/// place comes free; it is meant for limits of up to some hundreds. Beyond that,
/// [`TokenBucket`](crate::TokenBucket) takes a few words.
///
/// It is a [`Gate`]. A call keeps its place however it ends, except where a later gate refused it:
/// then it never ran, and the place is free again.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{ManualClock, Reason, SlidingLog, SlidingLogConfig};
///
/// let clock: ManualClock = ManualClock::new();
/// // Three attempts to log in per minute.
/// let attempts: SlidingLog<3, _> = SlidingLog::new(SlidingLogConfig::per_minute(), &clock);
/// for _ in 0..3 {
///     assert!(attempts.try_acquire().is_ok());
///     clock.advance(Duration::from_secs(10));
/// }
/// let refused = attempts.try_acquire().unwrap_err();
/// assert_eq!(refused.reason(), Reason::RateLimited);
/// assert_eq!(refused.retry_after().unwrap().as_secs(), 30);
/// ```
///
/// # Interrupt safety
///
/// All methods are lock-free and never wait; an interrupt may use a log that it has interrupted
/// the use of.
pub struct SlidingLog<const N: usize, C> {
    clock: C,
    places: [AtomicWord; N],
    /// Until when all places are taken, where that is known.
    full: AtomicWord,
    /// The place to look at first.
    next: AtomicWord,
    span: Span,
}

/// The place that a call has taken in a [`SlidingLog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LogEntry {
    place: Word,
    until: Until,
}

impl<const N: usize, C: Clock> SlidingLog<N, C> {
    const LIMIT: u32 = {
        assert!(N > 0 && N <= u32::MAX as usize, "a sliding log must let at least one call in");
        N as u32
    };

    constructor! {
        /// A log that does as `config` says, in the time of `clock`.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would return an error; in a `static`, that is a
        /// compile error. So is an `N` of 0, always.
        #[must_use]
        #[track_caller]
        pub const fn new(config: SlidingLogConfig, clock: C) -> Self {
            match Self::fit(config) {
                Ok(span) => Self::fitted(span, clock),
                Err(error) => error.fail(),
            }
        }
    }

    /// [`new`](Self::new) for a configuration that is known only at run time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::DurationOutOfRange`] for a window or lateness that is longer than a quarter
    /// of the clock's range, for a window shorter than a tick, and for a lateness so much longer
    /// than the window that the word's time would be too coarse for it (2^23 times, where words are
    /// 32 bits 2^7 times); it says what would do.
    pub fn try_new(config: SlidingLogConfig, clock: C) -> Result<Self, ConfigError> {
        Self::fit(config).map(|span| Self::fitted(span, clock))
    }

    const fn fit(config: SlidingLogConfig) -> Result<Span, ConfigError> {
        let window = (WINDOW, config.window);
        let lateness = (MAX_LATENESS, config.max_lateness);
        Ok(check!(Span::fit(window, lateness, ROOM, C::TICKS_PER_SECOND)))
    }

    constructor! {
        const fn fitted(span: Span, clock: C) -> Self {
            // Evaluated here, so that a wrong number of places fails to compile where it is named.
            let _ = Self::LIMIT;
            Self {
                clock,
                places: array_of![AtomicWord::new(Until::FREE.0); N],
                full: AtomicWord::new(Until::FREE.0),
                next: AtomicWord::new(0),
                span,
            }
        }
    }

    /// Counts a call, if the window has room for it.
    ///
    /// # Errors
    ///
    /// [`Reason::RateLimited`] with the exact time after which the same call would be let in,
    /// should nobody else come before; too short a time for a reading that is late. A refusal takes
    /// nothing.
    #[inline]
    pub fn try_acquire(&self) -> Result<(), Rejection> {
        self.try_acquire_at(self.clock.now())
    }

    /// [`try_acquire`](Self::try_acquire) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_at(&self, now: Ticks) -> Result<(), Rejection> {
        self.take(now).map(|_| ())
    }

    /// How many calls the window holds, and how many it may. Looks at each place.
    #[must_use]
    pub fn snapshot(&self) -> LimitSnapshot {
        self.snapshot_at(self.clock.now())
    }

    /// [`snapshot`](Self::snapshot) at a time of the caller's choice.
    #[must_use]
    pub fn snapshot_at(&self, now: Ticks) -> LimitSnapshot {
        let used = self
            .looks(self.span.scale.units(now))
            .fold(0u32, |used, left| used.saturating_add((left > 0).into()));
        LimitSnapshot { limit: Self::LIMIT, used }
    }

    /// How long until the next call would be let in, should nobody else come before, rounded up to
    /// the nanosecond. Looks at each place.
    #[must_use]
    pub fn time_until(&self) -> Duration {
        self.time_until_at(self.clock.now())
    }

    /// [`time_until`](Self::time_until) at a time of the caller's choice.
    #[must_use]
    pub fn time_until_at(&self, now: Ticks) -> Duration {
        let left = self.looks(self.span.scale.units(now)).min().unwrap_or(0);
        let ticks = if left == 0 { 0 } else { self.span.ticks_until(left, now) };
        duration_from_ticks(ticks, C::TICKS_PER_SECOND)
    }

    /// Takes a place.
    #[inline]
    fn take(&self, now: Ticks) -> Result<LogEntry, Rejection> {
        let at = self.span.scale.units(now);
        loop {
            // Acquire: whoever counted the generation on had freed a place, which `claim` must see;
            // pairs with the Release in `give_back`.
            let mut full = Until(self.full.load(Ordering::Acquire));
            if full.time().is_some() {
                let left = self.left(full, at);
                if left > 0 {
                    return Err(self.limited(left, now));
                }
                full = self.forget(full);
            }
            match self.claim(at) {
                Ok(entry) => return Ok(entry),
                Err(left) if self.note_full(full, at.wrapping_add(left)) => {
                    return Err(self.limited(left, now));
                }
                Err(_) => {}
            }
        }
    }

    /// Takes the first free place; where there is none, says how soon there will be one.
    #[inline]
    fn claim(&self, at: Word) -> Result<LogEntry, Word> {
        // Relaxed: a hint.
        let mut index = self.next.load(Ordering::Relaxed);
        // Relaxed: a call of which this one does not know does not delay it.
        let newest = Until(self.place(Self::before(index)).load(Ordering::Relaxed));
        let window = match self.left(newest, at) {
            left if left <= self.span.late => left.max(self.span.window),
            // A word from before a wrap, or no newer one.
            _ => self.span.window,
        };
        let until = Until::FREE.transition_take(at.wrapping_add(window));
        let mut soonest = Word::MAX;
        for _ in 0..N {
            let place = self.place(index);
            // Relaxed, here and in the swap: nothing but the word itself is published.
            let mut seen = Until(place.load(Ordering::Relaxed));
            loop {
                let left = self.left(seen, at);
                if left > 0 {
                    soonest = soonest.min(left);
                    break;
                }
                let swap = place.compare_exchange_weak(
                    seen.0,
                    until.0,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                );
                match swap {
                    // A store, and Relaxed: as only a hint, it may overwrite a newer one.
                    Ok(_) => self.next.store(Self::after(index), Ordering::Relaxed),
                    Err(newer) => {
                        seen = Until(newer);
                        continue;
                    }
                }
                return Ok(LogEntry { place: index, until });
            }
            index = Self::after(index);
        }
        Err(soonest)
    }

    /// Takes the note away whose time has passed: a wrap later it would be one of the present, and
    /// close a log that is in use for a horizon. For a late reader it may have been of use still;
    /// that one looks at the places instead.
    #[cold]
    fn forget(&self, full: Until) -> Until {
        let forgotten = full.transition_forget();
        // Relaxed, both: being a read-modify-write it continues the release sequence of the last
        // place given back. Where it fails, another call has seen to it, or will.
        let _ =
            self.full.compare_exchange(full.0, forgotten.0, Ordering::Relaxed, Ordering::Relaxed);
        forgotten
    }

    /// Notes that all places are taken until `until`. False where a place was given back since
    /// `seen` was read.
    #[cold]
    fn note_full(&self, seen: Until, until: Word) -> bool {
        let noted = self.full.compare_exchange(
            seen.0,
            seen.transition_take(until).0,
            // Release: keeps the looks at the places before it. What it notes is a number, and
            // publishes nothing; the read-modify-write continues the release sequence of the last
            // place given back.
            Ordering::Release,
            // Relaxed: of the word found instead only the generation counts.
            Ordering::Relaxed,
        );
        match noted {
            Ok(_) => true,
            // In the same generation, another call has come to the same end.
            Err(newer) => Until(newer).same_generation(seen),
        }
    }

    /// Frees the place of a call that never ran, unless it is another call's by now.
    ///
    /// It is free from the reading on at which it was taken: for a reader that is later than that,
    /// it may be taken still by the call before.
    fn give_back(&self, entry: LogEntry) {
        let taken_at = TIME.get(entry.until.0).wrapping_sub(self.span.window);
        let freed = self.place(entry.place).compare_exchange(
            entry.until.0,
            Until::FREE.transition_take(taken_at).0,
            // Relaxed, both: published by the swap below.
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if freed.is_err() {
            return;
        }
        // Relaxed: the swap checks it.
        let mut full = Until(self.full.load(Ordering::Relaxed));
        while let Err(newer) = self.full.compare_exchange_weak(
            full.0,
            full.transition_next().0,
            // Release: publishes the free place; pairs with the Acquire in `take`.
            Ordering::Release,
            Ordering::Relaxed,
        ) {
            full = Until(newer);
        }
    }

    /// How long each place is still taken, in units.
    fn looks(&self, at: Word) -> impl Iterator<Item = Word> + '_ {
        // Relaxed: readings of single words, each as good as any a moment later.
        self.places.iter().map(move |place| self.left(Until(place.load(Ordering::Relaxed)), at))
    }

    #[inline]
    fn left(&self, until: Until, at: Word) -> Word {
        until.time().map_or(0, |time| ahead(time, at, TIME.width(), self.span.horizon))
    }

    #[inline]
    fn place(&self, index: Word) -> &AtomicWord {
        // Always there; but the compiler cannot know that, and would link a panic.
        self.places.get(index as usize).unwrap_or(&self.places[0])
    }

    const fn after(index: Word) -> Word {
        let next = index.wrapping_add(1);
        if next < N as Word { next } else { 0 }
    }

    const fn before(index: Word) -> Word {
        match index.checked_sub(1) {
            Some(before) => before,
            None => Self::LIMIT as Word - 1,
        }
    }

    #[cold]
    fn limited(&self, left: Word, now: Ticks) -> Rejection {
        let ticks = self.span.ticks_until(left, now);
        Rejection::after_ticks(Reason::RateLimited, ticks, C::TICKS_PER_SECOND)
    }
}

impl<const N: usize, C: Clock> Gate for SlidingLog<N, C> {
    type Token = LogEntry;

    #[inline]
    fn enter(&self) -> Result<LogEntry, Rejection> {
        self.take(self.clock.now())
    }

    #[inline]
    fn exit(&self, token: LogEntry, outcome: Outcome) {
        // What has run was a call, however it ended. Only one that was never made costs nothing.
        if outcome == Outcome::Refused {
            self.give_back(token);
        }
    }
}

/// Idle when no window holds a call, those of late readers included.
impl<const N: usize, C: Clock> Idle for SlidingLog<N, C> {
    fn is_idle(&self) -> bool {
        self.looks(self.span.latest(self.clock.now())).all(|left| left == 0)
    }
}

impl<const N: usize, C: Clock> fmt::Debug for SlidingLog<N, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = self.span.scale.ticks_down(crate::word::widen(self.span.window));
        // Relaxed: for show.
        f.debug_struct("SlidingLog")
            .field("limit", &N)
            .field("window", &duration_from_ticks(window, C::TICKS_PER_SECOND))
            .field("full", &Until(self.full.load(Ordering::Relaxed)))
            // In units of the scale, for the tests that know what these are.
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}
