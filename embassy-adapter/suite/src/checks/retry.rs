//! Retries.

use core::cell::Cell;
use core::future::ready;
use core::pin::pin;
use core::task::Poll;

use fusebox_core::{
    Attempt, Backoff, BudgetConfig, Deadline, Decision, Error, GiveUp, ManualClock, Ratio, Reason,
    Retry, RetryBudget, RetryIf, Retrying, Verdict,
};

use super::support::{EIGHTH, Journal, Note, SECOND, finish};
use crate::{Checked, Failure, advance_until, ensure, ensure_eq, poll_once};

/// Fails before the third attempt.
fn third(attempt: Attempt) -> core::future::Ready<Result<u32, u32>> {
    ready(if attempt.number < 3 { Err(attempt.number) } else { Ok(attempt.number) })
}

/// Always fails.
fn never(attempt: Attempt) -> core::future::Ready<Result<u32, u32>> {
    ready(Err(attempt.number))
}

pub(super) fn it_tries_until_it_works<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let retry = Retry::new(Backoff::none());
    ensure!(finish(retry.call(&clock, third)) == Poll::Ready(Ok(3)));
    let twice = retry.max_attempts(2);
    ensure_eq!(twice.attempts(), 2);
    ensure!(finish(twice.call(&clock, third)) == Poll::Ready(Err(Error::Inner(2))));
    Ok(())
}

pub(super) fn it_waits_as_told<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let retry = Retry::new(Backoff::exponential(EIGHTH)).max_attempts(4);
    let mut call = pin!(retry.call(&clock, never));
    for eighths in [1, 2, 4] {
        ensure!(poll_once(call.as_mut()).is_pending());
        clock.advance(EIGHTH * (eighths - 1));
        ensure!(poll_once(call.as_mut()).is_pending(), "not early");
        clock.advance(EIGHTH);
    }
    ensure!(poll_once(call) == Poll::Ready(Err(Error::Inner(4))));
    ensure_eq!(clock.elapsed(), EIGHTH * 7);
    Ok(())
}

pub(super) fn errors_decide<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let retry = Retry::new(Backoff::none());
    let not_two = retry.when(RetryIf(|error: &u32| *error != 2));
    ensure!(finish(not_two.call(&clock, never)) == Poll::Ready(Err(Error::Inner(2))));
    let as_asked = retry.when(|_: &u32| Decision::RetryAfter(SECOND));
    let mut call = pin!(as_asked.call(&clock, third));
    ensure!(poll_once(call.as_mut()).is_pending());
    clock.advance(EIGHTH * 7);
    ensure!(poll_once(call.as_mut()).is_pending(), "what a server asks for is respected");
    let answer = advance_until(&clock, EIGHTH, 20, call);
    ensure!(answer == Some(Ok(3)));
    ensure_eq!(clock.elapsed(), SECOND * 2);
    Ok(())
}

pub(super) fn it_never_sleeps_past_its_deadline<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let retry = Retry::new(Backoff::constant(EIGHTH * 3)).unlimited().deadline(SECOND);
    let answer = advance_until(&clock, EIGHTH, 20, retry.call(&clock, never));
    // At 0, 3 and 6 eighths; the next one would be too late, and is not waited for.
    ensure!(answer == Some(Err(Error::Inner(3))));
    ensure_eq!(clock.elapsed(), EIGHTH * 6);
    let passed = Deadline::at(fusebox_core::Ticks::ZERO);
    let Poll::Ready(Err(Error::Rejected(refused))) =
        finish(retry.call_before(&clock, passed, never))
    else {
        return Err(Failure::new("nothing runs after the deadline"));
    };
    ensure!(refused.reason() == Reason::DeadlineExceeded);
    Ok(())
}

pub(super) fn a_budget_is_shared_by_all_calls<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let half = BudgetConfig::new(Ratio::percent(50)).floor_per_second(0).reserve(10);
    let budget = RetryBudget::new(half, &clock);
    let retry = Retry::new(Backoff::none()).unlimited().budget(&budget);
    let mut attempts = 0;
    for _ in 0..10 {
        let answer = finish(retry.call(&clock, never));
        let Poll::Ready(Err(Error::Inner(tried))) = answer else {
            return Err(Failure::new("it gives up when the budget is spent"));
        };
        attempts += tried;
    }
    ensure_eq!(attempts, 15, "one retry for two calls");
    Ok(())
}

pub(super) fn a_cancelled_wait_gives_its_retry_back<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let all = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(10);
    let budget = RetryBudget::new(all, &clock);
    let retry = Retry::new(Backoff::constant(SECOND)).budget(&budget);
    {
        let mut call = pin!(retry.call(&clock, never));
        ensure!(poll_once(call.as_mut()).is_pending());
        ensure_eq!(budget.balance(), 0);
    }
    ensure_eq!(budget.balance(), 1);
    Ok(())
}

pub(super) fn listeners_hear_of_each_retry<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let heard = Cell::new(0);
    let retry = Retry::new(Backoff::none())
        .max_attempts(3)
        .on_retry(|retrying: &Retrying<'_, u32>| heard.set(heard.get() * 10 + retrying.attempt))
        .observed_by("radio", &journal);
    ensure!(finish(retry.call(&clock, never)) == Poll::Ready(Err(Error::Inner(3))));
    ensure_eq!(heard.get(), 12);
    ensure!(
        journal.took(&[
            ("event", Note::Retrying(1)),
            ("event", Note::Retrying(2)),
            ("event", Note::GaveUp(3, GiveUp::Attempts)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn its_steps_can_be_made_by_hand<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let retry = Retry::new(Backoff::constant(EIGHTH)).max_attempts(2);
    let mut state = retry.start(Deadline::NEVER, &clock);
    let error: Error<u32> = Error::TimedOut;
    let Verdict::Retry { delay, at } = retry.after_failure(&mut state, &error, &clock) else {
        return Err(Failure::new("a timeout is retried"));
    };
    ensure_eq!(delay, EIGHTH);
    clock.advance(delay);
    ensure_eq!(at, fusebox_core::Clock::now(&clock));
    ensure!(retry.resume(&mut state, &clock).is_ok());
    ensure!(state.attempt().is_retry());
    let verdict = retry.after_failure(&mut state, &error, &clock);
    ensure!(verdict == Verdict::GiveUp(GiveUp::Attempts));
    Ok(())
}
