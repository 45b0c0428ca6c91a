//! Why a call did not run, how it ended, and what is wrong with a configuration.

use core::convert::Infallible;
use core::fmt;
use core::time::Duration;

use crate::time::duration_from_ticks;

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
    /// Too much is in flight.
    Overloaded,
    /// The retry budget is spent.
    BudgetExhausted,
    /// The deadline has passed, or would pass while waiting.
    DeadlineExceeded,
    /// A feature switch is off.
    SwitchedOff,
}

impl Reason {
    /// Whether the same call might be let in soon: true for what passes by itself in the time of a
    /// backoff (a rate, a queue, busy probes), false for an open circuit, a spent budget, a passed
    /// deadline, a switch, or a request that can never be met.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        match self {
            Self::ProbesBusy
            | Self::RateLimited
            | Self::BulkheadFull
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::Overloaded => true,
            Self::CircuitOpen
            | Self::ExceedsBurst
            | Self::BudgetExhausted
            | Self::DeadlineExceeded
            | Self::SwitchedOff => false,
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
            Self::Overloaded => "too much is in flight",
            Self::BudgetExhausted => "the retry budget is spent",
            Self::DeadlineExceeded => "the deadline is too near or has passed",
            Self::SwitchedOff => "switched off",
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
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
    /// is not known, and where waiting is of no use ([`Reason::ExceedsBurst`]).
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

impl core::error::Error for Rejection {}

/// How a protected call failed. One type for all patterns, so that they nest without nesting types.
///
/// # Examples
///
/// Where the operation's own error is a [`core::error::Error`], so is this, and `?` puts it in a box
/// of any error. Where the operation's is such a box already (`Box<dyn Error>`, `anyhow::Error`),
/// which is no `Error` itself, refusals and timeouts go in by
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

/// What is wrong with a configuration: which value, and what would be right.
///
/// `try_new` returns it at run time; `new` panics with its [`summary`](Self::summary), which in a
/// `static` is a compile error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum ConfigError {
    /// A number is outside of what it may be.
    OutOfRange {
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The smallest value that would do.
        min: u64,
        /// The largest value that would do.
        max: u64,
    },
    /// A window would never hold as many calls as a rate is judged from.
    MinimumAboveWindow {
        /// The calls that a rate needs.
        minimum: u32,
        /// The calls that the window can hold.
        window: u32,
    },
    /// A window cannot share its calls out evenly among its buckets.
    UnevenWindow {
        /// The calls of the window.
        calls: u32,
        /// Its buckets.
        buckets: u32,
        /// The nearest number of calls that would do.
        nearest: u32,
    },
    /// No rule could ever trip this breaker.
    NoTripRule,
    /// The rate, the burst, the longest wait and the lateness together need more bits than a word
    /// has on this target.
    RateNeedsMoreBits {
        /// The burst asked for.
        burst: u64,
        /// The largest burst that would fit, all else equal; 0 where none would.
        max_burst: u64,
        /// The lateness, in microseconds, that would fit all else equal; 0 where none would.
        max_lateness_micros: u64,
        /// The longest wait, in microseconds, that would fit all else equal; 0 where none would.
        max_wait_micros: u64,
    },
    /// Another live change of the same limits is under way. They do not wait for each other: one of
    /// them may have interrupted the other.
    ChangeUnderWay,
}

impl ConfigError {
    pub(crate) const fn range(what: &'static str, value: u64, min: u64, max: u64) -> Self {
        Self::OutOfRange { what, value, min, max }
    }

    /// What is wrong, without the values: the text of the compile error for a bad `static`.
    #[must_use]
    pub const fn summary(&self) -> &'static str {
        match self {
            Self::OutOfRange { what, .. } => what,
            Self::MinimumAboveWindow { .. } => {
                "a rate is judged from more calls than its window can hold"
            }
            Self::UnevenWindow { .. } => "a window's calls are no multiple of its buckets",
            Self::NoTripRule => "no rule could ever trip this breaker",
            Self::RateNeedsMoreBits { .. } => {
                "rate, burst, longest wait and lateness need more bits than a word has"
            }
            Self::ChangeUnderWay => "another change of the same limits is under way",
        }
    }

    /// Ends a constant constructor.
    #[track_caller]
    pub(crate) const fn fail(&self) -> ! {
        panic!("{}", self.summary())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OutOfRange { what, value, min, max: u64::MAX } => {
                write!(f, "{what}: is {value}, must be at least {min}")
            }
            Self::OutOfRange { what, value, min, max } => {
                write!(f, "{what}: is {value}, must be from {min} to {max}")
            }
            Self::MinimumAboveWindow { minimum, window } => write!(
                f,
                "a rate is judged from at least {minimum} calls, but its window holds {window}: \
                 lower the minimum to {window} or widen the window"
            ),
            Self::UnevenWindow { calls, buckets, nearest } => write!(
                f,
                "a window of {calls} calls in {buckets} buckets: must be a multiple of {buckets}, \
                 such as {nearest}"
            ),
            Self::NoTripRule => f.write_str(
                "no rule could ever trip this breaker: set consecutive failures, a rate over a \
                 window, or a rule of your own",
            ),
            Self::RateNeedsMoreBits { burst, max_burst, max_lateness_micros, max_wait_micros } => {
                write!(f, "a burst of {burst} at this rate needs more bits than a word has")?;
                let mut before = ": what would fit is ";
                for (what, most, unit) in [
                    ("burst", max_burst, ""),
                    ("max_lateness", max_lateness_micros, " us"),
                    ("max_wait", max_wait_micros, " us"),
                ] {
                    if *most > 0 {
                        write!(f, "{before}a {what} of at most {most}{unit}")?;
                        before = ", or ";
                    }
                }
                Ok(())
            }
            Self::ChangeUnderWay => f.write_str(self.summary()),
        }
    }
}

impl core::error::Error for ConfigError {}
