//! The future of a call through a pipeline: deadline, gates around the call, then the attempts.
//!
//! The waits at the gates are type parameters of their own, though `C::Entering<'p>` would say the
//! same: a field of such a type keeps the whole future from being spawned as soon as a gate is
//! borrowed ("implementation of `Gate` is not general enough"), because the compiler forgets there
//! that the borrow outlives `'p`.

use core::fmt;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, ready};
use core::time::Duration;

use pin_project_lite::pin_project;

use super::Pipeline;
use super::attempt::Gated;
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Classify, Gate, Outcome, Permit, WaitGate};
use crate::retry::{Attempt, RetryLoop, RetryPolicy};
use crate::time::{Timer, ticks_from_duration};

pin_project! {
    /// A call through a [`Pipeline`]; see [`Pipeline::call`].
    ///
    /// `CW` and `AW` are the waits at the gates around the call and around each attempt.
    #[must_use = "futures do nothing unless polled"]
    #[project = CallProj]
    pub struct Call<'p, T, C, R, A, K, O, F, Fut, E, CW, AW>
    where
        T: Timer,
        C: Gate,
        R: RetryPolicy<E>,
        A: Gate,
    {
        // Dropped before what the call holds.
        #[pin]
        attempts: RetryLoop<&'p T, &'p R, Gated<'p, T, C, R, A, K, O, F, Fut, AW>, E>,
        held: Held<'p, C>,
        #[pin]
        entering: Option<CW>,
        pipeline: &'p Pipeline<T, C, R, A, K, O>,
        // Until the first poll that of the caller alone, then the one that holds.
        deadline: Deadline,
        phase: Phase,
    }
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// Not yet polled: nothing is taken.
    Idle,
    /// Waiting at the gates around the call.
    Entering,
    /// Let in; the attempts run.
    Running,
    Done,
}

/// What the call holds of the gates around it.
struct Held<'p, C: Gate> {
    permit: Permit<&'p C>,
    /// Whether any operation has run.
    has_run: bool,
}

/// The call was cancelled.
impl<C: Gate> Drop for Held<'_, C> {
    #[inline]
    fn drop(&mut self) {
        self.permit.end(if self.has_run { Outcome::Abandoned } else { Outcome::Refused });
    }
}

impl<'p, T, C, R, A, K, O, F, Fut, E, CW, AW> Call<'p, T, C, R, A, K, O, F, Fut, E, CW, AW>
where
    T: Timer,
    C: Gate,
    R: RetryPolicy<E>,
    A: Gate,
{
    #[inline]
    pub(super) fn new(
        pipeline: &'p Pipeline<T, C, R, A, K, O>,
        deadline: Deadline,
        operation: F,
    ) -> Self {
        let attempts = Gated::new(pipeline, operation);
        Self {
            attempts: RetryLoop::new(&pipeline.timer, &pipeline.retry, Deadline::NEVER, attempts),
            held: Held { permit: Permit::idle(&pipeline.per_call), has_run: false },
            entering: None,
            pipeline,
            deadline,
            phase: Phase::Idle,
        }
    }
}

impl<'p, T, C, R, A, K, O, F, Fut, V, E, CW, AW>
    CallProj<'_, 'p, T, C, R, A, K, O, F, Fut, E, CW, AW>
where
    T: Timer,
    C: WaitGate<T, Entering<'p> = CW>,
    R: RetryPolicy<E>,
    A: WaitGate<T, Entering<'p> = AW>,
    K: Classify<V, E>,
    O: Observer,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
    CW: Future<Output = Result<C::Token, Rejection>>,
    AW: Future<Output = Result<A::Token, Rejection>>,
{
    /// Settles the deadline, unless it has passed, and turns to the gates.
    #[inline]
    fn start(&mut self) -> Result<(), Rejection> {
        let pipeline = *self.pipeline;
        *self.deadline = pipeline.deadline_of(*self.deadline)?;
        self.attempts.as_mut().set_deadline(*self.deadline);
        self.entering.set(Some(pipeline.per_call.wait_enter(&pipeline.timer, *self.deadline)));
        *self.phase = Phase::Entering;
        Ok(())
    }

    #[inline]
    fn poll_enter(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        let Some(entering) = self.entering.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let token = ready!(entering.poll(cx))?;
        // Adopted before anything else may panic.
        self.held.permit.hold(token);
        self.entering.set(None);
        *self.phase = Phase::Running;
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn poll_attempts(&mut self, cx: &mut Context<'_>) -> Poll<Result<V, Error<E>>> {
        let attempts = &mut self.attempts;
        let polled = self.held.permit.watch(|| attempts.as_mut().poll(cx));
        if polled.is_ready() {
            *self.phase = Phase::Done;
            self.held.permit.end(attempts.outcome());
        } else {
            self.held.has_run = attempts.has_run();
        }
        polled
    }
}

impl<'p, T, C, R, A, K, O, F, Fut, V, E, CW, AW> Future
    for Call<'p, T, C, R, A, K, O, F, Fut, E, CW, AW>
where
    T: Timer,
    C: WaitGate<T, Entering<'p> = CW>,
    R: RetryPolicy<E>,
    A: WaitGate<T, Entering<'p> = AW>,
    K: Classify<V, E>,
    O: Observer,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
    CW: Future<Output = Result<C::Token, Rejection>>,
    AW: Future<Output = Result<A::Token, Rejection>>,
{
    type Output = Result<V, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Beside the one in place, which is for the next poll, as the compiler does not see through
        // that.
        let mut phase = *this.phase;
        let started = matches!(phase, Phase::Idle);
        if started {
            // Whatever ends the call before it is let in ends it for good.
            *this.phase = Phase::Done;
            this.start()?;
            phase = Phase::Entering;
        }
        if let Phase::Entering = phase {
            let waited = !started;
            if let Err(rejection) = ready!(this.poll_enter(cx)) {
                *this.phase = Phase::Done;
                return Poll::Ready(Err(rejection.into()));
            }
            if waited && this.deadline.expired(&this.pipeline.timer) {
                *this.phase = Phase::Done;
                this.held.permit.end(Outcome::Refused);
                return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded).into()));
            }
            phase = Phase::Running;
        }
        match phase {
            Phase::Running => this.poll_attempts(cx),
            Phase::Idle | Phase::Entering | Phase::Done => Poll::Pending,
        }
    }
}

impl<T: Timer, C, R, A, K, O: Observer> Pipeline<T, C, R, A, K, O> {
    /// The earlier of the caller's deadline and the pipeline's own; an error where that has passed.
    #[inline]
    fn deadline_of(&self, outer: Deadline) -> Result<Deadline, Rejection> {
        if self.deadline == Duration::MAX && outer.is_never() {
            return Ok(Deadline::NEVER);
        }
        let now = self.timer.now();
        let total = ticks_from_duration(self.deadline, T::TICKS_PER_SECOND);
        let deadline = outer.min(Deadline::at(now.saturating_add(total)));
        if !deadline.expired_at(now) {
            return Ok(deadline);
        }
        let rejection = Rejection::new(Reason::DeadlineExceeded);
        self.report(|name| Event::Rejected { name, rejection });
        Err(rejection)
    }
}

impl<T, C, R, A, K, O, F, Fut, E, CW, AW> fmt::Debug
    for Call<'_, T, C, R, A, K, O, F, Fut, E, CW, AW>
where
    T: Timer,
    C: Gate,
    R: RetryPolicy<E>,
    A: Gate,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.pipeline.name)
            .field("phase", &self.phase)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
