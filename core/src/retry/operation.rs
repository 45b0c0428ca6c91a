//! What attempts are made at.

use core::future::Future;

use super::state::Attempt;
use crate::error::Error;

/// What a call makes its attempts at: a closure that makes the future of each,
/// `|attempt| async { .. }`.
///
/// A closure's type has no name. Where that of a call needs one, as a field does or tower's
/// `Service::Future`, implement this for a type of your own, and make the call with
/// [`Call::new`](crate::Call::new) or [`RetryCall::new`](super::RetryCall::new).
///
/// # Examples
///
/// ```
/// use core::future::{Ready, ready};
/// use std::sync::Arc;
/// use fusebox_core::{Attempt, Call, Deadline, Immediate, ManualClock, Operation, Pipeline, Semaphore};
///
/// /// Sends a request, as often as it takes.
/// struct Send(&'static str);
///
/// impl Operation for Send {
///     type Value = usize;
///     type Error = std::io::Error;
///     type Future = Ready<Result<usize, std::io::Error>>;
///
///     fn attempt(&mut self, _attempt: Attempt) -> Self::Future {
///         ready(Ok(self.0.len()))
///     }
/// }
///
/// # trait Sendable: std::marker::Send + 'static {}
/// # impl<T: std::marker::Send + 'static> Sendable for T {}
/// # fn spawn<T: Sendable>(future: T) -> T { future }
/// type Limited = Pipeline<&'static ManualClock, Immediate<Semaphore>>;
///
/// /// Owns all it needs, without a box.
/// struct Response {
///     call: Call<Arc<Limited>, Send>,
/// }
///
/// static CLOCK: ManualClock = ManualClock::new();
/// let pipeline = Arc::new(Pipeline::new(&CLOCK).per_call(Semaphore::new(10)));
/// let response = Response { call: Call::new(Arc::clone(&pipeline), Deadline::NEVER, Send("hello")) };
/// # let response = spawn(response);
/// # pollster::block_on(async {
/// assert_eq!(response.call.await.ok(), Some(5));
/// # });
/// ```
#[diagnostic::on_unimplemented(
    note = "a closure takes an `Attempt` and makes a future whose output is a `Result`"
)]
pub trait Operation {
    /// What it returns.
    type Value;

    /// How it fails.
    type Error;

    /// One attempt.
    type Future: Future<Output = Result<Self::Value, Self::Error>>;

    /// Makes the future of an attempt.
    fn attempt(&mut self, attempt: Attempt) -> Self::Future;

    /// Whether another attempt can be made at all, whatever the policy would say: a request that
    /// was sent and cannot be copied leaves nothing to send again. `waiting` is how many
    /// attempts have begun and not been made, as they wait at their gates: none for a retry,
    /// and for a hedge those beside it. Asked before the policy is, so that nothing is taken
    /// from a budget.
    #[inline]
    fn can_repeat(&self, waiting: u32) -> bool {
        let _ = waiting;
        true
    }
}

/// What a call with retries ends in.
pub(crate) type CallResult<F> = Result<<F as Operation>::Value, Error<<F as Operation>::Error>>;

// What a closure makes is of types that follow from its own. A future that had them as parameters
// beside it could not go into a `join!` in a spawned task: where the compiler must look into what
// such a task holds across an await, it takes each lifetime for an unknown of its own, and no
// longer finds that the types agree ("one type is more general than the other").
impl<F, Fut, V, E> Operation for F
where
    F: FnMut(Attempt) -> Fut,
    Fut: Future<Output = Result<V, E>>,
{
    type Value = V;
    type Error = E;
    type Future = Fut;

    #[inline]
    fn attempt(&mut self, attempt: Attempt) -> Fut {
        self(attempt)
    }
}
