//! Errors in boxes, for stacks that want those.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fusebox_core::Error;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

/// Any error, as tower's own middleware has it.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns [`Error`] into [`BoxError`], for stacks whose other layers want that.
///
/// The service's own error comes out as it went in, without a second box where it was one. What the
/// patterns add is an `Error<Infallible>` in the box. To be placed right outside of the layer whose
/// errors it turns.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, io};
/// use fusebox_std::{prelude::*, tower::{BoxError, BoxErrorLayer, GateLayer}};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(BoxErrorLayer)
///     .layer(GateLayer::new(&BREAKER))
///     .service(service_fn(|()| async { Err::<(), BoxError>(io::Error::other("broken").into()) }));
/// assert!(service.clone().oneshot(()).await.unwrap_err().is::<io::Error>());
///
/// BREAKER.trip();
/// let refused = service.oneshot(()).await.unwrap_err();
/// assert!(refused.downcast_ref::<Error<Infallible>>().unwrap().is_rejected());
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BoxErrorLayer;

impl<S> Layer<S> for BoxErrorLayer {
    type Service = BoxErrorService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        BoxErrorService { inner }
    }
}

/// A service whose errors are in boxes; see [`BoxErrorLayer`].
#[derive(Clone, Copy, Debug)]
pub struct BoxErrorService<S> {
    inner: S,
}

impl<S, Q, E> Service<Q> for BoxErrorService<S>
where
    S: Service<Q, Error = Error<E>>,
    E: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxErrorFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(boxed)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        BoxErrorFuture { future: self.inner.call(request) }
    }
}

pin_project! {
    /// A call whose error is put in a box; see [`BoxErrorLayer`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct BoxErrorFuture<F> {
        #[pin]
        future: F,
    }
}

impl<F, T, E> Future for BoxErrorFuture<F>
where
    F: Future<Output = Result<T, Error<E>>>,
    E: Into<BoxError>,
{
    type Output = Result<T, BoxError>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(self.project().future.poll(cx)).map_err(boxed))
    }
}

fn boxed<E: Into<BoxError>>(error: Error<E>) -> BoxError {
    error.map_inner(Into::into).into_inner_or_else(|own: Error<Infallible>| own.into())
}
