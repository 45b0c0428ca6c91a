//! A gate that reports its refusals.

use super::{Gate, Outcome, WaitGate};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::event::{Event, Observer};
use crate::time::Timer;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

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
    type Entering<'a>
        = ObservedEntering<'a, G, O, G::Entering<'a>>
    where
        Self: 'a,
        T: 'a;

    fn wait_enter<'a>(&'a self, timer: &'a T, until: Deadline) -> Self::Entering<'a> {
        ObservedEntering { entering: self.gate.wait_enter(timer, until), observed: self }
    }
}

pin_project! {
    /// The wait of an [`Observed`] gate.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct ObservedEntering<'a, G, O, F> {
        #[pin]
        entering: F,
        observed: &'a Observed<G, O>,
    }
}

impl<G, O: Observer, F, K> Future for ObservedEntering<'_, G, O, F>
where
    F: Future<Output = Result<K, Rejection>>,
{
    type Output = Result<K, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let observed = *this.observed;
        this.entering.poll(cx).map_err(|rejection| observed.report(rejection))
    }
}
