//! The policy of a retry, as a value.

use core::fmt;
use core::time::Duration;

use super::decide::RetryAll;
use crate::backoff::{Backoff, nanos};
use crate::budget::RetryBudget;
use crate::error::{ConfigError, Error, Rejection, setting};
use crate::event::Observer;
use crate::pointer::through_pointers;
use crate::time::Clock;

/// Who pays for retries: a [`RetryBudget`], or `()` where nobody asks.
pub trait Budget {
    /// A call has begun, retried or not.
    fn deposit(&self);

    /// Pays for one retry.
    ///
    /// # Errors
    ///
    /// The budget is spent. Nothing is taken then.
    fn withdraw(&self) -> Result<(), Rejection>;

    /// Gives back what was paid for a retry that did not take place.
    fn refund(&self);
}

impl<C: Clock> Budget for RetryBudget<C> {
    #[inline]
    fn deposit(&self) {
        self.deposit();
    }

    #[inline]
    fn withdraw(&self) -> Result<(), Rejection> {
        self.try_withdraw()
    }

    #[inline]
    fn refund(&self) {
        self.refund();
    }
}

impl Budget for () {
    #[inline]
    fn deposit(&self) {}

    #[inline]
    fn withdraw(&self) -> Result<(), Rejection> {
        Ok(())
    }

    #[inline]
    fn refund(&self) {}
}

macro_rules! pointer_budget {
    ($pointer:ty) => {
        impl<B: Budget + ?Sized> Budget for $pointer {
            #[inline]
            fn deposit(&self) {
                (**self).deposit();
            }

            #[inline]
            fn withdraw(&self) -> Result<(), Rejection> {
                (**self).withdraw()
            }

            #[inline]
            fn refund(&self) {
                (**self).refund();
            }
        }
    };
}

through_pointers!(pointer_budget, B);

/// A retry that is about to happen; what [`Retry::on_retry`] is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Retrying<'a, E> {
    /// The number of the attempt that failed; the first is 1.
    pub attempt: u32,
    /// How it failed; `None` where it answered, but with a value that is worth another attempt.
    pub error: Option<&'a Error<E>>,
    /// The wait before the next attempt.
    pub delay: Duration,
}

/// Whoever is told about each retry: any `Fn(&Retrying<'_, E>)`, or `()`.
pub trait OnRetry<E> {
    /// Takes note, before the wait begins.
    fn on_retry(&self, retry: &Retrying<'_, E>);
}

impl<E> OnRetry<E> for () {
    #[inline]
    fn on_retry(&self, _retry: &Retrying<'_, E>) {}
}

impl<E, F: Fn(&Retrying<'_, E>)> OnRetry<E> for F {
    #[inline]
    fn on_retry(&self, retry: &Retrying<'_, E>) {
        self(retry);
    }
}

/// What to try again, how often, and how long to wait in between.
///
/// It is plain data, made in a `const`, copied and shared at will; so what it is given, closures
/// too, should be `Copy`, with budgets and observers by reference. Only the part that is given last
/// need not be, such as a budget in an `Arc`; a constant function cannot take a value apart that
/// might need dropping. After such a part the compiler calls these settings private fields, not
/// methods.
/// Without further settings there are 3 attempts, no deadline and no budget, and every error of the
/// operation is tried again ([`RetryAll`]), and no answer.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Backoff, ManualClock, Retry, RetryIf, Retrying};
///
/// const RETRY: Retry =
///     Retry::new(Backoff::exponential(Duration::from_millis(100))).max_attempts(4);
///
/// # pollster::block_on(async {
/// let clock: ManualClock = ManualClock::new();
/// let answer = RETRY
///     .when(RetryIf(|error: &&str| *error != "not found"))
///     // This clock moves only when told to; with a real one, log something here.
///     .on_retry(|retry: &Retrying<'_, &str>| clock.advance(retry.delay))
///     .call(&clock, |attempt| async move {
///         if attempt.number < 3 { Err("connection refused") } else { Ok(42) }
///     })
///     .await;
/// assert_eq!(answer, Ok(42));
/// assert_eq!(clock.elapsed(), Duration::from_millis(100 + 200));
/// # });
/// ```
#[derive(Clone, Copy)]
#[must_use = "a retry does nothing by itself"]
pub struct Retry<D = Backoff, W = RetryAll, B = (), H = (), O = (), V = ()> {
    pub(super) delays: D,
    pub(super) when: W,
    pub(super) when_value: V,
    pub(super) budget: B,
    pub(super) on_retry: H,
    pub(super) observer: O,
    pub(super) name: &'static str,
    /// At least 1; `u32::MAX` is no limit.
    pub(super) max_attempts: u32,
    /// In nanoseconds, half the size of a `Duration`; [`NO_DEADLINE`] is none.
    pub(super) deadline: u64,
}

/// The longest deadline that can be told from another, centuries ahead: none.
pub(super) const NO_DEADLINE: u64 = nanos(Duration::MAX);

/// At most 64 bytes are copied by a few instructions on a small target; for more, the compiler
/// links 300 bytes of `memcpy`.
#[cfg(target_pointer_width = "32")]
const _: () = assert!(size_of::<Retry>() <= 64);

impl<R: Copy> Retry<Backoff<R>> {
    /// Up to 3 attempts, with the delays of `backoff` between them.
    ///
    /// # Panics
    ///
    /// Where `backoff` does not [`validate`](Backoff::validate): a compile error in a `const`.
    #[track_caller]
    pub const fn new(backoff: Backoff<R>) -> Self {
        match Self::try_new(backoff) {
            Ok(retry) => retry,
            Err(error) => error.fail(),
        }
    }

    /// As [`new`](Self::new), for a backoff that is known only at run time.
    ///
    /// # Errors
    ///
    /// What is wrong with `backoff`.
    pub const fn try_new(backoff: Backoff<R>) -> Result<Self, ConfigError> {
        match backoff.validate() {
            Ok(()) => Ok(Self::with_delays(backoff)),
            Err(error) => Err(error),
        }
    }
}

impl<D> Retry<D> {
    /// Up to 3 attempts, with delays by a rule of your own between them.
    pub const fn with_delays(delays: D) -> Self {
        Self {
            delays,
            when: RetryAll,
            when_value: (),
            budget: (),
            on_retry: (),
            observer: (),
            name: "retry",
            max_attempts: 3,
            deadline: NO_DEADLINE,
        }
    }
}

impl<D, W, B, H, O, V> Retry<D, W, B, H, O, V> {
    /// Makes at most `attempts` attempts, the first included: 1 is no retry.
    ///
    /// # Panics
    ///
    /// At 0: a compile error in a `const`.
    ///
    /// ```compile_fail
    /// # use fusebox_core::{Backoff, Retry};
    /// const RETRY: Retry = Retry::new(Backoff::none()).max_attempts(0);
    /// # let _ = RETRY;
    /// ```
    #[track_caller]
    pub const fn max_attempts(mut self, attempts: u32) -> Self {
        if let Err(error) = check_attempts(attempts) {
            error.fail();
        }
        self.max_attempts = attempts;
        self
    }

    /// As [`max_attempts`](Self::max_attempts), for a number that is known only at run time.
    ///
    /// # Errors
    ///
    /// There must be at least 1.
    pub fn try_max_attempts(self, attempts: u32) -> Result<Self, ConfigError> {
        check_attempts(attempts)?;
        Ok(Self { max_attempts: attempts, ..self })
    }

    /// Sets no limit of attempts: what ends the call is the deadline, the budget, or an error that
    /// is not worth another attempt; without these, only success.
    pub const fn unlimited(mut self) -> Self {
        self.max_attempts = u32::MAX;
        self
    }

    /// Ends the call this long after its first attempt began: attempts and sleeps count. An attempt
    /// is cut off then, and a sleep that would last until then is not begun.
    ///
    /// Nothing can cut an attempt off where retries block their thread; it gets the deadline in its
    /// [`Attempt`](super::Attempt).
    pub const fn deadline(mut self, total: Duration) -> Self {
        self.deadline = nanos(total);
        self
    }

    /// How many attempts are made at most; `u32::MAX` is no limit.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        self.max_attempts
    }
}

impl<D: Copy, W: Copy, B: Copy, H: Copy, O: Copy, V: Copy> Retry<D, W, B, H, O, V> {
    /// Says which errors are worth another attempt; see [`Decide`](super::Decide).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, Decision, Retry};
    ///
    /// let retry = Retry::new(Backoff::constant(Duration::from_millis(100)))
    ///     .when(|status: &u16| if *status >= 500 { Decision::Retry } else { Decision::Stop });
    /// ```
    pub const fn when<W2>(self, when: W2) -> Retry<D, W2, B, H, O, V> {
        Retry {
            delays: self.delays,
            when,
            when_value: self.when_value,
            budget: self.budget,
            on_retry: self.on_retry,
            observer: self.observer,
            name: self.name,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
        }
    }

    /// Says which answers are worth another attempt, too: values that came as `Ok`. By default none
    /// is.
    ///
    /// The answer is dropped before the wait, as it may hold something, such as a connection. When
    /// there is no attempt left, or no budget or time for one, it is the caller's as it is. Only
    /// where the attempt after it is refused by its gates, that is the answer, and where a wait
    /// ends too late, the call has [timed out](Error::TimedOut). What it means to the gates of
    /// a pipeline, that one's classifier says. Where the operation [cannot be
    /// repeated](crate::Operation::can_repeat), every answer is the caller's. See
    /// [`DecideValue`](super::DecideValue).
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, Decision, ManualClock, Retry};
    ///
    /// struct Response { status: u16 }
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// let answer = Retry::new(Backoff::none())
    ///     .when_value(|response: &Response| (response.status >= 500).then_some(Decision::Retry))
    ///     .call(&clock, |attempt| async move {
    ///         Ok::<_, ()>(Response { status: if attempt.is_retry() { 200 } else { 503 } })
    ///     })
    ///     .await;
    /// assert_eq!(answer.map(|response| response.status), Ok(200));
    /// # });
    /// ```
    pub const fn when_value<V2>(self, when_value: V2) -> Retry<D, W, B, H, O, V2> {
        Retry {
            delays: self.delays,
            when: self.when,
            when_value,
            budget: self.budget,
            on_retry: self.on_retry,
            observer: self.observer,
            name: self.name,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
        }
    }

    /// Pays for each retry from `budget`, into which each call makes a deposit. Share one among all
    /// callers of a service.
    ///
    /// An `Arc` of one comes last, or goes in as `&arc`: all other settings want parts that are
    /// `Copy`.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, BudgetConfig, Error, ManualClock, Ratio, Retry, RetryBudget};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// // One retry for ten calls, and none besides.
    /// let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(10)).floor_per_second(0), &clock);
    /// let retry = Retry::new(Backoff::none()).budget(&budget);
    /// let mut attempts = 0;
    /// for _call in 0..100 {
    ///     let result = retry.call(&clock, |_| {
    ///         attempts += 1;
    ///         async { Err::<(), _>("down") }
    ///     });
    ///     assert_eq!(result.await, Err(Error::Inner("down")));
    /// }
    /// assert_eq!(attempts, 100 + 10);
    /// # });
    /// ```
    pub const fn budget<B2: Budget>(self, budget: B2) -> Retry<D, W, B2, H, O, V> {
        Retry {
            delays: self.delays,
            when: self.when,
            when_value: self.when_value,
            budget,
            on_retry: self.on_retry,
            observer: self.observer,
            name: self.name,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
        }
    }

    /// Calls `on_retry` before each wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Backoff, Retry, Retrying};
    ///
    /// let retry = Retry::new(Backoff::constant(Duration::from_millis(100))).on_retry(
    ///     |retry: &Retrying<'_, std::io::Error>| eprintln!("{:?}, again in {:?}", retry.error, retry.delay),
    /// );
    /// ```
    pub const fn on_retry<H2>(self, on_retry: H2) -> Retry<D, W, B, H2, O, V> {
        Retry {
            delays: self.delays,
            when: self.when,
            when_value: self.when_value,
            budget: self.budget,
            on_retry,
            observer: self.observer,
            name: self.name,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
        }
    }

    /// Tells `observer`, under `name`, about each retry and about each call that is given up.
    pub const fn observed_by<O2: Observer>(
        self,
        name: &'static str,
        observer: O2,
    ) -> Retry<D, W, B, H, O2, V> {
        Retry {
            delays: self.delays,
            when: self.when,
            when_value: self.when_value,
            budget: self.budget,
            on_retry: self.on_retry,
            observer,
            name,
            max_attempts: self.max_attempts,
            deadline: self.deadline,
        }
    }
}

const fn check_attempts(attempts: u32) -> Result<(), ConfigError> {
    if attempts == 0 {
        let setting = setting!("the retry's `max_attempts`" must "be at least 1");
        return Err(setting.number(0, 1, u64::MAX));
    }
    Ok(())
}

impl<D: fmt::Debug, W, B, H, O, V> fmt::Debug for Retry<D, W, B, H, O, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = (self.max_attempts != u32::MAX).then_some(self.max_attempts);
        let deadline =
            (self.deadline != NO_DEADLINE).then_some(Duration::from_nanos(self.deadline));
        f.debug_struct("Retry")
            .field("delays", &self.delays)
            .field("max_attempts", &limit)
            .field("deadline", &deadline)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_settings_say_what_would_do() {
        let retry = Retry::new(Backoff::none());
        let error = retry.try_max_attempts(0).unwrap_err();
        assert!(matches!(error, ConfigError::OutOfRange { value: 0, min: 1, .. }));
        assert_eq!(retry.try_max_attempts(7).map(|retry| retry.attempts()), Ok(7));
        let shrinking = Backoff::exponential(Duration::from_secs(1)).factor(50);
        assert_eq!(Retry::try_new(shrinking).err(), shrinking.validate().err());
    }
}
