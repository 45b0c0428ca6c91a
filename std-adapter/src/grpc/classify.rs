//! What a status of gRPC means to a gate.

use std::fmt;

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderMap, Response};
use fusebox_core::{Classify, Outcome, Rejection};

use super::code::Code;
use crate::http::{ClassifyEnd, ClassifyHead, Head, JudgesResponses};

/// Judges the calls of gRPC by their [`Code`], as the [table](crate::grpc) says, or as a predicate
/// does.
///
/// In a layer made by [`grpc`](crate::tower::GateLayer::grpc) it waits for the trailers. As a
/// [`Classify`] it sees the head alone, in which a stream, or a call that succeeds, has no status
/// yet: it takes these for successes.
///
/// # Examples
///
/// ```
/// use fusebox_std::{grpc::GrpcStatus, Classify, Outcome};
/// use http::Response;
///
/// let broken = Response::builder().header("grpc-status", "13").body(()).unwrap();
/// assert_eq!(GrpcStatus::new().classify(&Ok::<_, ()>(broken)), Outcome::Failure);
/// let missing = Response::builder().header("grpc-status", "5").body(()).unwrap();
/// assert_eq!(GrpcStatus::new().classify(&Ok::<_, ()>(missing)), Outcome::Success);
/// ```
#[derive(Clone, Copy)]
pub struct GrpcStatus<P = fn(Code) -> bool> {
    is_failure: P,
}

impl<P> JudgesResponses for GrpcStatus<P> {}

impl GrpcStatus {
    /// The codes that are failures are those of which [`Code::is_failure`] says so.
    #[must_use]
    pub const fn new() -> Self {
        Self { is_failure: Code::is_failure }
    }
}

impl Default for GrpcStatus {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Fn(Code) -> bool> GrpcStatus<P> {
    /// The codes that are failures are those of which `is_failure` says so.
    ///
    /// # Examples
    ///
    /// A client that keeps away from a server which has no room left:
    ///
    /// ```
    /// use fusebox_std::{grpc::{Code, GrpcStatus}, prelude::*, tower::GateLayer};
    ///
    /// static STORE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    ///
    /// let layer = GateLayer::new(&STORE).grpc().classify(GrpcStatus::failing_if(|code| {
    ///     code.is_failure() || code == Code::ResourceExhausted
    /// }));
    /// # let _ = layer;
    /// ```
    pub const fn failing_if(is_failure: P) -> Self {
        Self { is_failure }
    }

    fn judge(&self, code: Code) -> Outcome {
        match code {
            code if (self.is_failure)(code) => Outcome::Failure,
            Code::Cancelled => Outcome::Ignored,
            _ => Outcome::Success,
        }
    }

    fn judge_head<B>(&self, response: &Response<B>) -> Head {
        let headers = response.headers();
        match Code::of(headers).or(Code::of_http(response.status())) {
            Some(_) if response.extensions().get::<Rejection>().is_some() => {
                Head::Ended(Outcome::Ignored)
            }
            Some(code) => Head::Ended(self.judge(code)),
            None if is_grpc_web(headers) => Head::Provisional(Outcome::Success),
            None => Head::Open,
        }
    }
}

/// Its trailers are in the data.
fn is_grpc_web(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc-web"))
}

impl<P: Fn(Code) -> bool> ClassifyEnd for GrpcStatus<P> {
    /// A stream without a status has broken off.
    fn classify_end(&self, trailers: Option<&HeaderMap>) -> Outcome {
        trailers.and_then(Code::of).map_or(Outcome::Failure, |code| self.judge(code))
    }
}

impl<B, E, P: Fn(Code) -> bool> ClassifyHead<B, E> for GrpcStatus<P> {
    fn classify_head(&self, result: &Result<Response<B>, E>) -> Head {
        result.as_ref().map_or(Head::Ended(Outcome::Failure), |response| self.judge_head(response))
    }
}

impl<B, E, P: Fn(Code) -> bool> Classify<Response<B>, E> for GrpcStatus<P> {
    fn classify(&self, result: &Result<Response<B>, E>) -> Outcome {
        match self.classify_head(result) {
            Head::Ended(outcome) | Head::Provisional(outcome) => outcome,
            Head::Open => Outcome::Success,
        }
    }
}

impl<P> fmt::Debug for GrpcStatus<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcStatus").finish_non_exhaustive()
    }
}
