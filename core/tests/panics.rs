//! A panic in the user's own code (an observer, a waker, a classifier, a callback, a gate) loses
//! nothing that was taken, and gives nothing back twice.

use std::cell::Cell;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use fusebox_core::{
    AdaptiveLimit, Backoff, BreakerConfig, BudgetConfig, CircuitBreaker, Clock, CoDel, CoDelConfig,
    Deadline, Decision, Event, Gate, Immediate, LimitConfig, ManualClock, Observer, Outcome,
    Pipeline, Priority, Queue, Ratio, Rejection, Retry, RetryBudget, Retrying, Semaphore, State,
    Ticks, Timer, WaitGate,
};

const SECOND: Duration = Duration::from_secs(1);

fn assert_panics<T>(work: impl FnOnce() -> T) {
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err(), "it should have panicked");
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    poll_with(future, Waker::noop())
}

fn poll_with<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

/// An observer that panics while it is armed.
#[derive(Default)]
struct Bomb {
    armed: Cell<bool>,
}

impl Observer for Bomb {
    fn on_event(&self, event: &Event<'_>) {
        assert!(!self.armed.get(), "{event:?}");
    }
}

/// Gates are left from right to left. A panic in one that is left early skipped those further left,
/// whose permits were lost.
#[test]
fn a_gate_that_panics_when_it_is_left_costs_the_others_nothing() {
    struct Spiteful;
    impl Gate for Spiteful {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            Ok(())
        }
        fn exit(&self, (): (), _outcome: Outcome) {
            panic!("in the exit")
        }
    }
    let (left, right): (Semaphore, Semaphore) = (Semaphore::new(1), Semaphore::new(1));
    let gates = (&left, &Spiteful, &right);
    assert_panics(|| gates.call(|| Ok::<_, ()>(())));
    assert_eq!((left.available(), right.available()), (1, 1));
}

/// As above, with the gates and the observer that people have: a breaker to the right of a
/// semaphore, whose observer panics when it trips.
#[test]
fn an_observer_that_panics_costs_no_permit() {
    let (clock, bomb) = (ManualClock::<1000>::new(), Bomb::default());
    let permits: Semaphore = Semaphore::new(1);
    let config = BreakerConfig::standard().consecutive_failures(1);
    let breaker = CircuitBreaker::new(config, &clock).observed_by("db", &bomb);
    bomb.armed.set(true);
    assert_panics(|| (&permits, &breaker).call(|| Err::<(), _>("down")));
    assert_eq!((permits.available(), breaker.state()), (1, State::Open));
}

/// The observer is told that the breaker is half-open when the probe is counted already, but nobody
/// holds it yet.
#[test]
fn an_observer_that_panics_costs_no_probe() {
    let (clock, bomb) = (ManualClock::<1000>::new(), Bomb::default());
    let config = BreakerConfig::standard().open_for(SECOND);
    let breaker = CircuitBreaker::new(config, &clock).observed_by("db", &bomb);
    breaker.trip();
    clock.advance(SECOND);
    bomb.armed.set(true);
    assert_panics(|| breaker.permit());
    bomb.armed.set(false);
    assert!(breaker.permit().is_ok());
}

/// A budget of five retries that nothing fills up.
fn budget(clock: &ManualClock<1000>) -> RetryBudget<&ManualClock<1000>> {
    let config = BudgetConfig::new(Ratio::percent(10)).floor_per_second(0).reserve(5);
    let budget = RetryBudget::new(config, clock);
    budget.deposit_many(50);
    assert_eq!(budget.balance(), 5);
    budget
}

/// A retry that wakes too late is paid back, and the observer told. When that panicked, the drop of
/// the future paid it back again.
#[test]
fn an_observer_that_panics_gets_a_retry_paid_back_once() {
    let (clock, bomb) = (ManualClock::<1000>::new(), Bomb::default());
    let budget = budget(&clock);
    budget.try_withdraw().unwrap();
    budget.try_withdraw().unwrap();
    let retry = Retry::new(Backoff::constant(SECOND))
        .budget(&budget)
        .observed_by("r", &bomb)
        .deadline(2 * SECOND);
    let mut call = Box::pin(retry.call(&clock, |_| async { Err::<(), _>("down") }));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(budget.balance(), 2);
    clock.advance(5 * SECOND);
    bomb.armed.set(true);
    assert_panics(|| poll(call.as_mut()));
    drop(call);
    assert_eq!(budget.balance(), 3);
}

/// A retry is paid for before the callback and the observer hear of it. When one of them panicked,
/// it did not take place, and was not paid back.
#[test]
fn a_callback_or_observer_that_panics_costs_no_retry() {
    let (clock, bomb) = (ManualClock::<1000>::new(), Bomb::default());
    let budget = budget(&clock);
    let retry = Retry::new(Backoff::constant(SECOND)).budget(&budget);
    let called = retry.on_retry(|_: &Retrying<'_, &str>| panic!("in the callback"));
    let mut call = Box::pin(called.call(&clock, |_| async { Err::<(), _>("down") }));
    assert_panics(|| poll(call.as_mut()));
    drop(call);
    assert_eq!(budget.balance(), 5);

    let observed = retry.observed_by("r", &bomb);
    bomb.armed.set(true);
    let mut call = Box::pin(observed.call(&clock, |_| async { Err::<(), _>("down") }));
    assert_panics(|| poll(call.as_mut()));
    drop(call);
    assert_eq!(budget.balance(), 5);
}

/// An answer that is not good enough is dropped when the retry is paid for.
#[test]
fn an_answer_that_panics_when_it_is_dropped_costs_no_retry() {
    struct Answer;

    impl Drop for Answer {
        fn drop(&mut self) {
            panic!("in the drop");
        }
    }

    let clock = ManualClock::<1000>::new();
    let budget = budget(&clock);
    let retry = Retry::new(Backoff::constant(SECOND)).budget(&budget);
    let poor = retry.when_value(|_: &Answer| Some(Decision::Retry));
    let mut call = Box::pin(poor.call(&clock, |_| async { Ok::<_, ()>(Answer) }));
    assert_panics(|| poll(call.as_mut()));
    drop(call);
    assert_eq!(budget.balance(), 5);
}

/// The observer of a pipeline hears of a retry after the policy's own, when it is paid for as well.
#[test]
fn an_observer_of_a_pipeline_that_panics_costs_no_retry() {
    let (clock, bomb) = (ManualClock::<1000>::new(), Bomb::default());
    let budget = budget(&clock);
    let retry = Retry::new(Backoff::constant(SECOND)).budget(&budget);
    let pipeline = Pipeline::new(&clock).retry(retry).observed_by("p", &bomb);
    bomb.armed.set(true);
    let mut call = Box::pin(pipeline.call(|_| async { Err::<(), _>("down") }));
    assert_panics(|| poll(call.as_mut()));
    drop(call);
    assert_eq!(budget.balance(), 5);
}

/// Panics when it is dropped, which is while it is armed.
struct Brittle<'a>(&'a Cell<bool>);

impl Drop for Brittle<'_> {
    fn drop(&mut self) {
        assert!(!self.0.get(), "in the drop of what an operation holds");
    }
}

#[test]
fn an_operation_that_panics_when_it_is_cancelled_costs_no_permit() {
    let (clock, armed) = (ManualClock::<1000>::new(), Cell::new(true));
    let (outer, inner): (Semaphore, Semaphore) = (Semaphore::new(1), Semaphore::new(1));
    let pipeline = Pipeline::new(&clock).per_call(&outer).per_attempt(&inner);
    let mut call = Box::pin(pipeline.call(|_| {
        let held = Brittle(&armed);
        async {
            let _held = held;
            pending::<Result<(), ()>>().await
        }
    }));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!((outer.available(), inner.available()), (0, 0));
    assert_panics(|| drop(call));
    assert_eq!((outer.available(), inner.available()), (1, 1));
}

/// What the first of two gates had given was overwritten, should the second panic and the call be
/// polled again, where nobody waits at either.
#[test]
fn a_gate_that_panics_and_is_asked_again_costs_the_others_nothing() {
    struct Nervous(Cell<bool>);
    impl Gate for Nervous {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            assert!(!self.0.replace(false), "in the entry");
            Ok(())
        }
        fn exit(&self, (): (), _outcome: Outcome) {}
    }
    let clock: ManualClock<1000> = ManualClock::new();
    let permits: Semaphore = Semaphore::new(1);
    let nervous = Nervous(Cell::new(true));
    let gates = || (Immediate(&permits), Immediate(&nervous));

    let pipeline = Pipeline::new(&clock).per_attempt_waiting(gates());
    let mut call = Box::pin(pipeline.call(|_| pending::<Result<(), ()>>()));
    assert_panics(|| poll(call.as_mut()));
    assert!(poll(call.as_mut()).is_pending());
    drop(call);
    assert_eq!(permits.available(), 1);

    nervous.0.set(true);
    let pipeline = Pipeline::new(&clock).per_call_waiting(gates());
    let mut call = Box::pin(pipeline.call(|_| pending::<Result<(), ()>>()));
    assert_panics(|| poll(call.as_mut()));
    let _ = poll(call.as_mut());
    drop(call);
    assert_eq!(permits.available(), 1);
}

/// Waits are given up from right to left, as gates are left.
#[test]
fn a_gate_that_panics_when_a_wait_is_given_up_costs_the_others_nothing() {
    struct Spiteful;
    impl Gate for Spiteful {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            Ok(())
        }
        fn exit(&self, (): (), _outcome: Outcome) {}
    }
    impl<T: Timer> WaitGate<T> for Spiteful {
        type Waiting = ();
        fn poll_enter(
            &self,
            _: Pin<&mut ()>,
            _: &T,
            _: Deadline,
            _: &mut Context<'_>,
        ) -> Poll<Result<(), Rejection>> {
            Poll::Pending
        }
        fn cancel_enter(&self, _: Pin<&mut ()>, _: &T) {
            panic!("when given up")
        }
    }
    let clock = ManualClock::<1000>::new();
    let permits: Semaphore = Semaphore::new(3);
    let gates = (&permits, permits.of(2), &Spiteful);
    let mut wait = Box::pin(gates.wait_enter(&clock, Deadline::NEVER));
    assert!(poll(wait.as_mut()).is_pending());
    assert_panics(|| drop(wait));
    assert_eq!(permits.available(), 3);

    // In a pipeline, around the call and around an attempt.
    let pipeline =
        Pipeline::new(&clock).per_call_waiting(&permits).per_attempt_waiting((&permits, &Spiteful));
    let mut call = Box::pin(pipeline.call(|_| pending::<Result<(), ()>>()));
    assert!(poll(call.as_mut()).is_pending());
    assert_eq!(permits.available(), 1);
    assert_panics(|| drop(call));
    assert_eq!(permits.available(), 3);
}

#[test]
fn a_classifier_that_panics_costs_no_permit() {
    let clock = ManualClock::<1000>::new();
    let (outer, inner): (Semaphore, Semaphore) = (Semaphore::new(1), Semaphore::new(1));
    let breaker = CircuitBreaker::new(BreakerConfig::standard().open_for(SECOND), &clock);
    breaker.trip();
    clock.advance(SECOND);
    let pipeline = Pipeline::new(&clock)
        .per_call(&outer)
        .per_attempt((&inner, &breaker))
        .classify(|_: &Result<(), ()>| -> Outcome { panic!("in the classifier") });
    let mut call = Box::pin(pipeline.call(|_| async { Ok(()) }));
    assert_panics(|| poll(call.as_mut()));
    drop(call);
    assert_eq!((outer.available(), inner.available()), (1, 1));
    assert!(breaker.permit().is_ok(), "the probe came back");
}

/// A waker that notes that it was used.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Who gives permits back wakes one waiter after the other. A waker that panicked left those behind
/// it asleep, with permits free.
#[test]
fn a_waker_that_panics_leaves_nobody_asleep() {
    struct Spiteful;
    impl Wake for Spiteful {
        fn wake(self: Arc<Self>) {
            panic!("in the waker")
        }
    }
    let permits: Semaphore<Queue<2>> = Semaphore::new(2);
    let held = permits.try_acquire_many(2).unwrap();
    let woken = Arc::new(Woken::default());
    let (mut first, mut second) = (Box::pin(permits.acquire()), Box::pin(permits.acquire()));
    assert!(poll_with(first.as_mut(), &Arc::new(Spiteful).into()).is_pending());
    assert!(poll_with(second.as_mut(), &Arc::clone(&woken).into()).is_pending());
    assert_panics(|| drop(held));
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(poll(first.as_mut()).is_ready() && poll(second.as_mut()).is_ready());
    drop((first, second));
    assert_eq!((permits.available(), permits.waiting()), (2, 0));
}

/// A waiter that gives up drops its waker, and with that maybe the last reference to a task, whose
/// own drop may panic. Its place in the queue was lost, and those behind it were not let pass.
#[test]
fn a_waker_that_panics_when_dropped_leaves_nobody_asleep() {
    struct Spiteful;
    impl Wake for Spiteful {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Spiteful {
        fn drop(&mut self) {
            panic!("in the drop of a task")
        }
    }
    let permits: Semaphore<Queue<2>> = Semaphore::new(2);
    let held = permits.try_acquire().unwrap();
    let woken = Arc::new(Woken::default());
    let (mut wide, mut behind) = (Box::pin(permits.acquire_many(2)), Box::pin(permits.acquire()));
    // The last reference stays in the queue.
    assert!(poll_with(wide.as_mut(), &Arc::new(Spiteful).into()).is_pending());
    assert!(poll_with(behind.as_mut(), &Arc::clone(&woken).into()).is_pending());
    assert_panics(|| drop(wide));
    assert!(woken.0.load(Ordering::SeqCst));
    assert!(poll(behind.as_mut()).is_ready());
    drop(held);
    assert_eq!((permits.available(), permits.waiting()), (2, 0));

    // Both places are free again.
    let _held = permits.try_acquire_many(2).unwrap();
    let mut waits = [(); 2].map(|()| Box::pin(permits.acquire()));
    assert!(waits.iter_mut().all(|wait| poll(wait.as_mut()).is_pending()));
}

/// A clock that panics while it is armed.
#[derive(Default)]
struct Trap {
    armed: Cell<bool>,
}

impl Clock for Trap {
    const TICKS_PER_SECOND: u64 = 1_000;

    fn now(&self) -> Ticks {
        assert!(!self.armed.get(), "the clock");
        Ticks(7)
    }
}

/// An adaptive limit reads the clock when it has let a call in, and when one has ended.
#[test]
fn a_clock_that_panics_costs_an_adaptive_limit_no_place() {
    let clock = Trap::default();
    let limit = AdaptiveLimit::new(LimitConfig::gradient2(), &clock);
    clock.armed.set(true);
    assert_panics(|| limit.permit());
    assert_panics(|| limit.at(Priority::High).enter());
    assert_eq!(limit.in_flight(), 0);
    clock.armed.set(false);
    let call = limit.permit().unwrap();
    clock.armed.set(true);
    assert_panics(|| call.success());
    assert_eq!(limit.in_flight(), 0);
}

/// `CoDel` reads the clock when the gate that it is around has let a call in.
#[test]
fn a_clock_that_panics_costs_no_permit_behind_codel() {
    let (clock, timer) = (Trap::default(), ManualClock::<1000>::new());
    let timer = &timer;
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    let queue = codel.queue(&permits);
    let held = permits.try_acquire().unwrap();
    let mut waits = Box::pin(queue.wait_enter(&timer, Deadline::NEVER));
    assert!(poll(waits.as_mut()).is_pending());
    drop(held);
    clock.armed.set(true);
    assert_panics(|| poll(waits.as_mut()));
    drop(waits);
    assert_eq!((permits.available(), permits.waiting()), (1, 0));
}

/// A waker whose clones panic when they are dropped, while it is armed. What `Wake` makes of an
/// `Arc` cannot, as its last owner is never the one in the queue.
mod grenade {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{RawWaker, RawWakerVTable, Waker};

    pub(super) static ARMED: AtomicBool = AtomicBool::new(false);

    static VTABLE: RawWakerVTable = RawWakerVTable::new(|_| RAW, |_| {}, |_| {}, |_| drop());
    const RAW: RawWaker = RawWaker::new(std::ptr::null(), &VTABLE);

    fn drop() {
        assert!(!ARMED.swap(false, Ordering::Relaxed), "a waker panics when it is dropped");
    }

    pub(super) fn waker() -> Waker {
        // SAFETY: it has no data, so there is nothing that its functions could get wrong.
        unsafe { Waker::from_raw(RAW) }
    }
}

/// Collecting a permit drops the waker that stood in the queue: what is then the caller's is
/// nobody's when that panics, and the place in the queue may be another's already.
#[test]
fn a_waker_that_panics_when_it_is_dropped_costs_no_permit() {
    static PERMITS: Semaphore<Queue<1>> = Semaphore::new(1);
    let waker = grenade::waker();
    let arm = || grenade::ARMED.store(true, Ordering::Relaxed);

    let held = PERMITS.try_acquire().unwrap();
    let mut first = Box::pin(PERMITS.acquire());
    assert!(first.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(held);
    arm();
    assert_panics(|| first.as_mut().poll(&mut Context::from_waker(&waker)));
    assert_eq!((PERMITS.in_use(), PERMITS.waiting()), (0, 0));

    // The place has a new owner when the wait that panicked is dropped.
    let held = PERMITS.try_acquire().unwrap();
    let mut second = Box::pin(PERMITS.acquire());
    assert!(second.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(first);
    assert_eq!(PERMITS.waiting(), 1);
    drop(held);
    drop(second);
    assert_eq!((PERMITS.in_use(), PERMITS.waiting()), (0, 0));
}
