//! A layer whose refusals and timeouts are responses.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{Response, StatusCode};
use fusebox_core::{Error, Gate, Rejection};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::classify::ServerErrors;
use super::problem::{response, status_of};
use super::rate_limit::RateLimitPolicy;
use crate::tower::{GateByLayer, GateLayer, PipelineLayer};

/// Which status a refusal or timeout gets.
type StatusOf = fn(&Error<Infallible>) -> StatusCode;

/// Another layer, with its refusals and timeouts turned into [responses](crate::http). What the
/// service itself fails with passes through, so that one that cannot fail still cannot.
///
/// Made by [`GateLayer::http`], [`GateByLayer::http`] or [`PipelineLayer::http`]. The body of the responses is what the service
/// has, and must be made [`From`] a [`String`], as axum's `Body` and `Full<Bytes>` can be.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, sync::Arc, time::Duration};
/// use fusebox_std::{http::{ServerErrors, status_of}, prelude::*, tower::PipelineLayer};
/// use http::{Request, Response, StatusCode};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let pipeline = Pipeline::new(TokioTimer).deadline(Duration::from_secs(1)).classify(ServerErrors);
/// let service = ServiceBuilder::new()
///     // 408 in place of 504 for what took too long.
///     .layer(PipelineLayer::new(Arc::new(pipeline)).http().status(|error| match error {
///         Error::TimedOut => StatusCode::REQUEST_TIMEOUT,
///         other => status_of(other),
///     }))
///     .service(service_fn(|_: Request<()>| async {
///         tokio::time::sleep(Duration::from_secs(60)).await;
///         Ok::<_, Infallible>(Response::new(String::from("late")))
///     }));
/// let response = service.oneshot(Request::new(())).await.unwrap();
/// assert_eq!(response.status(), 408);
/// # }
/// ```
#[derive(Clone)]
pub struct HttpLayer<L> {
    layer: L,
    status: StatusOf,
    policy: Option<Arc<RateLimitPolicy>>,
}

impl<L> HttpLayer<L> {
    /// Turns what `layer` refuses, or cuts off, into responses.
    pub const fn new(layer: L) -> Self {
        Self { layer, status: status_of, policy: None }
    }

    /// Says which status a refusal or timeout gets, in place of [`status_of`].
    #[must_use]
    pub const fn status(mut self, status: StatusOf) -> Self {
        self.status = status;
        self
    }

    /// Another layer in place of this one's.
    pub(super) fn map_layer<M>(self, map: impl FnOnce(L) -> M) -> HttpLayer<M> {
        HttpLayer { layer: map(self.layer), status: self.status, policy: self.policy }
    }

    /// Tells clients of a rate limit, in the fields `RateLimit-Policy` and `RateLimit`.
    #[must_use]
    pub fn rate_limit(mut self, policy: RateLimitPolicy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }
}

impl<R> GateLayer<R>
where
    R: Deref<Target: Gate>,
{
    /// The same gate around a service whose answers are HTTP responses: it judges by
    /// [status](ServerErrors), and its refusals are responses. (Feature `http`.)
    #[must_use]
    pub fn http(self) -> HttpLayer<GateLayer<R, ServerErrors>> {
        HttpLayer::new(self.classify(ServerErrors))
    }
}

impl<F> GateByLayer<F> {
    /// The same gates around a service whose answers are HTTP responses, as
    /// [`GateLayer::http`]. (Feature `http`.)
    #[must_use]
    pub fn http(self) -> HttpLayer<GateByLayer<F, ServerErrors>> {
        HttpLayer::new(self.classify(ServerErrors))
    }
}

impl<P, N> PipelineLayer<P, N> {
    /// The same pipeline around a service whose answers are HTTP responses: its refusals and timeouts
    /// are responses. What those of the service mean to its gates, its own classifier says:
    /// [`ServerErrors`]. (Feature `http`.)
    #[must_use]
    pub const fn http(self) -> HttpLayer<Self> {
        HttpLayer::new(self)
    }
}

impl<S, L: Layer<S>> Layer<S> for HttpLayer<L> {
    type Service = HttpService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        let policy = self.policy.clone();
        HttpService { inner: self.layer.layer(inner), status: self.status, policy }
    }
}

impl<L: fmt::Debug> fmt::Debug for HttpLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLayer")
            .field("layer", &self.layer)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

/// A service whose refusals and timeouts are responses; see [`HttpLayer`].
#[derive(Clone)]
pub struct HttpService<S> {
    inner: S,
    status: StatusOf,
    policy: Option<Arc<RateLimitPolicy>>,
}

impl<S, Q, B, E> Service<Q> for HttpService<S>
where
    S: Service<Q, Response = Response<B>, Error = Error<E>>,
    B: From<String>,
{
    type Response = Response<B>;
    type Error = E;
    type Future = HttpFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        answerable(self.inner.poll_ready(cx))
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let future = self.inner.call(request);
        HttpFuture { future, status: self.status, policy: self.policy.clone() }
    }
}

impl<S: fmt::Debug> fmt::Debug for HttpService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// Whether a service is ready, where what its layer refuses is answered.
#[inline]
pub(crate) fn answerable<E>(readiness: Poll<Result<(), Error<E>>>) -> Poll<Result<(), E>> {
    match ready!(readiness) {
        Err(Error::Inner(error)) => Poll::Ready(Err(error)),
        // A layer that refuses here will refuse the call as well, and that can be answered.
        Ok(()) | Err(Error::Rejected(_) | Error::TimedOut) => Poll::Ready(Ok(())),
    }
}

pin_project! {
    /// A call whose refusal or timeout is a response; see [`HttpLayer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct HttpFuture<F> {
        #[pin]
        future: F,
        status: StatusOf,
        policy: Option<Arc<RateLimitPolicy>>,
    }
}

impl<F, B, E> Future for HttpFuture<F>
where
    F: Future<Output = Result<Response<B>, Error<E>>>,
    B: From<String>,
{
    type Output = Result<Response<B>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answer = match ready!(this.future.poll(cx)) {
            Ok(answer) => answer,
            Err(Error::Inner(error)) => return Poll::Ready(Err(error)),
            Err(Error::TimedOut) => refusal(Error::TimedOut, *this.status, None),
            Err(Error::Rejected(why)) => refusal(why.into(), *this.status, this.policy.as_deref()),
        };
        if let Some(policy) = this.policy {
            policy.tell(answer.headers_mut());
        }
        Poll::Ready(Ok(answer))
    }
}

impl<F> fmt::Debug for HttpFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFuture").finish_non_exhaustive()
    }
}

/// Out of line, so that calls that are let in do not pay for it.
#[cold]
fn refusal<B: From<String>>(
    error: Error<Infallible>,
    status: StatusOf,
    policy: Option<&RateLimitPolicy>,
) -> Response<B> {
    let mut response = response(&error, status(&error));
    let rejection: Option<Rejection> = error.rejection();
    if let (Some(policy), Some(rejection)) = (policy, rejection) {
        policy.tell_refused(response.headers_mut(), rejection);
    }
    response
}
