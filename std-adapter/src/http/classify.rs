//! What a response means to a gate.

use ::http::{Response, StatusCode};
use fusebox_core::{Classify, Outcome, Rejection};

/// A [`Classify`] for services that answer with HTTP responses: 5xx and errors are failures, all
/// else is a success, 4xx too: the service has understood.
///
/// A refusal by a gate further in, which that has turned into a response, is ignored: it says
/// nothing about what was called.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::ServerErrors, Classify, Outcome};
/// use http::Response;
///
/// let broken = Response::builder().status(502).body(()).unwrap();
/// assert_eq!(ServerErrors.classify(&Ok::<_, ()>(broken)), Outcome::Failure);
/// let missing = Response::builder().status(404).body(()).unwrap();
/// assert_eq!(ServerErrors.classify(&Ok::<_, ()>(missing)), Outcome::Success);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServerErrors;

impl<B, E> Classify<Response<B>, E> for ServerErrors {
    #[inline]
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        by_status(result, |status| status.is_server_error())
    }
}

/// A [`Classify`] that asks a predicate whether a status is a failure, and is otherwise as
/// [`ServerErrors`].
///
/// # Examples
///
/// A client that keeps away from a server which tells it that it asks too much:
///
/// ```
/// use fusebox_std::{http::FailureStatus, prelude::*, tower::GateLayer};
/// use http::StatusCode;
///
/// static SEARCH: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// let layer = GateLayer::new(&SEARCH).classify(FailureStatus(|status: StatusCode| {
///     status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
/// }));
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug)]
pub struct FailureStatus<P>(
    /// Whether this status is a failure.
    pub P,
);

impl<B, E, P: Fn(StatusCode) -> bool> Classify<Response<B>, E> for FailureStatus<P> {
    #[inline]
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        by_status(result, &self.0)
    }
}

/// A classifier that looks at responses, and not only at whether there is one: what a pipeline must
/// have around a service of HTTP or gRPC, where most failures are responses.
///
/// Say so of your own: `impl JudgesResponses for Mine {}`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` takes each response for a success, whatever its status",
    label = "the gates of this pipeline would not hear of a 500",
    note = "say `.classify(ServerErrors)` where the pipeline is made"
)]
pub trait JudgesResponses {}

impl JudgesResponses for ServerErrors {}

impl<P> JudgesResponses for FailureStatus<P> {}

#[inline]
fn by_status<B, E>(
    result: &Result<Response<B>, E>,
    is_failure: impl Fn(StatusCode) -> bool,
) -> Outcome {
    match result {
        Ok(response) if !is_failure(response.status()) => Outcome::Success,
        // Looked at last: most responses are none of these.
        Ok(response) if response.extensions().get::<Rejection>().is_some() => Outcome::Ignored,
        Ok(_) | Err(_) => Outcome::Failure,
    }
}
