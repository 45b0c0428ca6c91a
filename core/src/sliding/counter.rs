//! The sliding window counter: an estimate of the calls in a window, in one word.
//!
//! # Algorithm
//!
//! Time is cut into windows, one after the other. The word counts the calls of the present one and
//! of the one before. How many calls the last `W` saw is estimated as if those of the window before
//! had come evenly: where `e` of the present window has passed, `W - e` of the last `W` lie in the
//! one before, so the estimate is
//!
//! ```text
//! current + previous * (W - e) / W
//! ```
//!
//! and a call is let in if the estimate with it is at most the limit. Both sides are multiplied by
//! `W`, so that nothing is divided and nothing rounded.
//!
//! This is the approximation that Cloudflare counts with ("How we built rate limiting capable of
//! scaling to millions of domains", 2017), as with its traffic it is seldom wrong. How far off it
//! may be at worst, whatever the traffic, is next.
//!
//! # How far the estimate may be off
//!
//! * The calls of one window, or of any part of it, are at most the limit.
//! * Of `W` that reach from one window into the next, the worst is that all of the first one's
//!   calls, at most the limit `L`, came at its very end. At `e` into the next one, the estimate
//!   allows `L - L * (W - e) / W = L * e / W` more. So the last `W` hold at most `L * (1 + e / W)`,
//!   which is less than twice the limit; as calls are whole and `e` is less than `W`, at most `2 *
//!   L - 1`. That takes a silent window before, and callers who wait for its end.
//! * The other way round, calls that all came at the beginning of a window count for longer than
//!   they should: by `W` at most, and never beyond the end of the next window.
//!
//! # Late and stale readers
//!
//! A reader to whom the present window has not begun yet is late: nothing of it has passed, so that
//! the window before counts in full, and the reader waits rather than wins. A window that began
//! longer ago than the next one lasts is over, and with it all that was counted. After an idle time
//! of about a wrap, an old word reads as one of the present, or as one that has not quite begun: at
//! most its counts are held against callers for the lateness and two windows more. They never let
//! anybody in.
//!
//! # Giving back
//!
//! A call remembers the window it was counted in, and is taken off the count of that window, be it
//! the present one or the one before. If it is neither, it no longer counts. One that is held for a
//! whole wrap may be taken off a window that begins at the same unit, and lets one call more in.
//!
//! # Synchronization
//!
//! The word is all there is, so every access is Relaxed: nothing else is published.
//!
//! # Lock freedom
//!
//! Each turn of the loops means that another caller has committed.

use core::fmt;
use core::time::Duration;

use super::LimitSnapshot;
use super::span::{Room, Span};
use crate::error::{ConfigError, Reason, Rejection, Setting, check, setting};
use crate::gate::{Gate, Idle, Outcome};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::scale::{DEFAULT_LATENESS, ahead};
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::word::{Field, WORD_BITS, Word, by_width, low_half, mask, widen};

const LIMIT: Setting = setting!(
    "the limit of a sliding window" must "be from 1 to 1048575" or "be from 1 to 1023"
);
const WINDOW: Setting = setting!(
    "the length of a sliding window" must "be from one tick of the clock to a quarter of its range"
);
const MAX_LATENESS: Setting = setting!(
    "the window's `max_lateness`"
        must "not be so much longer than the window that a word cannot hold both"
);

/// What was counted.
///
/// ```text
///  63               40 39               20 19                0
/// +-------------------+-------------------+-------------------+
/// | START, wraps      | PREVIOUS          | CURRENT           |
/// +-------------------+-------------------+-------------------+
/// ```
///
/// (12, 10 and 10 bits where words are 32 bits wide.) `START` is when the present window began, in
/// units of the scale; the counts are at most the limit.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Counted(Word);

const COUNT_BITS: u32 = by_width(20, 10);
const CURRENT: Field = Field::lowest(COUNT_BITS);
const PREVIOUS: Field = CURRENT.above(COUNT_BITS);
const START: Field = PREVIOUS.above(WORD_BITS - PREVIOUS.end());

const ROOM: Room = Room {
    bits: START.width(),
    headroom: by_width(8, 4),
    // The counts of two windows are live.
    windows: 2,
    precise: by_width(8, 5),
    longer: 0,
};

// A count and one more, times a window, and twice that: `weight` cannot overflow.
const _: () = assert!(COUNT_BITS + 1 + START.width() - 2 + 1 < WORD_BITS);

impl Counted {
    const NOTHING: Self = Self(0);

    const fn new(start: Word, previous: Word, current: Word) -> Self {
        Self(START.set(PREVIOUS.set(CURRENT.set(0, current), previous), start))
    }

    const fn start(self) -> Word {
        START.get(self.0)
    }

    const fn previous(self) -> Word {
        PREVIOUS.get(self.0)
    }

    const fn current(self) -> Word {
        CURRENT.get(self.0)
    }

    /// `calls` more in the present window; the caller sees that they fit.
    const fn transition_count(self, calls: Word) -> Self {
        Self(CURRENT.set(self.0, self.current().saturating_add(calls)))
    }

    /// `calls` less in the window that began at `start`, if it still counts.
    const fn transition_give_back(self, start: Word, calls: Word, window: Word) -> Option<Self> {
        if self.start() == start {
            Some(Self(CURRENT.set(self.0, self.current().saturating_sub(calls))))
        } else if self.start() == start.wrapping_add(window) & START.max() {
            Some(Self(PREVIOUS.set(self.0, self.previous().saturating_sub(calls))))
        } else {
            None
        }
    }

    /// The same counts as a reading finds them, with the present window being the one it is in.
    const fn at(self, at: Word, span: &Span) -> View {
        let at = at & mask(START.width());
        // A window begins at a reading at the latest, so one that has not begun is ahead by no more
        // than a late reader is late.
        let early = ahead(self.start(), at, START.width(), span.late.wrapping_sub(span.window));
        if early > 0 {
            return View { counted: self, elapsed: 0, early };
        }
        let elapsed = at.wrapping_sub(self.start()) & START.max();
        let Some(over) = elapsed.checked_sub(span.window) else {
            return View { counted: self, elapsed, early };
        };
        if over >= span.window {
            return View { counted: Self::new(at, 0, 0), elapsed: 0, early };
        }
        let start = self.start().wrapping_add(span.window);
        View { counted: Self::new(start, self.current(), 0), elapsed: over, early }
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted")
            .field("start", &self.start())
            .field("previous", &self.previous())
            .field("current", &self.current())
            .finish()
    }
}

/// What a reading finds.
#[derive(Clone, Copy)]
struct View {
    counted: Counted,
    /// How much of the present window has passed, less than a window.
    elapsed: Word,
    /// How long until it begins, for a late reader.
    early: Word,
}

impl View {
    /// The estimate with `more` calls, times the window.
    const fn weight(&self, more: Word, span: &Span) -> Word {
        // Nothing wraps here: see the assertion on the widths.
        let rest = span.window.wrapping_sub(self.elapsed);
        let before = self.counted.previous().wrapping_mul(rest);
        self.counted.current().wrapping_add(more).wrapping_mul(span.window).wrapping_add(before)
    }

    /// How many units until `more` calls, at most `limit`, would be let in.
    const fn until(&self, more: Word, limit: Word, span: &Span) -> Word {
        let (previous, current) = (self.counted.previous(), self.counted.current());
        // The present window, while its calls leave room and less and less of the one before
        // counts.
        if let Some(room) = limit.checked_sub(current.wrapping_add(more)) {
            let then = span.window.saturating_sub(covers(room, previous, span.window));
            return self.early.wrapping_add(then.saturating_sub(self.elapsed));
        }
        // The next one, to which it is the one before.
        let room = limit.saturating_sub(more);
        let then = span.window.saturating_sub(covers(room, current, span.window));
        let rest = span.window.saturating_sub(self.elapsed);
        self.early.wrapping_add(rest).wrapping_add(then)
    }
}

/// How much of a window may count, so that `calls` in it weigh at most `room`.
const fn covers(room: Word, calls: Word, window: Word) -> Word {
    match room.wrapping_mul(window).checked_div(calls) {
        Some(part) if part < window => part,
        _ => window,
    }
}

/// What a sliding window should do: how many calls it may hold, and how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct SlidingWindowConfig {
    limit: u32,
    window: Duration,
    max_lateness: Duration,
}

impl SlidingWindowConfig {
    /// About `limit` calls in any `window`: 1 to 1 048 575, where words are 32 bits 1 to 1 023; and
    /// from one tick of the clock to a quarter of its range.
    pub const fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, max_lateness: DEFAULT_LATENESS }
    }

    /// [`new`](Self::new) with a window of a second.
    pub const fn per_second(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(1))
    }

    /// [`new`](Self::new) with a window of a minute.
    pub const fn per_minute(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(60))
    }

    /// [`new`](Self::new) with a window of an hour.
    pub const fn per_hour(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(3_600))
    }

    /// [`new`](Self::new) with a window of 24 hours.
    pub const fn per_day(limit: u32) -> Self {
        Self::new(limit, Duration::from_secs(86_400))
    }

    /// How late a reading of the clock may come to be used, which is also how far the clock may
    /// step back, for what was counted to be kept; one second unless told otherwise.
    ///
    /// A reading that is later finds nothing counted. That is how the window recovers from a clock
    /// that was set back for good.
    pub const fn max_lateness(mut self, lateness: Duration) -> Self {
        self.max_lateness = lateness;
        self
    }
}

/// A limit on the calls of the last so long, estimated from two counts in one word.
///
/// Exact for calls that come evenly. In the worst case, when callers wait for the end of a window
/// and all come at once after a silent one, the last so long may hold less than twice the limit
/// (the head of the module's source derives it); [`SlidingLog`](crate::SlidingLog) never
/// holds more, for a word per call.
///
/// It is a [`Gate`]. A call stays counted however it ends, except where a later gate refused it:
/// then it never ran, and is taken off the count again.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{ManualClock, Reason, SlidingWindowConfig, SlidingWindowCounter};
///
/// let clock: ManualClock = ManualClock::new();
/// let searches = SlidingWindowCounter::new(SlidingWindowConfig::per_minute(100), &clock);
/// assert!(searches.try_acquire(100).is_ok());
/// assert_eq!(searches.try_acquire(1).unwrap_err().reason(), Reason::RateLimited);
///
/// // Half way through the next minute, half of them count.
/// clock.advance(Duration::from_secs(91));
/// assert!(searches.try_acquire(50).is_ok());
/// ```
///
/// # Interrupt safety
///
/// All methods are lock-free and never wait; an interrupt may use a counter that it has interrupted
/// the use of.
pub struct SlidingWindowCounter<C> {
    clock: C,
    word: AtomicWord,
    limit: u32,
    span: Span,
}

/// The window that a call of a [`SlidingWindowCounter`] was counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CountedCall {
    start: Word,
}

impl<C: Clock> SlidingWindowCounter<C> {
    constructor! {
        /// A counter that does as `config` says, in the time of `clock`.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would return an error; in a `static`, that is a
        /// compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: SlidingWindowConfig, clock: C) -> Self {
            match Self::fit(config) {
                Ok(span) => Self::fitted(config.limit, span, clock),
                Err(error) => error.fail(),
            }
        }
    }

    /// [`new`](Self::new) for a configuration that is known only at run time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] for a limit that the word cannot count to, and
    /// [`ConfigError::DurationOutOfRange`] for a window or lateness that is longer than a quarter
    /// of the clock's range, for a window shorter than a tick, and for a lateness so much longer
    /// than the window that the word's time would be too coarse for it (2^6 times, where words are
    /// 32 bits once); it says what would do.
    pub fn try_new(config: SlidingWindowConfig, clock: C) -> Result<Self, ConfigError> {
        Self::fit(config).map(|span| Self::fitted(config.limit, span, clock))
    }

    const fn fit(config: SlidingWindowConfig) -> Result<Span, ConfigError> {
        check!(LIMIT.check(config.limit as u64, 1, widen(CURRENT.max())));
        let window = (WINDOW, config.window);
        let lateness = (MAX_LATENESS, config.max_lateness);
        Ok(check!(Span::fit(window, lateness, ROOM, C::TICKS_PER_SECOND)))
    }

    constructor! {
        const fn fitted(limit: u32, span: Span, clock: C) -> Self {
            Self { clock, word: AtomicWord::new(Counted::NOTHING.0), limit, span }
        }
    }

    /// Counts `calls` calls, all or none. None at all is always fine.
    ///
    /// # Errors
    ///
    /// [`Reason::RateLimited`] with the exact time after which the same calls would be let in,
    /// should nobody else come before; [`Reason::ExceedsBurst`] for more than the limit. A refusal
    /// writes nothing.
    #[inline]
    pub fn try_acquire(&self, calls: u32) -> Result<(), Rejection> {
        self.try_acquire_at(calls, self.clock.now())
    }

    /// [`try_acquire`](Self::try_acquire) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_at(&self, calls: u32, now: Ticks) -> Result<(), Rejection> {
        if calls == 0 { Ok(()) } else { self.take(calls, now).map(|_| ()) }
    }

    /// The estimate of the calls in the last window, rounded up, and the limit.
    #[must_use]
    pub fn snapshot(&self) -> LimitSnapshot {
        self.snapshot_at(self.clock.now())
    }

    /// [`snapshot`](Self::snapshot) at a time of the caller's choice.
    #[must_use]
    pub fn snapshot_at(&self, now: Ticks) -> LimitSnapshot {
        let weight = self.view(self.span.scale.units(now)).weight(0, &self.span);
        // Never by zero; but the compiler cannot know that, and would link a panic.
        let used = weight.checked_next_multiple_of(self.span.window).unwrap_or(weight);
        let used = low_half(used.checked_div(self.span.window).unwrap_or(0));
        LimitSnapshot { limit: self.limit, used: used.min(self.limit) }
    }

    /// How long until `calls` calls would be let in, should nobody else come before, rounded up to
    /// the nanosecond; `None` for more than the limit.
    #[must_use]
    pub fn time_until(&self, calls: u32) -> Option<Duration> {
        self.time_until_at(calls, self.clock.now())
    }

    /// [`time_until`](Self::time_until) at a time of the caller's choice.
    #[must_use]
    pub fn time_until_at(&self, calls: u32, now: Ticks) -> Option<Duration> {
        if calls > self.limit {
            return None;
        }
        let view = self.view(self.span.scale.units(now));
        if calls == 0 || self.admits(view, calls) {
            return Some(Duration::ZERO);
        }
        Some(duration_from_ticks(self.ticks_until(view, calls, now), C::TICKS_PER_SECOND))
    }

    fn view(&self, at: Word) -> View {
        Counted(self.word.load(Ordering::Relaxed)).at(at, &self.span)
    }

    #[inline]
    fn admits(&self, view: View, calls: u32) -> bool {
        view.weight(calls as Word, &self.span)
            <= (self.limit as Word).wrapping_mul(self.span.window)
    }

    #[inline]
    fn take(&self, calls: u32, now: Ticks) -> Result<CountedCall, Rejection> {
        if calls > self.limit {
            return Err(Rejection::new(Reason::ExceedsBurst));
        }
        let at = self.span.scale.units(now);
        let mut seen = Counted(self.word.load(Ordering::Relaxed));
        loop {
            let view = seen.at(at, &self.span);
            if !self.admits(view, calls) {
                return Err(self.limited(view, calls, now));
            }
            let next = view.counted.transition_count(calls as Word);
            match self.replace(seen, next) {
                Ok(()) => return Ok(CountedCall { start: next.start() }),
                Err(newer) => seen = newer,
            }
        }
    }

    fn give_back(&self, call: CountedCall, calls: u32) {
        let mut seen = Counted(self.word.load(Ordering::Relaxed));
        let less =
            |seen: Counted| seen.transition_give_back(call.start, calls as Word, self.span.window);
        while let Some(next) = less(seen) {
            match self.replace(seen, next) {
                Ok(()) => return,
                Err(newer) => seen = newer,
            }
        }
    }

    #[inline]
    fn replace(&self, seen: Counted, next: Counted) -> Result<(), Counted> {
        let swap = self.word.compare_exchange_weak(
            seen.0,
            next.0,
            // Relaxed, both: nothing but the word itself is published.
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        swap.map(|_| ()).map_err(Counted)
    }

    fn ticks_until(&self, view: View, calls: u32, now: Ticks) -> u64 {
        let units = view.until(calls as Word, self.limit as Word, &self.span);
        self.span.ticks_until(units, now)
    }

    #[cold]
    fn limited(&self, view: View, calls: u32, now: Ticks) -> Rejection {
        let ticks = self.ticks_until(view, calls, now);
        Rejection::after_ticks(Reason::RateLimited, ticks, C::TICKS_PER_SECOND)
    }
}

impl<C: Clock> Gate for SlidingWindowCounter<C> {
    type Token = CountedCall;

    #[inline]
    fn enter(&self) -> Result<CountedCall, Rejection> {
        self.take(1, self.clock.now())
    }

    #[inline]
    fn exit(&self, token: CountedCall, outcome: Outcome) {
        // What has run was a call, however it ended. Only one that was never made costs nothing.
        if outcome == Outcome::Refused {
            self.give_back(token, 1);
        }
    }
}

/// Idle when nothing counts any more, to late readers either.
impl<C: Clock> Idle for SlidingWindowCounter<C> {
    fn is_idle(&self) -> bool {
        let counted = self.view(self.span.latest(self.clock.now())).counted;
        counted.previous() == 0 && counted.current() == 0
    }
}

impl<C: Clock> fmt::Debug for SlidingWindowCounter<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = self.span.scale.ticks_up(widen(self.span.window));
        f.debug_struct("SlidingWindowCounter")
            .field("limit", &self.limit)
            .field("window", &duration_from_ticks(window, C::TICKS_PER_SECOND))
            // In units of the scale, for the tests that know what these are. Relaxed: for show.
            .field("counted", &Counted(self.word.load(Ordering::Relaxed)))
            .field("span", &self.span)
            .finish_non_exhaustive()
    }
}
