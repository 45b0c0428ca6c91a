//! Retry and pipeline against a slow and obvious model.
//!
//! The model knows, from a script, how long each attempt takes and how it ends, and walks through
//! the call on paper: when each attempt begins, what is waited in between, what ends it. The
//! pipeline runs the same script on a clock that moves only when the call is pending, by a step
//! that may be coarser than what the call waits for, so that timers also wake late. Everything that
//! can be seen from outside must agree.

mod modelling;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Attempt, Budget, Clock, Deadline, Decision, Delays, Error, Event, Gate, GiveUp, ManualClock,
    Observer, Outcome, Pipeline, Reason, Rejection, Retry, Ticks,
};
use proptest::prelude::*;

/// A clock of milliseconds.
type Millis = ManualClock<1000>;

/// The number of the attempt, and where it is not good enough the wait that it asks for.
type Value = (u32, Option<u64>);

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Works,
    /// It answers, but not well enough, and asks to come back after so many milliseconds.
    Poor(u64),
    /// An error that is not to be retried.
    Stops,
    Fails,
    /// A server asks to come back after so many milliseconds.
    Busy(u64),
    /// The gate around it refuses, for a lasting reason.
    Shut,
    /// The gate around it refuses for now, and may say for how long.
    Full(Option<u64>),
}

impl End {
    /// What the operation returns.
    fn result(self, number: u32) -> Result<Value, End> {
        match self {
            Self::Works => Ok((number, None)),
            Self::Poor(wait) => Ok((number, Some(wait))),
            error => Err(error),
        }
    }

    fn refusal(self) -> Option<Rejection> {
        match self {
            Self::Shut => Some(Rejection::new(Reason::CircuitOpen)),
            Self::Full(None) => Some(Rejection::new(Reason::BulkheadFull)),
            Self::Full(Some(wait)) => {
                Some(Rejection::after_ticks(Reason::RateLimited, wait, Millis::TICKS_PER_SECOND))
            }
            _ => None,
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    max_attempts: Option<u32>,
    /// Before each retry.
    delays: Vec<u64>,
    /// Of the pipeline, of the retry, and of the caller, who has it from the start.
    deadlines: [Option<u64>; 3],
    timeout: Option<u64>,
    budget: u32,
    /// What each attempt takes, and how it ends; further ones work at once.
    script: Vec<(u64, End)>,
    /// How far the clock moves whenever the call is pending.
    grain: u64,
}

impl Case {
    fn step(&self, attempt: u32) -> (u64, End) {
        self.script.get(attempt as usize - 1).copied().unwrap_or((0, End::Works))
    }

    fn delay(&self, retry: u32) -> u64 {
        self.delays[(retry as usize - 1) % self.delays.len()]
    }

    fn deadline(&self) -> Option<u64> {
        self.deadlines.iter().flatten().min().copied()
    }
}

/// All that can be seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// When each operation began, and when it would be cut off.
    begun: Vec<(u32, u64, Option<u64>)>,
    /// What the gate around the attempts was told.
    outcomes: Vec<Outcome>,
    /// The failed attempt and the wait after it.
    retries: Vec<(u32, u64)>,
    gave_up: Option<(u32, GiveUp)>,
    timed_out: Vec<u32>,
    /// What the delay rule was asked: the number of the retry, and the delay before.
    asked: Vec<(u32, u64)>,
    budget: u32,
    result: Option<Result<Value, Error<End>>>,
    /// What the gate around the call was told.
    call: Option<Outcome>,
    ended: u64,
}

// The model.

struct Walk<'a> {
    case: &'a Case,
    now: u64,
    seen: Seen,
    refused: u32,
}

impl Walk<'_> {
    /// The first instant not before `at` at which the call is looked at.
    fn looked_at(&self, at: u64) -> u64 {
        at.max(self.now).div_ceil(self.case.grain) * self.case.grain
    }

    fn attempt(&mut self, number: u32) -> Result<Value, Error<End>> {
        let (takes, end) = self.case.step(number);
        if let Some(rejection) = end.refusal() {
            return Err(Error::Rejected(rejection));
        }
        let timeout = self.case.timeout.map(|timeout| self.now + timeout);
        let cut = [self.case.deadline(), timeout].into_iter().flatten().min();
        self.seen.begun.push((number, self.now, cut));
        let done = self.looked_at(self.now + takes);
        if let Some(cut) = cut.map(|cut| self.looked_at(cut)) {
            // The operation is asked first, so it wins a tie.
            if cut < done {
                self.now = cut;
                self.told(Outcome::Failure);
                self.seen.timed_out.push(number);
                return Err(Error::TimedOut);
            }
        }
        self.now = done;
        let result = end.result(number);
        self.told(if result.is_ok() { Outcome::Success } else { Outcome::Failure });
        result.map_err(Error::Inner)
    }

    fn told(&mut self, outcome: Outcome) {
        self.seen.outcomes.push(outcome);
        self.seen.call = Some(outcome);
    }

    /// What ends the call after an attempt that was not good enough, or the wait before the next.
    fn judge(&mut self, number: u32, result: &Result<Value, Error<End>>) -> Result<u64, GiveUp> {
        let asked = match result {
            Ok((_, wait)) => wait.unwrap_or(0),
            Err(Error::Inner(End::Stops)) => return Err(GiveUp::NotRetryable),
            Err(Error::Inner(End::Busy(wait))) => *wait,
            Err(Error::Rejected(rejection)) if rejection.reason() == Reason::CircuitOpen => {
                return Err(GiveUp::NotRetryable);
            }
            Err(Error::Rejected(rejection)) => {
                rejection.retry_after().map_or(0, |wait| wait.as_millis() as u64)
            }
            Err(Error::Inner(_) | Error::TimedOut) => 0,
        };
        if Some(number) == self.case.max_attempts {
            return Err(GiveUp::Attempts);
        }
        let before = if number == 1 { 0 } else { self.case.delay(number - 1) };
        // The rule may be asked before it is known whether there is time or budget.
        self.seen.asked.push((number, before));
        let wait = self.case.delay(number).max(asked);
        if self.case.deadline().is_some_and(|deadline| self.now + wait >= deadline) {
            return Err(GiveUp::Deadline);
        }
        if self.seen.budget == 0 {
            return Err(GiveUp::Budget);
        }
        self.seen.budget -= 1;
        Ok(wait)
    }

    fn call(&mut self) -> Result<Value, Error<End>> {
        // Deadlines of the pipeline and the caller are looked at before anything is taken; that of
        // the retry is no reason not to make the first attempt.
        if [self.case.deadlines[0], self.case.deadlines[2]].contains(&Some(0)) {
            return Err(Error::Rejected(Rejection::new(Reason::DeadlineExceeded)));
        }
        self.seen.call = Some(Outcome::Refused);
        let mut number = 1;
        loop {
            let result = self.attempt(number);
            if matches!(result, Ok((_, None))) {
                return result;
            }
            if number > 1 && matches!(result, Err(Error::Rejected(_))) {
                // It was paid for, and did not take place; that is made good when the call is over.
                self.refused += 1;
            }
            match self.judge(number, &result) {
                Ok(wait) => {
                    self.seen.retries.push((number, wait));
                    // Without a wait the call still yields once.
                    self.now = self.looked_at(self.now + wait.max(1));
                }
                Err(cause) => {
                    self.seen.gave_up = Some((number, cause));
                    return result;
                }
            }
            if self.case.deadline().is_some_and(|deadline| self.now >= deadline) {
                // Woken too late: the retry does not take place.
                self.seen.budget += 1;
                self.seen.gave_up = Some((number, GiveUp::Deadline));
                // An answer was not kept.
                return Err(result.err().unwrap_or(Error::TimedOut));
            }
            number += 1;
        }
    }
}

fn on_paper(case: &Case) -> Seen {
    let seen = Seen { budget: case.budget, ..Seen::default() };
    let mut walk = Walk { case, now: 0, seen, refused: 0 };
    let result = walk.call();
    walk.seen.budget += walk.refused;
    Seen { result: Some(result), ended: walk.now, ..walk.seen }
}

// The real thing, with parts that write down what happens.

struct Stage<'a> {
    case: &'a Case,
    seen: RefCell<Seen>,
    attempt: Cell<u32>,
    deposits: Cell<u32>,
}

struct Around<'a>(&'a Stage<'a>);

impl Gate for Around<'_> {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        Ok(())
    }

    fn exit(&self, (): (), outcome: Outcome) {
        assert_eq!(self.0.seen.borrow_mut().call.replace(outcome), None, "told twice");
    }
}

/// The gate around the attempts, the budget, the delays, the decisions and the observer.
impl Gate for Stage<'_> {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        self.attempt.set(self.attempt.get() + 1);
        self.case.step(self.attempt.get()).1.refusal().map_or(Ok(()), Err)
    }

    fn exit(&self, (): (), outcome: Outcome) {
        self.seen.borrow_mut().outcomes.push(outcome);
    }
}

impl Budget for Stage<'_> {
    fn deposit(&self) {
        self.deposits.set(self.deposits.get() + 1);
    }

    fn withdraw(&self) -> Result<(), Rejection> {
        let mut seen = self.seen.borrow_mut();
        let left = seen.budget.checked_sub(1);
        seen.budget = left.ok_or(Rejection::new(Reason::BudgetExhausted))?;
        Ok(())
    }

    fn refund(&self) {
        self.seen.borrow_mut().budget += 1;
    }
}

impl Delays for Stage<'_> {
    fn delay(&self, retry: u32, previous: Duration) -> Duration {
        self.seen.borrow_mut().asked.push((retry, previous.as_millis() as u64));
        Duration::from_millis(self.case.delay(retry))
    }
}

impl Observer for Stage<'_> {
    fn on_event(&self, event: &Event<'_>) {
        let mut seen = self.seen.borrow_mut();
        match *event {
            Event::Retrying { attempt, delay, .. } => {
                seen.retries.push((attempt, delay.as_millis() as u64));
            }
            Event::GaveUp { attempts, cause, .. } => {
                assert_eq!(seen.gave_up.replace((attempts, cause)), None, "given up twice");
            }
            Event::TimedOut { attempt, .. } => seen.timed_out.push(attempt),
            _ => {}
        }
    }
}

fn decision(error: &End) -> Decision {
    match error {
        End::Stops => Decision::Stop,
        End::Busy(wait) => Decision::RetryAfter(Duration::from_millis(*wait)),
        _ => Decision::Retry,
    }
}

fn decision_about(value: &Value) -> Option<Decision> {
    Some(match value.1? {
        0 => Decision::Retry,
        wait => Decision::RetryAfter(Duration::from_millis(wait)),
    })
}

fn for_real(case: &Case) -> Seen {
    let clock = Millis::new();
    let stage = Stage {
        case,
        seen: RefCell::new(Seen { budget: case.budget, ..Seen::default() }),
        attempt: Cell::new(0),
        deposits: Cell::new(0),
    };
    let mut retry =
        Retry::with_delays(&stage).when(decision).when_value(decision_about).budget(&stage);
    retry = case.max_attempts.map_or(retry.unlimited(), |attempts| retry.max_attempts(attempts));
    if let Some(deadline) = case.deadlines[1] {
        retry = retry.deadline(Duration::from_millis(deadline));
    }
    let around = Around(&stage);
    let mut pipeline = Pipeline::new(&clock)
        .observed_by("p", &stage)
        .per_call(&around)
        .retry(retry)
        .per_attempt(&stage);
    if let Some(deadline) = case.deadlines[0] {
        pipeline = pipeline.deadline(Duration::from_millis(deadline));
    }
    if let Some(timeout) = case.timeout {
        pipeline = pipeline.attempt_timeout(Duration::from_millis(timeout));
    }
    let outer = case.deadlines[2].map_or(Deadline::NEVER, |at| Deadline::at(Ticks(at)));
    let result = run(&clock, case.grain, pipeline.call_before(outer, operation(&stage, &clock)));
    let entered = stage.seen.borrow().call.is_some();
    assert_eq!(stage.deposits.get(), u32::from(entered), "one deposit for each call");
    Seen { result: Some(result), ended: clock.now().0, ..stage.seen.into_inner() }
}

/// Runs the script.
fn operation<'a>(
    stage: &'a Stage<'a>,
    clock: &'a Millis,
) -> impl FnMut(Attempt) -> ScriptedAttempt<'a> {
    move |attempt: Attempt| {
        let begun = clock.now();
        let cut = (!attempt.deadline.is_never()).then(|| attempt.deadline.ticks().0);
        stage.seen.borrow_mut().begun.push((attempt.number, begun.0, cut));
        let (takes, end) = stage.case.step(attempt.number);
        Box::pin(poll_fn(move |_| {
            if clock.now().saturating_since(begun) < takes {
                return Poll::Pending;
            }
            Poll::Ready(end.result(attempt.number))
        }))
    }
}

type ScriptedAttempt<'a> = std::pin::Pin<Box<dyn Future<Output = Result<Value, End>> + 'a>>;

fn run<F: Future>(clock: &Millis, grain: u64, future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return output;
        }
        clock.advance_ticks(grain);
    }
    panic!("the call does not end");
}

fn millis() -> impl Strategy<Value = u64> {
    prop_oneof![1 => Just(0), 4 => 0..20_u64, 1 => 20..200_u64]
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        1 => Just(End::Works),
        1 => Just(End::Stops),
        2 => millis().prop_map(End::Poor),
        6 => Just(End::Fails),
        2 => millis().prop_map(End::Busy),
        1 => Just(End::Shut),
        2 => proptest::option::of(millis()).prop_map(End::Full),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    (
        proptest::option::of(1..6_u32),
        proptest::collection::vec(millis(), 1..4),
        proptest::array::uniform3(proptest::option::weighted(0.3, millis())),
        proptest::option::of(millis()),
        prop_oneof![Just(100), 0..4_u32],
        proptest::collection::vec((millis(), end()), 0..8),
        prop_oneof![Just(1), 1..10_u64],
    )
        .prop_map(|(max_attempts, delays, deadlines, timeout, budget, script, grain)| Case {
            max_attempts,
            delays,
            deadlines,
            timeout,
            budget,
            script,
            grain,
        })
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn a_call_goes_as_on_paper(case in case()) {
        prop_assert_eq!(for_real(&case), on_paper(&case));
    }

    /// Whatever happens, nothing begins at or after the deadline, but for the first attempt.
    #[test]
    fn nothing_begins_after_the_deadline(case in case()) {
        let seen = for_real(&case);
        if let Some(deadline) = case.deadline() {
            prop_assert!(seen.begun.iter().all(|&(number, at, _)| number == 1 || at < deadline));
        }
    }
}
