//! Gates that stand for another or for none: pointers, options, `()`.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::{Gate, Outcome, WaitGate};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::pointer::through_pointers;
use crate::time::Timer;

/// Passes a gate through a pointer to it.
macro_rules! pointer_gate {
    ($pointer:ty) => {
        impl<G: Gate + ?Sized> Gate for $pointer {
            type Token = G::Token;

            #[inline]
            fn enter(&self) -> Result<Self::Token, Rejection> {
                (**self).enter()
            }

            #[inline]
            fn exit(&self, token: Self::Token, outcome: Outcome) {
                (**self).exit(token, outcome);
            }
        }

        impl<T: Timer, G: WaitGate<T> + ?Sized> WaitGate<T> for $pointer {
            type Waiting = G::Waiting;

            #[inline]
            fn poll_enter(
                &self,
                waiting: Pin<&mut Self::Waiting>,
                timer: &T,
                until: Deadline,
                cx: &mut Context<'_>,
            ) -> Poll<Result<Self::Token, Rejection>> {
                (**self).poll_enter(waiting, timer, until, cx)
            }

            #[inline]
            fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
                (**self).cancel_enter(waiting, timer);
            }

            #[inline]
            fn may_wait(&self) -> bool {
                (**self).may_wait()
            }
        }
    };
}

through_pointers!(pointer_gate, G);

/// `None` lets every call in.
impl<G: Gate> Gate for Option<G> {
    type Token = Option<G::Token>;

    #[inline]
    fn enter(&self) -> Result<Self::Token, Rejection> {
        self.as_ref().map(Gate::enter).transpose()
    }

    #[inline]
    fn exit(&self, token: Self::Token, outcome: Outcome) {
        if let (Some(gate), Some(token)) = (self, token) {
            gate.exit(token, outcome);
        }
    }
}

impl<T: Timer, G: WaitGate<T>> WaitGate<T> for Option<G> {
    type Waiting = G::Waiting;

    #[inline]
    fn poll_enter(
        &self,
        waiting: Pin<&mut Self::Waiting>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::Token, Rejection>> {
        match self {
            Some(gate) => gate.poll_enter(waiting, timer, until, cx).map_ok(Some),
            None => Poll::Ready(Ok(None)),
        }
    }

    #[inline]
    fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &T) {
        if let Some(gate) = self {
            gate.cancel_enter(waiting, timer);
        }
    }

    #[inline]
    fn may_wait(&self) -> bool {
        self.as_ref().is_some_and(WaitGate::may_wait)
    }
}

/// No gate: every call is let in.
impl Gate for () {
    type Token = ();

    #[inline]
    fn enter(&self) -> Result<(), Rejection> {
        Ok(())
    }

    #[inline]
    fn exit(&self, (): (), _outcome: Outcome) {}
}

impl<T: Timer> WaitGate<T> for () {
    type Waiting = ();

    #[inline]
    fn poll_enter(
        &self,
        _waiting: Pin<&mut ()>,
        _timer: &T,
        _until: Deadline,
        _cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn cancel_enter(&self, _waiting: Pin<&mut ()>, _timer: &T) {}

    #[inline]
    fn may_wait(&self) -> bool {
        false
    }
}
