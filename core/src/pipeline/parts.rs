//! A pipeline as its calls see it.

use super::{Pipeline, PipelineMetering};
use crate::deadline::Deadline;
use crate::error::{Reason, Rejection};
use crate::event::{Event, Observer};
use crate::gate::{Classify, WaitGate};
use crate::retry::{AttemptKind, AttemptLoop, AttemptPolicy, Operation, PerAttempt};
use crate::time::Timer;

mod sealed {
    pub trait Sealed {}
}

/// The parts of a [`Pipeline`], as its [`Call`](super::Call) sees them: those around the call, with
/// those around each attempt.
///
/// Sealed: there is no other pipeline.
pub trait Parts<F: Operation>: PerAttempt<F> + sealed::Sealed {
    /// The gates around the call.
    type PerCall: WaitGate<Self::Timer>;

    /// The attempts.
    #[doc(hidden)]
    type Attempts: AttemptLoop<Self, F>;

    /// The meter.
    type Meter: PipelineMetering<Self::Timer>;

    #[doc(hidden)]
    fn name(&self) -> &'static str;

    #[doc(hidden)]
    fn per_call(&self) -> &Self::PerCall;

    #[doc(hidden)]
    fn meter(&self) -> &Self::Meter;

    /// The earlier of the caller's deadline and the pipeline's own; an error where that has passed.
    #[doc(hidden)]
    fn deadline_of(&self, outer: Deadline) -> Result<Deadline, Rejection>;
}

impl<T, C, R, A, K, O, M, F> PerAttempt<F> for Pipeline<T, C, R, A, K, O, M>
where
    T: Timer,
    A: WaitGate<T>,
    K: Classify<F::Value, F::Error>,
    O: Observer,
    M: PipelineMetering<T>,
    F: Operation,
{
    type Timer = T;
    type Policy = R;
    type Gate = A;
    type Classify = K;

    #[inline]
    fn timer(&self) -> &T {
        &self.timer
    }

    #[inline]
    fn policy(&self) -> &R {
        &self.retry
    }

    #[inline]
    fn gate(&self) -> &A {
        &self.per_attempt
    }

    #[inline]
    fn classify(&self) -> &K {
        &self.classify
    }

    #[inline]
    fn cut_off(&self, deadline: Deadline) -> Deadline {
        deadline.within(self.attempt_timeout, &self.timer)
    }

    #[inline]
    fn count_cut_off(&self) {
        self.meter.cut_off();
    }

    #[inline]
    fn report(&self, event: impl FnOnce(&'static str) -> Event<'static>) {
        if self.observer.is_active() {
            self.observer.on_event(&event(self.name));
        }
    }
}

impl<T, C, R, A, K, O, M> sealed::Sealed for Pipeline<T, C, R, A, K, O, M> {}

impl<T, C, R, A, K, O, M, F> Parts<F> for Pipeline<T, C, R, A, K, O, M>
where
    T: Timer,
    C: WaitGate<T>,
    R: AttemptPolicy<Kind: AttemptKind<Self, F>>,
    A: WaitGate<T>,
    K: Classify<F::Value, F::Error>,
    O: Observer,
    M: PipelineMetering<T>,
    F: Operation,
{
    type PerCall = C;
    type Attempts = <R::Kind as AttemptKind<Self, F>>::Attempts;
    type Meter = M;

    fn name(&self) -> &'static str {
        self.name
    }

    #[inline]
    fn per_call(&self) -> &C {
        &self.per_call
    }

    #[inline]
    fn meter(&self) -> &M {
        &self.meter
    }

    #[inline]
    fn deadline_of(&self, outer: Deadline) -> Result<Deadline, Rejection> {
        if self.deadline == u64::MAX && outer.is_never() {
            return Ok(Deadline::NEVER);
        }
        let now = self.timer.now();
        let deadline = outer.min(Deadline::at(now.saturating_add(self.deadline)));
        if !deadline.expired_at(now) {
            return Ok(deadline);
        }
        let rejection = Rejection::new(Reason::DeadlineExceeded);
        PerAttempt::<F>::report(self, |name| Event::Rejected { name, rejection });
        Err(rejection)
    }
}
