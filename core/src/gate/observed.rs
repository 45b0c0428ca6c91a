//! A gate that reports its refusals.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::{Gate, Outcome, WaitGate};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::event::{Event, Observer};
use crate::time::Timer;

/// A gate with an observer; see [`Gate::observed`].
#[derive(Clone, Copy, Debug)]
pub struct Observed<G, O> {
    gate: G,
    name: &'static str,
    observer: O,
}

impl<G, O: Observer> Observed<G, O> {
    /// Reports the refusals of `gate` to `observer` under `name`.
    #[must_use]
    pub const fn new(gate: G, name: &'static str, observer: O) -> Self {
        Self { gate, name, observer }
    }

    /// The gate itself.
    #[must_use]
    pub const fn inner(&self) -> &G {
        &self.gate
    }

    fn report(&self, rejection: Rejection) -> Rejection {
        self.observer.on_event(&Event::Rejected { name: self.name, rejection });
        rejection
    }
}

impl<G: Gate, O: Observer> Gate for Observed<G, O> {
    type Token = G::Token;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        self.gate.enter().map_err(|rejection| self.report(rejection))
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        self.gate.exit(token, outcome);
    }
}

impl<T: Timer, G: WaitGate<T>, O: Observer> WaitGate<T> for Observed<G, O> {
    type Waiting = G::Waiting;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>> {
        let entered = self.gate.poll_enter(waiting, timer, until, cx);
        entered.map_err(|rejection| self.report(rejection))
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
        self.gate.cancel_enter(waiting, timer);
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.gate.may_wait()
    }
}
