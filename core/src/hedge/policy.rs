//! The policy of hedged calls, as a value.

use core::fmt;
use core::time::Duration;

use super::delay::HedgeDelay;
use super::places::{Attempts, Count, sealed as places};
use crate::error::Error;
use crate::event::{Event, Observer};
use crate::pointer::through_pointers;
use crate::retry::{Budget, Decide, DecideValue, Decision, RetryAll};
use crate::time::{Clock, Ticks};

/// Another attempt where the first one takes long: whichever succeeds first is the answer, and the
/// others are dropped.
///
/// The operation may so run several times at once, and run to its end more than once, unseen by the
/// caller: it must be idempotent, which is why the one constructor is called [`idempotent`].
///
/// `N` is how many attempts there are at most, from 2 to 5. Without further settings there is no
/// deadline and no budget, and every error of the operation starts the next attempt at once.
///
/// It is plain data, copied and shared at will; what was said of the parts of a
/// [`Retry`](crate::Retry) holds here as well, but that the delay need not be `Copy`, whatever
/// follows: it may be an [`AfterPercentile`](super::AfterPercentile) in an `Arc`. There is no form
/// of it for threads that block: nothing could drop the attempt that lost.
///
/// [`idempotent`]: Hedge::idempotent
///
/// # Examples
///
/// ```
/// use core::future::pending;
/// use core::time::Duration;
/// use fusebox_core::{Attempt, Hedge, ManualClock};
///
/// const HEDGE: Hedge = Hedge::idempotent(Duration::from_millis(50));
///
/// # pollster::block_on(async {
/// # let clock = &ManualClock::<1_000>::new();
/// let read = |attempt: Attempt| async move {
///     if !attempt.is_hedge() {
///         // The first replica is silent while time goes by.
///         clock.advance(Duration::from_millis(50));
///         pending::<()>().await;
///     }
///     Ok::<_, &str>("hello")
/// };
/// assert_eq!(HEDGE.call(clock, read).await, Ok("hello"));
/// assert_eq!(clock.elapsed(), Duration::from_millis(50));
/// # });
/// ```
#[derive(Clone, Copy)]
#[must_use = "a hedge does nothing by itself"]
pub struct Hedge<const N: usize = 2, D = Duration, W = RetryAll, B = (), O = (), V = ()> {
    /// Always there. A constant function cannot take a value that may need dropping out of a
    /// struct, but out of an option it can.
    delay: Option<D>,
    when: W,
    when_value: V,
    budget: B,
    observer: O,
    name: &'static str,
    /// `Duration::MAX` is none.
    deadline: Duration,
}

impl<D> Hedge<2, D> {
    /// A second attempt, `delay` after the first one, at an operation that may safely run more than
    /// once, at the same time, too: a read, a write that says what to be and not what to add, or
    /// a request with a key by which the service knows it again.
    ///
    /// A good delay is the 95th percentile of the latencies: then 5 % of all calls make another
    /// attempt. `delay` is a [`Duration`], an [`AfterPercentile`](super::AfterPercentile) that
    /// measures it, or another [`HedgeDelay`].
    pub const fn idempotent(delay: D) -> Self {
        Self {
            delay: Some(delay),
            when: RetryAll,
            when_value: (),
            budget: (),
            observer: (),
            name: "hedge",
            deadline: Duration::MAX,
        }
    }
}

impl<const N: usize, D, W, B, O, V> Hedge<N, D, W, B, O, V> {
    /// Ends the call this long after its first attempt began, which is polled in any case. The
    /// attempts that run are cut off then, and none is started from then on.
    pub const fn deadline(mut self, total: Duration) -> Self {
        self.deadline = total;
        self
    }

    /// How many attempts are made at most.
    #[must_use]
    pub const fn attempts(&self) -> u32 {
        N as u32
    }
}

impl<const N: usize, D, W: Copy, B: Copy, O: Copy, V: Copy> Hedge<N, D, W, B, O, V> {
    /// Makes at most `M` attempts, the first included, from 2 to 5: the third one is started as
    /// long after the second as that after the first, and so on.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::Hedge;
    ///
    /// const HEDGE: Hedge<3> = Hedge::idempotent(Duration::from_millis(50)).max_attempts::<3>();
    /// assert_eq!(HEDGE.attempts(), 3);
    /// ```
    ///
    /// ```compile_fail
    /// # use core::time::Duration;
    /// # use fusebox_core::Hedge;
    /// const HEDGE: Hedge<9> = Hedge::idempotent(Duration::from_millis(50)).max_attempts::<9>();
    /// ```
    pub const fn max_attempts<const M: usize>(self) -> Hedge<M, D, W, B, O, V>
    where
        Attempts<M>: Count,
    {
        let (when, when_value, budget, observer, name) = self.parts();
        self.with(when, when_value, budget, observer, name)
    }

    /// Says what a failed attempt means; see [`Decide`]. It is asked about the operation's own
    /// errors and about timeouts, not about refusals of gates.
    ///
    /// | decision | then |
    /// |---|---|
    /// | [`Decision::Retry`], the default | the next attempt starts at once, if one is left |
    /// | [`Decision::RetryAfter`] | no further attempt starts before that time is over; the others go on |
    /// | [`Decision::Stop`] | the call ends in this error, and the other attempts are dropped |
    ///
    /// With [`RetryNone`](crate::RetryNone) any failure ends the call.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Decision, Hedge};
    ///
    /// let hedge = Hedge::idempotent(Duration::from_millis(50))
    ///     .when(|status: &u16| if *status >= 500 { Decision::Retry } else { Decision::Stop });
    /// ```
    pub const fn when<W2>(self, when: W2) -> Hedge<N, D, W2, B, O, V> {
        let (_, when_value, budget, observer, name) = self.parts();
        self.with(when, when_value, budget, observer, name)
    }

    /// Says which answers are not good enough: values that came as `Ok`. By default each one is.
    /// See [`DecideValue`].
    ///
    /// One that is not counts as a failed attempt, whose value is dropped where another attempt
    /// runs or follows, and is the caller's where none does. With [`Decision::Stop`] none
    /// follows on it.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Decision, Hedge};
    ///
    /// let hedge = Hedge::idempotent(Duration::from_millis(50))
    ///     .when_value(|status: &u16| (*status >= 500).then_some(Decision::Retry));
    /// ```
    pub const fn when_value<V2>(self, when_value: V2) -> Hedge<N, D, W, B, O, V2> {
        let (when, _, budget, observer, name) = self.parts();
        self.with(when, when_value, budget, observer, name)
    }

    /// Pays for each attempt after the first from `budget`, into which each call makes a deposit:
    /// share the one that retries of calls to the same service are paid from. A spent budget means
    /// fewer attempts, not an error.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{BudgetConfig, Error, Hedge, ManualClock, Ratio, RetryBudget};
    ///
    /// # pollster::block_on(async {
    /// let clock: ManualClock = ManualClock::new();
    /// // One more attempt for ten calls, and none besides.
    /// let budget = RetryBudget::new(BudgetConfig::new(Ratio::percent(10)).floor_per_second(0), &clock);
    /// let hedge = Hedge::idempotent(Duration::from_millis(50)).budget(&budget);
    /// let mut attempts = 0;
    /// for _call in 0..100 {
    ///     let result = hedge.call(&clock, |_| {
    ///         attempts += 1;
    ///         async { Err::<(), _>("down") }
    ///     });
    ///     assert_eq!(result.await, Err(Error::Inner("down")));
    /// }
    /// assert_eq!(attempts, 100 + 10);
    /// # });
    /// ```
    pub const fn budget<B2: Budget>(self, budget: B2) -> Hedge<N, D, W, B2, O, V> {
        let (when, when_value, _, observer, name) = self.parts();
        self.with(when, when_value, budget, observer, name)
    }

    /// Tells `observer`, under `name`, about each attempt after the first, and about each call
    /// whose attempts all failed.
    pub const fn observed_by<O2: Observer>(
        self,
        name: &'static str,
        observer: O2,
    ) -> Hedge<N, D, W, B, O2, V> {
        let (when, when_value, budget, ..) = self.parts();
        self.with(when, when_value, budget, observer, name)
    }

    const fn parts(&self) -> (W, V, B, O, &'static str) {
        (self.when, self.when_value, self.budget, self.observer, self.name)
    }

    const fn with<const N2: usize, W2, V2, B2, O2>(
        mut self,
        when: W2,
        when_value: V2,
        budget: B2,
        observer: O2,
        name: &'static str,
    ) -> Hedge<N2, D, W2, B2, O2, V2> {
        let delay = self.delay.take();
        let deadline = self.deadline;
        // What is left in it is `Copy`.
        core::mem::forget(self);
        Hedge { delay, when, when_value, budget, observer, name, deadline }
    }
}

impl<const N: usize, D: fmt::Debug, W, B, O, V> fmt::Debug for Hedge<N, D, W, B, O, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let deadline = (self.deadline != Duration::MAX).then_some(self.deadline);
        let mut hedge = f.debug_struct("Hedge");
        if let Some(delay) = &self.delay {
            hedge.field("delay", delay);
        }
        hedge
            .field("max_attempts", &N)
            .field("deadline", &deadline)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// A [`Hedge`] or a pointer to one, for calls on the timer `T` whose operation answers with `V`
/// or fails with `E`. Sealed.
pub trait HedgePolicy<T, V, E>: sealed::HedgePolicy<T, V, E> {}

pub(super) mod sealed {
    use super::{Decision, Duration, Error, Event, Ticks, places};

    pub trait HedgePolicy<T, V, E> {
        type Count: places::Count;

        fn deadline(&self) -> Duration;
        fn delay(&self, now: Ticks) -> u64;
        fn learns(&self) -> bool;
        fn learn(&self, took: u64, now: Ticks);
        fn decide(&self, error: &Error<E>) -> Decision;
        fn decide_value(&self, value: &V) -> Option<Decision>;
        fn deposit(&self);
        /// Pays for an attempt; false where the budget is spent.
        fn withdraw(&self) -> bool;
        fn refund(&self);
        fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>);
    }
}

impl<const N: usize, T, A, E, D, W, B, O, V> HedgePolicy<T, A, E> for Hedge<N, D, W, B, O, V>
where
    Attempts<N>: Count,
    T: Clock,
    D: HedgeDelay<T>,
    W: Decide<E>,
    B: Budget,
    O: Observer,
    V: DecideValue<A>,
{
}

impl<const N: usize, T, A, E, D, W, B, O, V> sealed::HedgePolicy<T, A, E>
    for Hedge<N, D, W, B, O, V>
where
    Attempts<N>: Count,
    T: Clock,
    D: HedgeDelay<T>,
    W: Decide<E>,
    B: Budget,
    O: Observer,
    V: DecideValue<A>,
{
    type Count = Attempts<N>;

    #[inline]
    fn deadline(&self) -> Duration {
        self.deadline
    }

    #[inline]
    fn delay(&self, now: Ticks) -> u64 {
        self.delay.as_ref().map_or(u64::MAX, |delay| delay.delay(now))
    }

    #[inline]
    fn learns(&self) -> bool {
        self.delay.as_ref().is_some_and(D::learns)
    }

    #[inline]
    fn learn(&self, took: u64, now: Ticks) {
        if let Some(delay) = &self.delay {
            delay.learn(took, now);
        }
    }

    #[inline]
    fn decide(&self, error: &Error<E>) -> Decision {
        self.when.decide(error)
    }

    #[inline]
    fn decide_value(&self, value: &A) -> Option<Decision> {
        self.when_value.decide_value(value)
    }

    #[inline]
    fn deposit(&self) {
        self.budget.deposit();
    }

    #[inline]
    fn withdraw(&self) -> bool {
        self.budget.withdraw().is_ok()
    }

    #[inline]
    fn refund(&self) {
        self.budget.refund();
    }

    #[inline]
    fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>) {
        if self.observer.is_active() {
            self.observer.on_event(&event(self.name));
        }
    }
}

macro_rules! pointer_hedge {
    ($pointer:ty) => {
        impl<T, V, E, H: HedgePolicy<T, V, E>> HedgePolicy<T, V, E> for $pointer {}

        impl<T, V, E, H: HedgePolicy<T, V, E>> sealed::HedgePolicy<T, V, E> for $pointer {
            type Count = H::Count;

            #[inline]
            fn deadline(&self) -> Duration {
                (**self).deadline()
            }

            #[inline]
            fn delay(&self, now: Ticks) -> u64 {
                (**self).delay(now)
            }

            #[inline]
            fn learns(&self) -> bool {
                (**self).learns()
            }

            #[inline]
            fn learn(&self, took: u64, now: Ticks) {
                (**self).learn(took, now);
            }

            #[inline]
            fn decide(&self, error: &Error<E>) -> Decision {
                (**self).decide(error)
            }

            #[inline]
            fn decide_value(&self, value: &V) -> Option<Decision> {
                (**self).decide_value(value)
            }

            #[inline]
            fn deposit(&self) {
                (**self).deposit();
            }

            #[inline]
            fn withdraw(&self) -> bool {
                (**self).withdraw()
            }

            #[inline]
            fn refund(&self) {
                (**self).refund();
            }

            #[inline]
            fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>) {
                (**self).report(event);
            }
        }
    };
}

through_pointers!(pointer_hedge, H);
