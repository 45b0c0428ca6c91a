//! The future of a call through a pipeline: deadline, gates around the call, then the attempts.
//!
//! It has two parameters: how the pipeline is held, and what attempts are made at. All that it is
//! made of follows from these. Were what follows a parameter of its own, a bare call could not go
//! into a `join!` in a spawned task; see [`Operation`].

use core::fmt;
use core::future::Future;
use core::ops::Deref;
use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::meter::sealed::PipelineMetering;
use super::meter::{Ended, How};
use super::parts::Parts;
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::gate::{Gate, Held, Outcome, WaitGate};
use crate::on_drop::OnDrop;
use crate::retry::{AttemptLoop, CallResult, Operation, PerAttempt};
use crate::time::{Clock, Ticks};

type TimerOf<P, F> = <<P as Deref>::Target as PerAttempt<F>>::Timer;
type AttemptsOf<P, F> = <<P as Deref>::Target as Parts<F>>::Attempts;
type MeterOf<P, F> = <<P as Deref>::Target as Parts<F>>::Meter;
type PerCallOf<P, F> = <<P as Deref>::Target as Parts<F>>::PerCall;

pin_project! {
    /// A call through a pipeline; see [`Pipeline::call`](crate::Pipeline::call). Make one over an
    /// `Arc`, or of an operation whose type has a name, with [`Call::new`].
    #[must_use = "futures do nothing unless polled"]
    #[project = CallProj]
    pub struct Call<P, F>
    where
        P: Deref,
        P::Target: Parts<F>,
        F: Operation,
    {
        #[pin]
        attempts: AttemptsOf<P, F>,
        held: Held<<PerCallOf<P, F> as Gate>::Token>,
        #[pin]
        entering: Option<<PerCallOf<P, F> as WaitGate<TimerOf<P, F>>>::Waiting>,
        pipeline: P,
        phase: Phase,
        // When it began, where the meter wants to know.
        start: Ticks,
        metered: Metered,
    }

    impl<P, F> PinnedDrop for Call<P, F>
    where
        P: Deref,
        P::Target: Parts<F>,
        F: Operation,
    {
        #[inline]
        fn drop(this: Pin<&mut Self>) {
            let counted = MeterOf::<P, F>::IS_ON && !matches!(this.metered, Metered::No);
            if counted || !matches!(this.phase, Phase::Idle | Phase::Done) {
                this.cancel();
            }
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

impl<P, F> Call<P, F>
where
    P: Deref,
    P::Target: Parts<F>,
    F: Operation,
{
    /// Runs `operation` under all parts of `pipeline`, which may be `&Pipeline`,
    /// `&'static Pipeline` or `Arc<Pipeline>`; see
    /// [`Pipeline::call_before`](crate::Pipeline::call_before).
    ///
    /// # Examples
    ///
    /// See [`Operation`].
    #[inline]
    pub fn new(pipeline: P, deadline: Deadline, operation: F) -> Self {
        Self {
            attempts: AttemptLoop::new(deadline, operation),
            held: Held::NOTHING,
            entering: None,
            pipeline,
            phase: Phase::Idle,
            start: Ticks::ZERO,
            metered: Metered::No,
        }
    }

    /// Drops the operation, and gives back what the call holds, from inside out. Out of line, so
    /// that calls that come to their end do not pay for it.
    #[cold]
    fn cancel(self: Pin<&mut Self>) {
        let mut this = self.project();
        let ended = this.ended_by_drop();
        let CallProj { attempts, pipeline, held, entering, .. } = &mut this;
        let pipeline: &P::Target = pipeline;
        let ran = if attempts.has_run() { Outcome::Abandoned } else { Outcome::Refused };
        // Also where the operation or a gate further in panics.
        let _meter = OnDrop(|| {
            if let Some(ended) = ended {
                pipeline.meter().end(ended, || pipeline.timer().now());
            }
        });
        let _call = OnDrop(|| {
            if held.is_held() {
                held.end(pipeline.per_call(), ran);
            } else if let Some(entering) = entering.as_mut().as_pin_mut() {
                pipeline.per_call().cancel_enter(entering, pipeline.timer());
            }
        });
        attempts.as_mut().cancel(pipeline);
    }
}

impl<P, F> CallProj<'_, P, F>
where
    P: Deref,
    P::Target: Parts<F>,
    F: Operation,
{
    /// Settles the deadline, unless it has passed, and turns to the gates.
    #[inline]
    fn start(&mut self) -> Result<(), Rejection> {
        let deadline = self.pipeline.deadline_of(self.attempts.deadline())?;
        self.attempts.as_mut().set_deadline(deadline);
        self.entering.set(Some(Default::default()));
        *self.phase = Phase::Entering;
        Ok(())
    }

    #[inline]
    fn poll_enter(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Rejection>> {
        let Some(entering) = self.entering.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let (gate, timer) = (self.pipeline.per_call(), self.pipeline.timer());
        let token = ready!(gate.poll_enter(entering, timer, self.attempts.deadline(), cx))?;
        // Held before anything else may panic.
        self.held.hold(token);
        self.entering.set(None);
        *self.phase = Phase::Running;
        Poll::Ready(Ok(()))
    }

    /// The answer of all parts but the outermost, the gates around the call.
    #[inline]
    fn poll_within(&mut self, cx: &mut Context<'_>) -> Poll<CallResult<F>> {
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
            ready!(self.poll_enter(cx))?;
            if !started
                && self.pipeline.per_call().may_wait()
                && self.attempts.deadline().expired(self.pipeline.timer())
            {
                return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded).into()));
            }
            phase = Phase::Running;
        }
        match phase {
            Phase::Running => {
                let Self { attempts, pipeline, held, .. } = self;
                held.watch(pipeline.per_call(), || attempts.as_mut().poll(pipeline, cx))
            }
            Phase::Idle | Phase::Entering | Phase::Done => Poll::Pending,
        }
    }

    /// One poll of all parts.
    #[inline]
    fn poll_parts(&mut self, cx: &mut Context<'_>) -> Poll<CallResult<F>> {
        let polled = self.poll_within(cx);
        if polled.is_ready() {
            *self.phase = Phase::Done;
            // Where no operation ran that is `Refused`.
            self.held.end(self.pipeline.per_call(), self.attempts.outcome());
        }
        polled
    }

    /// Tells the meter that a poll begins; the first time that the call does.
    #[inline]
    fn count_in(&mut self) {
        match *self.phase {
            Phase::Idle => {
                self.pipeline.meter().begin();
                *self.metered = Metered::Polled;
                if MeterOf::<P, F>::NEEDS_START {
                    *self.start = self.pipeline.timer().now();
                }
            }
            Phase::Entering | Phase::Running => *self.metered = Metered::Polled,
            Phase::Done => {}
        }
    }

    /// Tells the meter what the poll came to.
    #[inline]
    fn count_poll(&mut self, polled: &Poll<CallResult<F>>) {
        let Poll::Ready(result) = polled else {
            if let Metered::Polled = *self.metered {
                *self.metered = Metered::Begun;
            }
            return;
        };
        let judged = How::Judged(self.attempts.outcome());
        let ended = match result {
            Err(Error::Rejected(rejection)) => self.ended(How::Rejected(rejection.reason()), false),
            Err(Error::TimedOut) => self.ended(judged, true),
            Ok(_) | Err(Error::Inner(_)) => self.ended(judged, false),
        };
        // Before the clock may panic: it is counted once.
        *self.metered = Metered::No;
        self.pipeline.meter().end(ended, || self.pipeline.timer().now());
    }

    /// What the meter is told of a call that was cancelled, or ended by a panic: that is a failure,
    /// if any operation has run by then. `None` where it counts none.
    fn ended_by_drop(&self) -> Option<Ended> {
        let how = match *self.metered {
            Metered::No => return None,
            Metered::Polled if self.attempts.runs() > 0 => How::Judged(Outcome::Failure),
            Metered::Begun | Metered::Polled => How::Abandoned,
        };
        Some(self.ended(how, false))
    }

    #[inline]
    fn ended(&self, how: How, timed_out: bool) -> Ended {
        let (attempt, runs) = (self.attempts.attempt(), self.attempts.runs());
        Ended { how, timed_out, start: *self.start, attempt, runs }
    }
}

impl<P, F> Future for Call<P, F>
where
    P: Deref,
    P::Target: Parts<F>,
    F: Operation,
{
    type Output = Result<F::Value, Error<F::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if !MeterOf::<P, F>::IS_ON {
            return this.poll_parts(cx);
        }
        this.count_in();
        let polled = this.poll_parts(cx);
        this.count_poll(&polled);
        polled
    }
}

impl<P, F> fmt::Debug for Call<P, F>
where
    P: Deref,
    P::Target: Parts<F>,
    F: Operation,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("name", &self.pipeline.name())
            .field("phase", &self.phase)
            .field("deadline", &self.attempts.deadline())
            .finish_non_exhaustive()
    }
}
