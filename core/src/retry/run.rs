//! One attempt after another.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::attempt::{Gated, Maker, PerAttempt};
use super::kind::AttemptLoop;
use super::operation::{CallResult, Operation};
use super::state::{RetryPolicy, RetryState, Verdict};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::{Event, GiveUp};
use crate::gate::Outcome;
use crate::on_drop::OnDrop;

pin_project! {
    /// One attempt after another, as the policy decides.
    ///
    /// What is `around` them must be the same in all calls. Must be [`cancel`](Self::cancel)led
    /// before it is dropped.
    pub struct RetryLoop<X, F>
    where
        X: PerAttempt<F>,
        F: Operation,
    {
        #[pin]
        attempts: Gated<X, F>,
        maker: Maker<F>,
        state: RetryState,
        phase: Phase,
        // What the last attempt met: the answer, should the wait end too late for another. `None`
        // where it answered with a value that was not good enough: that is not kept.
        error: Option<Error<F::Error>>,
        // Of the last attempt whose operation ran.
        outcome: Outcome,
        // How many retries were paid for and then refused by their gates.
        refused: u32,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
// As wide as a register: for what is moved beside padding see `RetryCall`.
#[repr(usize)]
enum Phase {
    /// Nothing has happened.
    Idle,
    Attempting,
    Waiting,
    Done,
}

impl<X, F> RetryLoop<X, F>
where
    X: PerAttempt<F>,
    X::Policy: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    /// No attempts so far.
    #[inline]
    pub(super) const fn idle(deadline: Deadline, operation: F) -> Self {
        Self {
            attempts: Gated::new(),
            maker: Maker::new(operation),
            state: RetryState::new(deadline),
            phase: Phase::Idle,
            error: None,
            outcome: Outcome::Refused,
            refused: 0,
        }
    }

    /// Whether the deadline has passed before anything began; then nothing will.
    #[inline]
    pub(super) fn is_too_late(self: Pin<&mut Self>, around: &X) -> bool {
        let this = self.project();
        let late =
            *this.phase == Phase::Idle && this.state.attempt().deadline.expired(around.timer());
        if late {
            *this.phase = Phase::Done;
        }
        late
    }

    pub(super) const fn state(&self) -> &RetryState {
        &self.state
    }

    /// Out of line, so that calls that come to their end do not pay for it; but on a small target,
    /// where it mostly has one caller, a part of that.
    #[cfg_attr(target_pointer_width = "64", cold)]
    fn cancel_underway(self: Pin<&mut Self>, around: &X) {
        let this = self.project();
        let mut attempts = this.attempts;
        let attempt = this.state.attempt();
        let entering = *this.phase == Phase::Attempting
            && attempt.is_retry()
            && !this.maker.has_begun(attempt.number);
        // Also where the budget panics.
        let _attempts = OnDrop(|| attempts.as_mut().cancel(around));
        // Cancelled while it waits for a retry, or at the gates around it: that one is paid for,
        // and will not take place.
        if *this.phase == Phase::Waiting || entering {
            *this.refused = this.refused.saturating_add(1);
        }
        *this.phase = Phase::Done;
        give_back(around, this.refused);
    }

    #[inline]
    fn start(self: Pin<&mut Self>, around: &X) {
        let this = self.project();
        *this.state = around.policy().start(this.state.attempt().deadline, around.timer());
        *this.phase = Phase::Attempting;
    }

    /// The result of the whole, or `None` where another attempt will follow.
    #[inline]
    fn poll_attempt(
        self: Pin<&mut Self>,
        around: &X,
        cx: &mut Context<'_>,
    ) -> Poll<Option<CallResult<F>>> {
        let mut this = self.project();
        let attempt = this.state.due();
        let report = ready!(this.attempts.as_mut().poll(around, cx, attempt, this.maker));
        *this.phase = Phase::Done;
        if report.ran {
            *this.outcome = report.outcome;
        } else if attempt.number > 1 {
            *this.refused = this.refused.saturating_add(1);
        }
        let (policy, timer) = (around.policy(), around.timer());
        let verdict = match &report.result {
            Ok(value) if this.maker.can_repeat(0) => policy.after_value(this.state, value, timer),
            Ok(_) => None,
            Err(error) if this.maker.can_repeat(0) => {
                Some(policy.after_failure(this.state, error, timer))
            }
            Err(_) => Some(Verdict::GiveUp(GiveUp::NotRetryable)),
        };
        let Some(verdict @ Verdict::Retry { delay, at }) = verdict else {
            if let Some(verdict) = verdict {
                decided(around, attempt.number, verdict);
            }
            return Poll::Ready(Some(report.result));
        };
        // Before anything else may panic, such as the drop of an answer: it is paid for.
        *this.phase = Phase::Waiting;
        *this.error = report.result.err();
        decided(around, attempt.number, verdict);
        if !delay.is_zero() {
            this.attempts.rest().sleep_until(timer, at);
        }
        Poll::Ready(None)
    }

    /// The error to give up with, or `None` where the next attempt is due.
    fn poll_wait(
        self: Pin<&mut Self>,
        around: &X,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Error<F::Error>>> {
        let mut this = self.project();
        ready!(this.attempts.as_mut().rest().poll_sleep(cx));
        let error = this.error.take();
        // Before an observer may panic: `resume` gives back what was paid.
        *this.phase = Phase::Done;
        match around.policy().resume(this.state, around.timer()) {
            Ok(()) => {
                *this.phase = Phase::Attempting;
                Poll::Ready(None)
            }
            Err(cause) => {
                decided(around, this.state.attempt().number, Verdict::GiveUp(cause));
                Poll::Ready(Some(error.unwrap_or(Error::TimedOut)))
            }
        }
    }
}

impl<X, F> AttemptLoop<X, F> for RetryLoop<X, F>
where
    X: PerAttempt<F>,
    X::Policy: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    #[inline]
    fn new(deadline: Deadline, operation: F) -> Self {
        Self::idle(deadline, operation)
    }

    #[inline]
    fn deadline(&self) -> Deadline {
        self.state.attempt().deadline
    }

    #[inline]
    fn set_deadline(self: Pin<&mut Self>, deadline: Deadline) {
        self.project().state.set_deadline(deadline);
    }

    #[inline]
    fn cancel(self: Pin<&mut Self>, around: &X) {
        // Where a poll has panicked, something may be left of a call that is done.
        if !matches!(self.phase, Phase::Idle | Phase::Done) || self.refused > 0 {
            self.cancel_underway(around);
        }
    }

    #[inline]
    fn outcome(&self) -> Outcome {
        self.outcome
    }

    #[inline]
    fn attempt(&self) -> u32 {
        self.state.attempt().number
    }

    #[inline]
    fn runs(&self) -> u32 {
        self.maker.runs()
    }

    #[inline]
    fn has_run(&self) -> bool {
        self.outcome != Outcome::Refused || self.attempts.is_running()
    }

    #[inline]
    fn poll(mut self: Pin<&mut Self>, around: &X, cx: &mut Context<'_>) -> Poll<CallResult<F>> {
        // Beside the one in place, which is for the next poll, as the compiler does not see through
        // that.
        let mut phase = self.phase;
        if phase == Phase::Idle {
            self.as_mut().start(around);
            phase = Phase::Attempting;
        }
        let late = match phase {
            Phase::Idle | Phase::Done => return Poll::Pending,
            Phase::Attempting => None,
            Phase::Waiting => ready!(self.as_mut().poll_wait(around, cx)),
        };
        let result = match late {
            Some(error) => Some(Err(error)),
            None => ready!(self.as_mut().poll_attempt(around, cx)),
        };
        if let Some(result) = result {
            let refused = self.project().refused;
            if *refused > 0 {
                give_back(around, refused);
            }
            return Poll::Ready(result);
        }
        ready!(self.project().attempts.rest().poll_sleep(cx));
        // A retry without a delay, or whose delay is over already: others get their turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Gives back what retries have cost that did not take place, as their gates refused them. At the
/// end of the call: were it at once, then a budget alone would never end a call whose gates go on
/// to refuse.
#[cold]
fn give_back<X, F>(around: &X, refused: &mut u32)
where
    X: PerAttempt<F>,
    X::Policy: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    // Counted first: should the budget panic, then not twice.
    while let Some(rest) = refused.checked_sub(1) {
        *refused = rest;
        around.policy().cancel();
    }
}

/// Reports what follows a failed attempt.
#[inline]
fn decided<F: Operation>(around: &impl PerAttempt<F>, attempt: u32, verdict: Verdict) {
    around.report(|name| match verdict {
        Verdict::Retry { delay, .. } => Event::Retrying { name, attempt, delay },
        Verdict::GiveUp(cause) => Event::GaveUp { name, attempts: attempt, cause },
    });
}
