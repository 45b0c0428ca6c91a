//! The pipeline.

use core::future::{pending, ready};
use core::pin::pin;
use core::task::Poll;

use fusebox_core::{
    Attempt, Backoff, BreakerConfig, BudgetConfig, CircuitBreaker, Deadline, Error, FailureIf,
    GiveUp, ManualClock, Outcome, Pipeline, Queue, Ratio, Reason, Retry, RetryBudget, Semaphore,
    State,
};

use super::support::{EIGHTH, Journal, Note, SECOND, Scribe, finish};
use crate::{Checked, Failure, advance_until, ensure, ensure_eq, poll_once};

type Outcomes = Result<u32, Error<u32>>;

fn rejected(answer: Poll<Outcomes>) -> Option<Reason> {
    match answer {
        Poll::Ready(Err(Error::Rejected(rejection))) => Some(rejection.reason()),
        _ => None,
    }
}

pub(super) fn its_parts_are_in_the_order_that_works<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let scribe = |name| Scribe::new(name, &journal);
    let (call, first, second) = (scribe("call"), scribe("first"), scribe("second"));
    let pipeline = Pipeline::new(&clock)
        .observed_by("p", &journal)
        .per_call(&call)
        .retry(Retry::new(Backoff::none()))
        .per_attempt((&first, &second));
    let answer = finish(pipeline.call(|attempt: Attempt| {
        journal.note("operation", Note::Ran(attempt.number));
        ready(if attempt.is_retry() { Ok(7) } else { Err(1_u32) })
    }));
    ensure!(answer == Poll::Ready(Ok(7)));
    ensure!(
        journal.took(&[
            ("call", Note::Entered),
            ("first", Note::Entered),
            ("second", Note::Entered),
            ("operation", Note::Ran(1)),
            ("second", Note::Ended(Outcome::Failure)),
            ("first", Note::Ended(Outcome::Failure)),
            ("event", Note::Retrying(1)),
            ("first", Note::Entered),
            ("second", Note::Entered),
            ("operation", Note::Ran(2)),
            ("second", Note::Ended(Outcome::Success)),
            ("first", Note::Ended(Outcome::Success)),
            ("call", Note::Ended(Outcome::Success)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn where_nothing_ran_the_outer_gates_lose_nothing<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let (call, attempt) = (Scribe::new("call", &journal), Scribe::new("attempt", &journal));
    attempt.refusing.set(Some(Reason::CircuitOpen));
    let pipeline = Pipeline::new(&clock)
        .per_call(&call)
        .retry(Retry::new(Backoff::none()))
        .per_attempt(&attempt);
    let answer = finish(pipeline.call(|_| ready(Ok::<u32, u32>(7))));
    ensure!(rejected(answer) == Some(Reason::CircuitOpen), "which is not retried");
    ensure!(
        journal.took(&[
            ("call", Note::Entered),
            ("attempt", Note::Refused),
            ("call", Note::Ended(Outcome::Refused)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn an_attempt_is_cut_off_and_tried_again<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let gate = Scribe::new("gate", &journal);
    let pipeline = Pipeline::new(&clock)
        .observed_by("p", &journal)
        .retry(Retry::new(Backoff::constant(EIGHTH)))
        .per_attempt(&gate)
        .attempt_timeout(EIGHTH * 2);
    let call = pipeline.call(|attempt| async move {
        if attempt.is_retry() { Ok::<u32, u32>(7) } else { pending().await }
    });
    ensure!(advance_until(&clock, EIGHTH, 20, call) == Some(Ok(7)));
    ensure_eq!(clock.elapsed(), EIGHTH * 3);
    ensure!(
        journal.took(&[
            ("gate", Note::Entered),
            ("gate", Note::Ended(Outcome::Failure)),
            ("event", Note::TimedOut(1)),
            ("event", Note::Retrying(1)),
            ("gate", Note::Entered),
            ("gate", Note::Ended(Outcome::Success)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn nothing_runs_past_the_deadline<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let pipeline = Pipeline::new(&clock)
        .observed_by("p", &journal)
        .deadline(SECOND)
        .retry(Retry::new(Backoff::constant(EIGHTH)).unlimited())
        .attempt_timeout(EIGHTH * 4);
    let call = pipeline.call(|_| pending::<Result<u32, u32>>());
    ensure!(advance_until(&clock, EIGHTH, 20, call) == Some(Err(Error::TimedOut)));
    ensure_eq!(clock.elapsed(), SECOND, "the second attempt was cut short");
    ensure!(
        journal.took(&[
            ("event", Note::TimedOut(1)),
            ("event", Note::Retrying(1)),
            ("event", Note::TimedOut(2)),
            ("event", Note::GaveUp(2, GiveUp::Deadline)),
        ]),
        "in this order"
    );
    let passed = Deadline::after(&clock, EIGHTH);
    clock.advance(EIGHTH);
    let late = finish(pipeline.call_before(passed, |_| ready(Ok::<u32, u32>(7))));
    ensure!(rejected(late) == Some(Reason::DeadlineExceeded));
    Ok(())
}

pub(super) fn a_call_waits_for_its_place<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let held = permits.try_acquire().map_err(|_| Failure::new("one is free"))?;
    let pipeline = Pipeline::new(&clock).deadline(SECOND).per_call_waiting(&permits);
    {
        let mut call = pin!(pipeline.call(|_| ready(Ok::<u32, u32>(7))));
        ensure!(poll_once(call.as_mut()).is_pending());
        ensure_eq!(permits.waiting(), 1);
    }
    ensure_eq!(permits.waiting(), 0, "cancelled, it is gone from the queue");
    let mut call = pin!(pipeline.call(|_| ready(Ok::<u32, u32>(7))));
    ensure!(poll_once(call.as_mut()).is_pending());
    drop(held);
    ensure!(poll_once(call) == Poll::Ready(Ok(7)));
    let _held = permits.try_acquire().map_err(|_| Failure::new("it has given it back"))?;
    let late = advance_until(&clock, EIGHTH, 20, pipeline.call(|_| ready(Ok::<u32, u32>(7))));
    let late = late.map_or(Poll::Pending, Poll::Ready);
    ensure!(rejected(late) == Some(Reason::QueueTimeout));
    ensure_eq!(clock.elapsed(), SECOND);
    Ok(())
}

pub(super) fn a_cancelled_call_gives_everything_back<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let (call, attempt) = (Scribe::new("call", &journal), Scribe::new("attempt", &journal));
    let pipeline = Pipeline::new(&clock).per_call(&call).per_attempt(&attempt);
    drop(pipeline.call(|_| pending::<Result<u32, u32>>()));
    ensure!(journal.took(&[]));
    {
        let mut runs = pin!(pipeline.call(|_| pending::<Result<u32, u32>>()));
        ensure!(poll_once(runs.as_mut()).is_pending());
    }
    ensure!(
        journal.took(&[
            ("call", Note::Entered),
            ("attempt", Note::Entered),
            ("attempt", Note::Ended(Outcome::Abandoned)),
            ("call", Note::Ended(Outcome::Abandoned)),
        ]),
        "in this order"
    );
    Ok(())
}

pub(super) fn a_breaker_and_a_budget_end_the_retries<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = BreakerConfig::standard().consecutive_failures(3).open_for(SECOND);
    let breaker = CircuitBreaker::new(config, &clock);
    let all = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(10);
    let budget = RetryBudget::new(all, &clock);
    let pipeline = Pipeline::new(&clock)
        .retry(Retry::new(Backoff::none()).unlimited().budget(&budget))
        .per_attempt(&breaker);
    let call = || finish(pipeline.call(|attempt| ready(Err::<u32, u32>(attempt.number))));
    ensure!(call() == Poll::Ready(Err(Error::Inner(2))), "the budget had one retry for it");
    budget.deposit_many(5);
    ensure!(rejected(call()) == Some(Reason::CircuitOpen), "which ends the retries");
    ensure_eq!(breaker.state(), State::Open);
    clock.advance(SECOND);
    let good = finish(pipeline.call(|_| ready(Ok::<u32, u32>(7))));
    ensure!(good == Poll::Ready(Ok(7)));
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) fn gates_are_told_what_the_classifier_says<const HZ: u64>() -> Checked {
    let (clock, journal) = (ManualClock::<HZ>::new(), Journal::new());
    let gate = Scribe::new("gate", &journal);
    let pipeline =
        Pipeline::new(&clock).per_attempt(&gate).classify(FailureIf(|status: &u32| *status >= 500));
    let answer = finish(pipeline.call(|_| ready(Err::<u32, u32>(404))));
    ensure!(answer == Poll::Ready(Err(Error::Inner(404))));
    ensure!(journal.took(&[("gate", Note::Entered), ("gate", Note::Ended(Outcome::Ignored))]));
    Ok(())
}
