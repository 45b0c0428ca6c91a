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

use super::attempt::Gated;
use super::meter::{Ended, How};
use super::{Pipeline, PipelineMetering};
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Classify, Gate, Outcome, Permit, WaitGate};
use crate::retry::{Attempt, RetryLoop, RetryPolicy};
use crate::time::{Ticks, Timer, ticks_from_duration};

pin_project! {
    /// A call through a [`Pipeline`]; see [`Pipeline::call`].
    ///
    /// `CW` and `AW` are the waits at the gates around the call and around each attempt.
    #[must_use = "futures do nothing unless polled"]
    #[project = CallProj]
    pub struct Call<'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW>
    where
        T: Timer,
        C: Gate,
        R: RetryPolicy<E>,
        A: Gate,
        M: PipelineMetering<T>,
    {
        // Dropped before what the call holds.
        #[pin]
        attempts: RetryLoop<&'p T, &'p R, Gated<'p, T, C, R, A, K, O, M, F, Fut, AW>, E>,
        held: Held<'p, C>,
        #[pin]
        entering: Option<CW>,
        pipeline: &'p Pipeline<T, C, R, A, K, O, M>,
        // Until the first poll that of the caller alone, then the one that holds.
        deadline: Deadline,
        phase: Phase,
        // When it began, where the meter wants to know.
        start: Ticks,
        metered: Metered,
    }

    /// Cancelled, or ended by a panic: a failure, if any operation has run by then.
    impl<'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW> PinnedDrop
        for Call<'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW>
    where
        T: Timer,
        C: Gate,
        R: RetryPolicy<E>,
        A: Gate,
        M: PipelineMetering<T>,
    {
        fn drop(this: Pin<&mut Self>) {
            let how = match this.metered {
                Metered::No => return,
                Metered::Polled if this.attempts.inner().runs() > 0 => {
                    How::Judged(Outcome::Failure)
                }
                Metered::Begun | Metered::Polled => How::Abandoned,
            };
            this.count_out(how, false);
        }
    }
}

/// Whether the meter counts the call as running.
#[derive(Clone, Copy, Debug)]
enum Metered {
    No,
    Begun,
    /// So it does, and a poll has begun that has not returned yet, or never will: a panic.
    Polled,
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

impl<'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW> Call<'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW>
where
    T: Timer,
    C: Gate,
    R: RetryPolicy<E>,
    A: Gate,
    M: PipelineMetering<T>,
{
    #[inline]
    pub(super) fn new(
        pipeline: &'p Pipeline<T, C, R, A, K, O, M>,
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
            start: Ticks::ZERO,
            metered: Metered::No,
        }
    }

    /// Tells the meter that a poll begins; the first time that the call does.
    #[inline]
    fn count_in(self: Pin<&mut Self>) {
        let this = self.project();
        match *this.phase {
            Phase::Idle => {
                this.pipeline.meter.begin();
                *this.metered = Metered::Polled;
                if M::NEEDS_START {
                    *this.start = this.pipeline.timer.now();
                }
            }
            Phase::Entering | Phase::Running => *this.metered = Metered::Polled,
            Phase::Done => {}
        }
    }

    /// Tells the meter what the poll came to.
    #[inline]
    fn count_poll<V>(self: Pin<&mut Self>, polled: &Poll<Result<V, Error<E>>>) {
        let Poll::Ready(result) = polled else {
            if let Metered::Polled = self.metered {
                *self.project().metered = Metered::Begun;
            }
            return;
        };
        let (how, timed_out) = match result {
            Err(Error::Rejected(rejection)) => (How::Rejected(rejection.reason()), false),
            Err(Error::TimedOut) => (How::Judged(self.attempts.outcome()), true),
            Ok(_) | Err(Error::Inner(_)) => (How::Judged(self.attempts.outcome()), false),
        };
        self.count_out(how, timed_out);
        *self.project().metered = Metered::No;
    }

    #[inline]
    fn count_out(&self, how: How, timed_out: bool) {
        let (attempt, runs) = (self.attempts.attempt(), self.attempts.inner().runs());
        let call = Ended { how, timed_out, start: self.start, attempt, runs };
        self.pipeline.meter.end(call, || self.pipeline.timer.now());
    }
}

impl<'p, T, C, R, A, K, O, M, F, Fut, V, E, CW, AW>
    CallProj<'_, 'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW>
where
    T: Timer,
    C: WaitGate<T, Entering<'p> = CW>,
    R: RetryPolicy<E>,
    A: WaitGate<T, Entering<'p> = AW>,
    K: Classify<V, E>,
    O: Observer,
    M: PipelineMetering<T>,
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

    /// One poll of all parts.
    #[inline]
    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Poll<Result<V, Error<E>>> {
        // Beside the one in place, which is for the next poll, as the compiler does not see through
        // that.
        let mut phase = *self.phase;
        let started = matches!(phase, Phase::Idle);
        if started {
            // Whatever ends the call before it is let in ends it for good.
            *self.phase = Phase::Done;
            self.start()?;
            phase = Phase::Entering;
        }
        if let Phase::Entering = phase {
            let waited = !started;
            if let Err(rejection) = ready!(self.poll_enter(cx)) {
                *self.phase = Phase::Done;
                return Poll::Ready(Err(rejection.into()));
            }
            if waited && self.deadline.expired(&self.pipeline.timer) {
                *self.phase = Phase::Done;
                self.held.permit.end(Outcome::Refused);
                return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded).into()));
            }
            phase = Phase::Running;
        }
        match phase {
            Phase::Running => self.poll_attempts(cx),
            Phase::Idle | Phase::Entering | Phase::Done => Poll::Pending,
        }
    }
}

impl<'p, T, C, R, A, K, O, M, F, Fut, V, E, CW, AW> Future
    for Call<'p, T, C, R, A, K, O, M, F, Fut, E, CW, AW>
where
    T: Timer,
    C: WaitGate<T, Entering<'p> = CW>,
    R: RetryPolicy<E>,
    A: WaitGate<T, Entering<'p> = AW>,
    K: Classify<V, E>,
    O: Observer,
    M: PipelineMetering<T>,
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
    CW: Future<Output = Result<C::Token, Rejection>>,
    AW: Future<Output = Result<A::Token, Rejection>>,
{
    type Output = Result<V, Error<E>>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if !M::IS_ON {
            return self.project().poll_parts(cx);
        }
        self.as_mut().count_in();
        let polled = self.as_mut().project().poll_parts(cx);
        self.count_poll(&polled);
        polled
    }
}

impl<T: Timer, C, R, A, K, O: Observer, M> Pipeline<T, C, R, A, K, O, M> {
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

impl<T, C, R, A, K, O, M, F, Fut, E, CW, AW> fmt::Debug
    for Call<'_, T, C, R, A, K, O, M, F, Fut, E, CW, AW>
where
    T: Timer,
    C: Gate,
    R: RetryPolicy<E>,
    A: Gate,
    M: PipelineMetering<T>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.pipeline.name)
            .field("phase", &self.phase)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
