//! Hedged calls against a slow and obvious model.
//!
//! The model knows, from a script, how long each attempt takes and how it ends, and walks through
//! the call a millisecond at a time, with a list of the attempts that run. The hedge, in a pipeline
//! with a gate around each attempt, runs the same script on a clock that moves only when the call
//! is pending, by a step that may be coarser than what the call waits for, so that timers also wake
//! late. Everything that can be seen from outside must agree.

mod modelling;

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Attempt, Attempts, Budget, Clock, Count, Deadline, Decision, Error, Event, Gate, GiveUp, Hedge,
    ManualClock, Observer, Outcome, Pipeline, Reason, Rejection, Ticks,
};
use proptest::prelude::*;

/// A clock of milliseconds.
type Millis = ManualClock<1000>;

/// How an attempt ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Works,
    /// It answers, but not well enough, and asks to be left alone for so many milliseconds.
    Poor(u64),
    /// An error that is final.
    Stops,
    Fails,
    /// A server asks to be left alone for so many milliseconds.
    Busy(u64),
    /// The gate around it refuses.
    Full,
}

/// The number of the attempt, and where it is not good enough the wait that it asks for.
type Value = (u32, Option<u64>);

impl End {
    /// What the operation returns.
    fn result(self, number: u32) -> Result<Value, End> {
        match self {
            Self::Works => Ok((number, None)),
            Self::Poor(wait) => Ok((number, Some(wait))),
            error => Err(error),
        }
    }
}

#[derive(Clone, Debug)]
struct Case {
    max_attempts: usize,
    delay: u64,
    /// Of the pipeline, of the hedge, and of the caller, who has it from the start.
    deadlines: [Option<u64>; 3],
    timeout: Option<u64>,
    budget: u32,
    /// What each attempt takes, and how it ends.
    script: Vec<(u64, End)>,
    /// When the caller drops the call.
    patience: u64,
    /// How far the clock moves whenever the call is pending.
    grain: u64,
}

impl Case {
    fn deadline(&self) -> Option<u64> {
        self.deadlines.iter().flatten().min().copied()
    }
}

/// All that can be seen from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The number of each operation that began, when, whether beside another one, and when it
    /// would be cut off.
    begun: Vec<(u32, u64, bool, Option<u64>)>,
    /// What the gate was told of each, and when.
    outcomes: Vec<(u32, u64, Outcome)>,
    /// The attempt that is started, and how many run.
    hedged: Vec<(u32, u32)>,
    gave_up: Option<(u32, GiveUp)>,
    timed_out: Vec<u32>,
    budget: u32,
    result: Option<Result<Value, Error<End>>>,
    /// What the gate around the call was told.
    call: Option<Outcome>,
    ended: u64,
}

// The model.

/// An attempt that runs.
#[derive(Clone, Copy)]
struct Running {
    number: u32,
    end: End,
    ends_at: u64,
    cut_off_at: Option<u64>,
}

struct Walk<'a> {
    case: &'a Case,
    now: u64,
    seen: Seen,
    running: Vec<Running>,
    begun: u32,
    /// When another attempt would come beside those that run.
    planned: Option<u64>,
    /// A failed attempt is to be followed by another, which is paid for, as soon as servers allow.
    owed: bool,
    not_before: u64,
    error: Option<Error<End>>,
    outcome: Outcome,
    cause: GiveUp,
}

impl Walk<'_> {
    fn late(&self, at: u64) -> bool {
        self.case.deadline().is_some_and(|deadline| at >= deadline)
    }

    fn pay(&mut self) -> bool {
        let paid = self.seen.budget > 0;
        self.seen.budget -= u32::from(paid);
        paid
    }

    /// Makes the next attempt. One that the gate refuses has ended already.
    fn begin(&mut self) {
        let beside = !self.running.is_empty();
        self.begun += 1;
        let number = self.begun;
        let more = (number as usize) < self.case.max_attempts;
        self.planned = more.then_some((self.now + self.case.delay).max(self.not_before));
        self.planned = self.planned.filter(|at| !self.late(*at));
        let (takes, end) = self.case.script[number as usize - 1];
        if end == End::Full {
            self.seen.budget += u32::from(number > 1);
            self.error.get_or_insert(Error::Rejected(full()));
            // Of all attempts it was the last, or it speaks against the next one. None is begun
            // once the deadline is in the way.
            self.cause = if more { GiveUp::NotRetryable } else { GiveUp::Attempts };
            return;
        }
        let own = self.case.timeout.map(|timeout| self.now + timeout);
        let cut_off_at = [own, self.case.deadline()].into_iter().flatten().min();
        self.seen.begun.push((number, self.now, beside, cut_off_at));
        self.running.push(Running { number, end, ends_at: self.now + takes, cut_off_at });
    }

    /// Ends what runs, as it is no longer needed.
    fn drop_all(&mut self) {
        for attempt in std::mem::take(&mut self.running) {
            self.seen.outcomes.push((attempt.number, self.now, Outcome::Abandoned));
        }
        self.seen.budget += u32::from(std::mem::take(&mut self.owed));
    }

    fn finish(&mut self, result: Result<Value, Error<End>>) {
        if !matches!(result, Ok((_, None))) {
            self.seen.gave_up = Some((self.begun, self.cause));
        }
        self.drop_all();
        self.seen.result = Some(result);
        self.seen.call = Some(self.outcome);
    }

    /// An attempt ends now; true where that is the end of the call.
    fn end(&mut self, attempt: Running, cut_off: bool) -> bool {
        let end = if cut_off { End::Fails } else { attempt.end };
        let result = end.result(attempt.number);
        self.outcome = if result.is_ok() { Outcome::Success } else { Outcome::Failure };
        self.seen.outcomes.push((attempt.number, self.now, self.outcome));
        if cut_off {
            self.seen.timed_out.push(attempt.number);
        }
        let error = if cut_off { Error::TimedOut } else { Error::Inner(end) };
        match end {
            End::Works => {
                self.finish(result.map_err(Error::Inner));
                return true;
            }
            End::Poor(wait) => {
                self.not_before = self.not_before.max(self.now + wait);
                self.follow_up();
                // Where it is the last, it is the answer.
                let last = self.running.is_empty() && !self.owed;
                if last {
                    self.finish(result.map_err(Error::Inner));
                }
                return last;
            }
            End::Stops => {
                self.cause = GiveUp::NotRetryable;
                self.finish(Err(error));
                return true;
            }
            End::Busy(wait) => self.not_before = self.not_before.max(self.now + wait),
            End::Fails | End::Full => {}
        }
        self.error = Some(error);
        self.follow_up();
        false
    }

    /// What an attempt that failed leads to.
    fn follow_up(&mut self) {
        if self.begun as usize == self.case.max_attempts {
            self.cause = GiveUp::Attempts;
            return;
        }
        let at = self.now.max(self.not_before);
        if self.late(at) {
            (self.planned, self.cause) = (None, GiveUp::Deadline);
            self.seen.budget += u32::from(std::mem::take(&mut self.owed));
        } else if self.owed || self.pay() {
            (self.planned, self.owed) = (Some(at), true);
        } else {
            self.cause = GiveUp::Budget;
            let planned = self.planned.map(|planned| planned.max(self.not_before));
            self.planned = planned.filter(|at| !self.late(*at));
        }
    }

    /// Looks at the call once; true at its end.
    fn look(&mut self, mut first: u32) -> bool {
        loop {
            for attempt in self.running.clone() {
                let over = attempt.ends_at <= self.now;
                let cut_off = attempt.cut_off_at.is_some_and(|at| at <= self.now);
                if attempt.number < first || !(over || cut_off) {
                    continue;
                }
                self.running.retain(|other| other.number != attempt.number);
                if self.end(attempt, !over) {
                    return true;
                }
            }
            first = self.begun + 1;
            if self.running.is_empty() && !self.owed {
                // None where an answer was to be followed by another, which came too late.
                let error = self.error.take().unwrap_or(Error::TimedOut);
                self.finish(Err(error));
                return true;
            }
            if self.planned.is_none_or(|at| at > self.now) {
                return false;
            }
            if self.late(self.now) {
                (self.planned, self.cause) = (None, GiveUp::Deadline);
                self.seen.budget += u32::from(std::mem::take(&mut self.owed));
            } else if std::mem::take(&mut self.owed) || self.pay() {
                self.seen.hedged.push((self.begun + 1, self.running.len() as u32));
                self.begin();
            } else {
                self.planned = None;
            }
        }
    }
}

fn full() -> Rejection {
    Rejection::new(Reason::BulkheadFull)
}

fn on_paper(case: &Case) -> Seen {
    let mut walk = Walk {
        case,
        now: 0,
        seen: Seen { budget: case.budget, ..Seen::default() },
        running: Vec::new(),
        begun: 0,
        planned: None,
        owed: false,
        not_before: 0,
        error: None,
        outcome: Outcome::Refused,
        cause: GiveUp::Attempts,
    };
    if walk.late(0) {
        let late = Rejection::new(Reason::DeadlineExceeded);
        return Seen { result: Some(Err(Error::Rejected(late))), ..walk.seen };
    }
    walk.begin();
    while !walk.look(0) {
        if walk.now >= case.patience {
            let ran = walk.outcome != Outcome::Refused || !walk.running.is_empty();
            walk.drop_all();
            walk.seen.call = Some(if ran { Outcome::Abandoned } else { Outcome::Refused });
            break;
        }
        walk.now += case.grain;
    }
    walk.seen.ended = walk.now;
    walk.seen
}

// The real one.

struct Watch<'a> {
    case: &'a Case,
    clock: &'a Millis,
    seen: RefCell<Seen>,
    /// How many attempts were at the gate.
    entered: Cell<u32>,
}

impl Budget for &Watch<'_> {
    fn deposit(&self) {}

    fn withdraw(&self) -> Result<(), Rejection> {
        let left = &mut self.seen.borrow_mut().budget;
        *left = left.checked_sub(1).ok_or(Rejection::new(Reason::BudgetExhausted))?;
        Ok(())
    }

    fn refund(&self) {
        self.seen.borrow_mut().budget += 1;
    }
}

/// Around each attempt.
struct Attempted<'a>(&'a Watch<'a>);

impl Gate for Attempted<'_> {
    type Token = u32;

    fn enter(&self) -> Result<u32, Rejection> {
        let number = self.0.entered.get() + 1;
        self.0.entered.set(number);
        match self.0.case.script[number as usize - 1].1 {
            End::Full => Err(full()),
            _ => Ok(number),
        }
    }

    fn exit(&self, number: u32, outcome: Outcome) {
        let now = self.0.clock.now().0;
        self.0.seen.borrow_mut().outcomes.push((number, now, outcome));
    }
}

/// Around the call.
struct Called<'a>(&'a Watch<'a>);

impl Gate for Called<'_> {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        Ok(())
    }

    fn exit(&self, (): (), outcome: Outcome) {
        assert!(self.0.seen.borrow_mut().call.replace(outcome).is_none(), "left twice");
    }
}

impl Observer for &Watch<'_> {
    fn on_event(&self, event: &Event<'_>) {
        let mut seen = self.seen.borrow_mut();
        match *event {
            Event::Hedged { attempt, running, .. } => seen.hedged.push((attempt, running)),
            Event::TimedOut { attempt, .. } => seen.timed_out.push(attempt),
            Event::GaveUp { attempts, cause, .. } => seen.gave_up = Some((attempts, cause)),
            _ => {}
        }
    }
}

impl Watch<'_> {
    fn attempt(&self, attempt: Attempt) -> impl Future<Output = Result<Value, End>> + use<'_> {
        let begun = self.clock.now().0;
        let cut_off = attempt.deadline;
        let cut_off = (!cut_off.is_never()).then_some(cut_off.ticks().0);
        let row = (attempt.number, begun, attempt.is_hedge(), cut_off);
        self.seen.borrow_mut().begun.push(row);
        let (takes, end) = self.case.script[attempt.number as usize - 1];
        poll_fn(move |_| {
            if self.clock.now().0 < begun + takes {
                return Poll::Pending;
            }
            Poll::Ready(end.result(attempt.number))
        })
    }
}

fn decide(error: &End) -> Decision {
    match error {
        End::Stops => Decision::Stop,
        End::Busy(wait) => Decision::RetryAfter(Duration::from_millis(*wait)),
        _ => Decision::Retry,
    }
}

fn decide_about(value: &Value) -> Option<Decision> {
    Some(match value.1? {
        0 => Decision::Retry,
        wait => Decision::RetryAfter(Duration::from_millis(wait)),
    })
}

fn for_real<const N: usize>(case: &Case) -> Seen
where
    Attempts<N>: Count,
{
    let clock = Millis::new();
    let watch = Watch {
        case,
        clock: &clock,
        seen: RefCell::new(Seen { budget: case.budget, ..Seen::default() }),
        entered: Cell::new(0),
    };
    let ms = Duration::from_millis;
    let mut hedge = Hedge::idempotent(ms(case.delay))
        .max_attempts::<N>()
        .when(decide as fn(&End) -> Decision)
        .when_value(decide_about)
        .budget(&watch);
    if let Some(deadline) = case.deadlines[1] {
        hedge = hedge.deadline(ms(deadline));
    }
    let mut pipeline = Pipeline::new(&clock)
        .per_call(Called(&watch))
        .hedge(hedge)
        .per_attempt(Attempted(&watch))
        .observed_by("hedge", &watch);
    if let Some(deadline) = case.deadlines[0] {
        pipeline = pipeline.deadline(ms(deadline));
    }
    if let Some(timeout) = case.timeout {
        pipeline = pipeline.attempt_timeout(ms(timeout));
    }
    let outer = case.deadlines[2].map_or(Deadline::NEVER, |at| Deadline::at(Ticks(at)));
    {
        let mut call = pin!(pipeline.call_before(outer, |attempt| watch.attempt(attempt)));
        loop {
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(result) = polled {
                watch.seen.borrow_mut().result = Some(result);
                break;
            }
            if clock.now().0 >= case.patience {
                break;
            }
            clock.advance_ticks(case.grain);
        }
    }
    watch.seen.borrow_mut().ended = clock.now().0;
    watch.seen.into_inner()
}

fn cases() -> impl Strategy<Value = Case> {
    let end = prop_oneof![
        3 => Just(End::Works),
        1 => Just(End::Stops),
        2 => (0..40_u64).prop_map(End::Poor),
        4 => Just(End::Fails),
        2 => (0..40_u64).prop_map(End::Busy),
        1 => Just(End::Full),
    ];
    // The hedge's own counts from its first attempt, which is polled once in any case.
    let deadline = |from| proptest::option::weighted(0.3, from..80_u64);
    (
        2..=5_usize,
        0..15_u64,
        [deadline(0), deadline(1), deadline(0)],
        proptest::option::weighted(0.3, 1..40_u64),
        0..5_u32,
        proptest::collection::vec((0..50_u64, end), 5),
        prop_oneof![1 => 0..60_u64, 4 => Just(1000)],
        prop_oneof![3 => Just(1), 1 => 2..12_u64],
    )
        .prop_map(
            |(max_attempts, delay, deadlines, timeout, budget, script, patience, grain)| Case {
                max_attempts,
                delay,
                deadlines,
                timeout,
                budget,
                script,
                patience,
                grain,
            },
        )
}

/// Two attempts that end at the same moment may give back what they hold in either order.
fn sorted(mut seen: Seen) -> Seen {
    seen.outcomes.sort_by_key(|(number, ..)| *number);
    seen
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn agrees_with_the_model(case in cases()) {
        let real = match case.max_attempts {
            2 => for_real::<2>(&case),
            3 => for_real::<3>(&case),
            4 => for_real::<4>(&case),
            _ => for_real::<5>(&case),
        };
        prop_assert_eq!(sorted(real), sorted(on_paper(&case)));
    }
}
