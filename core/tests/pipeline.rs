//! What each part of a pipeline is told, in which order, and what is given back when.

use std::cell::{Cell, RefCell};
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Attempt, Backoff, BreakerConfig, BucketConfig, BudgetConfig, Call, CircuitBreaker, Clock,
    Deadline, Error, Event, FailureIf, Gate, GiveUp, Immediate, ManualClock, Observer, Operation,
    Outcome, Pipeline, Queue, Ratio, Reason, Rejection, Retry, RetryBudget, Semaphore, Ticks,
    Timeout, Timer, TokenBucket, WaitGate,
};

const MS: fn(u64) -> Duration = Duration::from_millis;

/// What happened, in order.
#[derive(Default)]
struct Journal(RefCell<Vec<String>>);

impl Journal {
    fn note(&self, entry: impl Into<String>) {
        self.0.borrow_mut().push(entry.into());
    }

    fn take(&self) -> Vec<String> {
        self.0.take()
    }
}

impl Observer for Journal {
    fn on_event(&self, event: &Event<'_>) {
        self.note(match event {
            Event::Rejected { name, rejection } => format!("{name}: rejected, {rejection}"),
            Event::Retrying { name, attempt, delay } => {
                format!("{name}: {attempt} failed, again in {delay:?}")
            }
            Event::GaveUp { name, attempts, cause } => {
                format!("{name}: gave up after {attempts}, {cause:?}")
            }
            Event::TimedOut { name, attempt } => format!("{name}: {attempt} timed out"),
            other => format!("{other:?}"),
        });
    }
}

/// A gate that writes down what it is told, and refuses while `refusing` holds a reason.
struct Scribe<'a> {
    name: &'static str,
    journal: &'a Journal,
    refusing: Cell<Option<Reason>>,
    /// How many polls a wait takes.
    wait: Cell<u32>,
}

impl<'a> Scribe<'a> {
    fn new(name: &'static str, journal: &'a Journal) -> Self {
        Self { name, journal, refusing: Cell::new(None), wait: Cell::new(0) }
    }
}

impl Gate for Scribe<'_> {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        if let Some(reason) = self.refusing.get() {
            self.journal.note(format!("{} refuses", self.name));
            return Err(Rejection::new(reason));
        }
        self.journal.note(format!("{} enter", self.name));
        Ok(())
    }

    fn exit(&self, (): (), outcome: Outcome) {
        self.journal.note(format!("{} {outcome:?}", self.name));
    }
}

impl<T: Timer> WaitGate<T> for Scribe<'_> {
    /// The polls left.
    type Waiting = Option<u32>;

    fn poll_enter(
        &self,
        mut waiting: Pin<&mut Option<u32>>,
        timer: &T,
        until: Deadline,
        _: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        if until.expired(timer) {
            return Poll::Ready(Err(Rejection::new(Reason::DeadlineExceeded)));
        }
        let left = waiting.get_or_insert(self.wait.get());
        if *left == 0 {
            return Poll::Ready(self.enter());
        }
        *left -= 1;
        Poll::Pending
    }

    fn cancel_enter(&self, waiting: Pin<&mut Option<u32>>, _: &T) {
        if waiting.is_some() {
            self.journal.note(format!("{} given up", self.name));
        }
    }
}

/// Something an operation holds.
struct Held<'a>(&'a Journal);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.note("operation dropped");
    }
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    for _ in 0..100 {
        if let Poll::Ready(output) = poll(future.as_mut()) {
            return output;
        }
    }
    panic!("still pending");
}

#[test]
fn parts_are_entered_from_outside_in_and_told_from_inside_out() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, first, second) =
        (Scribe::new("call", &journal), Scribe::new("a", &journal), Scribe::new("b", &journal));
    let result: Result<u32, Error<&str>> = ready(
        Pipeline::new(&clock)
            .observed_by("p", &journal)
            .per_call(&call)
            .retry(Retry::new(Backoff::none()))
            .per_attempt((&first, &second))
            .call(|attempt: Attempt| {
                journal.note(format!("attempt {}", attempt.number));
                let held = Held(&journal);
                async move {
                    let _held = held;
                    if attempt.is_retry() { Ok(attempt.number) } else { Err("no") }
                }
            }),
    );
    assert_eq!(result, Ok(2));
    let expected = [
        "call enter",
        "a enter",
        "b enter",
        "attempt 1",
        "operation dropped",
        "b Failure",
        "a Failure",
        "p: 1 failed, again in 0ns",
        "a enter",
        "b enter",
        "attempt 2",
        "operation dropped",
        "b Success",
        "a Success",
        "call Success",
    ];
    assert_eq!(journal.take(), expected);
}

#[test]
fn a_refusal_is_not_retried_when_it_would_last_and_is_when_it_passes() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, gate) = (Scribe::new("call", &journal), Scribe::new("gate", &journal));
    let pipeline =
        Pipeline::new(&clock).per_call(&call).retry(Retry::new(Backoff::none())).per_attempt(&gate);
    let run = || ready(pipeline.call(|_| async { Ok::<_, ()>(1) }));

    gate.refusing.set(Some(Reason::CircuitOpen));
    let refused = run().unwrap_err().rejection().unwrap();
    assert_eq!(refused.reason(), Reason::CircuitOpen);
    // No operation ran: what the outer gate gave is not used up.
    assert_eq!(journal.take(), ["call enter", "gate refuses", "call Refused"]);

    gate.refusing.set(Some(Reason::BulkheadFull));
    assert_eq!(run().unwrap_err().rejection().unwrap().reason(), Reason::BulkheadFull);
    let thrice = ["call enter", "gate refuses", "gate refuses", "gate refuses", "call Refused"];
    assert_eq!(journal.take(), thrice);

    call.refusing.set(Some(Reason::RateLimited));
    assert_eq!(run().unwrap_err().rejection().unwrap().reason(), Reason::RateLimited);
    assert_eq!(journal.take(), ["call refuses"]);
}

#[test]
fn gates_around_the_call_hear_about_the_last_attempt_that_ran() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, gate) = (Scribe::new("call", &journal), Scribe::new("gate", &journal));
    let result = ready(
        Pipeline::new(&clock)
            .per_call(&call)
            .retry(Retry::new(Backoff::none()))
            .per_attempt(&gate)
            .classify(FailureIf(|error: &u32| *error >= 500))
            .call(|_| {
                gate.refusing.set(Some(Reason::CircuitOpen));
                async { Err::<(), _>(404) }
            }),
    );
    assert!(matches!(result, Err(Error::Rejected(_))));
    let expected = ["call enter", "gate enter", "gate Ignored", "gate refuses", "call Ignored"];
    assert_eq!(journal.take(), expected);
}

#[test]
fn an_attempt_that_is_cut_off_is_a_failure_and_is_tried_again() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let gate = Scribe::new("gate", &journal);
    let pipeline = Pipeline::new(&clock)
        .observed_by("p", &journal)
        .retry(Retry::new(Backoff::constant(MS(50))).max_attempts(2))
        .per_attempt(&gate)
        .attempt_timeout(MS(100));
    let mut call = pin!(pipeline.call(|attempt| {
        let due = 100 + if attempt.is_retry() { 150 } else { 0 };
        assert_eq!(attempt.deadline, Deadline::at(Ticks(due)));
        let held = Held(&journal);
        async move {
            let _held = held;
            pending::<Result<(), ()>>().await
        }
    }));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(MS(99));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(MS(1));
    assert!(poll(call.as_mut()).is_pending());
    let expected = [
        "gate enter",
        "operation dropped",
        "gate Failure",
        "p: 1 timed out",
        "p: 1 failed, again in 50ms",
    ];
    assert_eq!(journal.take(), expected);
    clock.advance(MS(50));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(MS(100));
    assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::TimedOut)));
    let expected = [
        "gate enter",
        "operation dropped",
        "gate Failure",
        "p: 2 timed out",
        "p: gave up after 2, Attempts",
    ];
    assert_eq!(journal.take(), expected);
    assert_eq!(poll(call.as_mut()), Poll::Pending, "an answer is given once");
}

#[test]
fn the_deadline_cuts_off_an_attempt_and_ends_the_call() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, gate) = (Scribe::new("call", &journal), Scribe::new("gate", &journal));
    let pipeline = Pipeline::new(&clock)
        .observed_by("p", &journal)
        .deadline(MS(100))
        .per_call(&call)
        .retry(Retry::new(Backoff::none()))
        .per_attempt(&gate)
        .attempt_timeout(Timeout::NORMAL);
    let mut running = pin!(pipeline.call(|attempt| {
        assert_eq!(attempt.deadline, Deadline::at(Ticks(100)));
        pending::<Result<(), ()>>()
    }));
    assert!(poll(running.as_mut()).is_pending());
    clock.advance(MS(100));
    assert_eq!(poll(running.as_mut()), Poll::Ready(Err(Error::TimedOut)));
    let expected = [
        "call enter",
        "gate enter",
        "gate Failure",
        "p: 1 timed out",
        "p: gave up after 1, Deadline",
        "call Failure",
    ];
    assert_eq!(journal.take(), expected);
}

#[test]
fn a_call_after_its_deadline_takes_nothing_and_the_earlier_deadline_holds() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let gate = Scribe::new("gate", &journal);
    let pipeline =
        Pipeline::new(&clock).observed_by("p", &journal).deadline(MS(100)).per_call(&gate);
    let seen = |outer: Deadline| {
        ready(pipeline.call_before(outer, |attempt| async move { Ok::<_, ()>(attempt.deadline) }))
    };
    assert_eq!(seen(Deadline::NEVER), Ok(Deadline::at(Ticks(100))));
    assert_eq!(seen(Deadline::at(Ticks(30))), Ok(Deadline::at(Ticks(30))));
    assert_eq!(seen(Deadline::at(Ticks(300))), Ok(Deadline::at(Ticks(100))));
    journal.take();

    clock.advance(MS(30));
    let late = seen(Deadline::at(Ticks(30))).unwrap_err().rejection().unwrap();
    assert_eq!(late.reason(), Reason::DeadlineExceeded);
    assert_eq!(journal.take(), [format!("p: rejected, {late}")]);
}

#[test]
fn nothing_is_taken_before_the_first_poll() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let gate = Scribe::new("gate", &journal);
    let pipeline = Pipeline::new(&clock).per_call(&gate).per_attempt(&gate);
    drop(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    assert!(journal.take().is_empty());
}

#[test]
fn a_cancelled_call_gives_back_from_inside_out() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, gate) = (Scribe::new("call", &journal), Scribe::new("gate", &journal));
    let pipeline = Pipeline::new(&clock)
        .per_call_waiting(&call)
        .retry(Retry::new(Backoff::constant(MS(10))))
        .per_attempt_waiting(&gate);

    // While an operation runs.
    let held = RefCell::new(Some(Held(&journal)));
    let mut running = Box::pin(pipeline.call(|_| {
        let held = held.take();
        async move {
            let _held = held;
            pending::<Result<(), ()>>().await
        }
    }));
    assert!(poll(running.as_mut()).is_pending());
    drop(running);
    let expected =
        ["call enter", "gate enter", "operation dropped", "gate Abandoned", "call Abandoned"];
    assert_eq!(journal.take(), expected);

    // In the wait between two attempts.
    let mut waiting = Box::pin(pipeline.call(|_| async { Err::<(), _>(()) }));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(journal.take(), ["call enter", "gate enter", "gate Failure", "call Abandoned"]);

    // At the gate, before any operation ran: a token of the outer gate was not used.
    gate.wait.set(1);
    let mut queued = Box::pin(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    assert!(poll(queued.as_mut()).is_pending());
    drop(queued);
    assert_eq!(journal.take(), ["call enter", "gate given up", "call Refused"]);

    // At the gate around the call.
    call.wait.set(1);
    let mut queued = Box::pin(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    assert!(poll(queued.as_mut()).is_pending());
    drop(queued);
    assert_eq!(journal.take(), ["call given up"]);

    // Once it is over.
    let mut over = Box::pin(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    while poll(over.as_mut()).is_pending() {}
    journal.take();
    drop(over);
    assert!(journal.take().is_empty());
}

#[test]
fn a_retry_that_is_cancelled_before_it_begins_costs_nothing() {
    let clock = ManualClock::<1000>::new();
    let config = BudgetConfig::new(Ratio::percent(0)).floor_per_second(5);
    let budget = RetryBudget::new(config, &clock);
    let retry = Retry::new(Backoff::constant(MS(10))).budget(&budget);
    let failing = |_: Attempt| async { Err::<(), _>(()) };

    let pipeline = Pipeline::new(&clock).retry(retry);
    let mut waiting = Box::pin(pipeline.call(failing));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(budget.balance(), 4, "it is paid for before the wait");
    drop(waiting);
    assert_eq!(budget.balance(), 5);

    let mut waiting = Box::pin(retry.call(&clock, failing));
    assert!(poll(waiting.as_mut()).is_pending());
    drop(waiting);
    assert_eq!(budget.balance(), 5);

    // One that has begun is used, whether it ends or not.
    let mut begun = Box::pin(retry.call(&clock, |attempt: Attempt| async move {
        if attempt.is_retry() { pending::<Result<(), ()>>().await } else { Err(()) }
    }));
    assert!(poll(begun.as_mut()).is_pending());
    clock.advance(MS(10));
    assert!(poll(begun.as_mut()).is_pending());
    drop(begun);
    assert_eq!(budget.balance(), 4);
}

/// A retry is paid for when it is decided on. One that was cancelled after its delay, while it
/// waited at the gate around the attempt, kept what it had paid for an operation that never ran.
#[test]
fn a_retry_that_is_cancelled_at_its_gate_costs_nothing() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let gate = Scribe::new("gate", &journal);
    let config = BudgetConfig::new(Ratio::percent(0)).floor_per_second(5);
    let budget = RetryBudget::new(config, &clock);
    let pipeline = Pipeline::new(&clock)
        .retry(Retry::new(Backoff::none()).budget(&budget))
        .per_attempt_waiting(&gate);
    let mut call = Box::pin(pipeline.call(|_| {
        gate.wait.set(1);
        async { Err::<(), _>(()) }
    }));
    assert!(poll(call.as_mut()).is_pending());
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!((journal.take().len(), budget.balance()), (2, 4), "paid for, and at the gate");
    drop(call);
    assert_eq!((journal.take(), budget.balance()), (vec!["gate given up".to_owned()], 5));
}

/// A retry that its gate refused stayed paid for: a breaker that opened in the middle of an outage
/// drained the budget that all callers share by retries that never ran.
#[test]
fn a_retry_that_its_gate_refuses_costs_nothing() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let gate = Scribe::new("gate", &journal);
    let config = BudgetConfig::new(Ratio::percent(0)).floor_per_second(5);
    let budget = RetryBudget::new(config, &clock);
    let pipeline = Pipeline::new(&clock)
        .retry(Retry::new(Backoff::none()).max_attempts(4).budget(&budget))
        .per_attempt(&gate);
    // One that lasts ends the call; one that passes is tried again, and pays for that anew.
    for reason in [Reason::CircuitOpen, Reason::BulkheadFull] {
        gate.refusing.set(None);
        let call = pipeline.call(|_| {
            gate.refusing.set(Some(reason));
            async { Err::<(), _>(()) }
        });
        assert_eq!(ready(call), Err(Error::Rejected(Rejection::new(reason))));
        assert_eq!(budget.balance(), 5);
    }
    // A first attempt was not paid for.
    assert!(ready(pipeline.call(|_| async { Ok::<_, ()>(()) })).is_err());
    assert_eq!(budget.balance(), 5);
}

/// Where refusals were free at once, a call without a limit of attempts went on for ever at a gate
/// that refuses for the moment, as fast as it could.
#[test]
fn a_budget_ends_a_call_whose_gate_goes_on_to_refuse() {
    let clock: ManualClock = ManualClock::new();
    let journal = Journal::default();
    let gate = Scribe::new("gate", &journal);
    gate.refusing.set(Some(Reason::Overloaded));
    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0).reserve(5);
    let budget = RetryBudget::new(config, &clock);
    (0..5).for_each(|_| budget.deposit());
    let pipeline = Pipeline::new(&clock)
        .retry(Retry::new(Backoff::none()).unlimited().budget(&budget))
        .per_attempt(&gate);
    let mut call = pin!(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    for refused in 1..=5 {
        assert!(poll(call.as_mut()).is_pending());
        assert_eq!(budget.balance(), 5 - refused, "so many retries are due or were refused");
    }
    let Poll::Ready(Err(Error::Rejected(rejection))) = poll(call) else { panic!("it is spent") };
    assert_eq!((rejection.reason(), journal.take().len()), (Reason::Overloaded, 6));
    assert_eq!(budget.balance(), 5, "none took place");

    let mut call = Box::pin(pipeline.call(|_| async { Ok::<_, ()>(()) }));
    (0..3).for_each(|_| assert!(poll(call.as_mut()).is_pending()));
    assert_eq!(budget.balance(), 2);
    drop(call);
    assert_eq!(budget.balance(), 5, "also where it is cancelled");
}

/// A timer that woke late, or a place that came free in the last moment, let an attempt start after
/// the deadline. It was cut off at its first poll, and the breaker was charged with the failure of
/// an operation that had no time at all.
#[test]
fn a_wait_at_a_gate_past_the_deadline_runs_nothing_and_charges_nobody() {
    let clock = ManualClock::<1000>::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(1).burst(1), &clock);
    let places: Semaphore<Queue<1>> = Semaphore::new(1);
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), &clock);
    let ran = Cell::new(false);
    let operation = |_: Attempt| {
        ran.set(true);
        pending::<Result<(), ()>>()
    };
    let reason = |answer: Poll<Result<(), Error<()>>>| match answer {
        Poll::Ready(Err(error)) => error.rejection().map(|rejection| rejection.reason()),
        other => panic!("{other:?}"),
    };
    let nobody_charged =
        || !ran.get() && breaker.snapshot().counts.consecutive_failures == 0 && !breaker.is_open();

    // At the gates of an attempt: the token is due after 1000 ms.
    bucket.try_acquire(1).unwrap();
    let per_attempt = Pipeline::new(&clock)
        .deadline(MS(1500))
        .per_attempt_waiting((&bucket, Immediate(&breaker)));
    let mut call = pin!(per_attempt.call(operation));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(MS(1600));
    assert_eq!(reason(poll(call.as_mut())), Some(Reason::DeadlineExceeded));
    assert!(nobody_charged());
    assert!(bucket.try_acquire(1).is_ok(), "the token was given back");

    // At the gates of the call.
    let held = places.try_acquire().unwrap();
    let per_call =
        Pipeline::new(&clock).deadline(MS(1000)).per_call_waiting(&places).per_attempt(&breaker);
    let mut call = pin!(per_call.call(operation));
    assert!(poll(call.as_mut()).is_pending());
    clock.advance(MS(1001));
    drop(held);
    assert_eq!(reason(poll(call.as_mut())), Some(Reason::DeadlineExceeded));
    assert!(nobody_charged());
    assert_eq!(places.available(), 1);
}

#[test]
fn waits_at_gates_end_by_the_deadline() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, gate) = (Scribe::new("call", &journal), Scribe::new("gate", &journal));
    let pipeline = Pipeline::new(&clock)
        .deadline(MS(100))
        .per_call_waiting(&call)
        .retry(Retry::new(Backoff::none()))
        .per_attempt_waiting(&gate);
    let reason_after = |polls| {
        let mut waiting = pin!(pipeline.call(|_| async { Ok::<_, ()>(()) }));
        for _ in 0..polls {
            assert!(poll(waiting.as_mut()).is_pending());
        }
        clock.advance(MS(100));
        match poll(waiting.as_mut()) {
            Poll::Ready(result) => result.map_err(|error| error.rejection().unwrap().reason()),
            Poll::Pending => panic!("waits past the deadline"),
        }
    };
    call.wait.set(5);
    assert_eq!(reason_after(2), Err(Reason::DeadlineExceeded));
    assert!(journal.take().is_empty());
    call.wait.set(1);
    gate.wait.set(5);
    assert_eq!(reason_after(2), Err(Reason::DeadlineExceeded));
    assert_eq!(journal.take(), ["call enter", "call Refused"]);
}

#[test]
fn a_panic_is_a_failure_for_all_gates() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let (call, gate) = (Scribe::new("call", &journal), Scribe::new("gate", &journal));
    let pipeline = Pipeline::new(&clock).per_call(&call).per_attempt(&gate);
    let expected = ["call enter", "gate enter", "gate Failure", "call Failure"];

    // In the operation.
    let call =
        || ready(pipeline.call(|_| async { if true { panic!("boom") } else { Ok::<(), ()>(()) } }));
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(journal.take(), expected);

    // In the closure that makes it.
    let call = || {
        ready(pipeline.call(|_| {
            if true {
                panic!("boom")
            }
            std::future::ready(Ok::<(), ()>(()))
        }))
    };
    assert!(catch_unwind(AssertUnwindSafe(call)).is_err());
    assert_eq!(journal.take(), expected);
}

#[test]
fn a_retry_without_delay_lets_others_have_their_turn() {
    let clock = ManualClock::<1000>::new();
    let mut call = pin!(
        Retry::new(Backoff::none()).unlimited().call(&clock, |_| async { Err::<(), _>("down") })
    );
    for _ in 0..1000 {
        assert!(poll(call.as_mut()).is_pending());
    }
}

#[test]
fn a_retry_that_wakes_too_late_gives_up_with_the_error_it_has() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let retry = Retry::new(Backoff::constant(MS(50))).observed_by("r", &journal).deadline(MS(100));
    let mut call = pin!(retry.call(&clock, |attempt| async move { Err::<(), _>(attempt.number) }));
    assert!(poll(call.as_mut()).is_pending());
    // The executor was busy elsewhere.
    clock.advance(MS(100));
    assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::Inner(1))));
    assert_eq!(
        journal.take(),
        [
            "r: 1 failed, again in 50ms".to_owned(),
            format!("r: gave up after 1, {:?}", GiveUp::Deadline)
        ]
    );
}

#[test]
fn without_deadline_and_timeout_no_clock_is_read() {
    struct Broken;
    impl Clock for Broken {
        const TICKS_PER_SECOND: u64 = 1;
        fn now(&self) -> Ticks {
            panic!("nobody should ask")
        }
    }
    impl Timer for Broken {
        type Sleep = std::future::Pending<()>;
        fn sleep_until(&self, _at: Ticks) -> Self::Sleep {
            pending()
        }
    }
    let gate = Immediate(());
    let pipeline = Pipeline::new(Broken)
        .per_call_waiting(gate)
        .retry(Retry::new(Backoff::constant(MS(1))).max_attempts(1))
        .per_attempt(gate);
    assert_eq!(ready(pipeline.call(|_| async { Ok::<_, ()>(1) })), Ok(1));
    assert_eq!(ready(pipeline.call(|_| async { Err::<(), _>(2) })), Err(Error::Inner(2)));
}

/// Something that can be sent once.
struct Letter(Option<&'static str>);

impl Operation for Letter {
    type Value = ();
    type Error = &'static str;
    type Future = std::future::Ready<Result<(), &'static str>>;

    fn attempt(&mut self, _attempt: Attempt) -> Self::Future {
        std::future::ready(Err(self.0.take().expect("it is sent once")))
    }

    fn can_repeat(&self, _waiting: u32) -> bool {
        self.0.is_some()
    }
}

#[test]
fn what_cannot_be_repeated_is_not_and_no_retry_is_paid_for() {
    let (clock, journal) = (ManualClock::<1000>::new(), Journal::default());
    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0);
    let budget = RetryBudget::new(config, &clock);
    let refusing = Scribe::new("gate", &journal);
    refusing.refusing.set(Some(Reason::RateLimited));
    let retry = Retry::new(Backoff::none()).budget(&budget);
    let pipeline =
        Pipeline::new(&clock).retry(retry).per_attempt(&refusing).observed_by("pipeline", &journal);
    let mut call = pin!(Call::new(&pipeline, Deadline::NEVER, Letter(Some("lost"))));
    // Refused before it was sent, it still can be.
    assert!(poll(call.as_mut()).is_pending());
    refusing.refusing.set(None);
    journal.take();
    let balance = budget.balance();
    assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::Inner("lost"))));
    assert_eq!(budget.balance(), balance, "nothing was withdrawn");
    let told = journal.take();
    assert_eq!(told.last().map(String::as_str), Some("pipeline: gave up after 2, NotRetryable"));
}
