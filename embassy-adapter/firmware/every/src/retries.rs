//! Backoff and retry.

use crate::ready;
use core::time::Duration;

use fusebox_core::{
    Attempt, Backoff, Budget, Deadline, Decide, Decision, Delays, Error, Jitter, Reason, Rejection,
    Retry, RetryIf, RetryPolicy, Retrying,
};

use crate::{CLOCK, RANDOM, Watcher, any, budget, keep, now, poll, some_time};

pub(crate) fn all() {
    delays();
    policies();
    let rejection = Rejection::new(any(Reason::CircuitOpen));
    keep(Decision::about(&rejection));
    keep(RetryIf(|error: &u32| any(*error) > 1).decide(&any(Error::Inner(1))));
    let attempt = Attempt::first(Deadline::at(now()));
    keep(attempt.is_retry());
    let budget = budget::shared();
    Budget::deposit(budget);
    keep(Budget::withdraw(budget).is_ok());
    Budget::refund(budget);
}

fn backoff() -> Backoff {
    let backoff = match any(0_u32) {
        0 => Backoff::none(),
        1 => Backoff::constant(some_time()),
        2 => Backoff::linear(some_time(), some_time()),
        _ => Backoff::exponential(some_time()),
    };
    backoff.factor(any(150)).max_delay(some_time())
}

fn jitter() -> Jitter {
    match any(0_u32) {
        0 => Jitter::None,
        1 => Jitter::Full,
        2 => Jitter::Equal,
        _ => Jitter::Decorrelated,
    }
}

fn delays() {
    let backoff = backoff().jitter(jitter(), &RANDOM);
    keep(backoff.validate().is_ok());
    keep(backoff.delay(any(3), some_time()));
    let mut delays = backoff.delays();
    keep((delays.next(), delays.next()));
}

fn policies() {
    poll(Retry::with_delays(backoff()).unlimited().call(&CLOCK, |_| ready(any(Err::<(), u32>(1)))));
    keep(Retry::new(Backoff::constant(Duration::from_millis(1))).max_attempts(3).attempts());
    let Ok(retry) = Retry::try_new(backoff().jitter(jitter(), &RANDOM)) else { return };
    let Ok(retry) = retry.try_max_attempts(any(3)) else { return };
    let retry = retry
        .deadline(some_time())
        .when(|error: &u32| match any(*error) {
            0 => Decision::RetryAfter(any(Duration::from_millis(1))),
            1 => Decision::Retry,
            _ => Decision::Stop,
        })
        .budget(budget::shared())
        .when_value(|(): &()| Some(any(Decision::Retry)))
        .on_retry(|retrying: &Retrying<'_, u32>| keep(retrying.delay))
        .observed_by("every", Watcher);
    let operation = |attempt: Attempt| ready(any(Err::<(), u32>(attempt.number)));
    poll(retry.call(&CLOCK, operation));
    poll(retry.call_before(&CLOCK, Deadline::at(now()), operation));

    let mut state = retry.start(Deadline::at(now()), &&CLOCK);
    keep(state.attempt());
    let verdict = retry.after_failure(&mut state, &any(Error::Inner(1)), &&CLOCK);
    keep(verdict);
    keep(retry.after_result(&mut state, &any(Ok::<_, Error<u32>>(())), &&CLOCK));
    if retry.resume(&mut state, &&CLOCK).is_err() {
        retry.cancel();
    }
    by_policy(&retry);
}

/// The same steps by the trait that pipelines use.
fn by_policy(policy: &impl RetryPolicy<(), u32>) {
    let mut state = policy.start(Deadline::at(now()), &&CLOCK);
    keep(policy.after_failure(&mut state, &any(Error::TimedOut), &&CLOCK));
    keep(policy.after_value(&mut state, &(), &&CLOCK));
    keep(policy.resume(&mut state, &&CLOCK).is_ok());
    policy.cancel();
}
