//! Which way a pipeline makes its attempts: one after another, or side by side.
//!
//! The future of a call through a pipeline has the attempts in place, so its type must say which it
//! is. It follows from the type of the policy alone: a bound by which it followed from the error
//! type as well would leave the compiler to fear that someone else's hedge is a retry.

use core::pin::Pin;
use core::task::{Context, Poll};

use super::attempt::PerAttempt;
use super::operation::{CallResult, Operation};
use super::policy::Retry;
use super::run::RetryLoop;
use super::state::RetryPolicy;
use crate::deadline::Deadline;
use crate::gate::Outcome;
use crate::pointer::through_pointers;

/// How a [`Pipeline`](crate::Pipeline) makes its attempts: a [`Retry`], a
/// [`Hedge`](crate::Hedge), a pointer to one of these, or `()` for a single attempt.
///
/// A [`RetryPolicy`] of your own is one [`InTurn`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how a pipeline makes its attempts",
    note = "a `RetryPolicy` of your own needs an `impl AttemptPolicy` whose `Kind` is `InTurn`"
)]
pub trait AttemptPolicy {
    /// [`InTurn`] or [`SideBySide`](crate::SideBySide).
    type Kind;
}

/// Attempts one after another; see [`AttemptPolicy`].
#[derive(Clone, Copy, Debug)]
pub struct InTurn;

impl<D, W, B, H, O, V> AttemptPolicy for Retry<D, W, B, H, O, V> {
    type Kind = InTurn;
}

impl AttemptPolicy for () {
    type Kind = InTurn;
}

macro_rules! pointer_kind {
    ($pointer:ty) => {
        impl<R: AttemptPolicy> AttemptPolicy for $pointer {
            type Kind = R::Kind;
        }
    };
}

through_pointers!(pointer_kind, R);

/// A kind of attempts at `F`, with `X` around them.
pub trait AttemptKind<X, F: Operation> {
    type Attempts: AttemptLoop<X, F>;
}

impl<X, F> AttemptKind<X, F> for InTurn
where
    X: PerAttempt<F>,
    X::Policy: RetryPolicy<F::Value, F::Error>,
    F: Operation,
{
    type Attempts = RetryLoop<X, F>;
}

/// The attempts at `F` of one call, with `X` around them.
///
/// What is around them must be the same in all calls. Must be cancelled before it is dropped.
pub trait AttemptLoop<X, F: Operation>: Sized {
    /// None so far.
    fn new(deadline: Deadline, operation: F) -> Self;

    /// The deadline of the whole: until the first poll that of the caller alone, then the one that
    /// holds.
    fn deadline(&self) -> Deadline;

    /// Sets it, before the first poll.
    fn set_deadline(self: Pin<&mut Self>, deadline: Deadline);

    fn poll(self: Pin<&mut Self>, around: &X, cx: &mut Context<'_>) -> Poll<CallResult<F>>;

    /// Drops the operations that run, and gives back what the call holds within its attempts.
    fn cancel(self: Pin<&mut Self>, around: &X);

    /// What the gates around it are told, once it is done.
    fn outcome(&self) -> Outcome;

    /// The number of the last attempt, or of the one that is due.
    fn attempt(&self) -> u32;

    /// How often the operation was begun.
    fn runs(&self) -> u32;

    /// Whether any operation has run, or is running.
    fn has_run(&self) -> bool;
}
