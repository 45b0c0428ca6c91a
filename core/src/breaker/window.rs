//! What a breaker remembers of the calls it judges by: a part that is chosen by type.

use core::fmt::Debug;
use core::marker::PhantomData;
use core::time::Duration;

use super::counts::Counts;
use super::ring::{Age, Head, MARK_BITS, MAX_REQUESTS, Ring, Sums};
use super::rules::{LONGEST, check, in_ticks};
use super::state::Generation;
use crate::error::{ConfigError, Setting, setting};
use crate::ratio::Ratio;
use crate::sync::constructor;
use crate::time::scale::{DEFAULT_LATENESS, HEADROOM, Scale, ahead};
use crate::time::{Clock, Ticks, check_rate, duration_from_ticks, ticks_from_duration};
use crate::word::{Word, mask};

const CALLS: Setting = setting!(
    "the window's `calls`" must "be from 1 to what its buckets can count, 2^17 - 1 each"
        or "be from 1 to what its buckets can count, 511 each"
);
const SPAN: Setting = setting!(
    "the window's `span`"
        must "be from a unit of its time for each bucket to a quarter of the clock's range"
);
const LATENESS: Setting =
    setting!("the window's `lateness`" must "be at most a quarter of the clock's range");
const FAILURES: Setting =
    setting!("the rate of `Rates::failures`" must "be more than 0 % and at most 100 %");
const SLOW_CALLS: Setting =
    setting!("the rate of `Rates::slow_calls`" must "be more than 0 % and at most 100 %");
const MINIMUM_OF_LAST_CALLS: Setting =
    setting!("the window's `minimum_calls`" must "be from 1 to its `calls`");
const MINIMUM_OF_LAST_TIME: Setting = setting!(
    "the `minimum_calls` of a window of time" must "be from 1 to 65536" or "be from 1 to 256"
);

/// A rule of the user's own.
pub(super) type Custom = Option<fn(&Counts) -> bool>;

/// A call that ended, as a window sees it.
#[derive(Clone, Copy, Debug)]
pub struct Ended<S> {
    pub(super) generation: Generation,
    pub(super) failed: bool,
    pub(super) start: S,
    pub(super) now: Ticks,
}

/// When a call began, where a window asks for it.
pub trait Start: Copy + Debug + Send + Sync {
    /// Takes note of the time.
    fn at(now: Ticks) -> Self;
    /// The time; the origin where it was not taken.
    fn ticks(self) -> Ticks;
}

impl Start for () {
    #[inline]
    fn at(_now: Ticks) -> Self {}

    #[inline]
    fn ticks(self) -> Ticks {
        Ticks::ZERO
    }
}

impl Start for Ticks {
    #[inline]
    fn at(now: Ticks) -> Self {
        now
    }

    #[inline]
    fn ticks(self) -> Ticks {
        self
    }
}

/// The kinds of window: [`Consecutive`], [`LastCalls`], [`LastTime`], and a pair of windows, which
/// trips when either does. Sealed.
pub trait Window<C>: sealed::Window<C> {}

pub(super) mod sealed {
    use super::{Counts, Custom, Ended, Generation, Start, Ticks};

    pub trait Window<C> {
        /// What a call carries for this window.
        type Start: Start;

        /// Whether a rate of its own can trip the breaker.
        fn has_rate(&self) -> bool;

        /// Whether a success is counted, too.
        const COUNTS_SUCCESSES: bool;

        /// Whether calls carry the time they began at.
        fn needs_start(&self) -> bool;

        /// Whether the window wants to know the time when a call ends.
        fn needs_end(&self) -> bool;

        /// Whether a call counts as slow.
        fn is_slow(&self, start: Ticks, now: Ticks) -> bool;

        /// Counts a call and judges: `None` where the call came too late, else whether a rule
        /// trips. `base` has the counts that the breaker itself keeps.
        fn record(
            &self,
            ended: Ended<Self::Start>,
            base: Counts,
            custom: Custom,
            is_over: &dyn Fn() -> bool,
        ) -> Option<bool>;

        /// Asks a rule about a call that was counted already.
        fn ask(
            &self,
            generation: Generation,
            failed: bool,
            base: Counts,
            rule: fn(&Counts) -> bool,
        ) -> bool;

        /// Adds what the window has counted in `generation` to `counts`.
        fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts;
    }
}

/// No window: the breaker trips on failures in a row, which its state word counts. A call that
/// succeeds on a closed, clean breaker writes nothing and reads no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consecutive;

impl<C> Window<C> for Consecutive {}

impl<C> sealed::Window<C> for Consecutive {
    type Start = ();
    const COUNTS_SUCCESSES: bool = false;

    fn has_rate(&self) -> bool {
        false
    }

    #[inline]
    fn needs_start(&self) -> bool {
        false
    }

    #[inline]
    fn needs_end(&self) -> bool {
        false
    }

    #[inline]
    fn is_slow(&self, _start: Ticks, _now: Ticks) -> bool {
        false
    }

    #[inline]
    fn record(
        &self,
        ended: Ended<()>,
        base: Counts,
        custom: Custom,
        _is_over: &dyn Fn() -> bool,
    ) -> Option<bool> {
        Some(ended.failed && custom.is_some_and(|rule| rule(&base)))
    }

    fn ask(
        &self,
        _generation: Generation,
        failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        failed && rule(&base)
    }

    fn read(&self, _generation: Generation, _now: Ticks, counts: Counts) -> Counts {
        counts
    }
}

/// The rates at which a window trips its breaker.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Rates, Ratio};
///
/// // Half of at least 20 calls failed, or 80 % of them took two seconds or more.
/// let rates = Rates::failures(Ratio::percent(50))
///     .slow_calls(Ratio::percent(80), Duration::from_secs(2))
///     .minimum_calls(20);
/// # let _ = rates;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Rates {
    failures: Option<Ratio>,
    slow: Option<(Ratio, Duration)>,
    minimum: u32,
}

impl Rates {
    /// No rate: the window only counts, for a [rule of your own](crate::BreakerConfig::trip_when).
    pub const fn none() -> Self {
        Self { failures: None, slow: None, minimum: 10 }
    }

    /// Trips when the failed share of the calls in the window reaches `rate`, above 0 and at most
    /// 1; equal trips.
    pub const fn failures(rate: Ratio) -> Self {
        Self { failures: Some(rate), ..Self::none() }
    }

    /// Trips when the share of the calls in the window that took at least `duration` reaches
    /// `rate`, above 0 and at most 1, whether they succeeded or not; equal trips. While half-open,
    /// a slow success counts as a failed probe. Calls then read the clock when they begin and when
    /// they end.
    pub const fn slow_calls(self, rate: Ratio, duration: Duration) -> Self {
        Self { slow: Some((rate, duration)), ..self }
    }

    /// Judges no rate by fewer calls than this: 1 to what the window can hold (of a window of time
    /// 65 536, where words are 32 bits 256); 10 unless told otherwise.
    pub const fn minimum_calls(self, calls: u32) -> Self {
        Self { minimum: calls, ..self }
    }
}

/// [`Rates`] in ticks.
#[derive(Clone, Copy, Debug)]
struct Judge {
    failures: Option<Ratio>,
    slow: Option<Ratio>,
    /// In ticks.
    slow_after: u64,
    minimum: u32,
}

impl Judge {
    const fn new(rates: Rates, hz: u64) -> Result<Self, ConfigError> {
        if let Some(rate) = rates.failures {
            if !rate.is_share() {
                return Err(FAILURES.ratio(rate));
            }
        }
        let (slow, slow_after) = match rates.slow {
            Some((rate, duration)) => {
                if !rate.is_share() {
                    return Err(SLOW_CALLS.ratio(rate));
                }
                (Some(rate), ticks_from_duration(duration, hz))
            }
            None => (None, 0),
        };
        Ok(Self { failures: rates.failures, slow, slow_after, minimum: rates.minimum })
    }

    const fn has_rate(&self) -> bool {
        self.failures.is_some() || self.slow.is_some()
    }

    #[inline]
    fn is_slow(&self, start: Ticks, now: Ticks) -> bool {
        self.slow.is_some() && now.saturating_since(start) >= self.slow_after
    }

    fn trips(&self, counts: &Counts, custom: Custom) -> bool {
        let reached =
            |rate: Option<Ratio>, part| rate.is_some_and(|r| r.is_reached(part, counts.requests));
        (counts.requests >= u64::from(self.minimum)
            && (reached(self.failures, counts.failures) || reached(self.slow, counts.slow)))
            || custom.is_some_and(|rule| rule(counts))
    }
}

fn add(sums: Sums, counts: Counts) -> Counts {
    Counts {
        requests: sums.requests,
        successes: sums.requests.saturating_sub(sums.failures),
        failures: sums.failures,
        slow: sums.slow,
        ..counts
    }
}

/// A window over the last N calls, for a clock `C`, in `B` buckets.
///
/// It slides in steps of N / `B` calls: it covers the last N calls when a step is complete, and up
/// to N / `B` - 1 fewer in between; with as many buckets as calls it is exact. `B` is at most 64,
/// where words are 32 bits 16. Abandoned and ignored calls are not in it.
///
/// Each judged call costs one read-modify-write and `B` + 5 loads, the first one of a step about
/// twice as much; the memory is `B` + 1 words.
///
/// # Examples
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, LastCalls, ManualClock, Rates, Ratio};
///
/// let clock: ManualClock = ManualClock::new();
/// let last_hundred: LastCalls<_> = LastCalls::new(100, Rates::failures(Ratio::percent(50)));
/// let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), last_hundred, &clock);
/// for _ in 0..3 {
///     breaker.permit().unwrap().success();
///     breaker.permit().unwrap().failure();
/// }
/// assert_eq!(breaker.snapshot().counts.failures, 3);
/// ```
#[derive(Debug)]
pub struct LastCalls<C, const B: usize = 10> {
    ring: Ring<B>,
    per_bucket: u32,
    judge: Judge,
    clock: PhantomData<fn() -> C>,
}

impl<C: Clock, const B: usize> LastCalls<C, B> {
    constructor! {
        /// A window over the last `calls` calls, a multiple of `B`.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(calls: u32, rates: Rates) -> Self {
            match Self::try_new(calls, rates) {
                Ok(window) => window,
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        /// A window over the last `calls` calls, a multiple of `B`.
        ///
        /// # Errors
        ///
        /// `calls` is 0, no multiple of `B`, or more than `B` buckets can count (2^17 - 1 each,
        /// where words are 32 bits 511); the minimum of calls is 0 or above `calls`; a rate is 0
        /// or above 1.
        pub const fn try_new(calls: u32, rates: Rates) -> Result<Self, ConfigError> {
            let buckets = B as u32;
            let per_bucket = calls / buckets;
            let most = MAX_REQUESTS * buckets as u64;
            check!(CALLS.check(calls as u64, 1, most));
            if per_bucket * buckets != calls {
                let down = per_bucket > 0 && calls - per_bucket * buckets <= buckets / 2;
                let nearest = if down { per_bucket } else { per_bucket + 1 } * buckets;
                return Err(ConfigError::UnevenWindow { calls, buckets, nearest });
            }
            let judge = check!(Judge::new(rates, C::TICKS_PER_SECOND));
            if judge.minimum == 0 {
                return Err(MINIMUM_OF_LAST_CALLS.number(0, 1, calls as u64));
            }
            if judge.minimum > calls {
                return Err(ConfigError::MinimumAboveWindow { minimum: judge.minimum, window: calls });
            }
            Ok(Self { ring: Ring::new(), per_bucket, judge, clock: PhantomData })
        }
    }
}

impl<C: Clock, const B: usize> Window<C> for LastCalls<C, B> {}

impl<C: Clock, const B: usize> sealed::Window<C> for LastCalls<C, B> {
    type Start = Ticks;
    const COUNTS_SUCCESSES: bool = true;

    fn has_rate(&self) -> bool {
        self.judge.has_rate()
    }

    #[inline]
    fn needs_start(&self) -> bool {
        self.judge.slow.is_some()
    }

    #[inline]
    fn needs_end(&self) -> bool {
        self.judge.slow.is_some()
    }

    #[inline]
    fn is_slow(&self, start: Ticks, now: Ticks) -> bool {
        self.judge.is_slow(start, now)
    }

    fn record(
        &self,
        ended: Ended<Ticks>,
        base: Counts,
        custom: Custom,
        is_over: &dyn Fn() -> bool,
    ) -> Option<bool> {
        let slow = self.judge.is_slow(ended.start, ended.now);
        let full = u64::from(self.per_bucket);
        let age = |_: Head, calls: u64| if calls >= full { Age::Over(1, 0) } else { Age::Current };
        let mut before = false;
        // Who filled the bucket may find that this call has moved on, and leave the judging to it.
        let leave = || {
            let full = self.ring.judged(ended.generation).map(|sums| add(sums, Counts::default()));
            before |= full.is_some_and(|counts| self.judge.trips(&counts, None));
        };
        if !self.ring.record(ended.generation, (ended.failed, slow), 0, age, is_over, leave) {
            return None;
        }
        // No fence: see the ring.
        let Some(sums) = self.ring.judged(ended.generation) else { return Some(before) };
        Some(before || self.judge.trips(&add(sums, base), custom))
    }

    fn ask(
        &self,
        generation: Generation,
        _failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        self.ring.judged(generation).is_some_and(|sums| rule(&add(sums, base)))
    }

    fn read(&self, generation: Generation, _now: Ticks, counts: Counts) -> Counts {
        add(self.ring.sums(generation, |_| 0), counts)
    }
}

/// A window over the last T, for a clock `C`, in `B` buckets.
///
/// It slides in steps of T / `B`: it covers between T - T / `B` and T. A step is rounded down to a
/// unit of the window's time: at most one part in 2^19 (where words are 32 bits 2^9) of T and the
/// lateness together, or a 2^10th of a tick if that is longer.
///
/// `B` is at most 64, where words are 32 bits 16. A bucket that is full (2^17 - 1 calls, where
/// words are 32 bits 511) is halved, so that rates stay what they are and counts become relative.
/// Abandoned and ignored calls are not in it. After an idle time of about a turn of the word's time
/// (2^16 times T and the lateness, where words are 32 bits 2^10 times, or a multiple of that),
/// calls from before may be taken for recent ones.
///
/// Each judged call costs a clock reading, one read-modify-write, a full fence and `B` + 5 loads;
/// the memory is `B` + 1 words.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Gate, LastTime, ManualClock, Rates, Ratio};
///
/// let clock: ManualClock = ManualClock::new();
/// let rates = Rates::failures(Ratio::percent(10)).minimum_calls(2);
/// let last_minute: LastTime<_> = LastTime::new(Duration::from_secs(60), rates);
/// let breaker = CircuitBreaker::with_window(BreakerConfig::standard(), last_minute, &clock);
/// breaker.permit().unwrap().failure();
/// clock.advance(Duration::from_secs(61));
/// breaker.permit().unwrap().failure();
/// assert!(!breaker.is_open(), "the first failure is forgotten");
/// ```
#[derive(Debug)]
pub struct LastTime<C, const B: usize = 10> {
    ring: Ring<B>,
    scale: Scale,
    /// The length of a bucket, in units.
    step: Word,
    /// How late a reader may be and still be taken for late.
    horizon: Word,
    judge: Judge,
    clock: PhantomData<fn() -> C>,
}

impl<C: Clock, const B: usize> LastTime<C, B> {
    constructor! {
        /// A window over the last `span`, with a lateness of one second.
        ///
        /// # Panics
        ///
        /// Where [`try_new`](Self::try_new) errs; in a `static` that is a compile error.
        #[must_use]
        #[track_caller]
        pub const fn new(span: Duration, rates: Rates) -> Self {
            match Self::try_new(span, rates, DEFAULT_LATENESS) {
                Ok(window) => window,
                Err(error) => error.fail(),
            }
        }
    }

    constructor! {
        /// A window over the last `span`, for clock readings that are up to `lateness` late.
        ///
        /// # Errors
        ///
        /// `span` is 0, or so much shorter than `lateness` that a bucket would be shorter than a
        /// unit of the window's time (see [`LastTime`]); one of them is longer than a quarter of
        /// the clock's range; the minimum of calls is 0 or above what can be counted for certain
        /// (65 536, where words are 32 bits 256); a rate is 0 or above 1.
        pub const fn try_new(
            span: Duration,
            rates: Rates,
            lateness: Duration,
        ) -> Result<Self, ConfigError> {
            let hz = C::TICKS_PER_SECOND;
            check!(check_rate(hz));
            let late = check!(in_ticks(LATENESS, lateness, hz, 0));
            let ticks = check!(in_ticks(SPAN, span, hz, 1));
            let scale = Self::scale(ticks, late);
            // Rounded down, both times: it never covers more than was asked for.
            let step = scale.units(Ticks(ticks)) / B as Word;
            if step == 0 {
                // A longer window may need longer units, but not twice.
                let least = Self::scale(scale.ticks_up(B as u64), late).ticks_up(B as u64);
                let (min, max) = (duration_from_ticks(least, hz), Duration::from_secs(LONGEST / hz));
                return Err(SPAN.duration(span, min, max));
            }
            let judge = check!(Judge::new(rates, hz));
            // A full bucket is halved; so many calls are counted whatever happens.
            check!(MINIMUM_OF_LAST_TIME.check(judge.minimum as u64, 1, MAX_REQUESTS / 2 + 1));
            let horizon = scale.units_up(ticks + late);
            Ok(Self { ring: Ring::new(), scale, step, horizon, judge, clock: PhantomData })
        }
    }

    /// The units of a window of so many ticks.
    ///
    /// Finer than a tick where there is room, so that a bucket need not be a whole number of ticks.
    const fn scale(ticks: u64, late: u64) -> Scale {
        Scale::fit(ticks + late, MARK_BITS, HEADROOM, 10)
    }

    /// How many buckets ago `head` was current, and where the bucket of `now` begins.
    fn age(&self, head: Head, now: Ticks) -> (u32, Word) {
        let now = self.scale.units(now) & mask(MARK_BITS);
        // A reader that is late sees the bucket begin in the future.
        if ahead(head.mark(), now, MARK_BITS, self.horizon) > 0 {
            return (0, head.mark());
        }
        let elapsed = now.wrapping_sub(head.mark()) & mask(MARK_BITS);
        if elapsed < self.step {
            return (0, head.mark());
        }
        // Never zero; but the compiler cannot know that, and would link a panic.
        let steps = elapsed.checked_div(self.step).unwrap_or(0);
        if steps >= B as Word {
            // Everything has slid out: begin afresh.
            return (B as u32, now);
        }
        (steps as u32, head.mark().wrapping_add(steps * self.step) & mask(MARK_BITS))
    }
}

impl<C: Clock, const B: usize> Window<C> for LastTime<C, B> {}

impl<C: Clock, const B: usize> sealed::Window<C> for LastTime<C, B> {
    type Start = Ticks;
    const COUNTS_SUCCESSES: bool = true;

    fn has_rate(&self) -> bool {
        self.judge.has_rate()
    }

    #[inline]
    fn needs_start(&self) -> bool {
        self.judge.slow.is_some()
    }

    #[inline]
    fn needs_end(&self) -> bool {
        true
    }

    #[inline]
    fn is_slow(&self, start: Ticks, now: Ticks) -> bool {
        self.judge.is_slow(start, now)
    }

    fn record(
        &self,
        ended: Ended<Ticks>,
        base: Counts,
        custom: Custom,
        is_over: &dyn Fn() -> bool,
    ) -> Option<bool> {
        let slow = self.judge.is_slow(ended.start, ended.now);
        let first = self.scale.units(ended.now) & mask(MARK_BITS);
        let age = |head: Head, _: u64| match self.age(head, ended.now) {
            (0, _) => Age::Current,
            (steps, mark) => Age::Over(steps, mark),
        };
        if !self.ring.record(ended.generation, (ended.failed, slow), first, age, is_over, || ()) {
            return None;
        }
        Ring::<B>::fence();
        let Some(sums) = self.ring.judged(ended.generation) else { return Some(false) };
        Some(self.judge.trips(&add(sums, base), custom))
    }

    fn ask(
        &self,
        generation: Generation,
        _failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        self.ring.judged(generation).is_some_and(|sums| rule(&add(sums, base)))
    }

    fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts {
        add(self.ring.sums(generation, |head| self.age(head, now).0), counts)
    }
}

/// Two windows: either trips. The snapshot shows the counts of the first.
impl<C, V: Window<C>, W: Window<C>> Window<C> for (V, W) {}

impl<C, V: sealed::Window<C>, W: sealed::Window<C>> sealed::Window<C> for (V, W) {
    type Start = Ticks;
    const COUNTS_SUCCESSES: bool = true;

    fn has_rate(&self) -> bool {
        self.0.has_rate() || self.1.has_rate()
    }

    #[inline]
    fn needs_start(&self) -> bool {
        self.0.needs_start() || self.1.needs_start()
    }

    #[inline]
    fn needs_end(&self) -> bool {
        self.0.needs_end() || self.1.needs_end()
    }

    #[inline]
    fn is_slow(&self, start: Ticks, now: Ticks) -> bool {
        self.0.is_slow(start, now) || self.1.is_slow(start, now)
    }

    fn record(
        &self,
        ended: Ended<Ticks>,
        base: Counts,
        custom: Custom,
        is_over: &dyn Fn() -> bool,
    ) -> Option<bool> {
        let Ended { generation, failed, start, now } = ended;
        let first = Ended { generation, failed, start: V::Start::at(start), now };
        let second = Ended { generation, failed, start: W::Start::at(start), now };
        // Both count, whatever the first one says.
        let first = self.0.record(first, base, custom, is_over)?;
        let second = self.1.record(second, base, custom, is_over)?;
        Some(first || second)
    }

    fn ask(
        &self,
        generation: Generation,
        failed: bool,
        base: Counts,
        rule: fn(&Counts) -> bool,
    ) -> bool {
        self.0.ask(generation, failed, base, rule) || self.1.ask(generation, failed, base, rule)
    }

    fn read(&self, generation: Generation, now: Ticks, counts: Counts) -> Counts {
        self.0.read(generation, now, counts)
    }
}
