//! One attempt in a pipeline: its gates, its timeout, the operation.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::Pipeline;
use crate::deadline::Deadline;
use crate::error::{Error, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Classify, Gate, Outcome, Permit, WaitGate};
use crate::retry::{Attempt, Attempts, Report, Verdict};
use crate::time::Timer;
use crate::timeout::Limited;

pin_project! {
    /// The attempts of a call, each between its gates. `W` is the wait at these; see [`super::Call`].
    #[project = GatedProj]
    pub(super) struct Gated<'p, T, C, R, A, K, O, F, Fut, W>
    where
        T: Timer,
        A: Gate,
    {
        // Dropped before the permit: what the operation holds is gone before its place is free.
        #[pin]
        operation: Limited<Fut, T::Sleep>,
        permit: Option<Permit<&'p A>>,
        #[pin]
        entering: Option<W>,
        make: F,
        // When the attempt that runs is cut off.
        until: Deadline,
        pipeline: &'p Pipeline<T, C, R, A, K, O>,
    }
}

impl<'p, T, C, R, A, K, O, F, Fut, W> Gated<'p, T, C, R, A, K, O, F, Fut, W>
where
    T: Timer,
    A: Gate,
{
    #[inline]
    pub(super) fn new(pipeline: &'p Pipeline<T, C, R, A, K, O>, make: F) -> Self {
        Self {
            operation: Limited::idle(),
            permit: None,
            entering: None,
            make,
            until: Deadline::NEVER,
            pipeline,
        }
    }
}

impl<'p, T, C, R, A, K, O, F, Fut, W> GatedProj<'_, 'p, T, C, R, A, K, O, F, Fut, W>
where
    T: Timer,
    A: WaitGate<T, Entering<'p> = W>,
    W: Future<Output = Result<A::Token, Rejection>>,
    O: Observer,
    F: FnMut(Attempt) -> Fut,
    Fut: Future,
{
    /// Waits to be let in, at most until the deadline of the call.
    #[inline]
    fn poll_enter(
        &mut self,
        cx: &mut Context<'_>,
        until: Deadline,
    ) -> Poll<Result<Permit<&'p A>, Rejection>> {
        let pipeline = *self.pipeline;
        if self.entering.is_none() {
            self.entering.set(Some(pipeline.per_attempt.wait_enter(&pipeline.timer, until)));
        }
        let Some(entering) = self.entering.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let entered = ready!(entering.poll(cx));
        // Adopted before anything else may panic.
        let permit = entered.map(|token| Permit::adopt(&pipeline.per_attempt, token));
        self.entering.set(None);
        Poll::Ready(permit)
    }

    /// Makes the operation's future, with the deadline that holds for it.
    #[inline]
    fn start(&mut self, attempt: Attempt) {
        let pipeline = *self.pipeline;
        let deadline = match pipeline.attempt_timeout {
            Some(timeout) => {
                attempt.deadline.min(Deadline::after(&pipeline.timer, timeout.duration()))
            }
            None => attempt.deadline,
        };
        *self.until = deadline;
        self.operation.as_mut().start((self.make)(Attempt { deadline, ..attempt }));
    }

    /// The operation's output, or `None` when it was cut off.
    #[inline]
    fn poll_operation(
        &mut self,
        cx: &mut Context<'_>,
        attempt: Attempt,
    ) -> Poll<Option<Fut::Output>> {
        if !self.operation.is_running() {
            self.start(attempt);
        }
        self.operation.as_mut().poll_until(cx, &self.pipeline.timer, *self.until)
    }
}

impl<'p, T, C, R, A, K, O, F, Fut, W, V, E> Attempts<&'p T, V, E>
    for Gated<'p, T, C, R, A, K, O, F, Fut, W>
where
    T: Timer,
    A: WaitGate<T, Entering<'p> = W>,
    W: Future<Output = Result<A::Token, Rejection>>,
    K: Classify<V, E>,
    O: Observer,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
{
    #[inline]
    fn poll_attempt(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _timer: &&'p T,
        attempt: Attempt,
    ) -> Poll<Report<V, E>> {
        let mut this = self.project();
        let pipeline = *this.pipeline;
        let mut permit = match this.permit.take() {
            Some(permit) => permit,
            None => match ready!(this.poll_enter(cx, attempt.deadline)) {
                Ok(permit) => permit,
                Err(rejection) => return Poll::Ready(refused(rejection)),
            },
        };
        let Poll::Ready(output) = permit.watch(|| this.poll_operation(cx, attempt)) else {
            *this.permit = Some(permit);
            return Poll::Pending;
        };
        let outcome = match &output {
            Some(result) => pipeline.classify.classify(result),
            None => Outcome::Failure,
        };
        permit.finish(outcome);
        let result = match output {
            Some(result) => result.map_err(Error::Inner),
            None => {
                pipeline.report(|name| Event::TimedOut { name, attempt: attempt.number });
                Err(Error::TimedOut)
            }
        };
        Poll::Ready(Report { result, outcome })
    }

    #[inline]
    fn is_running(&self) -> bool {
        self.operation.is_running()
    }

    #[inline]
    fn decided(&self, attempt: u32, verdict: &Verdict) {
        self.pipeline.report(|name| match *verdict {
            Verdict::Retry { delay, .. } => Event::Retrying { name, attempt, delay },
            Verdict::GiveUp(cause) => Event::GaveUp { name, attempts: attempt, cause },
        });
    }
}

fn refused<V, E>(rejection: Rejection) -> Report<V, E> {
    Report { result: Err(Error::Rejected(rejection)), outcome: Outcome::Refused }
}

impl<T, C, R, A, K, O: Observer> Pipeline<T, C, R, A, K, O> {
    #[inline]
    pub(super) fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>) {
        if self.observer.is_active() {
            self.observer.on_event(&event(self.name));
        }
    }
}
