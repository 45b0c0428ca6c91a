//! A request that may be sent more than once, as what a pipeline makes its attempts at.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fusebox_core::{Attempt, Deadline, Operation};
use pin_project_lite::pin_project;
use tower_service::Service;

use super::calling::Calling;

/// How a request is made again for another attempt.
///
/// Asked before each attempt, as that takes the request away. Any `Fn(&Q) -> Option<Q>` will do;
/// [`ResendClones`] is for requests that can be cloned. Say `None` to what must not be sent twice,
/// such as a `POST` without an idempotency key.
#[diagnostic::on_unimplemented(
    note = "give the argument of a closure its type: `|request: &MyRequest| Some(request.clone())`"
)]
pub trait Resend<Q> {
    /// The same request once more, or `None` where it must not or cannot be sent again: the error
    /// of the attempt is then the answer, and nothing is taken from a budget.
    fn again(&self, request: &Q) -> Option<Q>;
}

/// Sends every request again, as a clone of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResendClones;

impl<Q: Clone> Resend<Q> for ResendClones {
    #[inline]
    fn again(&self, request: &Q) -> Option<Q> {
        Some(request.clone())
    }
}

/// Sends no request again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendOnce;

impl<Q> Resend<Q> for SendOnce {
    #[inline]
    fn again(&self, _request: &Q) -> Option<Q> {
        None
    }
}

impl<Q, F: Fn(&Q) -> Option<Q>> Resend<Q> for F {
    #[inline]
    fn again(&self, request: &Q) -> Option<Q> {
        self(request)
    }
}

/// A request to a service as a pipeline's [`Operation`]: the first attempt that is made calls the
/// service that was ready, later ones a clone of it once that is.
pub struct Sending<S, Q, N> {
    service: S,
    /// Whether the service has been asked, and not been called since: it may hold a place, for
    /// which a clone would wait in vain.
    ready: bool,
    /// Gone where the request was sent and cannot be sent again.
    request: Option<Q>,
    resend: N,
    /// Whether the service is told when its attempts will be cut off.
    tells: bool,
}

impl<S, Q, N> Sending<S, Q, N> {
    #[inline]
    pub(super) const fn new(service: S, request: Q, resend: N, tells: bool) -> Self {
        Self { service, ready: true, request: Some(request), resend, tells }
    }
}

impl<S, Q, N> Operation for Sending<S, Q, N>
where
    S: Service<Q> + Clone,
    N: Resend<Q>,
{
    type Value = S::Response;
    type Error = S::Error;
    type Future = Attempting<S, Q>;

    #[inline]
    fn attempt(&mut self, attempt: Attempt) -> Attempting<S, Q> {
        let deadline = if self.tells { attempt.deadline } else { Deadline::NEVER };
        let Some(request) = self.request.take() else {
            // A retry that `can_repeat` has ruled out.
            return Attempting { calling: Calling::begun(None), deadline };
        };
        self.request = self.resend.again(&request);
        // Not by the number of the attempt: gates may have refused the first.
        let calling = if std::mem::take(&mut self.ready) {
            Calling::begun(Some(within(deadline, || self.service.call(request))))
        } else {
            Calling::when_ready(self.service.clone(), request)
        };
        Attempting { calling, deadline }
    }

    #[inline]
    fn can_repeat(&self, waiting: u32) -> bool {
        // Where an attempt waits to be made, the request is its own.
        let spare = |request| waiting == 0 || self.resend.again(request).is_some();
        self.request.as_ref().is_some_and(spare)
    }
}

impl<S, Q, N> fmt::Debug for Sending<S, Q, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending")
            .field("can_repeat", &self.request.is_some())
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// One attempt at a call of a service, which may know when it will be cut off.
    #[must_use = "futures do nothing unless polled"]
    pub struct Attempting<S, Q>
    where
        S: Service<Q>,
    {
        #[pin]
        calling: Calling<S, Q>,
        deadline: Deadline,
    }
}

impl<S: Service<Q>, Q> Future for Attempting<S, Q> {
    type Output = Result<S::Response, S::Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        within(*this.deadline, || this.calling.poll(cx))
    }
}

impl<S: Service<Q>, Q> fmt::Debug for Attempting<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attempting")
            .field("calling", &self.calling)
            .field("deadline", &self.deadline)
            .finish()
    }
}

/// Does `work`, to which `deadline` is the current one.
#[inline]
fn within<T>(deadline: Deadline, work: impl FnOnce() -> T) -> T {
    #[cfg(feature = "tokio")]
    if !deadline.is_never() {
        return crate::task_deadline::within_deadline(deadline, work);
    }
    let _ = deadline;
    work()
}
