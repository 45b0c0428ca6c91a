//! Gates whose permits last until the body of the response has ended.
//!
//! # Reasons
//!
//! *A service answers with a head, and works on the body afterwards*: a download, an event stream,
//! a gRPC stream. A permit that comes back with the head counts such a call as gone while it still
//! has its file open. So here the permit goes along with the body, inside it, and needs neither a
//! task nor a map of what is in flight: whoever drops the body gives the permit back.
//!
//! *What has ended.* Servers do not always poll a body to its end: they stop when it says
//! [`is_end_stream`](Body::is_end_stream), when as many bytes have come as `Content-Length` says,
//! and never begin where there is none (`HEAD`, 204, 304). Waiting for the last `None` would take
//! most responses for abandoned ones.

mod body;
mod classify;
mod future;

use std::fmt;
use std::task::{Context, Poll};

use ::http::{Request, Response};
use fusebox_core::{Error, Gate, Rejection};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

pub use body::GatedBody;
pub use classify::{ByHead, ClassifyEnd, ClassifyHead, Head};
pub use future::BodyGateFuture;

use super::respond::HttpLayer;
use crate::tower::{ChooseGate, GateByLayer, GateLayer, take_ready};

/// One gate for all requests, by a pointer to it.
#[derive(Clone, Copy)]
pub struct Same<R> {
    gate: R,
}

impl<Q, R: Gate + Clone> ChooseGate<Q> for Same<R> {
    type Gate = R;

    #[inline]
    fn choose(&self, _request: &Q) -> Result<R, Rejection> {
        Ok(self.gate.clone())
    }
}

impl<R> fmt::Debug for Same<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Same").finish_non_exhaustive()
    }
}

/// Puts a gate around a service whose answers are HTTP responses, and keeps the permit until the
/// response's body has ended.
///
/// Made by [`until_body_ends`](HttpLayer::until_body_ends), or for gRPC by
/// [`GateLayer::grpc`](crate::tower::GateLayer::grpc). The body of the responses becomes a
/// [`GatedBody`].
///
/// | how it ends | what the gate is told |
/// |---|---|
/// | the body ends | what the classifier says: by the status, or by gRPC's trailers |
/// | the body ends in an error, or panics | [`Failure`](fusebox_core::Outcome::Failure) |
/// | the body is dropped before its end: the client went away | [`Abandoned`](fusebox_core::Outcome::Abandoned) |
///
/// A body ends for the gate when its last part has been handed to whoever reads it, the server or
/// the client's code, not when that has arrived at the other side. A client that reads slowly, or
/// not at all, keeps the permit as long: what bounds that is the server's own timeout for
/// connections.
///
/// A connection that is upgraded (101, as for a WebSocket) has no body: its permit is back with the
/// head.
///
/// *Not every gate is for this.* A bulkhead or an adaptive limit counts what is in flight, which a
/// stream is until its end. A breaker only hears of a stream when that is over, and a stream that
/// lasts longer than `half_open_timeout` is a probe that never reported: where streams last for
/// minutes, let the breaker judge by the head, in a layer of its own.
#[derive(Clone, Copy)]
pub struct BodyGateLayer<C, K> {
    choose: C,
    classify: K,
}

impl<R> BodyGateLayer<Same<R>, ()> {
    pub(crate) fn of_gate<K>(layer: GateLayer<R, K>) -> BodyGateLayer<Same<R>, K> {
        let (gate, classify) = layer.into_parts();
        BodyGateLayer { choose: Same { gate }, classify }
    }
}

impl<F> BodyGateLayer<F, ()> {
    pub(crate) fn of_gate_by<K>(layer: GateByLayer<F, K>) -> BodyGateLayer<F, K> {
        let (choose, classify) = layer.into_parts();
        BodyGateLayer { choose, classify }
    }
}

impl<C, K> BodyGateLayer<C, K> {
    pub(crate) fn map_classify<L>(self, map: impl FnOnce(K) -> L) -> BodyGateLayer<C, L> {
        BodyGateLayer { choose: self.choose, classify: map(self.classify) }
    }
}

impl<R, K> HttpLayer<GateLayer<R, K>> {
    /// Keeps each permit until the body of the response has ended, in place of until its head is
    /// there: for downloads and streams.
    ///
    /// The body of the responses becomes a [`GatedBody`], which axum and others take as they take
    /// any. See [`BodyGateLayer`] for what the gate is told.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use fusebox_std::{prelude::*, tower::GateLayer};
    ///
    /// static DOWNLOADS: Bulkhead = Bulkhead::new(BulkheadConfig::new(8));
    ///
    /// let app: Router = Router::new()
    ///     .route("/film", get(|| async { vec![0_u8; 1 << 20] }))
    ///     .layer(GateLayer::new(&DOWNLOADS).http().until_body_ends());
    /// ```
    #[must_use]
    pub fn until_body_ends(self) -> HttpLayer<BodyGateLayer<Same<R>, ByHead<K>>> {
        self.map_layer(|layer| BodyGateLayer::of_gate(layer).map_classify(ByHead))
    }
}

impl<F, K> HttpLayer<GateByLayer<F, K>> {
    /// Keeps each permit until the body of the response has ended, as
    /// [`until_body_ends`](HttpLayer::until_body_ends) of a [`GateLayer`] does.
    #[must_use]
    pub fn until_body_ends(self) -> HttpLayer<BodyGateLayer<F, ByHead<K>>> {
        self.map_layer(|layer| BodyGateLayer::of_gate_by(layer).map_classify(ByHead))
    }
}

impl<S, C: Clone, K: Clone> Layer<S> for BodyGateLayer<C, K> {
    type Service = BodyGateService<S, C, K>;

    fn layer(&self, inner: S) -> Self::Service {
        BodyGateService { inner, choose: self.choose.clone(), classify: self.classify.clone() }
    }
}

impl<C, K> fmt::Debug for BodyGateLayer<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGateLayer").finish_non_exhaustive()
    }
}

/// A service whose calls hold their permits until the body of the response has ended; see
/// [`BodyGateLayer`].
///
/// It is as [`GateService`](crate::tower::GateService) otherwise.
#[derive(Clone, Copy)]
pub struct BodyGateService<S, C, K> {
    inner: S,
    choose: C,
    classify: K,
}

impl<S, C, K> BodyGateService<S, C, K> {
    /// The service behind the gate.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, C, K, Q, B> Service<Request<Q>> for BodyGateService<S, C, K>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    C: ChooseGate<Request<Q>> + Clone,
    K: ClassifyHead<B, S::Error> + Clone,
    B: Body,
{
    type Response = Response<GatedBody<B, C::Gate, K>>;
    type Error = Error<S::Error>;
    type Future = BodyGateFuture<S, Q, C, K>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    #[inline]
    fn call(&mut self, request: Request<Q>) -> Self::Future {
        let ready = take_ready(&mut self.inner);
        BodyGateFuture::new(ready, request, self.choose.clone(), self.classify.clone())
    }
}

impl<S: fmt::Debug, C, K> fmt::Debug for BodyGateService<S, C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGateService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
