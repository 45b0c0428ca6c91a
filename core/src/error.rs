//! Why a call did not run, how it ended, and what is wrong with a configuration.

use core::convert::Infallible;
use core::fmt;
use core::time::Duration;

use crate::time::duration_from_ticks;

mod config;

pub use config::ConfigError;
pub(crate) use config::{Setting, check, setting};

/// Why a gate refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
// As wide as a register, for the results it is part of: with one byte and padding, the compiler
// moves the padding, too, in pieces of other sizes than were written, which costs more than all
// other moves together.
#[repr(usize)]
pub enum Reason {
    /// The circuit breaker is open, or forced open.
    CircuitOpen,
    /// The circuit breaker is half-open and all its probes are out.
    ProbesBusy,
    /// The token bucket has too few tokens now.
    RateLimited,
    /// More tokens or permits were asked for than there can ever be. Coming back is of no use.
    ExceedsBurst,
    /// All permits are out.
    BulkheadFull,
    /// All permits are out, and so are all places to wait in.
    QueueFull,
    /// No permit came free in the time allowed for waiting.
    QueueTimeout,
    /// There is too much load: in flight, in a queue, or on whoever is called.
    Overloaded,
    /// The retry budget is spent.
    BudgetExhausted,
    /// The deadline has passed, or would pass while waiting.
    DeadlineExceeded,
    /// A feature switch is off.
    SwitchedOff,
    /// The circuit breaker lets in a growing share of the calls, and this one is not in it.
    RampingUp,
    /// The limit is by key, and the call has none. Coming back is of no use.
    NoKey,
}

impl Reason {
    /// All reasons there are, in the order of their numbers.
    pub const ALL: &'static [Self] = &[
        Self::CircuitOpen,
        Self::ProbesBusy,
        Self::RateLimited,
        Self::ExceedsBurst,
        Self::BulkheadFull,
        Self::QueueFull,
        Self::QueueTimeout,
        Self::Overloaded,
        Self::BudgetExhausted,
        Self::DeadlineExceeded,
        Self::SwitchedOff,
        Self::RampingUp,
        Self::NoKey,
    ];

    /// Whether the same call might be let in soon: true for what passes by itself in the time of a
    /// backoff (a rate, a queue, busy probes, a ramp), false for an open circuit, a spent budget, a
    /// passed deadline, a switch, a missing key, or a request that can never be met.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::ProbesBusy
            | Self::RateLimited
            | Self::BulkheadFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::Overloaded
            | Self::RampingUp => true,
            Self::CircuitOpen
            | Self::ExceedsBurst
            | Self::BudgetExhausted
            | Self::DeadlineExceeded
            | Self::SwitchedOff
            | Self::NoKey => false,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::CircuitOpen => "the circuit is open",
            Self::ProbesBusy => "the circuit is half-open and all its probes are out",
            Self::RateLimited => "the rate limit is reached",
            Self::ExceedsBurst => "more was asked for than there can ever be",
            Self::BulkheadFull => "all permits are out",
            Self::QueueFull => "the wait queue is full",
            Self::QueueTimeout => "no permit came free in time",
            Self::Overloaded => "overloaded",
            Self::BudgetExhausted => "the retry budget is spent",
            Self::DeadlineExceeded => "the deadline is too near or has passed",
            Self::SwitchedOff => "switched off",
            Self::RampingUp => "the circuit is letting calls back in little by little",
            Self::NoKey => "there is no key to tell whose call it is",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A gate's refusal: why, and when to come back where that is known.
///
/// The time to come back is kept in ticks and becomes a [`Duration`] when it is asked for, so that
/// refusing costs no division.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub struct Rejection {
    reason: Reason,
    /// Ticks to wait; means something only where `per_second` is not 0.
    wait: u64,
    per_second: u64,
}

impl Rejection {
    /// A refusal that does not know when to come back.
    pub const fn new(reason: Reason) -> Self {
        Self { reason, wait: 0, per_second: 0 }
    }

    /// A refusal that will be lifted after `ticks` of a clock that runs at `per_second`.
    pub const fn after_ticks(reason: Reason, ticks: u64, per_second: u64) -> Self {
        Self { reason, wait: ticks, per_second }
    }

    /// Why.
    #[must_use]
    pub const fn reason(&self) -> Reason {
        self.reason
    }

    /// How long until the same call may be let in, rounded up to the nanosecond; `None` where that
    /// is not known, and where waiting is of no use ([`Reason::ExceedsBurst`], [`Reason::NoKey`]).
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        if self.per_second == 0 {
            None
        } else {
            Some(duration_from_ticks(self.wait, self.per_second))
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_after() {
            Some(wait) => write!(f, "{}; retry after {wait:?}", self.reason),
            None => self.reason.fmt(f),
        }
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rejection")
            .field("reason", &self.reason)
            .field("retry_after", &self.retry_after())
            .finish()
    }
}

#[cfg(feature = "defmt")]
impl defmt::Format for Rejection {
    fn format(&self, f: defmt::Formatter<'_>) {
        let wait = self.retry_after();
        defmt::write!(f, "Rejection {{ reason: {}, retry_after: {} }}", self.reason, wait);
    }
}

impl core::error::Error for Rejection {}

/// How a protected call failed. One type for all patterns, so that they nest without nesting types.
///
/// # Examples
///
/// Where the operation's own error is a [`core::error::Error`], so is this, and `?` puts it in a
/// box of any error. Where the operation's is such a box already (`Box<dyn Error>`,
/// `anyhow::Error`), which is no `Error` itself, refusals and timeouts go in by
/// [`into_inner_or_else`](Self::into_inner_or_else):
///
/// ```
/// use fusebox_core::{Gate, Semaphore};
///
/// type AnyError = Box<dyn std::error::Error + Send + Sync>;
///
/// fn load(text: &str, gate: &Semaphore) -> Result<u32, AnyError> {
///     let parse = || Ok::<u32, AnyError>(text.parse()?);
///     let value = gate.call(parse).map_err(|error| error.into_inner_or_else(AnyError::from))?;
///     Ok(value)
/// }
/// let gate: Semaphore = Semaphore::new(1);
/// assert_eq!(load("42", &gate).unwrap(), 42);
/// assert!(load("forty-two", &gate).unwrap_err().is::<std::num::ParseIntError>());
/// let _all = gate.try_acquire();
/// assert_eq!(load("42", &gate).unwrap_err().to_string(), "rejected: all permits are out");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error<E> {
    /// A gate refused; the operation did not run.
    Rejected(Rejection),
    /// The operation was cancelled because its time was up.
    TimedOut,
    /// The operation ran and failed.
    Inner(E),
}

impl<E> Error<E> {
    /// The operation's own error, where it ran and failed.
    #[must_use]
    pub fn into_inner(self) -> Option<E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) | Self::TimedOut => None,
        }
    }

    /// The refusal, where a gate refused.
    pub const fn rejection(&self) -> Option<Rejection> {
        match self {
            Self::Rejected(rejection) => Some(*rejection),
            Self::TimedOut | Self::Inner(_) => None,
        }
    }

    /// The same error with the operation's own error mapped by `f`.
    #[must_use]
    pub fn map_inner<F>(self, f: impl FnOnce(E) -> F) -> Error<F> {
        match self {
            Self::Rejected(rejection) => Error::Rejected(rejection),
            Self::TimedOut => Error::TimedOut,
            Self::Inner(error) => Error::Inner(f(error)),
        }
    }
}

impl<E> Error<E> {
    /// Whether a gate refused.
    #[must_use]
    pub const fn is_rejected(&self) -> bool {
        matches!(self, Self::Rejected(_))
    }

    /// Whether the operation was cancelled because its time was up.
    #[must_use]
    pub const fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut)
    }

    /// The operation's own error, where it ran and failed.
    #[must_use]
    pub const fn inner(&self) -> Option<&E> {
        match self {
            Self::Inner(error) => Some(error),
            Self::Rejected(_) | Self::TimedOut => None,
        }
    }

    /// The operation's own error, or what `otherwise` makes of a refusal or a timeout.
    ///
    /// # Examples
    ///
    /// ```
    /// use core::time::Duration;
    /// use fusebox_core::{Error, Reason, Rejection};
    /// use std::io::{self, ErrorKind};
    ///
    /// fn plain(error: Error<io::Error>) -> io::Error {
    ///     error.into_inner_or_else(|why| io::Error::new(ErrorKind::ResourceBusy, why))
    /// }
    /// let refused = plain(Rejection::new(Reason::CircuitOpen).into());
    /// assert_eq!(refused.to_string(), "rejected: the circuit is open");
    /// assert_eq!(plain(Error::Inner(ErrorKind::NotFound.into())).kind(), ErrorKind::NotFound);
    /// ```
    #[must_use]
    pub fn into_inner_or_else(self, otherwise: impl FnOnce(Error<Infallible>) -> E) -> E {
        match self {
            Self::Rejected(rejection) => otherwise(Error::Rejected(rejection)),
            Self::TimedOut => otherwise(Error::TimedOut),
            Self::Inner(error) => error,
        }
    }
}

impl<E> Error<Error<E>> {
    /// One level of nesting less, for a protected call inside a protected call.
    #[must_use]
    pub fn flatten(self) -> Error<E> {
        match self {
            Self::Rejected(rejection) => Error::Rejected(rejection),
            Self::TimedOut => Error::TimedOut,
            Self::Inner(error) => error,
        }
    }
}

impl<E> From<Rejection> for Error<E> {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => write!(f, "rejected: {rejection}"),
            Self::TimedOut => f.write_str("timed out"),
            Self::Inner(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Inner(error) => error.source(),
            Self::Rejected(_) | Self::TimedOut => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Reason;

    /// A reason that is added must be added here, or this does not compile, and then to the list.
    const fn after(reason: Reason) -> Option<Reason> {
        Some(match reason {
            Reason::CircuitOpen => Reason::ProbesBusy,
            Reason::ProbesBusy => Reason::RateLimited,
            Reason::RateLimited => Reason::ExceedsBurst,
            Reason::ExceedsBurst => Reason::BulkheadFull,
            Reason::BulkheadFull => Reason::QueueFull,
            Reason::QueueFull => Reason::QueueTimeout,
            Reason::QueueTimeout => Reason::Overloaded,
            Reason::Overloaded => Reason::BudgetExhausted,
            Reason::BudgetExhausted => Reason::DeadlineExceeded,
            Reason::DeadlineExceeded => Reason::SwitchedOff,
            Reason::SwitchedOff => Reason::RampingUp,
            Reason::RampingUp => Reason::NoKey,
            Reason::NoKey => return None,
        })
    }

    #[test]
    fn all_reasons_are_listed_each_at_its_number() {
        let all = core::iter::successors(Some(Reason::CircuitOpen), |reason| after(*reason));
        assert!(all.eq(Reason::ALL.iter().copied()));
        assert!(Reason::ALL.iter().enumerate().all(|(number, reason)| *reason as usize == number));
    }
}
