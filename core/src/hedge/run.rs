//! Attempts side by side.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;

use pin_project_lite::pin_project;

use super::places::Places;
use super::places::sealed::Count;
use super::policy::HedgePolicy;
use super::policy::sealed::HedgePolicy as _;
use super::state::{Next, Phase, State};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::event::{Event, GiveUp};
use crate::gate::Outcome;
use crate::on_drop::OnDrop;
use crate::retry::{
    AttemptLoop, CallResult, Decision, Due, Gated, Maker, Operation, PerAttempt, Report,
};
use crate::time::{Clock, Ticks, Timer, ticks_of};

type CountOf<X, F> = <<X as PerAttempt<F>>::Policy as super::policy::sealed::HedgePolicy<
    <X as PerAttempt<F>>::Timer,
    <F as Operation>::Value,
    <F as Operation>::Error,
>>::Count;

type PlacesOf<X, F> = <CountOf<X, F> as Count>::Places<Gated<X, F>>;

pin_project! {
    /// The attempts of a hedged call.
    ///
    /// What is `around` them must be the same in all calls. Must be [`cancel`](Self::cancel)led
    /// before it is dropped.
    #[project = HedgeLoopProj]
    pub struct HedgeLoop<X, F>
    where
        X: PerAttempt<F>,
        X::Policy: HedgePolicy<X::Timer, F::Value, F::Error>,
        F: Operation,
    {
        #[pin]
        attempts: PlacesOf<X, F>,
        maker: Maker<F>,
        // Until the next attempt is due.
        #[pin]
        sleep: Option<<X::Timer as Timer>::Sleep>,
        state: State,
        // The answer, should no attempt succeed. `None` where one answered with a value that was not
        // good enough: that is kept only where it is the last.
        error: Option<Error<F::Error>>,
        // Of the last attempt that ended and whose operation ran.
        outcome: Outcome,
    }
}

impl<X, F> HedgeLoop<X, F>
where
    X: PerAttempt<F>,
    X::Policy: HedgePolicy<X::Timer, F::Value, F::Error>,
    F: Operation,
{
    /// Whether the deadline has passed before anything began; then nothing will.
    #[inline]
    pub(super) fn is_too_late(self: Pin<&mut Self>, around: &X) -> bool {
        let state = self.project().state;
        let late = state.phase == Phase::Idle && state.deadline.expired(around.timer());
        if late {
            state.phase = Phase::Done;
        }
        late
    }

    pub(super) const fn state(&self) -> &State {
        &self.state
    }
}

impl<X, F> AttemptLoop<X, F> for HedgeLoop<X, F>
where
    X: PerAttempt<F>,
    X::Policy: HedgePolicy<X::Timer, F::Value, F::Error>,
    F: Operation,
{
    #[inline]
    fn new(deadline: Deadline, operation: F) -> Self {
        Self {
            attempts: Places::fill(Gated::new),
            maker: Maker::new(operation),
            sleep: None,
            state: State::new(deadline),
            error: None,
            outcome: Outcome::Refused,
        }
    }

    #[inline]
    fn deadline(&self) -> Deadline {
        self.state.deadline
    }

    #[inline]
    fn set_deadline(self: Pin<&mut Self>, deadline: Deadline) {
        self.project().state.deadline = deadline;
    }

    #[inline]
    fn outcome(&self) -> Outcome {
        self.outcome
    }

    #[inline]
    fn attempt(&self) -> u32 {
        self.state.begun
    }

    #[inline]
    fn runs(&self) -> u32 {
        self.maker.runs()
    }

    #[inline]
    fn has_run(&self) -> bool {
        self.outcome != Outcome::Refused || self.attempts.any(Gated::is_running)
    }

    #[inline]
    fn cancel(self: Pin<&mut Self>, around: &X) {
        if self.state.phase == Phase::Running {
            self.project().drop_rest(around);
        }
    }

    #[inline]
    fn poll(self: Pin<&mut Self>, around: &X, cx: &mut Context<'_>) -> Poll<CallResult<F>> {
        let mut this = self.project();
        match this.state.phase {
            Phase::Idle => this.start(around),
            Phase::Running => {}
            Phase::Done => return Poll::Pending,
        }
        // Those with a number below this were polled already.
        let mut polled = 0;
        loop {
            if let Some(result) = this.poll_attempts(around, cx, polled) {
                return Poll::Ready(result);
            }
            polled = this.state.begun;
            match this.poll_next(around, cx) {
                Following::Begun => {}
                Following::Later => return Poll::Pending,
                Following::Nothing => return this.give_up(around),
            }
        }
    }
}

/// What follows on the attempts so far.
enum Following {
    /// Another one, which has begun.
    Begun,
    /// Another one or the end, but not now.
    Later,
    /// The end: none runs, and none will.
    Nothing,
}

impl<X, F> HedgeLoopProj<'_, X, F>
where
    X: PerAttempt<F>,
    X::Policy: HedgePolicy<X::Timer, F::Value, F::Error>,
    F: Operation,
{
    #[inline]
    fn start(&mut self, around: &X) {
        let policy = around.policy();
        policy.deposit();
        let now = around.timer().now();
        let total = policy.deadline();
        if total != Duration::MAX {
            let own = Deadline::at(now.saturating_add(ticks_of::<X::Timer>(total)));
            self.state.deadline = self.state.deadline.min(own);
        }
        self.state.phase = Phase::Running;
        self.state.first = now;
        self.begin(around, now);
    }

    /// Turns to the next attempt, and plans the one after it.
    #[inline]
    fn begin(&mut self, around: &X, now: Ticks) {
        self.state.begin();
        if self.state.begun < CountOf::<X, F>::N {
            let delay = around.policy().delay(now);
            self.state.plan(now.saturating_add(delay));
        } else {
            self.state.next = Next::Never;
        }
    }

    /// The answer, where one of the attempts from this number on gives it.
    #[inline]
    fn poll_attempts(
        &mut self,
        around: &X,
        cx: &mut Context<'_>,
        first: u32,
    ) -> Option<CallResult<F>> {
        for place in first..self.state.begun {
            if !self.state.is_live(place) {
                continue;
            }
            let due = self.state.due(place);
            self.maker.hedge = self.state.is_hedge(place);
            let gated = self.attempts.as_mut().at(place)?;
            let Poll::Ready(report) = gated.poll(around, cx, due, self.maker) else {
                continue;
            };
            self.state.end(place);
            if let Some(result) = self.settle(around, due, report) {
                return Some(result);
            }
        }
        None
    }

    /// Takes note of how an attempt ended: the answer, or `None` where others may still give it.
    #[inline]
    fn settle(
        &mut self,
        around: &X,
        attempt: Due,
        report: Report<F::Value, F::Error>,
    ) -> Option<CallResult<F>> {
        if !report.ran {
            self.refused(around, attempt, report.result.err()?);
            return None;
        }
        *self.outcome = report.outcome;
        let decision = match &report.result {
            Ok(value) => around.policy().decide_value(value),
            Err(error) => Some(around.policy().decide(error)),
        };
        if attempt.number == 1 {
            match report.result {
                Ok(_) if decision.is_none() => self.learn(around, false),
                Err(Error::TimedOut) => self.learn(around, true),
                // How soon it fails says nothing about how long an answer takes.
                Ok(_) | Err(_) => {}
            }
        }
        let Some(decision) = decision else {
            self.finish(around);
            return Some(report.result);
        };
        self.failed(around, decision, report.result)
    }

    /// The gates of an attempt did not let it in. That says nothing about the others; and the next
    /// one, made at once, would fare no better.
    #[cold]
    fn refused(&mut self, around: &X, attempt: Due, error: Error<F::Error>) {
        // What an attempt met that ran says more.
        if self.error.is_none() {
            *self.error = Some(error);
        }
        self.state.cause = match self.state.cause {
            _ if self.state.begun >= CountOf::<X, F>::N => GiveUp::Attempts,
            // There was to be no other, whatever became of this one.
            GiveUp::Deadline => GiveUp::Deadline,
            _ => GiveUp::NotRetryable,
        };
        if attempt.number > 1 {
            around.policy().refund();
        }
    }

    /// An attempt failed, or answered with what is not good enough: that again, where it is the
    /// answer to the call.
    #[cold]
    fn failed(
        &mut self,
        around: &X,
        decision: Decision,
        result: CallResult<F>,
    ) -> Option<CallResult<F>> {
        let over = match decision {
            Decision::Stop => {
                self.state.cause = GiveUp::NotRetryable;
                // One that runs may still have a good answer; an error is taken at its word.
                result.is_err() || self.follow_none(around)
            }
            Decision::Retry => self.follow_up(around, Duration::ZERO),
            Decision::RetryAfter(wait) => self.follow_up(around, wait),
        };
        if over {
            self.finish(around);
            self.gave_up(around);
            return Some(result);
        }
        // An answer is dropped, as it may hold something: another may still give a better one.
        if let Err(error) = result {
            *self.error = Some(error);
        }
        None
    }

    /// Plans the next attempt on one that was not good enough, after so long a wait; true where
    /// none runs, and none will.
    fn follow_up(&mut self, around: &X, wait: Duration) -> bool {
        self.plan_next(around, wait);
        self.state.live == 0 && !self.state.owed
    }

    /// Plans no further attempt; true where none runs.
    fn follow_none(&mut self, around: &X) -> bool {
        self.plan_none(around);
        self.state.live == 0
    }

    /// Plans no further attempt, and gives back what was paid for one.
    #[inline]
    fn plan_none(&mut self, around: &X) {
        self.state.next = Next::Never;
        self.unpay(around);
    }

    fn plan_next(&mut self, around: &X, wait: Duration) {
        if self.state.begun >= CountOf::<X, F>::N {
            self.state.cause = GiveUp::Attempts;
            return;
        }
        if !self.can_repeat() {
            self.state.cause = GiveUp::NotRetryable;
            self.plan_none(around);
            return;
        }
        let now = around.timer().now();
        self.sleep.set(None);
        if !wait.is_zero() {
            self.state.hold_back(now.saturating_add(ticks_of::<X::Timer>(wait)));
        }
        if self.state.would_be_late(now) {
            self.state.cause = GiveUp::Deadline;
            self.plan_none(around);
        } else if self.state.owed || around.policy().withdraw() {
            // One attempt is owed, however many have failed.
            self.state.owed = true;
            self.state.plan_now(now);
        } else {
            self.state.cause = GiveUp::Budget;
        }
    }

    /// Begins the next attempt, where it is due.
    #[inline]
    fn poll_next(&mut self, around: &X, cx: &mut Context<'_>) -> Following {
        if self.state.live == 0 && !self.state.owed {
            return Following::Nothing;
        }
        let now = match self.state.next {
            Next::Never => return Following::Later,
            Next::At(at) => {
                if self.sleep.is_none() {
                    self.sleep.set(Some(around.timer().sleep_until(at)));
                }
                let sleep = self.sleep.as_mut().as_pin_mut();
                if sleep.is_none_or(|sleep| sleep.poll(cx).is_pending()) {
                    return Following::Later;
                }
                self.sleep.set(None);
                around.timer().now()
            }
            Next::Now(now) => now,
        };
        // Timers wake late.
        if self.state.deadline.expired_at(now) {
            self.state.cause = GiveUp::Deadline;
            self.plan_none(around);
        } else if self.pay(around) {
            self.begin(around, now);
            return Following::Begun;
        }
        if self.state.live == 0 { Following::Nothing } else { Following::Later }
    }

    /// Whether there can be another attempt beside those that have begun.
    #[inline]
    fn can_repeat(&self) -> bool {
        self.maker.can_repeat(self.state.begun.saturating_sub(self.maker.runs()))
    }

    /// Pays for the next attempt, unless that was done when one failed.
    #[inline]
    fn pay(&mut self, around: &X) -> bool {
        let policy = around.policy();
        if !self.can_repeat() {
            self.plan_none(around);
            return false;
        }
        if !core::mem::take(&mut self.state.owed) && !policy.withdraw() {
            self.state.next = Next::Never;
            return false;
        }
        // Should an observer panic, the attempt does not take place.
        let unpaid = OnDrop(|| policy.refund());
        let (attempt, running) = (self.state.begun.saturating_add(1), self.state.running());
        tell(around, |name| Event::Hedged { name, attempt, running });
        core::mem::forget(unpaid);
        true
    }

    /// Gives back what was paid for an attempt that will not be made.
    #[inline]
    fn unpay(&mut self, around: &X) {
        if core::mem::take(&mut self.state.owed) {
            around.policy().refund();
        }
    }

    /// Tells the rule of delays how long the first attempt took so far. One that was `cut_off`
    /// before the delay was over says nothing: the caller had no more time than that, and it
    /// would be taken for a fast one.
    #[inline]
    fn learn(&mut self, around: &X, cut_off: bool) {
        let policy = around.policy();
        if policy.learns() {
            let now = around.timer().now();
            let took = now.saturating_since(self.state.first);
            if !cut_off || took >= policy.delay(now) {
                policy.learn(took, now);
            }
        }
    }

    /// There is an answer: drops what runs beside it.
    #[inline]
    fn finish(&mut self, around: &X) {
        if self.state.is_live(0) {
            self.learn(around, false);
        }
        self.drop_rest(around);
    }

    /// Ends the call: drops all that runs.
    #[inline]
    fn drop_rest(&mut self, around: &X) {
        self.state.phase = Phase::Done;
        self.sleep.set(None);
        if self.state.live != 0 || self.state.owed {
            self.drop_live(around);
        }
    }

    /// Out of line: most calls end with their only attempt.
    #[cold]
    fn drop_live(&mut self, around: &X) {
        let live = core::mem::take(&mut self.state.live);
        let owed = core::mem::take(&mut self.state.owed);
        let policy = around.policy();
        let _owed = OnDrop(|| {
            if owed {
                policy.refund();
            }
        });
        self.attempts.as_mut().visit(0, &|place, gated| {
            if !State::has(live, place) {
                return;
            }
            // One that waits at its gates is paid for, and will not take place; so is one whose
            // operation panicked when it was made.
            let in_vain = place > 0 && !gated.is_running();
            let _unpaid = OnDrop(|| {
                if in_vain {
                    policy.refund();
                }
            });
            gated.cancel(around);
        });
    }

    /// The last error is the answer. None is there where an attempt that was to follow on an answer
    /// came too late.
    #[cold]
    fn give_up(&mut self, around: &X) -> Poll<CallResult<F>> {
        self.drop_rest(around);
        self.gave_up(around);
        Poll::Ready(Err(self.error.take().unwrap_or(Error::TimedOut)))
    }

    fn gave_up(&self, around: &X) {
        let (attempts, cause) = (self.state.begun, self.state.cause);
        tell(around, |name| Event::GaveUp { name, attempts, cause });
    }
}

/// Tells the observers of the hedge and of what is around it.
#[inline]
fn tell<X, F>(around: &X, event: impl Fn(&'static str) -> Event<'static>)
where
    X: PerAttempt<F>,
    X::Policy: HedgePolicy<X::Timer, F::Value, F::Error>,
    F: Operation,
{
    around.policy().report(&event);
    around.report(&event);
}
