//! The window over the last time.

use core::marker::PhantomData;
use core::time::Duration;

use super::counting::Counting;
use super::rates::{Judge, Rates};
use super::slide::Slide;
use super::{Ended, Window};
use crate::breaker::ring::{MAX_REQUESTS, Ring, Sums};
use crate::breaker::state::Generation;
use crate::error::{ConfigError, Setting, check, setting};
use crate::sync::constructor;
use crate::time::scale::DEFAULT_LATENESS;
use crate::time::{Clock, Ticks};

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
    slide: Slide<B>,
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
            let (span, lateness) = ((SPAN, span), (LATENESS, lateness));
            let slide = check!(Slide::new(span, lateness, C::TICKS_PER_SECOND));
            let judge = check!(Judge::new(rates, C::TICKS_PER_SECOND));
            check!(Self::check_minimum(rates));
            Ok(Self { slide, judge, clock: PhantomData })
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
    /// slow. Whether the breaker has a rule left that could trip it is not looked at here.
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
}

impl<C: Clock, const B: usize> Window<C> for LastTime<C, B> {}

impl<C: Clock, const B: usize> Counting for LastTime<C, B> {
    type Clock = C;
    const GOES_BY_TIME: bool = true;

    fn judge(&self) -> &Judge {
        &self.judge
    }

    fn count(&self, ended: Ended<bool>, is_over: &dyn Fn() -> bool) -> Option<bool> {
        let call = (ended.failed, ended.slow);
        if !self.slide.record(ended.generation, call, ended.now, is_over) {
            return None;
        }
        Ring::<B>::fence();
        Some(false)
    }

    fn judged(&self, generation: Generation) -> Sums {
        self.slide.judged(generation)
    }

    fn sums(&self, generation: Generation, now: Ticks) -> Sums {
        self.slide.sums(generation, now)
    }
}
