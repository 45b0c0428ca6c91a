//! One attempt in a pipeline: its gates, its timeout, the operation.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Pipeline, PipelineMetering};
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Classify, Gate, Outcome, Permit, WaitGate};
use crate::retry::{Attempt, Attempts, Report, Running, Verdict};
use crate::time::Timer;
use crate::timeout::Limited;

pin_project! {
    /// The attempts of a call, each between its gates. `W` is the wait at these; see [`super::Call`].
    #[project = GatedProj]
    pub(super) struct Gated<'p, T, C, R, A, K, O, M, F, Fut, W>
    where
        T: Timer,
        A: Gate,
    {
        // Dropped before the permit: what the operation holds is gone before its place is free.
        #[pin]
        operation: Limited<Fut, T::Sleep>,
        permit: Permit<&'p A>,
        #[pin]
        entering: Option<W>,
        make: F,
        // The number of the last attempt whose operation was made.
        begun: u32,
        // How many operations were made, or would have been but for a panic.
        runs: u32,
        // When the attempt that runs is cut off.
        until: Deadline,
        pipeline: &'p Pipeline<T, C, R, A, K, O, M>,
    }
}

impl<'p, T, C, R, A, K, O, M, F, Fut, W> Gated<'p, T, C, R, A, K, O, M, F, Fut, W>
where
    T: Timer,
    A: Gate,
{
    #[inline]
    pub(super) fn new(pipeline: &'p Pipeline<T, C, R, A, K, O, M>, make: F) -> Self {
        Self {
            operation: Limited::idle(),
            permit: Permit::idle(&pipeline.per_attempt),
            entering: None,
            make,
            begun: 0,
            runs: 0,
            until: Deadline::NEVER,
            pipeline,
        }
    }

    /// How many operations were made.
    #[inline]
    pub(super) const fn runs(&self) -> u32 {
        self.runs
    }
}

impl<'p, T, C, R, A, K, O, M, F, Fut, W> GatedProj<'_, 'p, T, C, R, A, K, O, M, F, Fut, W>
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
    fn poll_enter(&mut self, cx: &mut Context<'_>, until: Deadline) -> Poll<Result<(), Rejection>> {
        let pipeline = *self.pipeline;
        if self.entering.is_none() {
            self.entering.set(Some(pipeline.per_attempt.wait_enter(&pipeline.timer, until)));
        }
        let Some(entering) = self.entering.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let entered = ready!(entering.poll(cx));
        // Held before anything else may panic.
        let entered = entered.map(|token| self.permit.hold(token));
        self.entering.set(None);
        Poll::Ready(entered)
    }

    /// The operation's output, or `None` when it was cut off. A panic is a failure to the gates.
    #[inline]
    fn poll_watched(
        &mut self,
        cx: &mut Context<'_>,
        attempt: Attempt,
    ) -> Poll<Option<Fut::Output>> {
        let Self { permit, operation, make, begun, runs, until, pipeline, .. } = self;
        permit.watch(|| {
            if !operation.is_running() {
                **until = pipeline.cut_off(attempt.deadline);
                **runs = runs.saturating_add(1);
                let made = make(Attempt { deadline: **until, ..attempt });
                **begun = attempt.number;
                operation.as_mut().start(made);
            }
            operation.as_mut().poll_until(cx, &pipeline.timer, **until)
        })
    }
}

impl<T: Timer, C, R, A: Gate, K, O, M, F, Fut, W> Running
    for Gated<'_, T, C, R, A, K, O, M, F, Fut, W>
{
    #[inline]
    fn is_running(&self) -> bool {
        self.operation.is_running()
    }

    #[inline]
    fn has_begun(&self, attempt: u32) -> bool {
        self.begun == attempt
    }
}

impl<'p, T, C, R, A, K, O, M, F, Fut, W, V, E> Attempts<&'p T, V, E>
    for Gated<'p, T, C, R, A, K, O, M, F, Fut, W>
where
    T: Timer,
    A: WaitGate<T, Entering<'p> = W>,
    W: Future<Output = Result<A::Token, Rejection>>,
    K: Classify<V, E>,
    O: Observer,
    M: PipelineMetering<T>,
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
        if !this.permit.is_held() {
            let waited = this.entering.is_some();
            if let Err(rejection) = ready!(this.poll_enter(cx, attempt.deadline)) {
                return Poll::Ready(refused(rejection));
            }
            // Timers wake late, and a grant in the last moment wins over a timeout.
            if waited && attempt.deadline.expired(&pipeline.timer) {
                this.permit.end(Outcome::Refused);
                return Poll::Ready(refused(Rejection::new(Reason::DeadlineExceeded)));
            }
        }
        let output = ready!(this.poll_watched(cx, attempt));
        let outcome = match &output {
            Some(result) => pipeline.classify.classify(result),
            None => Outcome::Failure,
        };
        this.permit.end(outcome);
        let result = match output {
            Some(result) => result.map_err(Error::Inner),
            None => {
                pipeline.meter.cut_off();
                pipeline.report(|name| Event::TimedOut { name, attempt: attempt.number });
                Err(Error::TimedOut)
            }
        };
        Poll::Ready(Report { result, outcome })
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

impl<T, C, R, A, K, O: Observer, M> Pipeline<T, C, R, A, K, O, M> {
    #[inline]
    pub(super) fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>) {
        if self.observer.is_active() {
            self.observer.on_event(&event(self.name));
        }
    }
}

impl<T: Timer, C, R, A, K, O, M> Pipeline<T, C, R, A, K, O, M> {
    /// When an attempt that begins now is cut off, in a call with this deadline.
    #[inline]
    fn cut_off(&self, deadline: Deadline) -> Deadline {
        match self.attempt_timeout {
            Some(timeout) => deadline.min(Deadline::after(&self.timer, timeout.duration())),
            None => deadline,
        }
    }
}
