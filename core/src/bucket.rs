//! The token bucket: a rate with a burst.
//!
//! # Algorithm
//!
//! GCRA, the generic cell rate algorithm (ITU-T I.371), is a token bucket that keeps no tokens.
//! It keeps the *theoretical arrival time* (TAT), the instant at which the bucket will be full
//! again. `TAT - now` is the debt. A token costs one interval; a call that takes `n` tokens is
//! let in if the debt and `n` intervals are at most `burst` intervals, the tolerance, and moves
//! the TAT on by `n` intervals. Nothing has to be refilled, so that polling often loses nothing:
//! the time that passes pays the debt.
//!
//! A reservation is the same with a tolerance longer by the time that the caller is willing to
//! wait.
//!
//! # The word
//!
//! The TAT is scaled, wrapping time (`time/scale.rs` has the rules, `bucket/config.rs` the choice
//! of the scale). One bit of the word says which of two sets of limits, interval and burst, is in
//! force. A live change writes the free set and then, in one compare-and-swap, switches to it and
//! converts the debt. Had interval and tolerance been two words beside the TAT, a reader could
//! pair an old short interval with a new long tolerance and grant thousands of tokens; and a
//! drained bucket whose rate is lowered would hold tokens, because an old debt is little time at
//! the new rate, until a second write put that right.
//!
//! Counting time in tokens would make rates exact at any width, but costs a multiplication of the
//! clock reading on each call and, for live changes, a base to count from.
//!
//! # Late readers
//!
//! A thread may read the clock, lose the CPU, and come back after others have committed later
//! instants. It sees a larger debt than there is, so it loses: at worst it is refused needlessly.
//! A TAT further ahead than the tolerance, the longest wait and the lateness together cannot be a
//! live one, and counts as passed. Only a refusal asks that: what is granted is within the
//! tolerance.
//!
//! Readings are rounded down to a unit. Where a unit is longer than a tick, a call may so come
//! early by less than a unit, which is at most a 256th of an interval; that does not add up, as
//! the TAT itself is not rounded.
//!
//! # Giving back
//!
//! What was taken remembers its price and the TAT it led to. Giving it back lowers the debt by
//! the price, but by no more than what is left until that TAT. Had it been held past its TAT, the
//! time would have paid for it: the bucket filled up where it would otherwise have been full, and
//! giving the tokens back on top of that would let a burst and a half through at once. Whatever
//! the readings are, late ones included, giving back never lowers the TAT by more than taking
//! raised it: what was granted and kept is at most what the TAT has moved. A word that reads as
//! stale is full, and gets nothing back. Only what was held for half a wrap or more may read as
//! recent; it, too, gives back no more than it took.
//!
//! After a live change the lower of the two prices counts, so that no token comes out of two rates.
//!
//! # Synchronization
//!
//! The word carries all of the state, and each decision is one compare-and-swap on it; it
//! publishes nothing else but the limits. A change writes the free limits before it switches to
//! them with a Release; whoever reads the word reads it with Acquire, and so sees the limits of
//! the slot it names. The compare-and-swaps of callers are Relaxed: being read-modify-writes,
//! they continue the release sequence of the change.
//!
//! A reader that two changes overtake may see a slot that is being rewritten. Its compare-and-swap
//! then fails; before it refuses, it reads the word again. Should both changes bring the word back
//! to the very same instant, one call may pass under an interval and a burst that were each in
//! force while it ran, but not together.
//!
//! # Lock freedom
//!
//! Each turn of the loop means that another caller has committed. Changes of the limits exclude
//! each other by a flag, but nobody waits for it: the second one is told to come back.

mod config;
mod gate;
mod leaky;
mod lease;
mod live;
mod quota;
mod shared;
mod sketch;
mod state;
mod wait;

use core::fmt;
use core::time::Duration;

pub(crate) use config::DEFAULT_MAX_WAIT;
pub use config::{BucketConfig, Rate, RateError};
pub use gate::{TakenTokens, Tokens};
pub use leaky::LeakyBucket;
pub use lease::Lease;
pub use quota::Quota;
pub use shared::{BucketState, SharedBucket};
pub use sketch::{BucketSketch, SketchColumn, SketchTokens};
pub use wait::{AcquireTokens, Reservation};

use crate::error::{ConfigError, Reason, Rejection};
use crate::sync::{AtomicWord, Ordering, constructor, fence};
use crate::time::scale::Scale;
use crate::time::{Clock, Ticks, duration_from_ticks};
use crate::word::{WORD_BITS, Word, low_half, widen};
use config::Fitted;
use state::{Limits, Tat};

/// A token bucket: so many calls per time, and a burst of so many at once after a pause.
///
/// It is a [`Gate`](crate::Gate) for one token per call, a [`WaitGate`](crate::WaitGate) that
/// waits for its turn, and [`of`](Self::of) makes one for several tokens per call. A call keeps
/// its tokens however it ends, except where a later gate refused it: then it never ran, and they
/// go back.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BucketConfig, ManualClock, Reason, TokenBucket};
///
/// let clock: ManualClock = ManualClock::new();
/// let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(2), &clock);
///
/// assert!(bucket.try_acquire(2).is_ok());
/// let refused = bucket.try_acquire(1).unwrap_err();
/// assert_eq!(refused.reason(), Reason::RateLimited);
/// assert_eq!(refused.retry_after(), Some(Duration::from_millis(100)));
///
/// clock.advance(Duration::from_millis(100));
/// assert!(bucket.try_acquire(1).is_ok());
/// ```
///
/// In a `static`, where a configuration that cannot work does not compile:
///
/// ```
/// use fusebox_core::{BucketConfig, Clock, Gate, Ticks, TokenBucket};
///
/// struct Uptime;
/// impl Clock for Uptime {
///     const TICKS_PER_SECOND: u64 = 1_000;
///     fn now(&self) -> Ticks {
///         Ticks(0) // a hardware counter
///     }
/// }
///
/// static UPLOADS: TokenBucket<Uptime> = TokenBucket::new(BucketConfig::per_second(5), Uptime);
/// assert_eq!(UPLOADS.call(|| Ok::<_, ()>("sent")), Ok("sent"));
/// ```
///
/// # Interrupt safety
///
/// All methods are lock-free and never wait; an interrupt may use a bucket that it has
/// interrupted the use of.
pub struct TokenBucket<C> {
    clock: C,
    tat: AtomicWord,
    slots: [Slot; 2],
    /// 1 while a change of the limits is under way.
    changing: AtomicWord,
    /// The longest promise, in units.
    max_wait: Word,
    /// The largest lateness of a reader, in units.
    lateness: Word,
    /// Tokens missing while the bucket is unstarted.
    missing: u32,
    scale: Scale,
}

/// The atomic form of [`Limits`].
struct Slot {
    interval: AtomicWord,
    burst: AtomicWord,
}

impl Slot {
    #[inline]
    fn load(&self) -> Limits {
        Limits {
            // Relaxed, both: the word that was read before has them published. What is newer than
            // the word does no harm: see the module's text on synchronization.
            interval: self.interval.load(Ordering::Relaxed),
            burst: low_half(self.burst.load(Ordering::Relaxed)),
        }
    }
}

/// What one look at the bucket says.
#[derive(Clone, Copy)]
struct View {
    seen: Tat,
    limits: Limits,
    debt: Word,
}

/// What a bucket handed out.
#[derive(Clone, Copy)]
struct Taken {
    tokens: TakenTokens,
    /// How many units after the reading it is ready.
    wait: Word,
}

impl<C: Clock> TokenBucket<C> {
    constructor! {
        /// A bucket that does as `config` says, in the time of `clock`.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) would return an error; in a `static`, that is a
        /// compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(config: BucketConfig, clock: C) -> Self {
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
    /// [`ConfigError::OutOfRange`] for a rate, burst or initial number that cannot be, and
    /// [`ConfigError::RateNeedsMoreBits`] where rate, burst, longest wait and lateness together
    /// do not fit the words of this target; it says what would.
    pub fn try_new(config: BucketConfig, clock: C) -> Result<Self, ConfigError> {
        Fitted::new(config, C::TICKS_PER_SECOND).map(|fitted| Self::fitted(fitted, clock))
    }

    constructor! {
        const fn fitted(fitted: Fitted, clock: C) -> Self {
            Self {
                clock,
                tat: AtomicWord::new(Tat::UNSTARTED.0),
                slots: [
                    Slot {
                        interval: AtomicWord::new(fitted.interval),
                        burst: AtomicWord::new(fitted.burst as Word),
                    },
                    Slot { interval: AtomicWord::new(1), burst: AtomicWord::new(1) },
                ],
                changing: AtomicWord::new(0),
                max_wait: fitted.max_wait,
                lateness: fitted.lateness,
                missing: fitted.missing,
                scale: fitted.scale,
            }
        }
    }

    /// Takes `tokens` tokens, all or none. None at all is always fine.
    ///
    /// # Errors
    ///
    /// [`Reason::RateLimited`] with the exact time after which the same call would be let in,
    /// should nobody else take tokens before; [`Reason::ExceedsBurst`] for more than the bucket
    /// ever holds. A refusal takes nothing and writes nothing, but for the first use of a bucket
    /// that was not full initially: that starts it.
    #[inline]
    pub fn try_acquire(&self, tokens: u32) -> Result<(), Rejection> {
        self.try_acquire_at(tokens, self.clock.now())
    }

    /// [`try_acquire`](Self::try_acquire) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[inline]
    pub fn try_acquire_at(&self, tokens: u32, now: Ticks) -> Result<(), Rejection> {
        self.take(&self.tat, tokens, now, 0).map(|_| ())
    }

    /// Reserves `tokens` tokens that may become available as late as the configured longest wait
    /// from now.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire); the time to come back is when a reservation could
    /// be made, not when it would be ready.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{BucketConfig, ManualClock, TokenBucket};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let bucket = TokenBucket::new(BucketConfig::per_second(10).burst(1), &clock);
    /// bucket.try_acquire(1).unwrap();
    ///
    /// let turn = bucket.reserve(1).unwrap();
    /// assert_eq!(turn.wait(), Duration::from_millis(100));
    /// turn.cancel(); // or `commit` it, and do the work in 100 ms
    /// assert_eq!(bucket.time_until(1), Some(Duration::from_millis(100)));
    /// ```
    pub fn reserve(&self, tokens: u32) -> Result<Reservation<'_, C>, Rejection> {
        self.reserve_at(tokens, self.clock.now())
    }

    /// [`reserve`](Self::reserve) at a time of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`reserve`](Self::reserve).
    pub fn reserve_at(&self, tokens: u32, now: Ticks) -> Result<Reservation<'_, C>, Rejection> {
        let taken = self.take(&self.tat, tokens, now, self.max_wait)?;
        Ok(Reservation::new(self, tokens, taken, now))
    }

    /// Puts `tokens` tokens back, never more than the bucket holds.
    ///
    /// This is a deposit: it counts from now on, and whoever puts back what was not taken, or was
    /// taken long ago, adds to the rate. A [`Reservation`] that is dropped gives back exactly
    /// what it took.
    pub fn refund(&self, tokens: u32) {
        self.refund_at(tokens, self.clock.now());
    }

    /// [`refund`](Self::refund) at a time of the caller's choice.
    pub fn refund_at(&self, tokens: u32, now: Ticks) {
        self.lower(&self.tat, now, |limits| limits.price(tokens));
    }

    /// How many tokens there are now.
    #[must_use]
    pub fn peek(&self) -> u32 {
        self.peek_at(self.clock.now())
    }

    /// [`peek`](Self::peek) at a time of the caller's choice.
    #[must_use]
    pub fn peek_at(&self, now: Ticks) -> u32 {
        let view = self.view(self.scale.units(now));
        view.limits.available(view.debt)
    }

    /// How long until `tokens` tokens are there, should nobody else take any, rounded up to the
    /// nanosecond; `None` where the bucket never holds so many.
    #[must_use]
    pub fn time_until(&self, tokens: u32) -> Option<Duration> {
        self.time_until_at(tokens, self.clock.now())
    }

    /// [`time_until`](Self::time_until) at a time of the caller's choice.
    #[must_use]
    pub fn time_until_at(&self, tokens: u32, now: Ticks) -> Option<Duration> {
        if tokens == 0 {
            return Some(Duration::ZERO);
        }
        let view = self.view(self.scale.units(now));
        let (price, tolerance) = (view.limits.price(tokens), view.limits.tolerance());
        if price > tolerance {
            return None;
        }
        let missing = view.debt.saturating_add(price).saturating_sub(tolerance);
        Some(self.duration(missing, now))
    }

    /// How many tokens the bucket holds at most.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.view(self.scale.units(self.clock.now())).limits.burst
    }

    /// How far below `rate` this bucket stays, or would stay if it were told to keep that rate.
    ///
    /// Less than 1 in 10^6 for any rate that the bucket takes; 1 in 10^3 where words are 32 bits
    /// wide.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{BucketConfig, ManualClock, Rate, TokenBucket};
    ///
    /// let clock: ManualClock = ManualClock::new();
    /// let bucket = TokenBucket::new(BucketConfig::per_second(300), &clock);
    /// assert!(bucket.rate_error(Rate::per_second(300)).parts_per_billion() <= 1_000_000);
    /// ```
    #[must_use]
    pub fn rate_error(&self, rate: Rate) -> RateError {
        config::rate_error(rate, self.scale, C::TICKS_PER_SECOND)
    }

    /// Takes `tokens` tokens that are there within `reach` units, which is at most the longest
    /// wait.
    ///
    /// Here and below, `tat` is the word of this bucket, or of one that shares its limits
    /// (`bucket/shared.rs`).
    // Always, so that the result goes through no memory; the functions that call this may be called
    // themselves.
    #[cfg_attr(target_pointer_width = "64", inline(always))]
    #[cfg_attr(not(target_pointer_width = "64"), inline)]
    fn take(
        &self,
        tat: &AtomicWord,
        tokens: u32,
        now: Ticks,
        reach: Word,
    ) -> Result<Taken, Rejection> {
        if tokens == 0 {
            return Ok(Taken { tokens: TakenTokens::NONE, wait: 0 });
        }
        let seen = Self::load(tat);
        // The first try and what is rare apart, where there is room for the code of both.
        if WORD_BITS == 64 {
            let (at, limits) = (self.scale.units(now), self.limits(seen));
            let price = limits.price_within_burst(tokens);
            match Self::judge(seen, limits, tokens, reach, at) {
                Ok(next) if Self::replace(tat, seen, next).is_ok() => {
                    return Ok(Self::taken(price, next, limits, at));
                }
                Err(Some(start))
                    if self.is_live(seen, limits, at) && Self::load_again(tat) == seen =>
                {
                    return Err(self.limited(start.ahead(at), now));
                }
                _ => {}
            }
        }
        self.take_or_refuse(tat, seen, tokens, now, reach)
    }

    /// The next word where `tokens` tokens are there within `reach`. Otherwise the instant from
    /// which they are, should the word be a live one; `None` where there is no such instant.
    ///
    /// As GCRA is written down: the call is let in from so long before the TAT on. All but the
    /// comparisons can be done while the clock is still being read.
    #[inline]
    fn judge(
        seen: Tat,
        limits: Limits,
        tokens: u32,
        reach: Word,
        at: Word,
    ) -> Result<Tat, Option<Tat>> {
        if tokens > limits.burst || seen.is_unstarted() {
            return Err(None);
        }
        let price = limits.price_within_burst(tokens);
        // No sum wraps: each part is at most half of the wrap, a quarter of a word.
        let most = limits.tolerance().wrapping_add(reach);
        let start = seen.earlier(most.wrapping_sub(price));
        if start.is_passed(at) {
            Ok(seen.no_earlier_than(at).later(price))
        } else {
            Err(Some(start))
        }
    }

    #[inline]
    fn taken(price: Word, until: Tat, limits: Limits, at: Word) -> Taken {
        let wait = until.ahead(at).saturating_sub(limits.tolerance());
        Taken { tokens: TakenTokens { units: price, until }, wait }
    }

    /// All of [`take`](Self::take), from when this was `seen`.
    #[cfg_attr(target_pointer_width = "64", cold, inline(never))]
    #[cfg_attr(not(target_pointer_width = "64"), inline)]
    fn take_or_refuse(
        &self,
        tat: &AtomicWord,
        mut seen: Tat,
        tokens: u32,
        now: Ticks,
        reach: Word,
    ) -> Result<Taken, Rejection> {
        let at = self.scale.units(now);
        loop {
            let limits = self.limits(seen);
            let price = limits.price_within_burst(tokens);
            let next = match Self::judge(seen, limits, tokens, reach, at) {
                Ok(next) => next,
                Err(start) => {
                    let newer = Self::load_again(tat);
                    if newer != seen {
                        seen = newer;
                        continue;
                    }
                    match start {
                        Some(start) if self.is_live(seen, limits, at) => {
                            return Err(self.limited(start.ahead(at), now));
                        }
                        _ if seen.is_unstarted() && self.missing != 0 => {
                            seen = self.start(tat, limits, at);
                            continue;
                        }
                        _ if tokens > limits.burst => {
                            return Err(Rejection::new(Reason::ExceedsBurst));
                        }
                        // Stale, or not used yet and full.
                        _ => Tat::new(at.wrapping_add(price), seen.slot()),
                    }
                }
            };
            match Self::replace(tat, seen, next) {
                Ok(()) => return Ok(Self::taken(price, next, limits, at)),
                Err(newer) => seen = newer,
            }
        }
    }

    /// Gives back `taken`, which was `tokens` tokens: no more than it cost, than it costs now,
    /// and than time has not paid for yet.
    fn give_back(&self, tat: &AtomicWord, taken: TakenTokens, tokens: u32, now: Ticks) {
        let unpaid = taken.until.ahead(self.scale.units(now)).min(taken.units);
        self.lower(tat, now, |limits| unpaid.min(limits.price(tokens)));
    }

    /// Lowers the debt by the units that `by` says, as far as there is debt.
    fn lower(&self, tat: &AtomicWord, now: Ticks, by: impl Fn(Limits) -> Word) {
        let at = self.scale.units(now);
        loop {
            let view = self.view_of(tat, at);
            let units = by(view.limits).min(view.debt);
            // A bucket that is full, or unstarted and full, is left as it is.
            if units == 0 {
                return;
            }
            let next = Tat::new(at.wrapping_add(view.debt - units), view.seen.slot());
            if Self::replace(tat, view.seen, next).is_ok() {
                return;
            }
        }
    }

    /// A look at the bucket in which word and limits belong together. Starts it if need be.
    fn view(&self, at: Word) -> View {
        self.view_of(&self.tat, at)
    }

    fn view_of(&self, tat: &AtomicWord, at: Word) -> View {
        let mut seen = Self::load(tat);
        loop {
            let limits = self.limits(seen);
            match self.second_look(tat, seen, limits, at) {
                Ok(debt) => return View { seen, limits, debt },
                Err(newer) => seen = newer,
            }
        }
    }

    #[inline]
    fn load(tat: &AtomicWord) -> Tat {
        // Acquire: the limits of the slot that the word names; pairs with the Release in
        // `change_alone`, whose release sequence the compare-and-swaps in between continue.
        Tat(tat.load(Ordering::Acquire))
    }

    /// The word as it is after the limits were loaded: if it has not changed, they are its own.
    #[inline]
    fn load_again(tat: &AtomicWord) -> Tat {
        // Acquire: had the limits come from a later change than the word, that change's Release
        // store of them would happen before this, and with it the switch away from this slot, so
        // that the load below cannot miss it.
        fence(Ordering::Acquire);
        Self::load(tat)
    }

    #[inline]
    fn limits(&self, seen: Tat) -> Limits {
        let [first, second] = &self.slots;
        // Not by an index, which the loads would have to wait for: a branch is foreseen.
        let limits = first.load();
        if seen.slot() == 0 { limits } else { second.load() }
    }

    #[inline]
    fn replace(tat: &AtomicWord, seen: Tat, next: Tat) -> Result<(), Tat> {
        match tat.compare_exchange_weak(
            seen.0,
            next.0,
            // Relaxed: nothing but the word itself is published, and being a read-modify-write it
            // continues the release sequence of the last change.
            Ordering::Relaxed,
            // Acquire: as in `load`.
            Ordering::Acquire,
        ) {
            Ok(_) => Ok(()),
            Err(newer) => Err(Tat(newer)),
        }
    }

    /// The debt: a word that reads as ahead by more than any live one can has passed.
    #[inline]
    fn actual_debt(&self, seen: Tat, limits: Limits, at: Word) -> Word {
        if seen.is_unstarted() {
            limits.price_within_burst(self.missing)
        } else if self.is_live(seen, limits, at) {
            seen.ahead(at)
        } else {
            0
        }
    }

    /// Whether the word does not read as ahead by more than a live one can.
    #[inline]
    fn is_live(&self, seen: Tat, limits: Limits, at: Word) -> bool {
        // No sum wraps but for limits that are about to be found out of date. The 1 is for the
        // unit that the reserved value of the word costs.
        let margin = self.max_wait.wrapping_add(self.lateness).wrapping_add(1);
        seen.earlier(limits.tolerance().wrapping_add(margin)).is_passed(at)
    }

    /// What all but a plain grant look at: the actual debt, if `seen` is still the word and the
    /// limits are its own. A bucket that is not full when first used is started here, as its time
    /// has to begin somewhere.
    #[inline]
    fn second_look(
        &self,
        tat: &AtomicWord,
        seen: Tat,
        limits: Limits,
        at: Word,
    ) -> Result<Word, Tat> {
        let newer = Self::load_again(tat);
        if newer != seen {
            return Err(newer);
        }
        if seen.is_unstarted() && self.missing != 0 {
            return Err(self.start(tat, limits, at));
        }
        Ok(self.actual_debt(seen, limits, at))
    }

    /// Starts the time of a bucket that is not full when first used; the word that is there then.
    #[cold]
    fn start(&self, tat: &AtomicWord, limits: Limits, at: Word) -> Tat {
        let debt = limits.price_within_burst(self.missing);
        let started = Tat::new(at.wrapping_add(debt), Tat::UNSTARTED.slot());
        match Self::replace(tat, Tat::UNSTARTED, started) {
            Ok(()) => started,
            Err(newer) => newer,
        }
    }

    #[inline]
    fn limited(&self, units: Word, now: Ticks) -> Rejection {
        let ticks = self.ticks_until(units, now);
        Rejection::after_ticks(Reason::RateLimited, ticks, C::TICKS_PER_SECOND)
    }

    fn ticks_until(&self, units: Word, now: Ticks) -> u64 {
        self.scale.ticks_until(widen(units), now)
    }

    fn duration(&self, units: Word, now: Ticks) -> Duration {
        duration_from_ticks(self.ticks_until(units, now), C::TICKS_PER_SECOND)
    }
}

impl<C: Clock> fmt::Debug for TokenBucket<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seen = Self::load(&self.tat);
        let limits = self.limits(seen);
        f.debug_struct("TokenBucket")
            .field("burst", &limits.burst)
            .field("every", &config::duration(self.scale, limits.interval, C::TICKS_PER_SECOND))
            // In units of the scale, for the tests that know what these are.
            .field("tat", &seen)
            .field("limits", &limits)
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}
