//! Which errors, and which answers, are worth another attempt.

use core::time::Duration;

use crate::error::{Error, Rejection};

/// What to do about an error, or about an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Decision {
    /// Try again, after the policy's own delay.
    Retry,
    /// Try again after this long or the policy's own delay, whichever is longer: what a server
    /// asked for. It may be longer than the policy's largest delay, but the deadline still
    /// holds. Nothing is added to it: those who were told the same come back together, unless the
    /// server told each another time.
    RetryAfter(Duration),
    /// Leave it at that: another attempt would end in the same way.
    Stop,
}

impl Decision {
    /// The default for a gate's refusal: try again where it passes by itself, after the time it
    /// asks for where that is known; else stop. See
    /// [`Reason::is_transient`](crate::Reason::is_transient).
    #[must_use]
    pub const fn about(rejection: &Rejection) -> Self {
        if !rejection.reason().is_transient() {
            return Self::Stop;
        }
        match rejection.retry_after() {
            Some(wait) => Self::RetryAfter(wait),
            None => Self::Retry,
        }
    }
}

/// Says which errors are worth another attempt.
///
/// Any `Fn(&E) -> Decision` will do: it is asked about the operation's own errors, while a timeout
/// is retried and a gate's refusal goes by [`Decision::about`]. [`RetryIf`] takes a predicate,
/// [`RetryAll`] is the default. Implement the trait to decide about timeouts and refusals as well.
///
/// # Examples
///
/// ```
/// use core::time::Duration;
/// use fusebox_core::{Decide, Decision, Error, Reason, Rejection};
///
/// enum Http {
///     Status(u16),
///     Busy { retry_after: Duration },
/// }
///
/// let by_status = |error: &Http| match error {
///     Http::Status(500..) => Decision::Retry,
///     Http::Status(_) => Decision::Stop,
///     Http::Busy { retry_after } => Decision::RetryAfter(*retry_after),
/// };
/// assert_eq!(by_status.decide(&Error::Inner(Http::Status(503))), Decision::Retry);
/// assert_eq!(by_status.decide(&Error::Inner(Http::Status(404))), Decision::Stop);
/// assert_eq!(by_status.decide(&Error::TimedOut), Decision::Retry);
/// let open = Rejection::new(Reason::CircuitOpen);
/// assert_eq!(by_status.decide(&Error::Rejected(open)), Decision::Stop);
/// ```
#[diagnostic::on_unimplemented(
    note = "give the argument of a closure its type: `|error: &MyError|`"
)]
pub trait Decide<E> {
    /// What to do about `error`.
    fn decide(&self, error: &Error<E>) -> Decision;
}

impl<E, F: Fn(&E) -> Decision> Decide<E> for F {
    #[inline]
    fn decide(&self, error: &Error<E>) -> Decision {
        by_default(error, self)
    }
}

/// The default [`Decide`]: every error of the operation is worth another attempt, and so is a
/// timeout; a gate's refusal goes by [`Decision::about`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryAll;

impl<E> Decide<E> for RetryAll {
    #[inline]
    fn decide(&self, error: &Error<E>) -> Decision {
        by_default(error, |_| Decision::Retry)
    }
}

/// A [`Decide`] that leaves every error: for a [`Hedge`](crate::Hedge) whose first failure is
/// final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryNone;

impl<E> Decide<E> for RetryNone {
    #[inline]
    fn decide(&self, _error: &Error<E>) -> Decision {
        Decision::Stop
    }
}

/// Says which answers are worth another attempt: values that came as `Ok`, such as an HTTP response
/// with the status 503.
///
/// Any `Fn(&V) -> Option<Decision>` will do, `None` where the answer is good enough; by default
/// each one is. [`Decision::Stop`] is for one that is not, and that another attempt would not
/// better, as the server says to stay away. See
/// [`Retry::when_value`](super::Retry::when_value) and
/// [`Hedge::when_value`](crate::Hedge::when_value).
#[diagnostic::on_unimplemented(
    note = "give the argument of a closure its type: `|value: &MyResponse|`"
)]
pub trait DecideValue<V> {
    /// What to do about `value`; `None` where it is good enough.
    fn decide_value(&self, value: &V) -> Option<Decision>;
}

impl<V, F: Fn(&V) -> Option<Decision>> DecideValue<V> for F {
    #[inline]
    fn decide_value(&self, value: &V) -> Option<Decision> {
        self(value)
    }
}

/// Every answer is good enough.
impl<V> DecideValue<V> for () {
    #[inline]
    fn decide_value(&self, _value: &V) -> Option<Decision> {
        None
    }
}

/// A [`Decide`] that asks a predicate whether an error of the operation is worth another attempt.
///
/// The predicate is not asked about a timeout, which is retried, nor about a gate's refusal, which
/// goes by [`Decision::about`].
///
/// # Examples
///
/// ```
/// use std::io::{Error as IoError, ErrorKind};
/// use fusebox_core::{Decide, Decision, Error, RetryIf};
///
/// let not_for_ever = RetryIf(|error: &IoError| error.kind() != ErrorKind::NotFound);
/// let refused = Error::Inner(IoError::from(ErrorKind::ConnectionRefused));
/// assert_eq!(not_for_ever.decide(&refused), Decision::Retry);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RetryIf<P>(
    /// Whether this error is worth another attempt.
    pub P,
);

impl<E, P: Fn(&E) -> bool> Decide<E> for RetryIf<P> {
    #[inline]
    fn decide(&self, error: &Error<E>) -> Decision {
        by_default(error, |error| if (self.0)(error) { Decision::Retry } else { Decision::Stop })
    }
}

#[inline]
fn by_default<E>(error: &Error<E>, about_inner: impl FnOnce(&E) -> Decision) -> Decision {
    match error {
        Error::Rejected(rejection) => Decision::about(rejection),
        Error::TimedOut => Decision::Retry,
        Error::Inner(error) => about_inner(error),
    }
}
