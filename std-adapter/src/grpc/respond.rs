//! A layer whose refusals and timeouts are statuses of gRPC.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::Response;
use fusebox_core::{Error, Gate, Pipeline};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::classify::GrpcStatus;
use super::code::{Code, code_of};
use super::status::response;
use crate::http::{BodyGateLayer, JudgesResponses, Same, answerable};
use crate::tower::{FallbackLayer, GateByLayer, GateLayer, PipelineLayer};

/// Which code a refusal or timeout gets.
type CodeOf = fn(&Error<Infallible>) -> Code;

/// Another layer, with its refusals and timeouts turned into [statuses](crate::grpc) of gRPC. What
/// the service itself fails with passes through.
///
/// Made by [`GateLayer::grpc`], [`GateByLayer::grpc`], [`PipelineLayer::grpc`] or
/// [`DeadlineLayer::grpc`](crate::http::deadline::DeadlineLayer::grpc). The body of the responses
/// is what the service has, and must have a [`Default`] that is empty, as those of tonic and axum
/// have.
///
/// # Examples
///
/// ```
/// use std::convert::Infallible;
/// use fusebox_std::{grpc::{Code, code_of}, prelude::*, tower::GateLayer};
/// use http::{Request, Response};
/// use tonic::body::Body;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     // ABORTED in place of UNAVAILABLE for what must not be tried again by itself.
///     .layer(GateLayer::new(&BREAKER).grpc().code(|error| match code_of(error) {
///         Code::Unavailable => Code::Aborted,
///         other => other,
///     }))
///     .service(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::new(Body::empty())) }));
///
/// BREAKER.trip();
/// let response = service.oneshot(Request::new(Body::empty())).await.unwrap();
/// assert_eq!((response.status().as_u16(), Code::of(response.headers())), (200, Some(Code::Aborted)));
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct GrpcLayer<L> {
    layer: L,
    code: CodeOf,
}

impl<L> GrpcLayer<L> {
    /// Turns what `layer` refuses, or cuts off, into statuses.
    ///
    /// # Examples
    ///
    /// A breaker for long streams, which does not wait for their end:
    ///
    /// ```
    /// use fusebox_std::{grpc::{GrpcLayer, GrpcStatus}, prelude::*, tower::GateLayer};
    ///
    /// static FEED: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    ///
    /// let layer = GrpcLayer::new(GateLayer::new(&FEED).classify(GrpcStatus::new()));
    /// # let _ = layer;
    /// ```
    pub const fn new(layer: L) -> Self {
        Self { layer, code: code_of }
    }

    /// Says which code a refusal or timeout gets, in place of [`code_of`].
    #[must_use]
    pub const fn code(mut self, code: CodeOf) -> Self {
        self.code = code;
        self
    }
}

impl<C, K> GrpcLayer<BodyGateLayer<C, K>> {
    /// Says what the service's statuses mean to the gate: another [`GrpcStatus`], mostly.
    #[must_use]
    pub fn classify<K2>(self, classify: K2) -> GrpcLayer<BodyGateLayer<C, K2>> {
        GrpcLayer { layer: self.layer.map_classify(|_| classify), code: self.code }
    }
}

impl<R> GateLayer<R>
where
    R: Deref<Target: Gate>,
{
    /// The same gate around a service of gRPC, or a channel to one: it judges by
    /// [status](GrpcStatus), trailers included, holds each permit until the stream has ended, and
    /// its refusals are statuses. (Feature `grpc`.)
    #[must_use]
    pub fn grpc(self) -> GrpcLayer<BodyGateLayer<Same<R>, GrpcStatus>> {
        GrpcLayer::new(BodyGateLayer::of_gate(self).map_classify(|_| GrpcStatus::new()))
    }
}

impl<F> GateByLayer<F> {
    /// The same gates around a service of gRPC, as [`GateLayer::grpc`]. (Feature `grpc`.)
    #[must_use]
    pub fn grpc(self) -> GrpcLayer<BodyGateLayer<F, GrpcStatus>> {
        GrpcLayer::new(BodyGateLayer::of_gate_by(self).map_classify(|_| GrpcStatus::new()))
    }
}

impl<T, P> FallbackLayer<T, P> {
    /// The same with what is refused all the same as statuses. (Feature `grpc`.)
    #[must_use]
    pub const fn grpc(self) -> GrpcLayer<Self> {
        GrpcLayer::new(self)
    }
}

impl<P, N> PipelineLayer<P, N> {
    /// The same pipeline around a service of gRPC, or a channel to one: its refusals and timeouts
    /// are statuses. What those of the service mean to its gates, its own classifier says:
    /// [`GrpcStatus`], which sees their heads here. (Feature `grpc`.)
    #[must_use]
    pub const fn grpc<T, C, R, A, K, O, M>(self) -> GrpcLayer<Self>
    where
        P: Deref<Target = Pipeline<T, C, R, A, K, O, M>>,
        K: JudgesResponses,
    {
        GrpcLayer::new(self)
    }
}

impl<S, L: Layer<S>> Layer<S> for GrpcLayer<L> {
    type Service = GrpcService<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        GrpcService { inner: self.layer.layer(inner), code: self.code }
    }
}

impl<L: fmt::Debug> fmt::Debug for GrpcLayer<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcLayer").field("layer", &self.layer).finish_non_exhaustive()
    }
}

/// A service whose refusals and timeouts are statuses; see [`GrpcLayer`].
#[derive(Clone, Copy)]
pub struct GrpcService<S> {
    inner: S,
    code: CodeOf,
}

impl<S, Q, B, E> Service<Q> for GrpcService<S>
where
    S: Service<Q, Response = Response<B>, Error = Error<E>>,
    B: Default,
{
    type Response = Response<B>;
    type Error = E;
    type Future = GrpcFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), E>> {
        answerable(self.inner.poll_ready(cx))
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        GrpcFuture { future: self.inner.call(request), code: self.code }
    }
}

impl<S: fmt::Debug> fmt::Debug for GrpcService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// A call whose refusal or timeout is a status; see [`GrpcLayer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct GrpcFuture<F> {
        #[pin]
        future: F,
        code: CodeOf,
    }
}

impl<F, B, E> Future for GrpcFuture<F>
where
    F: Future<Output = Result<Response<B>, Error<E>>>,
    B: Default,
{
    type Output = Result<Response<B>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let own = match ready!(this.future.poll(cx)) {
            Ok(answer) => return Poll::Ready(Ok(answer)),
            Err(Error::Inner(error)) => return Poll::Ready(Err(error)),
            Err(Error::TimedOut) => Error::TimedOut,
            Err(Error::Rejected(why)) => Error::Rejected(why),
        };
        Poll::Ready(Ok(response(&own, (this.code)(&own))))
    }
}

impl<F> fmt::Debug for GrpcFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcFuture").finish_non_exhaustive()
    }
}
