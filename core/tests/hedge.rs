//! Hedged calls, alone and in pipelines, on a clock that moves when told to.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Attempt, Budget, Call, Clock, Deadline, Decision, Error, Event, Gate, GiveUp, Hedge,
    ManualClock, Observer, Operation, Outcome, Pipeline, PipelineMeter, Queue, Reason, Rejection,
    RetryNone, Semaphore, Ticks, Timer,
};

type Ms = ManualClock<1_000>;

const DELAY: Duration = Duration::from_millis(10);

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Polls until the clock has come to `until`, a millisecond at a time.
fn run_until<F: Future>(clock: &Ms, until: u64, mut future: Pin<&mut F>) -> Poll<F::Output> {
    loop {
        let polled = poll(future.as_mut());
        if polled.is_ready() || clock.now() >= Ticks(until) {
            return polled;
        }
        clock.advance(ms(1));
    }
}

/// The answer, and the time at which it came.
fn run<F: Future>(clock: &Ms, future: F) -> (u64, F::Output) {
    match run_until(clock, clock.now().0 + 10_000, pin!(future)) {
        Poll::Ready(output) => (clock.now().0, output),
        Poll::Pending => panic!("no answer"),
    }
}

/// An operation whose attempts take so many milliseconds each, and end so.
#[derive(Default)]
struct Service {
    /// Number, time, whether it is a hedge.
    begun: RefCell<Vec<(u32, u64, bool)>>,
    /// Those that were dropped before they ended, and when.
    dropped: RefCell<Vec<(u32, u64)>>,
}

impl Service {
    fn call<'a, E: Copy>(
        &'a self,
        clock: &'a Ms,
        script: &'a [(u64, Result<u32, E>)],
    ) -> impl FnMut(Attempt) -> Pin<Box<dyn Future<Output = Result<u32, E>> + 'a>> {
        move |attempt| {
            let now = clock.now().0;
            self.begun.borrow_mut().push((attempt.number, now, attempt.is_hedge()));
            Box::pin(async move {
                let mut dropped = NoteDrop { of: self, clock, attempt: Some(attempt.number) };
                let (takes, result) = script[attempt.number as usize - 1];
                if takes > 0 {
                    clock.sleep_until(Ticks(now + takes)).await;
                }
                dropped.attempt = None;
                result
            })
        }
    }
}

struct NoteDrop<'a> {
    of: &'a Service,
    clock: &'a Ms,
    attempt: Option<u32>,
}

impl Drop for NoteDrop<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt {
            self.of.dropped.borrow_mut().push((attempt, self.clock.now().0));
        }
    }
}

/// A budget that counts.
#[derive(Default)]
struct Purse {
    left: Cell<u32>,
    deposits: Cell<u32>,
}

impl Purse {
    fn with(left: u32) -> Self {
        Self { left: Cell::new(left), deposits: Cell::new(0) }
    }
}

impl Budget for Purse {
    fn deposit(&self) {
        self.deposits.set(self.deposits.get() + 1);
    }

    fn withdraw(&self) -> Result<(), Rejection> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Rejection::new(Reason::BudgetExhausted)),
        }
    }

    fn refund(&self) {
        self.left.set(self.left.get() + 1);
    }
}

#[derive(Default)]
struct Log(RefCell<Vec<String>>);

impl Observer for Log {
    fn on_event(&self, event: &Event<'_>) {
        self.0.borrow_mut().push(event.to_string());
    }
}

#[test]
fn a_fast_call_makes_one_attempt() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let hedge = Hedge::idempotent(DELAY).budget(&purse);
    let answer = run(&clock, hedge.call(&clock, service.call::<()>(&clock, &[(9, Ok(1))])));
    assert_eq!(answer, (9, Ok(1)));
    assert_eq!(*service.begun.borrow(), [(1, 0, false)]);
    assert_eq!((purse.left.get(), purse.deposits.get()), (5, 1));
}

#[test]
fn a_slow_call_is_answered_by_the_second_attempt_and_the_first_is_dropped() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let hedge = Hedge::idempotent(DELAY).budget(&purse);
    let script = [(1000, Ok(1)), (5, Ok(2))];
    let answer = run(&clock, hedge.call(&clock, service.call::<()>(&clock, &script)));
    assert_eq!(answer, (15, Ok(2)));
    assert_eq!(*service.begun.borrow(), [(1, 0, false), (2, 10, true)]);
    assert_eq!(*service.dropped.borrow(), [(1, 15)], "before the answer is there");
    assert_eq!(purse.left.get(), 4);
}

#[test]
fn the_first_attempt_may_still_win() {
    let (clock, service) = (Ms::new(), Service::default());
    let script = [(12, Ok(1)), (1000, Ok(2))];
    let answer =
        run(&clock, Hedge::idempotent(DELAY).call(&clock, service.call::<()>(&clock, &script)));
    assert_eq!(answer, (12, Ok(1)));
    assert_eq!(*service.dropped.borrow(), [(2, 12)]);
}

#[test]
fn attempts_follow_at_equal_distances_up_to_the_limit() {
    let (clock, service) = (Ms::new(), Service::default());
    let hedge = Hedge::idempotent(DELAY).max_attempts::<4>();
    let script = [(100, Ok(1)), (100, Ok(2)), (100, Ok(3)), (65, Ok(4))];
    let answer = run(&clock, hedge.call(&clock, service.call::<()>(&clock, &script)));
    assert_eq!(answer, (95, Ok(4)));
    let begun = [(1, 0, false), (2, 10, true), (3, 20, true), (4, 30, true)];
    assert_eq!(*service.begun.borrow(), begun);
    assert_eq!(*service.dropped.borrow(), [(1, 95), (2, 95), (3, 95)]);
}

#[test]
fn a_failure_starts_the_next_attempt_at_once() {
    let (clock, service, log) = (Ms::new(), Service::default(), Log::default());
    let hedge = Hedge::idempotent(DELAY).max_attempts::<3>().observed_by("db", &log);
    let script = [(3, Err("reset")), (100, Ok(2)), (10, Ok(3))];
    let answer = run(&clock, hedge.call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (23, Ok(3)), "the third one comes a delay after the second");
    assert_eq!(*service.begun.borrow(), [(1, 0, false), (2, 3, false), (3, 13, true)]);
    let lines = [
        "db: all attempts so far have failed, attempt 2 starts",
        "db: no answer so far, attempt 3 starts as well",
    ];
    assert_eq!(*log.0.borrow(), lines);
}

#[test]
fn a_final_failure_ends_the_call() {
    let (clock, service, log) = (Ms::new(), Service::default(), Log::default());
    let hedge = Hedge::idempotent(DELAY).when(|_: &&str| Decision::Stop).observed_by("db", &log);
    let script = [(100, Ok(1)), (5, Err("bad request"))];
    let answer = run(&clock, hedge.call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (15, Err(Error::Inner("bad request"))));
    assert_eq!(*service.dropped.borrow(), [(1, 15)]);
    assert_eq!(
        log.0.borrow().last().unwrap(),
        "db: gave up after 2 attempts: the error is not one to retry"
    );

    let hedge = Hedge::idempotent(DELAY).when(RetryNone);
    let script = [(5, Err("down"))];
    let answer = run(&clock, hedge.call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (20, Err(Error::Inner("down"))));
}

#[test]
fn a_server_may_ask_to_be_left_alone() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let hedge = Hedge::idempotent(DELAY)
        .max_attempts::<3>()
        .when(|wait: &u64| Decision::RetryAfter(ms(*wait)))
        .budget(&purse);
    // The second one fails at 12 and asks for 50; the third one would have come at 20.
    let script = [(1000, Ok(1)), (2, Err(50)), (1, Ok(3))];
    let answer = run(&clock, hedge.call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (63, Ok(3)));
    assert_eq!(*service.begun.borrow(), [(1, 0, false), (2, 10, true), (3, 62, true)]);
    assert_eq!(purse.left.get(), 3);

    // The wait would end after the deadline: the call ends with the error now.
    let early = hedge.deadline(ms(40));
    let (begin, script) = (clock.now().0, [(2, Err(50))]);
    let answer = run(&clock, early.call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (begin + 2, Err(Error::Inner(50))));
    assert_eq!(purse.left.get(), 3);
}

#[test]
fn what_was_paid_for_an_attempt_that_did_not_begin_is_given_back() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(1));
    let hedge =
        Hedge::idempotent(DELAY).when(|wait: &u64| Decision::RetryAfter(ms(*wait))).budget(&purse);
    let script = [(2, Err(50)), (1, Ok(2))];
    {
        let mut call = pin!(hedge.call(&clock, service.call(&clock, &script)));
        assert!(run_until(&clock, 30, call.as_mut()).is_pending());
        assert_eq!(purse.left.get(), 0, "paid for");
    }
    assert_eq!(purse.left.get(), 1, "the call was cancelled");

    // Another attempt succeeds in the meantime.
    let hedge = hedge.max_attempts::<3>();
    let script = [(30, Ok(1)), (2, Err(50)), (1, Ok(3))];
    let purse_before = Purse::with(2);
    let hedge = hedge.budget(&purse_before);
    let (_, answer) = run(&clock, hedge.call(&clock, service.call(&clock, &script)));
    assert_eq!((answer, purse_before.left.get()), (Ok(1), 1));
}

#[test]
fn a_spent_budget_means_fewer_attempts() {
    let (clock, service, purse, log) =
        (Ms::new(), Service::default(), Purse::with(1), Log::default());
    let hedge = Hedge::idempotent(DELAY).max_attempts::<3>().budget(&purse).observed_by("db", &log);
    let script = [(40, Err("slow")), (50, Err("slower")), (0, Ok(3))];
    let answer = run(&clock, hedge.call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (60, Err(Error::Inner("slower"))));
    assert_eq!(service.begun.borrow().len(), 2);
    assert_eq!((purse.left.get(), purse.deposits.get()), (0, 1));
    assert_eq!(
        log.0.borrow().last().unwrap(),
        "db: gave up after 2 attempts: the retry budget is spent"
    );
}

#[test]
fn the_last_error_is_the_answer() {
    let (clock, service) = (Ms::new(), Service::default());
    let script = [(30, Err("first")), (5, Err("second"))];
    let answer = run(&clock, Hedge::idempotent(DELAY).call(&clock, service.call(&clock, &script)));
    assert_eq!(answer, (30, Err(Error::Inner("first"))));
}

#[test]
fn nothing_begins_at_or_after_the_deadline() {
    for (deadline, begun) in [(10, 1), (11, 2)] {
        let (clock, service, log) = (Ms::new(), Service::default(), Log::default());
        let hedge = Hedge::idempotent(DELAY).deadline(ms(deadline)).observed_by("db", &log);
        let script = [(1000, Ok(1)), (1000, Ok(2))];
        let answer = run(&clock, hedge.call(&clock, service.call::<()>(&clock, &script)));
        assert_eq!(answer, (deadline, Err(Error::TimedOut)));
        assert_eq!(service.begun.borrow().len(), begun);
        assert_eq!(service.dropped.borrow().len(), begun);
    }
    // Where it has passed at the first poll nothing is deposited, either.
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(1));
    let passed = Deadline::after(&clock, Duration::ZERO);
    let hedge = Hedge::idempotent(DELAY).budget(&purse);
    let call = hedge.call_before(&clock, passed, service.call::<()>(&clock, &[]));
    let refused = Rejection::new(Reason::DeadlineExceeded);
    assert_eq!(run(&clock, call).1, Err(Error::Rejected(refused)));
    assert_eq!(purse.deposits.get(), 0);
}

#[test]
fn no_timer_is_set_for_an_attempt_that_would_begin_too_late() {
    /// Notes the latest instant that somebody waits for.
    struct Noting<'a>(&'a Ms, Cell<u64>);
    impl Clock for Noting<'_> {
        const TICKS_PER_SECOND: u64 = Ms::TICKS_PER_SECOND;
        fn now(&self) -> Ticks {
            self.0.now()
        }
    }
    impl<'a> Timer for &'_ Noting<'a> {
        type Sleep = <&'a Ms as Timer>::Sleep;
        fn sleep_until(&self, at: Ticks) -> Self::Sleep {
            self.1.set(self.1.get().max(at.0));
            self.0.sleep_until(at)
        }
    }
    let (clock, service) = (Ms::new(), Service::default());
    let timer = Noting(&clock, Cell::new(0));
    let call = Hedge::idempotent(DELAY).max_attempts::<3>().deadline(ms(15));
    let script = [(100, Ok(1)), (100, Ok(2))];
    let answer = run(&clock, call.call(&timer, service.call::<()>(&clock, &script)));
    assert_eq!((answer, timer.1.get()), ((15, Err(Error::TimedOut)), 15));
}

#[test]
fn a_wait_that_ends_too_late_is_followed_by_nothing() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let hedge = Hedge::idempotent(DELAY)
        .when(|wait: &u64| Decision::RetryAfter(ms(*wait)))
        .budget(&purse)
        .deadline(ms(30));
    let script = [(2, Err(20))];
    let mut call = pin!(hedge.call(&clock, service.call(&clock, &script)));
    assert!(run_until(&clock, 5, call.as_mut()).is_pending());
    clock.advance(ms(30)); // The timer wakes late.
    assert_eq!(poll(call.as_mut()), Poll::Ready(Err(Error::Inner(20))));
    assert_eq!(purse.left.get(), 5);
}

#[test]
fn without_a_delay_all_attempts_start_together() {
    let (clock, service) = (Ms::new(), Service::default());
    let hedge = Hedge::idempotent(Duration::ZERO).max_attempts::<5>();
    let script = [(9, Ok(1)), (8, Ok(2)), (2, Ok(3)), (7, Ok(4)), (2, Ok(5))];
    let answer = run(&clock, hedge.call(&clock, service.call::<()>(&clock, &script)));
    assert_eq!(answer, (2, Ok(3)), "of two at once the earlier one");
    assert!(service.begun.borrow().iter().all(|(_, at, _)| *at == 0));
    assert_eq!(service.dropped.borrow().len(), 4);
}

#[test]
fn nothing_happens_before_the_first_poll_and_an_answer_is_given_once() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(1));
    let hedge = Hedge::idempotent(DELAY).budget(&purse);
    drop(hedge.call(&clock, service.call::<()>(&clock, &[])));
    assert_eq!((purse.deposits.get(), service.begun.borrow().len()), (0, 0));
    let script = [(0, Ok(1))];
    let mut call = pin!(hedge.call(&clock, service.call::<()>(&clock, &script)));
    assert_eq!(poll(call.as_mut()), Poll::Ready(Ok(1)));
    assert_eq!(poll(call.as_mut()), Poll::Pending);
}

/// Notes what it is told.
#[derive(Default)]
struct Told {
    outcomes: RefCell<Vec<Outcome>>,
    /// How many more it lets in.
    room: Cell<u32>,
}

impl Gate for Told {
    type Token = ();

    fn enter(&self) -> Result<(), Rejection> {
        let left = self.room.get().checked_sub(1);
        self.room.set(left.ok_or(Rejection::new(Reason::BulkheadFull))?);
        Ok(())
    }

    fn exit(&self, (): (), outcome: Outcome) {
        self.outcomes.borrow_mut().push(outcome);
    }
}

fn told(room: u32) -> Told {
    Told { room: Cell::new(room), ..Told::default() }
}

#[test]
fn in_a_pipeline_each_attempt_has_its_gates_and_its_timeout() {
    let (clock, service, call, attempt) = (Ms::new(), Service::default(), told(1), told(9));
    let meter = PipelineMeter::new(&clock);
    let pipeline = Pipeline::new(&clock)
        .per_call(&call)
        .hedge(Hedge::idempotent(DELAY).max_attempts::<3>())
        .per_attempt(&attempt)
        .attempt_timeout(ms(15))
        .metered(&meter);
    // The first is cut off at 15, and the third starts then.
    let script = [(1000, Ok(1)), (1000, Ok(2)), (5, Ok(3))];
    let answer = run(&clock, pipeline.call(service.call::<()>(&clock, &script)));
    assert_eq!(answer, (20, Ok(3)));
    let begun = [(1, 0, false), (2, 10, true), (3, 15, true)];
    assert_eq!(*service.begun.borrow(), begun);
    let outcomes = [Outcome::Failure, Outcome::Success, Outcome::Abandoned];
    let mut said = attempt.outcomes.borrow().clone();
    said.sort_by_key(|outcome| format!("{outcome:?}"));
    let mut expected = outcomes.to_vec();
    expected.sort_by_key(|outcome| format!("{outcome:?}"));
    assert_eq!(said, expected);
    assert_eq!(*call.outcomes.borrow(), [Outcome::Success]);
    let now = meter.snapshot();
    assert_eq!((now.calls, now.successes, now.attempts, now.retries), (1, 1, 3, 2));
    assert_eq!((now.attempts_timed_out, now.timed_out), (1, 0));
}

#[test]
fn where_a_further_attempt_is_refused_the_others_go_on() {
    let (clock, service, attempt, purse, log) =
        (Ms::new(), Service::default(), told(1), Purse::with(5), Log::default());
    let hedge = Hedge::idempotent(DELAY).max_attempts::<3>().budget(&purse);
    let pipeline = Pipeline::new(&clock).hedge(hedge).per_attempt(&attempt).observed_by("db", &log);
    let script = [(25, Err("slow")), (0, Ok(2)), (0, Ok(3))];
    let answer = run(&clock, pipeline.call(service.call(&clock, &script)));
    assert_eq!(answer, (25, Err(Error::Inner("slow"))), "the error of the attempt that ran");
    assert_eq!(service.begun.borrow().len(), 1);
    assert_eq!(purse.left.get(), 5, "both were paid back");
    assert_eq!(log.0.borrow().len(), 3, "{:?}", log.0);
}

#[test]
fn a_first_attempt_that_is_refused_ends_the_call() {
    let (clock, service, attempt, call) = (Ms::new(), Service::default(), told(0), told(1));
    let pipeline =
        Pipeline::new(&clock).per_call(&call).hedge(Hedge::idempotent(DELAY)).per_attempt(&attempt);
    let answer = run(&clock, pipeline.call(service.call::<()>(&clock, &[])));
    let full = Rejection::new(Reason::BulkheadFull);
    assert_eq!(answer, (0, Err(Error::Rejected(full))));
    assert_eq!(*call.outcomes.borrow(), [Outcome::Refused]);
}

#[test]
fn a_call_that_is_dropped_gives_everything_back() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let permits: Semaphore = Semaphore::new(8);
    let call = told(1);
    let pipeline = Pipeline::new(&clock)
        .per_call(&call)
        .hedge(Hedge::idempotent(DELAY).max_attempts::<3>().budget(&purse))
        .per_attempt(&permits);
    let script = [(1000, Ok(1)); 3];
    {
        let mut call = pin!(pipeline.call(service.call::<()>(&clock, &script)));
        assert!(run_until(&clock, 25, call.as_mut()).is_pending());
        assert_eq!((permits.available(), purse.left.get()), (5, 3));
    }
    assert_eq!((permits.available(), purse.left.get()), (8, 3), "they have begun");
    assert_eq!(service.dropped.borrow().len(), 3);
    assert_eq!(*call.outcomes.borrow(), [Outcome::Abandoned]);
}

#[test]
fn an_attempt_that_still_waits_at_its_gates_is_paid_back() {
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let permits: Semaphore<Queue<4>> = Semaphore::new(1);
    let pipeline = Pipeline::new(&clock)
        .hedge(Hedge::idempotent(DELAY).max_attempts::<3>().budget(&purse))
        .per_attempt_waiting(&permits);
    let script = [(25, Ok(1)); 3];
    assert_eq!(run(&clock, pipeline.call(service.call::<()>(&clock, &script))), (25, Ok(1)));
    assert_eq!((purse.left.get(), permits.waiting()), (5, 0));
    {
        let mut call = pin!(pipeline.call(service.call::<()>(&clock, &script)));
        assert!(run_until(&clock, 45, call.as_mut()).is_pending());
        assert_eq!((purse.left.get(), permits.waiting()), (3, 2));
    }
    assert_eq!((purse.left.get(), permits.available()), (5, 1));
    assert_eq!(service.begun.borrow().len(), 2, "one in each call");
}

#[test]
fn a_policy_may_be_shared() {
    let (clock, service) = (Ms::new(), Service::default());
    let hedge = Hedge::idempotent(DELAY);
    let pipeline = Pipeline::new(&clock).hedge(&hedge);
    let script = [(50, Ok(1)), (5, Ok(2))];
    assert_eq!(run(&clock, pipeline.call(service.call::<()>(&clock, &script))), (15, Ok(2)));
}

#[test]
fn a_loser_that_panics_when_dropped_costs_the_others_nothing() {
    struct Spiteful(Rc<Cell<u32>>, bool);
    impl Drop for Spiteful {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            assert!(!self.1, "in a drop");
        }
    }
    let (clock, gone, attempt) = (Ms::new(), Rc::new(Cell::new(0)), told(9));
    let pipeline = Pipeline::new(&clock)
        .hedge(Hedge::idempotent(Duration::ZERO).max_attempts::<4>())
        .per_attempt(&attempt);
    let operation = |attempt: Attempt| {
        let held = Spiteful(Rc::clone(&gone), attempt.number == 2);
        async move {
            if attempt.number < 4 {
                std::future::pending::<()>().await;
            }
            std::mem::forget(held);
            Ok::<_, ()>(())
        }
    };
    let call = || {
        let _ = run(&clock, pipeline.call(operation));
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
    assert_eq!(gone.get(), 3, "each was dropped");
    assert_eq!(attempt.outcomes.borrow().len(), 4, "each gave its permit back");
}

#[test]
fn an_observer_that_panics_costs_the_budget_nothing() {
    struct Bomb;
    impl Observer for Bomb {
        fn on_event(&self, event: &Event<'_>) {
            panic!("{event}");
        }
    }
    let (clock, service, purse) = (Ms::new(), Service::default(), Purse::with(5));
    let hedge = Hedge::idempotent(DELAY).budget(&purse).observed_by("db", Bomb);
    let call = || {
        let _ = run(&clock, hedge.call(&clock, service.call::<()>(&clock, &[(90, Ok(1))])));
    };
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).is_err());
    assert_eq!(purse.left.get(), 5);
    assert_eq!(service.dropped.borrow().len(), 1);
}

#[test]
fn why_a_call_was_given_up_is_told() {
    #[derive(Default)]
    struct Causes(RefCell<Vec<(u32, GiveUp)>>);
    impl Observer for Causes {
        fn on_event(&self, event: &Event<'_>) {
            if let Event::GaveUp { attempts, cause, .. } = *event {
                self.0.borrow_mut().push((attempts, cause));
            }
        }
    }
    let (clock, service, causes) = (Ms::new(), Service::default(), Causes::default());
    let hedge = Hedge::idempotent(DELAY).observed_by("db", &causes);
    let both = [(1, Err("down")), (1, Err("down"))];
    let _ = run(&clock, hedge.call(&clock, service.call(&clock, &both)));
    let _ = run(&clock, hedge.deadline(ms(5)).call(&clock, service.call(&clock, &[(9, Err(""))])));
    assert_eq!(causes.0.take(), [(2, GiveUp::Attempts), (1, GiveUp::Deadline)]);
    // The attempt that follows on the failed one is refused: it is the last of all, or it is not.
    let gate = told(0);
    for (limit, cause) in [(2, GiveUp::Attempts), (3, GiveUp::NotRetryable)] {
        gate.room.set(1);
        let pipeline = Pipeline::new(&clock).per_attempt(&gate);
        let answer = if limit == 2 {
            run(&clock, pipeline.hedge(hedge).call(service.call(&clock, &both)))
        } else {
            let hedge = hedge.max_attempts::<3>();
            run(&clock, pipeline.hedge(hedge).call(service.call(&clock, &both)))
        };
        assert_eq!(answer.1, Err(Error::Inner("down")));
        assert_eq!(causes.0.take(), [(2, cause)], "at most {limit}");
    }
}

/// Something that can be sent once, and fails after 50 ms.
struct Letter<'a> {
    clock: &'a Ms,
    left: bool,
    fails: bool,
}

impl<'a> Operation for Letter<'a> {
    type Value = u32;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<u32, &'static str>> + 'a>>;

    fn attempt(&mut self, attempt: Attempt) -> Self::Future {
        assert!(std::mem::take(&mut self.left), "it is sent once");
        let (clock, fails) = (self.clock, self.fails);
        Box::pin(async move {
            clock.sleep_until(Ticks(50)).await;
            if fails { Err("lost") } else { Ok(attempt.number) }
        })
    }

    fn can_repeat(&self, waiting: u32) -> bool {
        self.left && waiting == 0
    }
}

#[test]
fn what_cannot_be_repeated_is_not_hedged() {
    for (fails, answer) in [(false, Ok(1)), (true, Err(Error::Inner("lost")))] {
        let clock = Ms::new();
        let budget = Purse::with(3);
        let hedge = Hedge::idempotent(DELAY).budget(&budget);
        let pipeline = Pipeline::new(&clock).retry(hedge);
        let letter = Letter { clock: &clock, left: true, fails };
        let call = Call::new(&pipeline, Deadline::NEVER, letter);
        assert_eq!(run(&clock, call), (50, answer));
        assert_eq!(budget.left.get(), 3, "nothing was spent");
    }
}

#[test]
fn an_attempt_that_waits_keeps_what_it_needs() {
    let clock = Ms::new();
    let gate = Semaphore::<Queue<4>>::new(1);
    let held = gate.permit().expect("it is free");
    let pipeline = Pipeline::new(&clock).retry(Hedge::idempotent(DELAY)).per_attempt_waiting(&gate);
    let letter = Letter { clock: &clock, left: true, fails: false };
    let mut call = pin!(Call::new(&pipeline, Deadline::NEVER, letter));
    assert!(run_until(&clock, 30, call.as_mut()).is_pending());
    drop(held);
    assert_eq!(run(&clock, call), (50, Ok(1)));
}
