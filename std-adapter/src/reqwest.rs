//! Clients with reqwest (feature `reqwest`).
//!
//! A [`Client`](::reqwest::Client) of reqwest is a service of tower, so the layers of
//! [`tower`](crate::tower) and [`http`](crate::http) go around it. What they have to know of its
//! types is here.
//!
//! ```
//! use std::{sync::Arc, time::Duration};
//! use fusebox_std::{http::*, http::deadline::*, current_deadline, prelude::*, reqwest::is_transient, tower::*};
//! use reqwest::{Method, Request};
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! static SHOP: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
//! static REQUESTS: Bulkhead = Bulkhead::new(BulkheadConfig::new(64));
//! // One retry for ten calls, and one a second whatever happens.
//! static BUDGET: RetryBudget =
//!     RetryBudget::new(BudgetConfig::new(Ratio::percent(10)).floor_per_second(1), StdClock);
//!
//! fn client() -> impl Service<Request, Response = reqwest::Response, Error = Error<reqwest::Error>> + Clone {
//!     let backoff = Backoff::exponential(Duration::from_millis(50)).jitter(Jitter::Full, StdRng);
//!     let retry = Retry::new(backoff)
//!         .when(RetryIf(is_transient))
//!         .when_value(TransientStatus::within(Duration::from_secs(5)))
//!         .budget(&BUDGET);
//!     let pipeline = Pipeline::new(TokioTimer)
//!         .deadline(Duration::from_secs(10))
//!         .per_call(&REQUESTS)
//!         .retry(retry)
//!         .per_attempt(&SHOP)
//!         .attempt_timeout(Duration::from_secs(2))
//!         .classify(ServerErrors);
//!     ServiceBuilder::new()
//!         .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent).ending_by(current_deadline))
//!         .layer(SendDeadlineLayer::new(DeadlineHeader::UNIX_NANOS))
//!         .service(reqwest::Client::new())
//! }
//!
//! # async fn ask() -> Result<(), Box<dyn std::error::Error>> {
//! let request = Request::new(Method::GET, "http://shop.example/books/7".parse()?);
//! let response = client().oneshot(request).await?;
//! # drop(response);
//! # Ok(())
//! # }
//! ```
//!
//! For one kind of request a pipeline is enough, without a service:
//!
//! ```
//! use fusebox_std::{http::{ServerErrors, TransientStatus}, prelude::*, reqwest::is_transient};
//! use std::time::Duration;
//!
//! async fn book(client: &reqwest::Client, id: u32) -> Result<reqwest::Response, Error<reqwest::Error>> {
//!     let retry = Retry::new(Backoff::exponential(Duration::from_millis(50)))
//!         .when(RetryIf(is_transient))
//!         .when_value(TransientStatus::within(Duration::from_secs(5)));
//!     Pipeline::new(TokioTimer)
//!         .deadline(Duration::from_secs(10))
//!         .retry(retry)
//!         .classify(ServerErrors)
//!         .call(|_attempt| client.get(format!("http://shop.example/books/{id}")).send())
//!         .await
//! }
//! ```
//!
//! # Reasons
//!
//! *What is retried is up to the headers of the response.* Its body comes later, when the call is
//! over and its permits are given back. To have the body within them, read it in the pipeline's
//! call.
//!
//! *No client type of its own*: reqwest's builder is where proxies, certificates and pools are set,
//! and a wrapper would have to follow it for ever. reqwest's own retries and timeouts are best left
//! as they are by default.

use std::error::Error as _;
use std::task::{Context, Poll};
use std::time::SystemTime;

use ::http::StatusCode;
use ::reqwest::{Error as ReqwestError, Request, Response};
use fusebox_core::{Classify, DecideValue, Decision, Outcome};
use tower_service::Service;

use crate::http::deadline::SendDeadlineService;
use crate::http::{
    FailureStatus, ResendIdempotent, ServerErrors, TransientStatus, is_transient_status, may_repeat,
};
use crate::tower::Resend;

/// Whether another attempt may fare better than one that failed like this: no connection, a broken
/// one, a timeout, or, after `error_for_status`, a status that may pass by itself. For
/// [`RetryIf`](crate::RetryIf).
///
/// A request that cannot be built, a redirect that leads nowhere and a body that does not mean
/// anything will be the same next time.
///
/// # Examples
///
/// ```
/// use fusebox_std::{prelude::*, reqwest::is_transient};
/// use std::time::Duration;
///
/// let retry = Retry::new(Backoff::constant(Duration::from_millis(50))).when(RetryIf(is_transient));
/// # let _ = retry.budget(());
///
/// let malformed = reqwest::Client::new().get("nowhere").build().unwrap_err();
/// assert!(!is_transient(&malformed));
/// ```
#[must_use]
pub fn is_transient(error: &ReqwestError) -> bool {
    match error.status() {
        Some(status) => is_transient_status(status),
        None if error.is_decode() => is_cut_off(error),
        None => !(error.is_builder() || error.is_redirect()),
    }
}

/// Whether a body could not be understood because the end of it never came.
fn is_cut_off(error: &ReqwestError) -> bool {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(ReqwestError::is_body)
}

/// As far as the body can be cloned. Extensions are reqwest's own business, so a request is marked
/// by its `Idempotency-Key`; to send others again as well, give a function:
/// `|request: &reqwest::Request| request.try_clone()`.
impl Resend<Request> for ResendIdempotent {
    #[inline]
    fn again(&self, request: &Request) -> Option<Request> {
        if may_repeat(request.method(), request.headers(), None) {
            request.try_clone()
        } else {
            None
        }
    }
}

impl DecideValue<Response> for TransientStatus {
    #[inline]
    fn decide_value(&self, response: &Response) -> Option<Decision> {
        self.about(response.status(), response.headers(), SystemTime::now())
    }
}

/// A request that cannot be built says nothing about the server.
impl Classify<Response, ReqwestError> for ServerErrors {
    #[inline]
    fn classify(&self, result: &Result<Response, ReqwestError>) -> Outcome {
        by_status(result, |status| status.is_server_error())
    }
}

/// A request that cannot be built says nothing about the server.
impl<P: Fn(StatusCode) -> bool> Classify<Response, ReqwestError> for FailureStatus<P> {
    #[inline]
    fn classify(&self, result: &Result<Response, ReqwestError>) -> Outcome {
        by_status(result, &self.0)
    }
}

#[inline]
fn by_status(
    result: &Result<Response, ReqwestError>,
    is_failure: impl Fn(StatusCode) -> bool,
) -> Outcome {
    let status = match result {
        Ok(response) => Some(response.status()),
        Err(error) if error.is_builder() => return Outcome::Ignored,
        Err(error) => error.status(),
    };
    match status {
        Some(status) if !is_failure(status) => Outcome::Success,
        Some(_) | None => Outcome::Failure,
    }
}

impl<S> Service<Request> for SendDeadlineService<S>
where
    S: Service<Request>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request) -> S::Future {
        self.tell(request.headers_mut());
        self.inner.call(request)
    }
}
