//! The window over the last calls.

use core::marker::PhantomData;

use super::counting::Counting;
use super::rates::{Judge, Rates};
use super::{Ended, Window};
use crate::breaker::ring::{Call, Head, MAX_REQUESTS, Move, Ring, Sums};
use crate::breaker::state::Generation;
use crate::error::{ConfigError, Setting, check, setting};
use crate::sync::constructor;
use crate::time::{Clock, Ticks};

const CALLS: Setting = setting!(
    "the window's `calls`" must "be from 1 to what its buckets can count, 2^17 - 1 each"
        or "be from 1 to what its buckets can count, 511 each"
);
const MINIMUM_OF_LAST_CALLS: Setting =
    setting!("the window's `minimum_calls`" must "be from 1 to its `calls`");

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
            let over = calls % buckets;
            if over != 0 {
                let down = per_bucket > 0 && over <= buckets / 2;
                let nearest = per_bucket.saturating_add(if down { 0 } else { 1 });
                let nearest = nearest.saturating_mul(buckets);
                return Err(ConfigError::UnevenWindow { calls, buckets, nearest });
            }
            let judge = check!(Judge::new(rates, C::TICKS_PER_SECOND));
            check!(Self::check_minimum(rates.minimum, calls));
            Ok(Self { ring: Ring::new(), per_bucket, judge, clock: PhantomData })
        }
    }

    const fn check_minimum(minimum: u32, calls: u32) -> Result<(), ConfigError> {
        if minimum == 0 {
            return Err(MINIMUM_OF_LAST_CALLS.number(0, 1, calls as u64));
        }
        if minimum > calls {
            return Err(ConfigError::MinimumAboveWindow { minimum, window: calls });
        }
        Ok(())
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
        Self::check_minimum(rates.minimum, self.per_bucket.wrapping_mul(B as u32))?;
        self.judge.change(rates, C::TICKS_PER_SECOND)
    }
}

impl<C: Clock, const B: usize> Window<C> for LastCalls<C, B> {}

impl<C: Clock, const B: usize> Counting for LastCalls<C, B> {
    type Clock = C;
    const GOES_BY_TIME: bool = false;

    fn judge(&self) -> &Judge {
        &self.judge
    }

    fn count(&self, ended: Ended<bool>, is_over: &dyn Fn() -> bool) -> Option<bool> {
        let mut before = false;
        let due = |_: Head, calls: u32| {
            (calls >= self.per_bucket).then(|| {
                // Who filled the bucket may find that this call has moved on, and leave the judging
                // to it.
                before |= self.trips(ended.generation);
                Move { steps: 1, mark: 0 }
            })
        };
        let call = Call::new(ended.failed, ended.slow);
        // No fence after it: see the ring.
        self.ring.record(ended.generation, call, 0, due, is_over).then_some(before)
    }

    fn judged(&self, generation: Generation) -> Sums {
        self.ring.judged(generation)
    }

    fn sums(&self, generation: Generation, _now: Ticks) -> Sums {
        self.ring.sums(generation, |_| 0)
    }
}
