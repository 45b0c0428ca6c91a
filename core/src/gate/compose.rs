//! Gates made of gates: pointers, options, tuples.

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::wait::{EnterAll, enter_then};
use super::{Gate, Outcome, WaitGate};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::on_drop::OnDrop;
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
            type Entering<'a>
                = G::Entering<'a>
            where
                Self: 'a,
                T: 'a;

            #[inline]
            fn wait_enter<'a>(&'a self, timer: &'a T, until: Deadline) -> Self::Entering<'a> {
                (**self).wait_enter(timer, until)
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
    type Entering<'a>
        = EnterOption<G::Entering<'a>>
    where
        Self: 'a,
        T: 'a;

    fn wait_enter<'a>(&'a self, timer: &'a T, until: Deadline) -> Self::Entering<'a> {
        EnterOption { entering: self.as_ref().map(|gate| gate.wait_enter(timer, until)) }
    }
}

pin_project! {
    /// The wait at an `Option` of a gate: there is none at `None`.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct EnterOption<F> {
        #[pin]
        entering: Option<F>,
    }
}

impl<F: Future<Output = Result<K, Rejection>>, K> Future for EnterOption<F> {
    type Output = Result<Option<K>, Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().entering.as_pin_mut() {
            Some(entering) => entering.poll(cx).map_ok(Some),
            None => Poll::Ready(Ok(None)),
        }
    }
}

/// The wait at no gate, which is `()`. Unlike the standard `Ready` it does not panic when it is
/// polled again.
#[derive(Clone, Copy, Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct LetIn;

impl Future for LetIn {
    type Output = Result<(), Rejection>;

    #[inline]
    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(()))
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
    type Entering<'a>
        = LetIn
    where
        T: 'a;

    #[inline]
    fn wait_enter<'a>(&'a self, _timer: &'a T, _until: Deadline) -> Self::Entering<'a> {
        LetIn
    }
}

// The token of a tuple is a list, `(A, (B, (C, ())))`, so that one generic future can wait for any
// number of gates.

macro_rules! token_list {
    () => { () };
    ($first:ident $($rest:ident)*) => { ($first::Token, token_list!($($rest)*)) };
}

macro_rules! entering_list {
    ($life:lifetime $timer:ident;) => { LetIn };
    ($life:lifetime $timer:ident; $first:ident $($rest:ident)*) => {
        EnterAll<
            $life,
            $first,
            <$first as WaitGate<$timer>>::Entering<$life>,
            entering_list!($life $timer; $($rest)*),
        >
    };
}

macro_rules! enter_list {
    ($tuple:ident;) => { Ok(()) };
    ($tuple:ident; $first:tt $($rest:tt)*) => {
        enter_then(&$tuple.$first, || enter_list!($tuple; $($rest)*))
    };
}

macro_rules! wait_list {
    ($tuple:ident $timer:ident $until:ident;) => { LetIn };
    ($tuple:ident $timer:ident $until:ident; $first:tt $($rest:tt)*) => {
        EnterAll::new(
            &$tuple.$first,
            $tuple.$first.wait_enter($timer, $until),
            wait_list!($tuple $timer $until; $($rest)*),
        )
    };
}

macro_rules! exit_list {
    ($tuple:ident $token:ident $outcome:ident;) => { let () = $token; };
    ($tuple:ident $token:ident $outcome:ident; $first:tt $($rest:tt)*) => {
        let (own, $token) = $token;
        // Dropped from right to left, should a gate further right panic as well.
        let _exit = OnDrop(|| $tuple.$first.exit(own, $outcome));
        exit_list!($tuple $token $outcome; $($rest)*);
    };
}

macro_rules! tuple_gate {
    ($($gate:ident $index:tt),+) => {
        impl<$($gate: Gate),+> Gate for ($($gate,)+) {
            type Token = token_list!($($gate)+);

            #[inline]
            fn enter(&self) -> Result<Self::Token, Rejection> {
                enter_list!(self; $($index)+)
            }

            #[inline]
            fn exit(&self, token: Self::Token, outcome: Outcome) {
                exit_list!(self token outcome; $($index)+);
            }
        }

        impl<Tm: Timer, $($gate: WaitGate<Tm>),+> WaitGate<Tm> for ($($gate,)+) {
            type Entering<'a> = entering_list!('a Tm; $($gate)+) where Self: 'a, Tm: 'a;

            #[inline]
            fn wait_enter<'a>(&'a self, timer: &'a Tm, until: Deadline) -> Self::Entering<'a> {
                wait_list!(self timer until; $($index)+)
            }
        }
    };
}

tuple_gate!(A 0);
tuple_gate!(A 0, B 1);
tuple_gate!(A 0, B 1, C 2);
tuple_gate!(A 0, B 1, C 2, D 3);
tuple_gate!(A 0, B 1, C 2, D 3, E 4);
tuple_gate!(A 0, B 1, C 2, D 3, E 4, F 5);
tuple_gate!(A 0, B 1, C 2, D 3, E 4, F 5, G 6);
tuple_gate!(A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7);
