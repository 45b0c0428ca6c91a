//! The deadline of a call of gRPC, which is that of its stream.
//!
//! A [`DeadlineLayer`] alone is done when the head of the response is there. In gRPC the deadline
//! is that of the call as a whole: a stream that goes on after it is read by nobody, or by a client
//! that has no clock of its own to tell that it should stop. And the messages of a stream are made
//! while its body is polled, so it is there that handlers must find
//! [`current_deadline`](crate::current_deadline).

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::{HeaderMap, Request, Response};
use fusebox_core::{Deadline, Error, Timer};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::code::Code;
use super::respond::GrpcLayer;
use super::status::tell;
use crate::http::deadline::{DeadlineFuture, DeadlineLayer, DeadlineService};
use crate::task_deadline::within_deadline;
use crate::tokio_timer::{TokioSleep, TokioTimer};

impl DeadlineLayer {
    /// The same around a service of gRPC: what is too late is answered with `DEADLINE_EXCEEDED`,
    /// and a stream that goes on at the deadline ends so. (Feature `grpc`.)
    ///
    /// So [`Incoming::max`] and [`Incoming::or_else`] bound streams, too: where these last, say how
    /// long they may.
    ///
    /// Where gates should hear of a stream that was cut off, their layers go outside of this one:
    /// the gates inside see one that was abandoned.
    ///
    /// tonic reads `grpc-timeout` itself, too, in its server and in its channel, and drops a call
    /// that has no head by then; its answer is `CANCELLED`. Whichever of them looks first
    /// answers.
    ///
    /// [`Incoming::max`]: crate::http::deadline::Incoming::max
    /// [`Incoming::or_else`]: crate::http::deadline::Incoming::or_else
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::http::deadline::{DeadlineHeader, DeadlineLayer, Incoming};
    /// use std::time::Duration;
    /// use tonic::transport::Server;
    ///
    /// let incoming = Incoming::from(DeadlineHeader::GRPC_TIMEOUT).max(Duration::from_secs(30));
    /// let server = Server::builder().layer(DeadlineLayer::new(incoming).grpc());
    /// # let _ = server;
    /// ```
    #[must_use]
    pub const fn grpc(self) -> GrpcLayer<StreamDeadlineLayer> {
        GrpcLayer::new(StreamDeadlineLayer { layer: self })
    }
}

/// Gives each request the deadline that its headers say, and its stream as well; see
/// [`DeadlineLayer::grpc`].
#[derive(Clone, Debug)]
pub struct StreamDeadlineLayer {
    layer: DeadlineLayer,
}

impl<S> Layer<S> for StreamDeadlineLayer {
    type Service = StreamDeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StreamDeadlineService { inner: self.layer.layer(inner) }
    }
}

/// A service whose requests and streams have deadlines; see [`DeadlineLayer::grpc`].
#[derive(Clone, Debug)]
pub struct StreamDeadlineService<S> {
    inner: DeadlineService<S>,
}

impl<S, Q, B> Service<Request<Q>> for StreamDeadlineService<S>
where
    S: Service<Request<Q>, Response = Response<B>> + Clone,
    B: Body,
{
    type Response = Response<DeadlineBody<B>>;
    type Error = Error<S::Error>;
    type Future = StreamDeadlineFuture<S, Request<Q>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<Q>) -> Self::Future {
        StreamDeadlineFuture { call: self.inner.call(request) }
    }
}

pin_project! {
    /// A call that has a deadline, which goes on to its stream; see [`DeadlineLayer::grpc`].
    #[must_use = "futures do nothing unless polled"]
    pub struct StreamDeadlineFuture<S, Q>
    where
        S: Service<Q>,
    {
        #[pin]
        call: DeadlineFuture<S, Q>,
    }
}

impl<S, Q, B> Future for StreamDeadlineFuture<S, Q>
where
    S: Service<Q, Response = Response<B>>,
    B: Body,
{
    type Output = Result<Response<DeadlineBody<B>>, Error<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let answer = ready!(this.call.as_mut().poll(cx))?;
        // A head that has the status is the end of the call, whatever follows.
        let deadline = match Code::of(answer.headers()) {
            Some(_) => Deadline::NEVER,
            None => this.call.deadline(),
        };
        Poll::Ready(Ok(answer.map(|body| DeadlineBody { body: Some(body), sleep: None, deadline })))
    }
}

impl<S: Service<Q>, Q> fmt::Debug for StreamDeadlineFuture<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamDeadlineFuture").field("call", &self.call).finish()
    }
}

pin_project! {
    /// A body that ends with `DEADLINE_EXCEEDED` if it goes on at its deadline; see
    /// [`DeadlineLayer::grpc`].
    pub struct DeadlineBody<B> {
        // None where it has ended, or was cut off.
        #[pin]
        body: Option<B>,
        // Made when it is first waited for: most bodies have all there is at once.
        #[pin]
        sleep: Option<TokioSleep>,
        deadline: Deadline,
    }
}

impl<B: Body> Body for DeadlineBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let Some(body) = this.body.as_mut().as_pin_mut() else {
            return Poll::Ready(None);
        };
        let deadline = *this.deadline;
        if deadline.is_never() {
            return body.poll_frame(cx);
        }
        // Asked first, as a body may always have more.
        if !deadline.expired(&TokioTimer) {
            if let Poll::Ready(frame) = within_deadline(deadline, || body.poll_frame(cx)) {
                // After its end it is not cut off any more.
                if !matches!(&frame, Some(Ok(frame)) if !frame.is_trailers()) {
                    this.body.set(None);
                }
                return Poll::Ready(frame);
            }
            if this.sleep.is_none() {
                this.sleep.set(Some(TokioTimer.sleep_until(deadline.ticks())));
            }
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
            }
        }
        this.body.set(None);
        let mut trailers = HeaderMap::new();
        tell(&mut trailers, Code::DeadlineExceeded, "timed out");
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    /// At most what the body says: it may be cut off.
    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        if let Some(most) = self.body.as_ref().and_then(|body| body.size_hint().upper()) {
            hint.set_upper(most);
        }
        hint
    }
}

/// A body that has no deadline: of a refusal.
impl<B: Default> Default for DeadlineBody<B> {
    fn default() -> Self {
        Self { body: Some(B::default()), sleep: None, deadline: Deadline::NEVER }
    }
}

impl<B: fmt::Debug> fmt::Debug for DeadlineBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadlineBody")
            .field("body", &self.body)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
