//! Bodies that are held back, so that they can be sent again.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::request::Parts;
use ::http::{HeaderMap, Request};
use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::resend::is_idempotent;
use crate::tower::{Calling, take_ready};

/// Reads the bodies of requests before they are sent, as far as they are small enough, so that
/// [`ResendIdempotent`](super::ResendIdempotent) can send them again. To be placed outside of the
/// [`PipelineLayer`](crate::tower::PipelineLayer) that does.
///
/// Only the body of a request that [may be sent twice](super::ResendIdempotent) is read. One that
/// is larger than the limit is sent as it comes, once: what was read of it, then the rest. In
/// memory there is at most twice the limit for each such request, and two frames; where the body
/// says how long it is, no more than that and one frame.
///
/// It waits for the client that sends the body, in no one's gate and for as long as that takes:
/// give it a deadline from outside.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, sync::Arc};
/// use axum::body::Body;
/// use fusebox_std::{http::{BufferBodyLayer, BufferedBody, ResendIdempotent}, prelude::*, tower::PipelineLayer};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pipeline = Pipeline::new(TokioTimer).retry(Retry::new(Backoff::none()));
/// let proxy = ServiceBuilder::new()
///     .layer(BufferBodyLayer::new(64 * 1024))
///     .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent))
///     .service(service_fn(|request: Request<BufferedBody<Body>>| async move {
///         Ok::<_, Infallible>(Response::new(request.into_body().is_whole()))
///     }));
/// let request = Request::put("/").body(Body::from("a small body")).unwrap();
/// assert!(proxy.oneshot(request).await.unwrap().into_body());
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct BufferBodyLayer {
    limit: usize,
}

impl BufferBodyLayer {
    /// Reads bodies of at most `limit` bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for BufferBodyLayer {
    type Service = BufferBodyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BufferBodyService { inner, limit: self.limit }
    }
}

/// A service whose requests have bodies that can be sent again; see [`BufferBodyLayer`].
#[derive(Clone, Copy, Debug)]
pub struct BufferBodyService<S> {
    inner: S,
    limit: usize,
}

impl<S, B> Service<Request<B>> for BufferBodyService<S>
where
    S: Service<Request<BufferedBody<B>>> + Clone,
    B: Body<Data = Bytes> + Unpin,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BufferBodyFuture<S, B>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = take_ready(&mut self.inner);
        let fits = usize::try_from(request.body().size_hint().lower())
            .is_ok_and(|size| size <= self.limit);
        let limit = (fits && is_idempotent(&request)).then_some(self.limit);
        let (parts, body) = request.into_parts();
        let front = match (limit, body.size_hint().exact().map(usize::try_from)) {
            (Some(_), Some(Ok(size))) => BytesMut::with_capacity(size),
            _ => BytesMut::new(),
        };
        let reading = Reading { service, parts, body, limit, front, trailers: None };
        BufferBodyFuture { reading: Some(reading), calling: None }
    }
}

/// How many frames are read before others have their turn.
const FRAMES_A_POLL: u32 = 64;

/// A request whose body is being read.
struct Reading<S, B> {
    service: S,
    parts: Parts,
    body: B,
    /// `None` where it is not to be read.
    limit: Option<usize>,
    front: BytesMut,
    trailers: Option<HeaderMap>,
}

impl<S, B: Body<Data = Bytes> + Unpin> Reading<S, B> {
    /// Reads until there is no more, or too much.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Ended<B::Error>>> {
        let mut frames = 0;
        while self.limit.is_some_and(|limit| self.front.len() <= limit) {
            // A body that always has more, be it nothing, lets others have their turn.
            if frames == FRAMES_A_POLL {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            frames += 1;
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => return Poll::Ready(Some(Ended::Whole)),
                Some(Err(error)) => return Poll::Ready(Some(Ended::Failed(error))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.front.extend_from_slice(&data),
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
            }
        }
        Poll::Ready(None)
    }
}

/// How a body ended that was read.
enum Ended<E> {
    Whole,
    Failed(E),
}

pin_project! {
    /// A call whose request's body is read first; see [`BufferBodyLayer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct BufferBodyFuture<S, B>
    where
        S: Service<Request<BufferedBody<B>>>,
        B: Body,
    {
        reading: Option<Reading<S, B>>,
        #[pin]
        calling: Option<Calling<S, Request<BufferedBody<B>>>>,
    }
}

impl<S, B> Future for BufferBodyFuture<S, B>
where
    S: Service<Request<BufferedBody<B>>>,
    B: Body<Data = Bytes> + Unpin,
{
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(reading) = this.reading.as_mut() {
            let ended = ready!(reading.poll_read(cx));
            if let Some(Reading { service, parts, body, front, trailers, .. }) = this.reading.take()
            {
                let rest = match ended {
                    None => Rest::Unread(body),
                    Some(Ended::Whole) => Rest::Nothing(trailers),
                    Some(Ended::Failed(error)) => Rest::Failed(Some(error)),
                };
                let body = BufferedBody { front: front.freeze(), rest };
                let request = Request::from_parts(parts, body);
                this.calling.set(Some(Calling::of_ready(service, request)));
            }
        }
        this.calling.as_pin_mut().map_or(Poll::Pending, |calling| calling.poll(cx))
    }
}

impl<S, B> fmt::Debug for BufferBodyFuture<S, B>
where
    S: Service<Request<BufferedBody<B>>>,
    B: Body,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferBodyFuture")
            .field("reading", &self.reading.is_some())
            .finish_non_exhaustive()
    }
}

/// A body that was read before it is sent, as far as it was small enough; see [`BufferBodyLayer`].
pub struct BufferedBody<B: Body> {
    front: Bytes,
    rest: Rest<B, B::Error>,
}

/// What comes after what was read.
enum Rest<B, E> {
    Nothing(Option<HeaderMap>),
    Unread(B),
    /// Reading it failed, which whoever sends it is told.
    Failed(Option<E>),
}

impl<B: Body> BufferedBody<B> {
    /// Whether all of it is here, so that it can be sent again.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        matches!(self.rest, Rest::Nothing(_))
    }

    /// The same body once more, where all of it is here.
    pub(super) fn again(&self) -> Option<Self> {
        match &self.rest {
            Rest::Nothing(trailers) => {
                Some(Self { front: self.front.clone(), rest: Rest::Nothing(trailers.clone()) })
            }
            Rest::Unread(_) | Rest::Failed(_) => None,
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for BufferedBody<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if !this.front.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(mem::take(&mut this.front)))));
        }
        match &mut this.rest {
            Rest::Nothing(trailers) => Poll::Ready(trailers.take().map(Frame::trailers).map(Ok)),
            Rest::Unread(body) => Pin::new(body).poll_frame(cx),
            Rest::Failed(error) => Poll::Ready(error.take().map(Err)),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty()
            && match &self.rest {
                Rest::Nothing(trailers) => trailers.is_none(),
                Rest::Unread(body) => body.is_end_stream(),
                Rest::Failed(error) => error.is_none(),
            }
    }

    fn size_hint(&self) -> SizeHint {
        let front = u64::try_from(self.front.len()).unwrap_or(u64::MAX);
        let rest = match &self.rest {
            Rest::Nothing(_) => SizeHint::with_exact(0),
            Rest::Unread(body) => body.size_hint(),
            Rest::Failed(_) => SizeHint::default(),
        };
        let mut whole = SizeHint::new();
        whole.set_lower(rest.lower().saturating_add(front));
        if let Some(upper) = rest.upper() {
            whole.set_upper(upper.saturating_add(front));
        }
        whole
    }
}

impl<B: Body> fmt::Debug for BufferedBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferedBody")
            .field("read", &self.front.len())
            .field("is_whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}
