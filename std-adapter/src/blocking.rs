//! Resilience for plain threads.
//!
//! Gates need nothing of this: [`Gate::call`](crate::Gate::call) is synchronous. Here are the
//! things that wait: [`retry`] puts the thread to sleep between attempts, [`enter`] waits at a
//! gate, and [`block_on`] runs any future of this crate with [`ThreadTimer`] as its timer.
//!
//! A blocking operation cannot be cut off, so there are no timeouts here: hand the [`Attempt`]'s
//! deadline to whatever it calls, such as `TcpStream::set_read_timeout`.

mod executor;

use std::cell::Cell;

use fusebox_core::{
    Attempt, Deadline, Error, Permit, Reason, Rejection, RetryPolicy, Ticks, Verdict, WaitGate,
};

pub use executor::{ThreadSleep, ThreadTimer, block_on};

use crate::StdClock;

/// Runs `operation` until it works or `policy`, a `Retry` or `&Retry`, gives up; sleeps in between.
///
/// # Errors
///
/// What the last attempt met.
///
/// # Examples
///
/// ```
/// use fusebox_std::{Backoff, Error, Retry, blocking};
/// use std::time::Duration;
///
/// const RETRY: Retry = Retry::new(Backoff::exponential(Duration::from_millis(1)));
///
/// let answer = blocking::retry(RETRY, |attempt| {
///     if attempt.number < 3 { Err("not yet") } else { Ok(attempt.number) }
/// });
/// assert_eq!(answer, Ok::<_, Error<&str>>(3));
/// ```
pub fn retry<T, E>(
    policy: impl RetryPolicy<T, E>,
    mut operation: impl FnMut(Attempt) -> Result<T, E>,
) -> Result<T, Error<E>> {
    retry_gated(policy, |attempt| operation(attempt).map_err(Error::Inner))
}

/// As [`retry`], for a call that is part of something that must be done by `deadline`, an instant
/// of [`StdClock`]: the earlier of it and the policy's own holds.
///
/// # Errors
///
/// As [`retry`]. Where `deadline` has passed nothing runs: it is [`Reason::DeadlineExceeded`].
///
/// # Examples
///
/// ```
/// use fusebox_std::{Backoff, Deadline, Error, Retry, StdClock, blocking};
/// use std::time::Duration;
///
/// const RETRY: Retry = Retry::new(Backoff::constant(Duration::from_secs(60)));
///
/// // Returns at once: another attempt could not begin within the second.
/// let request = Deadline::after(&StdClock, Duration::from_secs(1));
/// let answer = blocking::retry_before(RETRY, request, |_| Err::<(), _>("no route"));
/// assert_eq!(answer, Err(Error::Inner("no route")));
/// ```
pub fn retry_before<T, E>(
    policy: impl RetryPolicy<T, E>,
    deadline: Deadline,
    mut operation: impl FnMut(Attempt) -> Result<T, E>,
) -> Result<T, Error<E>> {
    retry_gated_before(policy, deadline, |attempt| operation(attempt).map_err(Error::Inner))
}

/// As [`retry`], for an operation that is itself protected, so that `policy` sees refusals for what
/// they are: it comes back when the gate says so, and leaves an open circuit alone.
///
/// # Errors
///
/// What the last attempt met.
///
/// # Examples
///
/// ```
/// use fusebox_std::{Backoff, Deadline, Error, Gate, Reason, Retry, StdClock, Ticks, blocking};
///
/// let closed = Deadline::at(Ticks::ZERO).on(StdClock); // A gate that refuses.
/// let answer = blocking::retry_gated(Retry::new(Backoff::none()), |_| {
///     closed.call(|| Ok::<_, std::io::Error>("never runs"))
/// });
/// let Err(Error::Rejected(rejection)) = answer else { panic!() };
/// assert_eq!(rejection.reason(), Reason::DeadlineExceeded);
/// ```
pub fn retry_gated<T, E>(
    policy: impl RetryPolicy<T, E>,
    operation: impl FnMut(Attempt) -> Result<T, Error<E>>,
) -> Result<T, Error<E>> {
    retry_gated_before(policy, Deadline::NEVER, operation)
}

/// [`retry_gated`] with the deadline of [`retry_before`].
///
/// # Errors
///
/// As [`retry_gated`] and [`retry_before`].
pub fn retry_gated_before<T, E>(
    policy: impl RetryPolicy<T, E>,
    deadline: Deadline,
    mut operation: impl FnMut(Attempt) -> Result<T, Error<E>>,
) -> Result<T, Error<E>> {
    if deadline.expired(&StdClock) {
        return Err(Rejection::new(Reason::DeadlineExceeded).into());
    }
    // Retries that were paid for and that a gate refused cost nothing in the end; also where the
    // operation panics.
    let refused = Cell::new(0_u32);
    let _give_back = AtEnd(|| (0..refused.get()).for_each(|_| policy.cancel()));
    let mut state = policy.start(deadline, &StdClock);
    loop {
        let attempt = state.attempt();
        let result = operation(attempt);
        if attempt.is_retry() && matches!(result, Err(Error::Rejected(_))) {
            refused.set(refused.get() + 1);
        }
        let verdict = match &result {
            Ok(value) => policy.after_value(&mut state, value, &StdClock),
            Err(error) => Some(policy.after_failure(&mut state, error, &StdClock)),
        };
        let Some(Verdict::Retry { at, .. }) = verdict else {
            return result;
        };
        // An answer that is not good enough is not kept, as it may hold something. Should its drop
        // panic, the retry does not take place.
        refused.set(refused.get() + 1);
        let error = result.err();
        refused.set(refused.get() - 1);
        sleep_until(at);
        if policy.resume(&mut state, &StdClock).is_err() {
            return Err(error.unwrap_or(Error::TimedOut));
        }
    }
}

/// Waits at `gate`, at most until `until`, an instant of [`StdClock`] (or [`ThreadTimer`], which is
/// the same).
///
/// The permit borrows the gate: a tuple of gates, or an `Immediate`, must live in a `let`.
///
/// # Errors
///
/// The gate's refusal.
///
/// # Examples
///
/// ```
/// use fusebox_std::{Deadline, Immediate, StdClock, blocking};
/// use std::time::Duration;
///
/// let until = Deadline::after(&StdClock, Duration::from_secs(1));
/// let gate = Immediate(Deadline::NEVER.on(StdClock));
/// let permit = blocking::enter(&gate, until)?;
/// // .. the work ..
/// permit.success();
/// # Ok::<(), fusebox_std::Rejection>(())
/// ```
pub fn enter<G: WaitGate<ThreadTimer>>(gate: &G, until: Deadline) -> Result<Permit<&G>, Rejection> {
    let token = block_on(gate.wait_enter(ThreadTimer, until))?;
    Ok(Permit::adopt(gate, token))
}

/// Runs the closure at the end of the scope, also where that is a panic.
struct AtEnd<F: FnMut()>(F);

impl<F: FnMut()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Puts the thread to sleep. `sleep` may only oversleep, but clocks may disagree by a little.
fn sleep_until(at: Ticks) {
    loop {
        let left = Deadline::at(at).remaining(&StdClock);
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left);
    }
}
