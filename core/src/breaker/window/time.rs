//! The window over the last time.

use core::marker::PhantomData;
use core::time::Duration;

use super::counting::Counting;
use super::rates::{Judge, Rates};
use super::{Ended, Window};
use crate::breaker::ring::{Age, Head, MARK_BITS, MAX_REQUESTS, Ring, Sums};
use crate::breaker::state::Generation;
use crate::error::{ConfigError, Setting, check, setting};
use crate::sync::constructor;
use crate::time::scale::{DEFAULT_LATENESS, HEADROOM, Scale, ahead};
use crate::time::{Clock, LONGEST, Ticks, check_rate, duration_from_ticks, in_ticks};
use crate::word::{Word, mask};

const SPAN: Setting = setting!(
    "the window's `span`"
        must "be from a unit of its time for each bucket to a quarter of the clock's range"
);
const LATENESS: Setting =
    setting!("the window's `lateness`" must "be at most a quarter of the clock's range");
const MINIMUM_OF_LAST_TIME: Setting = setting!(
    "the `minimum_calls` of a window of time" must "be from 1 to 65536" or "be from 1 to 256"
);

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
            check!(Self::check_minimum(rates));
            let horizon = scale.units_up(ticks.saturating_add(late));
            Ok(Self { ring: Ring::new(), scale, step, horizon, judge, clock: PhantomData })
        }
    }

    const fn check_minimum(rates: Rates) -> Result<u64, ConfigError> {
        // A full bucket is halved; so many calls are counted whatever happens.
        MINIMUM_OF_LAST_TIME.check(rates.minimum as u64, 1, MAX_REQUESTS / 2 + 1)
    }

    /// Goes by `rates` from now on, with the calls that are in the window already.
    ///
    /// The next call is judged by them, a success as well. A call that ends while they change is
    /// counted, and judged with the next one. Calls that began when no slow call mattered are not
    /// slow. Whether the breaker has a rule left that could trip
    /// it is not looked at here.
    ///
    /// # Errors
    ///
    /// As [`try_new`](Self::try_new), and nothing has changed; and [`ConfigError::ChangeUnderWay`].
    ///
    /// # Interrupt safety
    ///
    /// Never waits: a change that finds another one under way is refused.
    ///
    /// # Examples
    ///
    /// See [`CircuitBreaker::window`](crate::CircuitBreaker::window).
    pub fn set_rates(&self, rates: Rates) -> Result<(), ConfigError> {
        Self::check_minimum(rates)?;
        self.judge.change(rates, C::TICKS_PER_SECOND)
    }

    /// The units of a window of so many ticks.
    ///
    /// Finer than a tick where there is room, so that a bucket need not be a whole number of ticks.
    const fn scale(ticks: u64, late: u64) -> Scale {
        Scale::fit(ticks.saturating_add(late), MARK_BITS, HEADROOM, 10)
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

impl<C: Clock, const B: usize> Counting for LastTime<C, B> {
    type Clock = C;
    const GOES_BY_TIME: bool = true;

    fn judge(&self) -> &Judge {
        &self.judge
    }

    fn count(&self, ended: Ended<bool>, is_over: &dyn Fn() -> bool) -> Option<bool> {
        let first = self.scale.units(ended.now) & mask(MARK_BITS);
        let age = |head: Head, _: u64| match self.age(head, ended.now) {
            (0, _) => Age::Current,
            (steps, mark) => Age::Over(steps, mark),
        };
        let call = (ended.failed, ended.slow);
        if !self.ring.record(ended.generation, call, first, age, is_over, || ()) {
            return None;
        }
        Ring::<B>::fence();
        Some(false)
    }

    fn judged(&self, generation: Generation) -> Option<Sums> {
        self.ring.judged(generation)
    }

    fn sums(&self, generation: Generation, now: Ticks) -> Sums {
        self.ring.sums(generation, |head| self.age(head, now).0)
    }
}
