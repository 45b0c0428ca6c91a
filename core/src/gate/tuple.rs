//! Tuples of gates.
//!
//! The token of a tuple is a list, `(A, (B, (C, ())))`, and so is its wait: one function then
//! enters, polls or gives up any number of gates.

use core::pin::Pin;
use core::task::{Context, Poll, ready};

use pin_project_lite::pin_project;

use super::{Gate, Outcome, WaitGate};
use crate::deadline::Deadline;
use crate::error::Rejection;
use crate::on_drop::OnDrop;
use crate::time::Timer;

pin_project! {
    /// A wait at a tuple of gates: at the first of them, then at the rest.
    #[derive(Debug)]
    pub struct WaitingAll<K, W, R> {
        #[pin]
        first: W,
        // The first token, while the wait is at the rest.
        held: Option<K>,
        #[pin]
        rest: R,
    }
}

impl<K, W: Default, R: Default> Default for WaitingAll<K, W, R> {
    #[inline]
    fn default() -> Self {
        Self { first: W::default(), held: None, rest: R::default() }
    }
}

impl<K: Copy, W, R> WaitingAll<K, W, R> {
    /// Waits at `gate`, then as `poll_rest` does.
    #[inline]
    fn poll<T: Timer, L>(
        self: Pin<&mut Self>,
        gate: &impl WaitGate<T, Token = K, Waiting = W>,
        timer: &T,
        until: Deadline,
        cx: &mut Context<'_>,
        poll_rest: impl FnOnce(Pin<&mut R>, &mut Context<'_>) -> Poll<Result<L, Rejection>>,
    ) -> Poll<Result<(K, L), Rejection>> {
        let this = self.project();
        let token = match *this.held {
            Some(token) => token,
            None => *this.held.insert(ready!(gate.poll_enter(this.first, timer, until, cx))?),
        };
        let rest = ready!(poll_rest(this.rest, cx));
        // With the rest, the caller owns it from here on.
        *this.held = None;
        if rest.is_err() {
            gate.exit(token, Outcome::Refused);
        }
        Poll::Ready(rest.map(|rest| (token, rest)))
    }

    /// Gives back what the rest holds by `cancel_rest`, then what the first does.
    #[inline]
    fn cancel<T: Timer>(
        self: Pin<&mut Self>,
        gate: &impl WaitGate<T, Token = K, Waiting = W>,
        timer: &T,
        cancel_rest: impl FnOnce(Pin<&mut R>),
    ) {
        let mut this = self.project();
        // Also where a gate further right panics.
        let _first = OnDrop(|| match this.held.take() {
            Some(token) => gate.exit(token, Outcome::Refused),
            None => gate.cancel_enter(this.first.as_mut(), timer),
        });
        cancel_rest(this.rest);
    }
}

/// Enters `gate`, then the `rest`; gives the first token back where the rest refuses.
#[inline]
fn enter_then<G: Gate, K>(
    gate: &G,
    rest: impl FnOnce() -> Result<K, Rejection>,
) -> Result<(G::Token, K), Rejection> {
    let token = gate.enter()?;
    // Given back unless the rest lets in as well, a panic there included.
    let refused = OnDrop(|| gate.exit(token, Outcome::Refused));
    let rest = rest()?;
    core::mem::forget(refused);
    Ok((token, rest))
}

macro_rules! token_list {
    () => { () };
    ($first:ident $($rest:ident)*) => { ($first::Token, token_list!($($rest)*)) };
}

macro_rules! waiting_list {
    ($timer:ident;) => { () };
    ($timer:ident; $first:ident $($rest:ident)*) => {
        WaitingAll<
            $first::Token,
            <$first as WaitGate<$timer>>::Waiting,
            waiting_list!($timer; $($rest)*),
        >
    };
}

macro_rules! enter_list {
    ($tuple:ident;) => { Ok(()) };
    ($tuple:ident; $first:tt $($rest:tt)*) => {
        enter_then(&$tuple.$first, || enter_list!($tuple; $($rest)*))
    };
}

macro_rules! poll_list {
    ($tuple:ident $waiting:ident $timer:ident $until:ident $cx:ident;) => {{
        let (_, _): (Pin<&mut ()>, &mut Context<'_>) = ($waiting, $cx);
        Poll::Ready(Ok(()))
    }};
    ($tuple:ident $waiting:ident $timer:ident $until:ident $cx:ident; $first:tt $($rest:tt)*) => {
        $waiting.poll(&$tuple.$first, $timer, $until, $cx, |$waiting, $cx| {
            poll_list!($tuple $waiting $timer $until $cx; $($rest)*)
        })
    };
}

macro_rules! cancel_list {
    ($tuple:ident $waiting:ident $timer:ident;) => {{
        let _: Pin<&mut ()> = $waiting;
    }};
    ($tuple:ident $waiting:ident $timer:ident; $first:tt $($rest:tt)*) => {
        $waiting.cancel(&$tuple.$first, $timer, |$waiting| {
            cancel_list!($tuple $waiting $timer; $($rest)*)
        })
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
            type Waiting = waiting_list!(Tm; $($gate)+);

            #[inline]
            fn poll_enter(
                &self,
                waiting: Pin<&mut Self::Waiting>,
                timer: &Tm,
                until: Deadline,
                cx: &mut Context<'_>,
            ) -> Poll<Result<Self::Token, Rejection>> {
                poll_list!(self waiting timer until cx; $($index)+)
            }

            #[inline]
            fn cancel_enter(&self, waiting: Pin<&mut Self::Waiting>, timer: &Tm) {
                cancel_list!(self waiting timer; $($index)+);
            }

            #[inline]
            fn may_wait(&self) -> bool {
                $(self.$index.may_wait())||+
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
