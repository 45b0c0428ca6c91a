//! Fallbacks: what to answer instead, tier by tier.
//!
//! A chain of tiers is a value that is built from the first answer on, so a tier costs nothing
//! until it is needed, each gets the error of the one before it, and none needs to know how many
//! others there are. The sync chain holds a `Result`, and each tier is tried as it is added. The
//! async chain is one future, in which only one tier exists at a time; see `fallback/future.rs`.
//!
//! Why not a policy that is configured once, as others have: a fallback is about one kind of call,
//! and nearly always closes over that call's arguments. A chain reads in the order in which it is
//! tried, and the compiler sees through it.

mod future;

use crate::event::{Event, Observer};

pub use future::{FallbackFuture, FallingBack, First, OrValue};

/// What a call with fallbacks answered, and which tier it was.
///
/// # Examples
///
/// ```
/// use fusebox_core::{Answer, Fallback};
///
/// let answer = Err::<u32, _>("down").fallback(|_| Ok::<_, &str>(7)).answer()?;
/// assert_eq!((answer.tier(), answer.into_inner()), (1, 7));
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[must_use]
pub struct Answer<T> {
    value: T,
    tier: u32,
}

impl<T> Answer<T> {
    const fn of_tier(value: T, tier: u32) -> Self {
        Self { value, tier }
    }

    /// The tier that answered: 0 for the call itself, 1 for its first fallback.
    #[must_use]
    pub const fn tier(&self) -> u32 {
        self.tier
    }

    /// Whether another than the call itself answered.
    #[must_use]
    pub const fn is_fallback(&self) -> bool {
        self.tier > 0
    }

    /// The answer.
    #[must_use]
    pub const fn value(&self) -> &T {
        &self.value
    }

    /// The answer alone.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value
    }

    /// Tells `observer` under `name` if a fallback answered ([`Event::FellBack`]).
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_core::{Event, Fallback, Observer};
    ///
    /// struct Log;
    /// impl Observer for Log {
    ///     fn on_event(&self, event: &Event<'_>) {
    ///         assert_eq!(event.to_string(), "price: answered by fallback tier 1");
    ///     }
    /// }
    /// let price = Err::<u32, _>("down").fallback(|_| Ok::<_, &str>(7)).answer()?;
    /// assert_eq!(price.observed_by("price", &Log).into_inner(), 7);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn observed_by<O: Observer + ?Sized>(self, name: &str, observer: &O) -> Self {
        if self.is_fallback() && observer.is_active() {
            observer.on_event(&Event::FellBack { name, tier: self.tier });
        }
        self
    }
}

/// Fallbacks for the `Result` of a call that has been made.
///
/// For calls that are futures, there is [`FallbackFuture`], with methods of the same names.
///
/// # Examples
///
/// A price from the database, else from a cache if the database was not even asked, else the list
/// price:
///
/// ```
/// use fusebox_core::{BreakerConfig, CircuitBreaker, Error, Fallback, Gate, ManualClock};
///
/// # fn query(_: u32) -> Result<u32, &'static str> { Ok(90) }
/// # fn cached(_: u32) -> Option<u32> { Some(95) }
/// let clock: ManualClock = ManualClock::new();
/// let database = CircuitBreaker::new(BreakerConfig::standard(), &clock);
///
/// let price = |id| {
///     database
///         .call(|| query(id))
///         .fallback_if(Error::is_rejected, |error| cached(id).ok_or(error))
///         .or_value(100)
/// };
/// assert_eq!((price(1).tier(), price(1).into_inner()), (0, 90));
///
/// database.trip();
/// assert_eq!((price(1).tier(), price(1).into_inner()), (1, 95));
/// ```
pub trait Fallback<T, E>: Sized {
    /// Falls back to `tier` on any error; `tier` is told which.
    fn fallback<E2>(self, tier: impl FnOnce(E) -> Result<T, E2>) -> Tiers<T, E2>;

    /// Falls back to `tier` on the errors for which `applies` holds; other errors pass on to the
    /// next tier.
    fn fallback_if(
        self,
        applies: impl FnOnce(&E) -> bool,
        tier: impl FnOnce(E) -> Result<T, E>,
    ) -> Tiers<T, E>;

    /// Falls back to `value` on any error; so there is an answer in any case.
    fn or_value(self, value: T) -> Answer<T>;
}

impl<T, E> Fallback<T, E> for Result<T, E> {
    #[inline]
    fn fallback<E2>(self, tier: impl FnOnce(E) -> Result<T, E2>) -> Tiers<T, E2> {
        Tiers::first(self).fallback(tier)
    }

    #[inline]
    fn fallback_if(
        self,
        applies: impl FnOnce(&E) -> bool,
        tier: impl FnOnce(E) -> Result<T, E>,
    ) -> Tiers<T, E> {
        Tiers::first(self).fallback_if(applies, tier)
    }

    #[inline]
    fn or_value(self, value: T) -> Answer<T> {
        Tiers::first(self).or_value(value)
    }
}

/// A chain of fallbacks so far; see [`Fallback`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "the answer is in it: call `answer`"]
pub struct Tiers<T, E> {
    result: Result<Answer<T>, E>,
    /// The number of the last tier.
    last: u32,
}

impl<T, E> Tiers<T, E> {
    #[inline]
    fn first(result: Result<T, E>) -> Self {
        Self { result: result.map(|value| Answer::of_tier(value, 0)), last: 0 }
    }

    /// The answer of the tier that gave one.
    ///
    /// # Errors
    ///
    /// That of the last tier that was tried, where none answered.
    #[inline]
    pub fn answer(self) -> Result<Answer<T>, E> {
        self.result
    }
}

impl<T, E> Fallback<T, E> for Tiers<T, E> {
    #[inline]
    fn fallback<E2>(self, tier: impl FnOnce(E) -> Result<T, E2>) -> Tiers<T, E2> {
        let last = self.last.saturating_add(1);
        let result = match self.result {
            Ok(answer) => Ok(answer),
            Err(error) => tier(error).map(|value| Answer::of_tier(value, last)),
        };
        Tiers { result, last }
    }

    #[inline]
    fn fallback_if(
        self,
        applies: impl FnOnce(&E) -> bool,
        tier: impl FnOnce(E) -> Result<T, E>,
    ) -> Self {
        let last = self.last.saturating_add(1);
        let result = match self.result {
            Err(error) if applies(&error) => tier(error).map(|value| Answer::of_tier(value, last)),
            other => other,
        };
        Self { result, last }
    }

    #[inline]
    fn or_value(self, value: T) -> Answer<T> {
        let last = self.last.saturating_add(1);
        self.result.unwrap_or_else(|_| Answer::of_tier(value, last))
    }
}
