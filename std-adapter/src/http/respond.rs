//! A layer whose refusals and timeouts are responses.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ::http::{Response, StatusCode};
use fusebox_core::{Error, Gate, Pipeline};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::classify::{JudgesResponses, ServerErrors};
use super::problem::{response, status_of};
use super::rate_limit::{AsSaid, ByGate, RateLimitPolicy, TellLimit};
use crate::tower::{FallbackLayer, GateByLayer, GateLayer, PipelineLayer};

#[cfg(doc)]
use super::rate_limit::RateLimited;

/// Which status a refusal or timeout gets.
type StatusOf = fn(&Error<Infallible>) -> StatusCode;

/// Another layer, with its refusals and timeouts turned into [responses](crate::http). What the
/// service itself fails with passes through, so that one that cannot fail still cannot.
///
/// Made by [`GateLayer::http`], [`GateByLayer::http`] or [`PipelineLayer::http`]. The body of the
/// responses is what the service has, and must be made [`From`] a [`String`], as axum's `Body` and
/// `Full<Bytes>` can be.
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
pub struct HttpLayer<L, T = AsSaid> {
    layer: L,
    status: StatusOf,
    limit: T,
}

impl<L> HttpLayer<L> {
    /// Turns what `layer` refuses, or cuts off, into responses.
    pub const fn new(layer: L) -> Self {
        Self { layer, status: status_of, limit: AsSaid(None) }
    }
}

impl<L, T> HttpLayer<L, T> {
    /// Says which status a refusal or timeout gets, in place of [`status_of`].
    #[must_use]
    pub const fn status(mut self, status: StatusOf) -> Self {
        self.status = status;
        self
    }

    /// Another layer in place of this one's.
    pub(super) fn map_layer<M>(self, map: impl FnOnce(L) -> M) -> HttpLayer<M, T> {
        HttpLayer { layer: map(self.layer), status: self.status, limit: self.limit }
    }

    /// Tells clients of a rate limit, in the fields `RateLimit-Policy` and `RateLimit`.
    #[must_use]
    pub fn rate_limit(self, policy: RateLimitPolicy) -> HttpLayer<L> {
        self.telling(AsSaid(Some(Arc::new(policy))))
    }

    /// Tells clients, with each response, of the limit of the gate that their request went through:
    /// `RateLimit-Policy: "NAME";q=QUOTA;w=SECONDS` is what the gate has in force, and
    /// `RateLimit: "NAME";r=LEFT;t=SECONDS` how much of it is left, and in how many seconds there
    /// is all of it, or, where nothing is left, more. As [`RateLimitPolicy`] otherwise;
    /// characters of `name` that are no printable ASCII are left out.
    ///
    /// It is for layers whose gate can say that: [`RateLimited`]. Where permits go on with bodies
    /// ([`until_body_ends`](HttpLayer::until_body_ends)) they cannot: put the limit into a layer of
    /// its own, outside of that one. By the time that a client reads it,
    /// others with the same limit may have taken theirs.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, body::Body, routing::get};
    /// use fusebox_std::{prelude::*, tower::GateLayer};
    /// use http::Request;
    /// use tower::ServiceExt;
    ///
    /// static LIMIT: TokenBucket = TokenBucket::new(BucketConfig::per_minute(60).burst(20), StdClock);
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let app: Router = Router::new()
    ///     .route("/", get(|| async { "hello" }))
    ///     .layer(GateLayer::new(&LIMIT).http().tell_limit("requests"));
    /// let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    /// assert_eq!(response.headers()["ratelimit-policy"], r#""requests";q=20;w=20"#);
    /// assert_eq!(response.headers()["ratelimit"], r#""requests";r=19;t=1"#);
    /// # }
    /// ```
    #[must_use]
    pub fn tell_limit(self, name: &str) -> HttpLayer<L, ByGate> {
        self.telling(ByGate::new(name))
    }

    fn telling<T2>(self, limit: T2) -> HttpLayer<L, T2> {
        HttpLayer { layer: self.layer, status: self.status, limit }
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

impl<T, P> FallbackLayer<T, P> {
    /// The same with what is refused all the same as responses. (Feature `http`.)
    ///
    /// # Examples
    ///
    /// What was seen last, where the database is not asked:
    ///
    /// ```
    /// use axum::{Router, http::Response, body::Body, routing::get};
    /// use fusebox_std::{http::ServerErrors, prelude::*, tower::{FallbackLayer, GateLayer}};
    /// use std::convert::Infallible;
    /// use tower::ServiceBuilder;
    ///
    /// static DATABASE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    ///
    /// let stale = |_why: Error<Infallible>| async { Ok(Response::new(Body::from("yesterday's rows"))) };
    /// let app: Router = Router::new().route("/", get(|| async { "rows" })).layer(
    ///     ServiceBuilder::new()
    ///         .layer(FallbackLayer::new(stale).http())
    ///         .layer(GateLayer::new(&DATABASE).classify(ServerErrors)),
    /// );
    /// ```
    #[must_use]
    pub const fn http(self) -> HttpLayer<Self> {
        HttpLayer::new(self)
    }
}

impl<P, N> PipelineLayer<P, N> {
    /// The same pipeline around a service whose answers are HTTP responses: its refusals and
    /// timeouts are responses. What those of the service mean to its gates, its own classifier
    /// says: [`ServerErrors`]. (Feature `http`.)
    ///
    /// Without one it does not compile, as each answer would be a success, whatever its status:
    ///
    /// ```compile_fail,E0277
    /// use std::sync::Arc;
    /// use fusebox_std::{prelude::*, tower::PipelineLayer};
    ///
    /// let _layer = PipelineLayer::new(Arc::new(Pipeline::new(TokioTimer))).http();
    /// ```
    #[must_use]
    pub const fn http<T, C, R, A, K, O, M>(self) -> HttpLayer<Self>
    where
        P: Deref<Target = Pipeline<T, C, R, A, K, O, M>>,
        K: JudgesResponses,
    {
        HttpLayer::new(self)
    }
}

impl<S, L: Layer<S>, T: Clone> Layer<S> for HttpLayer<L, T> {
    type Service = HttpService<L::Service, T>;

    fn layer(&self, inner: S) -> Self::Service {
        let limit = self.limit.clone();
        HttpService { inner: self.layer.layer(inner), status: self.status, limit }
    }
}

impl<L: fmt::Debug, T: fmt::Debug> fmt::Debug for HttpLayer<L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLayer")
            .field("layer", &self.layer)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// A service whose refusals and timeouts are responses; see [`HttpLayer`].
#[derive(Clone)]
pub struct HttpService<S, T = AsSaid> {
    inner: S,
    status: StatusOf,
    limit: T,
}

impl<S, Q, B, E, T> Service<Q> for HttpService<S, T>
where
    S: Service<Q, Response = Response<B>, Error = Error<E>>,
    B: From<String>,
    T: TellLimit<S::Future> + Clone,
{
    type Response = Response<B>;
    type Error = E;
    type Future = HttpFuture<S::Future, T>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        answerable(self.inner.poll_ready(cx))
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let future = self.inner.call(request);
        HttpFuture { future, status: self.status, limit: self.limit.clone() }
    }
}

impl<S: fmt::Debug, T> fmt::Debug for HttpService<S, T> {
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
    pub struct HttpFuture<F, T = AsSaid> {
        #[pin]
        future: F,
        status: StatusOf,
        limit: T,
    }
}

impl<F, B, E, T> Future for HttpFuture<F, T>
where
    F: Future<Output = Result<Response<B>, Error<E>>>,
    B: From<String>,
    T: TellLimit<F>,
{
    type Output = Result<Response<B>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let (mut answer, rejection) = match ready!(this.future.as_mut().poll(cx)) {
            Ok(answer) => (answer, None),
            Err(Error::Inner(error)) => return Poll::Ready(Err(error)),
            Err(Error::TimedOut) => (refusal(Error::TimedOut, *this.status), None),
            Err(Error::Rejected(why)) => (refusal(why.into(), *this.status), Some(why)),
        };
        this.limit.tell(&this.future, rejection, answer.headers_mut());
        Poll::Ready(Ok(answer))
    }
}

impl<F, T> fmt::Debug for HttpFuture<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpFuture").finish_non_exhaustive()
    }
}

/// Out of line, so that calls that are let in do not pay for it.
#[cold]
fn refusal<B: From<String>>(error: Error<Infallible>, status: StatusOf) -> Response<B> {
    response(&error, status(&error))
}
