//! One attempt: its gates, its timeout, the operation.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::operation::Operation;
use super::state::{Attempt, RetryPolicy};
use crate::deadline::Deadline;
use crate::error::{Error, Reason, Rejection};
use crate::event::Event;
use crate::gate::{Classify, Gate, Held, Outcome, WaitGate};
use crate::on_drop::OnDrop;
use crate::time::Timer;
use crate::timeout::Limited;

/// What is around each attempt at the operation `F`, apart from how far the call has come.
///
/// The futures are made of its associated types: see [`Operation`] for why.
pub trait PerAttempt<F: Operation>: Sized {
    type Timer: Timer;
    type Policy: RetryPolicy<F::Error>;
    type Gate: WaitGate<Self::Timer>;
    type Classify: Classify<F::Value, F::Error>;

    fn timer(&self) -> &Self::Timer;

    fn policy(&self) -> &Self::Policy;

    fn gate(&self) -> &Self::Gate;

    fn classify(&self) -> &Self::Classify;

    /// When an attempt that begins now is cut off, in a call with this deadline.
    fn cut_off(&self, deadline: Deadline) -> Deadline;

    /// Tells the meter of an attempt that was cut off.
    fn count_cut_off(&self);

    fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>);
}

/// How one attempt ended: what it says to the caller, and what to the gates around the retries.
pub(super) struct Report<V, E> {
    pub(super) result: Result<V, Error<E>>,
    /// `Refused` where the operation did not run.
    pub(super) outcome: Outcome,
}

pin_project! {
    /// The attempts of a call, one after another, each between its gates.
    ///
    /// Must be [`cancel`](Self::cancel)led before it is dropped while an attempt is under way.
    #[project = GatedProj]
    pub(super) struct Gated<X, F>
    where
        X: PerAttempt<F>,
        F: Operation,
    {
        #[pin]
        operation: Limited<F::Future, <X::Timer as Timer>::Sleep>,
        held: Held<<X::Gate as Gate>::Token>,
        #[pin]
        entering: Option<<X::Gate as WaitGate<X::Timer>>::Waiting>,
        make: F,
        // The number of the last attempt whose operation was made.
        begun: u32,
        // How many operations were made, or would have been but for a panic.
        runs: u32,
        // When the attempt that runs is cut off.
        until: Deadline,
    }
}

impl<X: PerAttempt<F>, F: Operation> Gated<X, F> {
    #[inline]
    pub(super) const fn new(make: F) -> Self {
        Self {
            operation: Limited::idle(),
            held: Held::NOTHING,
            entering: None,
            make,
            begun: 0,
            runs: 0,
            until: Deadline::NEVER,
        }
    }

    /// Whether an operation is running now.
    #[inline]
    pub(super) const fn is_running(&self) -> bool {
        self.operation.is_running()
    }

    /// Whether the operation of the attempt with this number was ever made.
    #[inline]
    pub(super) const fn has_begun(&self, attempt: u32) -> bool {
        self.begun == attempt
    }

    /// How many operations were made.
    #[inline]
    pub(super) const fn runs(&self) -> u32 {
        self.runs
    }

    /// Whether the operation can be made again.
    #[inline]
    pub(super) fn can_repeat(&self) -> bool {
        self.make.can_repeat()
    }

    /// Polls the attempt, and begins it where none is running.
    #[inline]
    pub(super) fn poll(
        self: Pin<&mut Self>,
        around: &X,
        cx: &mut Context<'_>,
        attempt: Attempt,
    ) -> Poll<Report<F::Value, F::Error>> {
        let mut this = self.project();
        if !this.held.is_held() {
            let waited = this.entering.is_some();
            if let Err(rejection) = ready!(this.poll_enter(around, cx, attempt.deadline)) {
                return Poll::Ready(refused(rejection));
            }
            // Timers wake late, and a grant in the last moment wins over a timeout.
            if waited && attempt.deadline.expired(around.timer()) {
                this.held.end(around.gate(), Outcome::Refused);
                return Poll::Ready(refused(Rejection::new(Reason::DeadlineExceeded)));
            }
        }
        let output = ready!(this.poll_watched(around, cx, attempt));
        let outcome = match &output {
            Some(result) => around.classify().classify(result),
            None => Outcome::Failure,
        };
        this.held.end(around.gate(), outcome);
        let result = match output {
            Some(result) => result.map_err(Error::Inner),
            None => {
                around.count_cut_off();
                around.report(|name| Event::TimedOut { name, attempt: attempt.number });
                Err(Error::TimedOut)
            }
        };
        Poll::Ready(Report { result, outcome })
    }

    /// Drops the operation, and gives back what the attempt holds.
    #[inline]
    pub(super) fn cancel(self: Pin<&mut Self>, around: &X) {
        let mut this = self.project();
        // After the operation, whose drop may panic: what it holds is gone before its place is free.
        let _permit = OnDrop(|| {
            if this.held.is_held() {
                this.held.end(around.gate(), Outcome::Abandoned);
            } else if let Some(entering) = this.entering.as_mut().as_pin_mut() {
                around.gate().cancel_enter(entering, around.timer());
            }
        });
        this.operation.set(Limited::idle());
    }
}

impl<X: PerAttempt<F>, F: Operation> GatedProj<'_, X, F> {
    /// Waits to be let in, at most until the deadline of the call.
    #[inline]
    fn poll_enter(
        &mut self,
        around: &X,
        cx: &mut Context<'_>,
        until: Deadline,
    ) -> Poll<Result<(), Rejection>> {
        if self.entering.is_none() {
            self.entering.set(Some(Default::default()));
        }
        let Some(entering) = self.entering.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let entered = ready!(around.gate().poll_enter(entering, around.timer(), until, cx));
        // Held before anything else may panic.
        let entered = entered.map(|token| self.held.hold(token));
        self.entering.set(None);
        Poll::Ready(entered)
    }

    /// The operation's output, or `None` when it was cut off. A panic is a failure to the gates.
    #[inline]
    fn poll_watched(
        &mut self,
        around: &X,
        cx: &mut Context<'_>,
        attempt: Attempt,
    ) -> Poll<Option<Result<F::Value, F::Error>>> {
        let Self { held, operation, make, begun, runs, until, .. } = self;
        held.watch(around.gate(), || {
            if !operation.is_running() {
                **until = around.cut_off(attempt.deadline);
                **runs = runs.saturating_add(1);
                let made = make.attempt(Attempt { deadline: **until, ..attempt });
                **begun = attempt.number;
                operation.as_mut().start(made);
            }
            operation.as_mut().poll_until(cx, around.timer(), **until)
        })
    }
}

fn refused<V, E>(rejection: Rejection) -> Report<V, E> {
    Report { result: Err(Error::Rejected(rejection)), outcome: Outcome::Refused }
}
