//! One call of a service, from the request on.

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

/// Takes the service that has said that it is ready, and leaves a clone in its place, as tower asks
/// those to do that call it later.
#[inline]
pub(crate) fn take_ready<S: Clone>(inner: &mut S) -> S {
    let clone = inner.clone();
    mem::replace(inner, clone)
}

pin_project! {
    /// The call of a service with a request, which begins when it is first polled.
    #[must_use = "futures do nothing unless polled"]
    pub struct Calling<S, Q>
    where
        S: Service<Q>,
    {
        // Declared first, so dropped first: what the call holds is gone before the service is.
        #[pin]
        future: Option<S::Future>,
        waiting: Option<(S, Q)>,
        ready: bool,
    }
}

impl<S: Service<Q>, Q> Calling<S, Q> {
    /// A call of a service that has said that it is ready.
    #[inline]
    pub(crate) const fn of_ready(service: S, request: Q) -> Self {
        Self { future: None, waiting: Some((service, request)), ready: true }
    }

    /// A call of a service that must be asked whether it is ready.
    #[inline]
    pub(super) const fn when_ready(service: S, request: Q) -> Self {
        Self { future: None, waiting: Some((service, request)), ready: false }
    }

    /// A call that has begun, or with `None` one that never will: it stays pending.
    #[inline]
    pub(super) const fn begun(future: Option<S::Future>) -> Self {
        Self { future, waiting: None, ready: true }
    }
}

impl<S: Service<Q>, Q> Future for Calling<S, Q> {
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let (false, Some((service, _))) = (*this.ready, this.waiting.as_mut()) {
            ready!(service.poll_ready(cx))?;
            *this.ready = true;
        }
        if let Some((mut service, request)) = this.waiting.take() {
            this.future.set(Some(service.call(request)));
        }
        this.future.as_pin_mut().map_or(Poll::Pending, |future| future.poll(cx))
    }
}

impl<S: Service<Q>, Q> fmt::Debug for Calling<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Calling").field("begun", &self.future.is_some()).finish_non_exhaustive()
    }
}
