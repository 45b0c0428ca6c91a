//! The deadlines of requests that go out.

use std::task::{Context, Poll};
use std::time::SystemTime;

use ::http::{HeaderMap, Request};
use tower_layer::Layer;
use tower_service::Service;

use super::format::{DeadlineHeader, Left};
use crate::task_deadline::current_deadline;
use crate::tokio_timer::TokioTimer;

/// Tells the receiver of each request how much is left until [`current_deadline`]: whatever was
/// spent by the time the request is sent is gone.
///
/// A header of that name which the request has is replaced where it says later, or nothing that can
/// be read; without a deadline the request is left as it is. Put it inside of a
/// [`PipelineLayer`](crate::tower::PipelineLayer) that
/// [ends by](crate::tower::PipelineLayer::ending_by) the current deadline, and each attempt says
/// when it will be cut off, which the pipeline's own deadline and timeout may make earlier; and
/// nothing is sent that is too late.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, sync::Arc, time::Duration};
/// use fusebox_std::{current_deadline, http::deadline::*, prelude::*, tower::PipelineLayer, with_deadline};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let client = ServiceBuilder::new()
///     .layer(PipelineLayer::new(Arc::new(Pipeline::new(TokioTimer))).ending_by(current_deadline))
///     .layer(SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT))
///     .service(service_fn(|request: Request<()>| async move {
///         Ok::<_, Infallible>(Response::new(request.headers()["grpc-timeout"].clone()))
///     }));
///
/// let handler = async {
///     tokio::time::sleep(Duration::from_secs(1)).await; // Spent elsewhere.
///     client.oneshot(Request::new(())).await.unwrap().into_body()
/// };
/// let deadline = Deadline::after(&TokioTimer, Duration::from_secs(3));
/// let told = with_deadline(deadline, handler).await;
/// assert!(told.to_str().unwrap().starts_with("19") || told == "2000000u");
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SendDeadlineLayer {
    header: DeadlineHeader,
}

impl SendDeadlineLayer {
    /// Tells it in `header`.
    #[must_use]
    pub const fn new(header: DeadlineHeader) -> Self {
        Self { header }
    }
}

impl<S> Layer<S> for SendDeadlineLayer {
    type Service = SendDeadlineService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SendDeadlineService { inner, header: self.header.clone() }
    }
}

/// A service that tells deadlines to what it calls; see [`SendDeadlineLayer`].
#[derive(Clone, Debug)]
pub struct SendDeadlineService<S> {
    pub(crate) inner: S,
    header: DeadlineHeader,
}

impl<S> SendDeadlineService<S> {
    /// Adds what is left of the current deadline, unless the request says itself that it has less.
    pub(crate) fn tell(&self, headers: &mut HeaderMap) {
        let deadline = current_deadline();
        if deadline.is_never() {
            return;
        }
        let (left, now) = (deadline.remaining(&TokioTimer), SystemTime::now());
        match self.header.read(headers, now) {
            Some(Left::PastBy(_)) => {}
            Some(Left::For(own)) if own <= left => {}
            Some(Left::For(_)) | None => self.header.insert(headers, left, now),
        }
    }
}

impl<S, B> Service<Request<B>> for SendDeadlineService<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> S::Future {
        self.tell(request.headers_mut());
        self.inner.call(request)
    }
}
