//! The future that enters a gate, runs, classifies and exits.

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Classify, Gate, Outcome, Permit};
use crate::error::Error;

/// The default [`Classify`]: `Ok` is a success, `Err` a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultClassify;

impl<T, E> Classify<T, E> for ResultClassify {
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        if result.is_ok() { Outcome::Success } else { Outcome::Failure }
    }
}

/// A [`Classify`] that asks a predicate whether an error is a failure; other errors are ignored.
#[derive(Clone, Copy, Debug)]
pub struct FailureIf<P>(
    /// Whether this error is a failure.
    pub P,
);

impl<T, E, P: Fn(&E) -> bool> Classify<T, E> for FailureIf<P> {
    #[inline]
    fn classify(&self, result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) if (self.0)(error) => Outcome::Failure,
            Err(_) => Outcome::Ignored,
        }
    }
}

pin_project! {
    /// A guarded future; see [`Gate::guard`]. Make one over an `Arc` with [`Guard::new`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Guard<R, F, K = ResultClassify>
    where
        R: Deref,
        R::Target: Gate,
    {
        // Dropped before the permit: what the call holds is gone before its place is free.
        #[pin]
        future: F,
        permit: Permit<R>,
        classify: K,
        polled: bool,
    }
}

impl<R, F> Guard<R, F>
where
    R: Deref,
    R::Target: Gate,
{
    /// Guards `future` by `gate`, which may be `&G`, `&'static G` or `Arc<G>`.
    ///
    /// # Errors
    ///
    /// As [`Gate::guard`].
    ///
    /// # Cancellation
    ///
    /// As [`Gate::guard`].
    #[inline]
    pub fn new(gate: R, future: F) -> Self {
        Self { future, permit: Permit::idle(gate), classify: ResultClassify, polled: false }
    }

    /// Says which results are failures.
    #[inline]
    pub fn classify<K>(self, classify: K) -> Guard<R, F, K> {
        Guard { future: self.future, permit: self.permit, classify, polled: self.polled }
    }
}

impl<R, F, K> Guard<R, F, K>
where
    R: Deref,
    R::Target: Gate,
{
    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &R::Target {
        self.permit.gate()
    }
}

impl<R, F, K, T, E> Future for Guard<R, F, K>
where
    R: Deref,
    R::Target: Gate,
    F: Future<Output = Result<T, E>>,
    K: Classify<T, E>,
{
    type Output = Result<T, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if !*this.polled {
            *this.polled = true;
            let token = this.permit.gate().enter()?;
            this.permit.hold(token);
        }
        if !this.permit.is_held() {
            // Polled again after it was done: there is no answer left to give, and no panic in a
            // library.
            return Poll::Pending;
        }
        let future = this.future;
        let result = ready!(this.permit.watch(|| future.poll(cx)));
        this.permit.end(this.classify.classify(&result));
        Poll::Ready(result.map_err(Error::Inner))
    }
}

impl<R, F, K> fmt::Debug for Guard<R, F, K>
where
    R: Deref,
    R::Target: Gate,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("polled", &self.polled)
            .field("permit", &self.permit)
            .finish_non_exhaustive()
    }
}
