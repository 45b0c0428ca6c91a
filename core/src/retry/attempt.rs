//! One attempt: its gates, its timeout, the operation.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::operation::Operation;
use super::state::Attempt;
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
    /// What decides about further attempts.
    type Policy;
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

/// How one attempt ended: what it says to the caller, and what to the gates around the call.
pub(crate) struct Report<V, E> {
    pub(crate) result: Result<V, Error<E>>,
    /// `Refused` where the operation did not run, or where the classifier says so of one that did.
    pub(crate) outcome: Outcome,
    pub(crate) ran: bool,
}

/// The attempt that is due or running. Not an [`Attempt`], which has a part too many to go in
/// registers.
#[derive(Clone, Copy)]
pub(crate) struct Due {
    pub(crate) number: u32,
    /// Of the call.
    pub(crate) deadline: Deadline,
}

/// What attempts are made at, and how often it was.
pub(crate) struct Maker<F> {
    operation: F,
    /// Whether the attempt that is made is a hedge.
    pub(crate) hedge: bool,
    /// The number of the last attempt whose operation was made.
    begun: u32,
    /// How many operations were made, or would have been but for a panic.
    runs: u32,
}

impl<F> Maker<F> {
    #[inline]
    pub(crate) const fn new(operation: F) -> Self {
        Self { operation, hedge: false, begun: 0, runs: 0 }
    }

    /// Whether the operation of the attempt with this number was ever made. Of no use where a later
    /// one may have been made before it.
    #[inline]
    pub(super) const fn has_begun(&self, attempt: u32) -> bool {
        self.begun == attempt
    }

    /// How many operations were made.
    #[inline]
    pub(crate) const fn runs(&self) -> u32 {
        self.runs
    }
}

impl<F: Operation> Maker<F> {
    /// Whether the operation can be made again; see [`Operation::can_repeat`].
    #[inline]
    pub(crate) fn can_repeat(&self, waiting: u32) -> bool {
        self.operation.can_repeat(waiting)
    }
}

type SleepOf<X, F> = <<X as PerAttempt<F>>::Timer as Timer>::Sleep;

pin_project! {
    /// A place for attempts, one after another, each between its gates.
    ///
    /// Must be [`cancel`](Self::cancel)led before it is dropped while an attempt is under way.
    #[project = GatedProj]
    pub(crate) struct Gated<X, F>
    where
        X: PerAttempt<F>,
        F: Operation,
    {
        #[pin]
        operation: Limited<F::Future, SleepOf<X, F>>,
        held: Held<<X::Gate as Gate>::Token>,
        #[pin]
        entering: Option<<X::Gate as WaitGate<X::Timer>>::Waiting>,
        // When the attempt that runs is cut off.
        until: Deadline,
    }
}

impl<X: PerAttempt<F>, F: Operation> Gated<X, F> {
    #[inline]
    pub(crate) const fn new() -> Self {
        Self {
            operation: Limited::idle(),
            held: Held::NOTHING,
            entering: None,
            until: Deadline::NEVER,
        }
    }

    /// Whether an operation is running now.
    #[inline]
    pub(crate) const fn is_running(&self) -> bool {
        self.operation.is_running()
    }

    /// The place of the operation, in which none is running: its sleep may be used between attempts.
    #[inline]
    pub(crate) fn rest(self: Pin<&mut Self>) -> Pin<&mut Limited<F::Future, SleepOf<X, F>>> {
        self.project().operation
    }

    /// Polls the attempt, and begins it where none is running.
    #[inline]
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        around: &X,
        cx: &mut Context<'_>,
        due: Due,
        maker: &mut Maker<F>,
    ) -> Poll<Report<F::Value, F::Error>> {
        let mut this = self.project();
        if !this.held.is_held() {
            let waited = around.gate().may_wait() && this.entering.is_some();
            if let Err(rejection) = ready!(this.poll_enter(around, cx, due.deadline)) {
                return Poll::Ready(refused(rejection));
            }
            // Timers wake late, and a grant in the last moment wins over a timeout.
            if waited && due.deadline.expired(around.timer()) {
                this.held.end(around.gate(), Outcome::Refused);
                return Poll::Ready(refused(Rejection::new(Reason::DeadlineExceeded)));
            }
        }
        let output = ready!(this.poll_watched(around, cx, due, maker));
        let outcome = match &output {
            Some(result) => around.classify().classify(result),
            None => Outcome::Failure,
        };
        this.held.end(around.gate(), outcome);
        let result = match output {
            Some(result) => result.map_err(Error::Inner),
            None => {
                around.count_cut_off();
                around.report(|name| Event::TimedOut { name, attempt: due.number });
                Err(Error::TimedOut)
            }
        };
        Poll::Ready(Report { result, outcome, ran: true })
    }

    /// Drops the operation, and gives back what the attempt holds.
    #[inline]
    pub(crate) fn cancel(self: Pin<&mut Self>, around: &X) {
        let mut this = self.project();
        // After the operation, whose drop may panic: what it holds is gone before its place is
        // free.
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
        // Also where nobody waits: a gate that has panicked may have left something of those before
        // it.
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
        due: Due,
        maker: &mut Maker<F>,
    ) -> Poll<Option<Result<F::Value, F::Error>>> {
        let Self { held, operation, until, .. } = self;
        held.watch(around.gate(), || {
            if !operation.is_running() {
                **until = around.cut_off(due.deadline);
                maker.runs = maker.runs.saturating_add(1);
                let made = maker.operation.attempt(Attempt {
                    number: due.number,
                    deadline: **until,
                    hedge: maker.hedge,
                });
                maker.begun = due.number;
                operation.as_mut().start(made);
            }
            operation.as_mut().poll_until(cx, around.timer(), **until)
        })
    }
}

fn refused<V, E>(rejection: Rejection) -> Report<V, E> {
    Report { result: Err(Error::Rejected(rejection)), outcome: Outcome::Refused, ran: false }
}
