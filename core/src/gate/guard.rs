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
        state: Entry<R>,
        classify: K,
    }
}

/// Where a guarded call is at.
enum Entry<R>
where
    R: Deref,
    R::Target: Gate,
{
    /// Not yet polled: nothing is taken.
    Waiting(R),
    Admitted(Permit<R>),
    Done,
}

impl<R, F> Guard<R, F>
where
    R: Deref,
    R::Target: Gate,
{
    /// Guards `future` by `gate`, which may be `&G`, `&'static G` or `Arc<G>`.
    #[inline]
    pub fn new(gate: R, future: F) -> Self {
        Self { future, state: Entry::Waiting(gate), classify: ResultClassify }
    }

    /// Says which results are failures.
    #[inline]
    pub fn classify<K>(self, classify: K) -> Guard<R, F, K> {
        Guard { future: self.future, state: self.state, classify }
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
        if let Entry::Waiting(_) = this.state {
            if let Entry::Waiting(gate) = core::mem::replace(this.state, Entry::Done) {
                *this.state = Entry::Admitted(Permit::enter(gate)?);
            }
        }
        let Entry::Admitted(permit) = this.state else {
            // Polled again after it was done: there is no answer left to give, and no panic in a library.
            return Poll::Pending;
        };
        let future = this.future;
        let result = ready!(permit.watch(|| future.poll(cx)));
        let outcome = this.classify.classify(&result);
        if let Entry::Admitted(permit) = core::mem::replace(this.state, Entry::Done) {
            permit.finish(outcome);
        }
        Poll::Ready(result.map_err(Error::Inner))
    }
}

impl<R, F, K> fmt::Debug for Guard<R, F, K>
where
    R: Deref,
    R::Target: Gate,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            Entry::Waiting(_) => "waiting",
            Entry::Admitted(_) => "admitted",
            Entry::Done => "done",
        };
        f.debug_struct("Guard").field("state", &state).finish_non_exhaustive()
    }
}
