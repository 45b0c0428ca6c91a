//! The warm-up limiter: a rate that is low after a pause, and rises to what was asked.
//!
//! # Algorithm
//!
//! Guava's `SmoothWarmingUp` with its cold factor of 3. While nobody comes, the limiter cools down:
//! a *level* rises from 0 to `W`, the warm-up time, as fast as time passes. Each call lowers it by
//! `I`, the interval of the stable rate, and is followed by a pause that depends on the level:
//! where the level is at most half of `W`, by `I`; above that, by up to three times as much, when
//! it is cold. That is, per unit of the level,
//!
//! ```text
//! pace(x) = max(1, 4 * x / W - 1)        1 at W / 2, 3 at W
//! ```
//!
//! and the pause after a call that lowers the level from `x` to `x - I` is the area below it
//! (Guava counts the level in permits, `x / I`, of which there are `W / I` at most; the rest
//! is the same). With `a = max(x - I, W / 2)`, that is
//!
//! ```text
//! I + 2 * (x - a) * (x + a - W) / W      where x is above W / 2, otherwise I
//! ```
//!
//! From cold to warm is the area from `W / 2` to `W`: the mean pace there is 2, so it takes `W`,
//! in which half as many calls are let in as at the stable rate. Pauses are rounded up. Readings of
//! the clock are rounded down, to a unit of the word: where that is longer than a tick, two calls
//! may be closer to each other than a pause, by less than a unit, and the next one then waits for
//! as much longer.
//!
//! The next pause begins with the call, not with the end of the last pause: a caller who is late
//! for a turn has lost that time to the rate, as it cools the limiter down instead. A burst to make
//! up for it is what a warm-up is there to prevent.
//!
//! # Late and stale readers
//!
//! A reader to whom the pause has not ended yet is refused, however late it is: up to the horizon,
//! which is three intervals, `max_wait` and `max_lateness`. Further ahead is stale
//! (`time/scale.rs`). A word
//! that was left idle for a wrap or more may be taken for one that was left a short time ago: the
//! level is then lower than it should be, and the rate what it is when warm; never more than that.
//! After an idle time of almost a wrap, one call may have to wait needlessly, for a horizon.
//!
//! # Turns that are yet to come
//!
//! A caller may take the next turn ahead of its time, by at most `max_wait`, and sleep until it has
//! come. It is as if it had called at that instant: nobody has come since the call before, so that
//! the level is the one which that call has left, and the pause begins where the last one ends.
//!
//! # Giving back
//!
//! A call that never ran is undone, if nobody has been let in since: the next turn is again where
//! it was, and so is the level. That is exact, whenever it comes. If others have taken the turns
//! after it, these stand, and its own goes unused: were the end of the last pause moved forward
//! instead, as a token bucket does, the next caller would come at the same instant as the last of
//! those who wait already. A limiter without a burst must not make one of turns that are given up.
//!
//! Whether somebody has been let in since, the end of the pause tells, which only ever moves on
//! but for the last call undone. A call that is held for a wrap or more may be taken for another
//! that ends at the very same unit, and then lets one call come early.
//!
//! # Synchronization
//!
//! The word is all there is, so every access is Relaxed: nothing else is published. Each turn of
//! the loops means that another caller has committed.

mod config;
mod wait;

use core::fmt;
use core::time::Duration;

pub use config::WarmUpConfig;

use crate::error::{ConfigError, Reason, Rejection};
use crate::sync::{AtomicWord, Ordering, constructor};
use crate::time::scale::ahead;
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::word::{Field, WORD_BITS, Word, by_width, mask, widen};
use config::Fitted;

/// ```text
///  63                                   24 23                  0
/// +---------------------------------------+---------------------+
/// | NEXT: when the next call may come     | LEVEL               |
/// +---------------------------------------+---------------------+
/// ```
///
/// (20 and 12 bits where words are 32 bits wide.) `NEXT` is in units of the scale, and wraps;
/// `LEVEL` in steps, which are units times a power of two, rounded up.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Heat(Word);

const LEVEL: Field = Field::lowest(by_width(24, 12));
const NEXT: Field = LEVEL.above(WORD_BITS - LEVEL.width());

/// The bits of the time field.
const NEXT_BITS: u32 = NEXT.width();

/// The bits of the level field.
const LEVEL_BITS: u32 = LEVEL.width();

impl Heat {
    const fn new(next: Word, level: Word, step: u32) -> Self {
        // Wrapping, here and below: a step is shorter than a word, which the optimiser cannot know.
        let up = level.saturating_add(mask(step)).wrapping_shr(step);
        Self(NEXT.set(LEVEL.set(0, if up > LEVEL.max() { LEVEL.max() } else { up }), next))
    }

    const fn next(self) -> Word {
        NEXT.get(self.0)
    }

    const fn level(self, step: u32) -> Word {
        LEVEL.get(self.0).wrapping_shl(step)
    }
}

impl fmt::Debug for Heat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heat")
            .field("next", &self.next())
            .field("level", &LEVEL.get(self.0))
            .finish()
    }
}

/// An even rate that is a third of itself after a pause, and rises to it as calls come: for what
/// has to open connections or fill caches before it is fast.
///
/// Over time the rate is never above what was asked, and there is no burst. A call that is let in
/// makes the next one wait: for an interval when warm, for three when cold. It cools down in the
/// time that it takes to warm up, and begins cold. The formula, with its source, is at the head of
/// the module's source.
///
/// It is a [`Gate`](crate::Gate), and a [`WaitGate`](crate::WaitGate) that waits for its turn. A
/// call counts however it ends, except where a later gate refused it and nobody was let in since:
/// then it is as if it had not come.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{ManualClock, Rate, WarmUp, WarmUpConfig};
///
/// let clock: ManualClock = ManualClock::new();
/// let config = WarmUpConfig::new(Rate::per_second(100), Duration::from_secs(10));
/// let shard = WarmUp::new(config, &clock);
///
/// shard.try_acquire().unwrap();
/// let cold = shard.try_acquire().unwrap_err().retry_after().unwrap();
/// assert_eq!(cold.as_millis(), 29); // Almost 30: the first call has warmed it up a little.
///
/// // A thousand calls later, each as soon as it may come:
/// for _ in 0..1_000 {
///     clock.advance(shard.time_until());
///     shard.try_acquire().unwrap();
/// }
/// let warm = shard.time_until();
/// assert!(warm <= Duration::from_millis(11), "{warm:?}");
/// ```
///
/// # Interrupt safety
///
/// All methods are lock-free and never wait; an interrupt may use a limiter that it has interrupted
/// the use of.
pub struct WarmUp<C> {
    clock: C,
    word: AtomicWord,
    fitted: Fitted,
}

/// What a call of a [`WarmUp`] has taken: enough to give it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct WarmedUp {
    /// When it may come, and when its pause is over.
    at: Word,
    until: Word,
    /// How much it has lowered the level.
    spent: Word,
}

impl<C: Clock> WarmUp<C> {
    constructor! {
        /// A limiter that does as `config` says, in the time of `clock`; cold.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would return an error; in a `static`, that is a
        /// compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: WarmUpConfig, clock: C) -> Self {
            match Fitted::new(config, C::TICKS_PER_SECOND) {
                Ok(fitted) => Self::fitted(fitted, clock),
                Err(error) => error.fail(),
            }
        }
    }

    /// [`new`](Self::new) for a configuration that is known only at run time.
    ///
    /// # Errors
    ///
    /// [`ConfigError::OutOfRange`] and [`ConfigError::DurationOutOfRange`] for a rate that cannot
    /// be, and for a warm-up time or lateness that the words of this target cannot hold beside the
    /// interval of the rate; it says what would fit.
    pub fn try_new(config: WarmUpConfig, clock: C) -> Result<Self, ConfigError> {
        Fitted::new(config, C::TICKS_PER_SECOND).map(|fitted| Self::fitted(fitted, clock))
    }

    constructor! {
        const fn fitted(fitted: Fitted, clock: C) -> Self {
            let cold = Heat::new(0, fitted.warm_up, fitted.step);
            Self { clock, word: AtomicWord::new(cold.0), fitted }
        }
    }

    /// Lets a call in, unless the pause after the last one is not over.
    ///
    /// # Errors
    ///
    /// [`Reason::RateLimited`] with the exact time after which the same call would be let in,
    /// should nobody else come before. A refusal writes nothing.
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
        self.take(now, 0).map(|_| ())
    }

    /// How long until the next call would be let in, rounded up to the nanosecond.
    #[must_use]
    pub fn time_until(&self) -> Duration {
        self.time_until_at(self.clock.now())
    }

    /// [`time_until`](Self::time_until) at a time of the caller's choice.
    #[must_use]
    pub fn time_until_at(&self, now: Ticks) -> Duration {
        let left = self.left(self.load(), self.fitted.scale.units(now));
        duration_from_ticks(self.ticks_until(left, now), C::TICKS_PER_SECOND)
    }

    /// How long it has cooled down, up to the time that it takes to warm up: 0 when warm.
    #[must_use]
    pub fn level(&self) -> Duration {
        self.level_at(self.clock.now())
    }

    /// [`level`](Self::level) at a time of the caller's choice.
    #[must_use]
    pub fn level_at(&self, now: Ticks) -> Duration {
        let level = self.cooled(self.load(), self.fitted.scale.units(now));
        let ticks = self.fitted.scale.ticks_up(widen(level));
        duration_from_ticks(ticks, C::TICKS_PER_SECOND)
    }

    #[inline]
    fn load(&self) -> Heat {
        Heat(self.word.load(Ordering::Relaxed))
    }

    /// How long until the next call may come.
    #[inline]
    fn left(&self, seen: Heat, at: Word) -> Word {
        ahead(seen.next(), at, NEXT_BITS, self.fitted.horizon)
    }

    /// The level at a reading, to which the last pause is over or not.
    #[inline]
    fn cooled(&self, seen: Heat, at: Word) -> Word {
        let idle =
            if self.left(seen, at) > 0 { 0 } else { at.wrapping_sub(seen.next()) & NEXT.max() };
        seen.level(self.fitted.step).saturating_add(idle).min(self.fitted.warm_up)
    }

    /// Takes the next turn, if it comes within `reach` units, which is at most the longest wait;
    /// says in how many it comes.
    #[inline]
    fn take(&self, now: Ticks, reach: Word) -> Result<(WarmedUp, Word), Rejection> {
        let at = self.fitted.scale.units(now);
        let mut seen = self.load();
        loop {
            let left = self.left(seen, at);
            if left > reach {
                return Err(self.limited(left.wrapping_sub(reach), now));
            }
            let level = self.cooled(seen, at);
            let spent = level.min(self.fitted.interval);
            let at = at.wrapping_add(left);
            let until = at.wrapping_add(self.fitted.pause(level));
            let next = Heat::new(until, level.saturating_sub(spent), self.fitted.step);
            match self.replace(seen, next) {
                Ok(()) => return Ok((WarmedUp { at, until: next.next(), spent }, left)),
                Err(newer) => seen = newer,
            }
        }
    }

    /// Undoes a call that nobody came after.
    fn give_back(&self, call: WarmedUp) {
        let mut seen = self.load();
        while seen.next() == call.until {
            let level = seen.level(self.fitted.step).saturating_add(call.spent);
            let level = level.min(self.fitted.warm_up);
            match self.replace(seen, Heat::new(call.at, level, self.fitted.step)) {
                Ok(()) => return,
                Err(newer) => seen = newer,
            }
        }
    }

    #[inline]
    fn replace(&self, seen: Heat, next: Heat) -> Result<(), Heat> {
        let swap = self.word.compare_exchange_weak(
            seen.0,
            next.0,
            // Relaxed, both: nothing but the word itself is published.
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        swap.map(|_| ()).map_err(Heat)
    }

    fn ticks_until(&self, units: Word, now: Ticks) -> u64 {
        if units == 0 { 0 } else { self.fitted.scale.ticks_until(widen(units), now) }
    }

    #[cold]
    fn limited(&self, left: Word, now: Ticks) -> Rejection {
        let ticks = self.ticks_until(left, now);
        Rejection::after_ticks(Reason::RateLimited, ticks, C::TICKS_PER_SECOND)
    }
}

impl<C: Clock> fmt::Debug for WarmUp<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |units| {
            duration_from_ticks(self.fitted.scale.ticks_down(widen(units)), C::TICKS_PER_SECOND)
        };
        f.debug_struct("WarmUp")
            .field("every", &time(self.fitted.interval))
            .field("warm_up", &time(self.fitted.warm_up))
            // In units of the scale, for the tests that know what these are.
            .field("heat", &self.load())
            .field("fitted", &self.fitted)
            .finish_non_exhaustive()
    }
}
