//! The algebra of gates: who is entered and left, in which order, with which outcome.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use fusebox_core::{
    BucketConfig, Deadline, DeadlineGate, Error, Event, Gate, Immediate, ManualClock, Observer,
    Outcome, Permit, Queue, Reason, Rejection, Semaphore, Timer, TokenBucket, WaitGate,
};

/// What happened to which gate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Did {
    In(usize),
    No(usize),
    Out(usize, Outcome),
    /// A wait was given up before it was over.
    Cancelled(usize),
}

use Did::{Cancelled, In, No, Out};
use Outcome::{Abandoned, Failure, Refused, Success};

type Log = RefCell<Vec<Did>>;

/// A gate that writes down what is done to it.
struct Recording<'a> {
    id: usize,
    log: &'a Log,
    refuses: bool,
    /// Lets in whoever waits once this is true.
    ready: Cell<bool>,
}

impl<'a> Recording<'a> {
    fn new(id: usize, log: &'a Log) -> Self {
        Self { id, log, refuses: false, ready: Cell::new(true) }
    }

    fn refusing(id: usize, log: &'a Log, refuses: bool) -> Self {
        Self { refuses, ..Self::new(id, log) }
    }

    fn slow(id: usize, log: &'a Log) -> Self {
        Self { ready: Cell::new(false), ..Self::new(id, log) }
    }
}

impl Gate for Recording<'_> {
    /// Its own number, so that a mixed-up token shows.
    type Token = usize;

    fn enter(&self) -> Result<usize, Rejection> {
        self.log.borrow_mut().push(if self.refuses { No(self.id) } else { In(self.id) });
        if self.refuses { Err(Rejection::new(Reason::SwitchedOff)) } else { Ok(self.id) }
    }

    fn exit(&self, token: usize, outcome: Outcome) {
        assert_eq!(token, self.id, "the token of another gate");
        self.log.borrow_mut().push(Out(self.id, outcome));
    }
}

/// How far a wait at a gate is, which lasts until that is ready.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Wait {
    #[default]
    New,
    Begun,
    Over,
}

impl<T: Timer> WaitGate<T> for Recording<'_> {
    type Waiting = Wait;

    fn poll_enter(
        &self,
        mut waiting: Pin<&mut Wait>,
        _: &T,
        _: Deadline,
        _: &mut Context<'_>,
    ) -> Poll<Result<usize, Rejection>> {
        assert_ne!(*waiting, Wait::Over, "polled after it was over");
        if !self.ready.get() {
            waiting.set(Wait::Begun);
            return Poll::Pending;
        }
        waiting.set(Wait::Over);
        Poll::Ready(self.enter())
    }

    fn cancel_enter(&self, mut waiting: Pin<&mut Wait>, _: &T) {
        if *waiting == Wait::Begun {
            self.log.borrow_mut().push(Cancelled(self.id));
        }
        waiting.set(Wait::Over);
    }
}

fn polled<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Enters and leaves `gates`, of which number `refusing`, if any, refuses.
fn check_order<G: Gate>(gates: &G, count: usize, refusing: Option<usize>, log: &Log) {
    let permit = gates.permit();
    match refusing {
        None => {
            assert_eq!(log.take(), (0..count).map(In).collect::<Vec<_>>());
            permit.unwrap().finish(Failure);
            assert_eq!(log.take(), (0..count).rev().map(|id| Out(id, Failure)).collect::<Vec<_>>());
        }
        Some(refusing) => {
            assert_eq!(permit.unwrap_err().reason(), Reason::SwitchedOff);
            let expected: Vec<_> = (0..refusing)
                .map(In)
                .chain([No(refusing)])
                .chain((0..refusing).rev().map(|id| Out(id, Refused)))
                .collect();
            assert_eq!(log.take(), expected);
        }
    }
}

/// The same by waiting; a wait that is over and not used gives nothing back.
fn check_waiting<'a, G: WaitGate<&'a ManualClock>>(
    gates: &G,
    timer: &'a ManualClock,
    count: usize,
    refusing: Option<usize>,
    log: &Log,
) {
    let entered = {
        let mut entering = Box::pin(gates.wait_enter(timer, Deadline::NEVER));
        let Poll::Ready(entered) = polled(entering.as_mut()) else { panic!("nothing to wait for") };
        entered
    };
    match refusing {
        None => {
            assert_eq!(log.take(), (0..count).map(In).collect::<Vec<_>>());
            drop(Permit::adopt(gates, entered.unwrap()));
            let expected: Vec<_> = (0..count).rev().map(|id| Out(id, Abandoned)).collect();
            assert_eq!(log.take(), expected);
        }
        Some(refusing) => {
            assert!(entered.is_err());
            let all = log.take();
            // Those behind were not reached: nothing is told to them.
            let (asked, back) = all.split_at(refusing + 1);
            assert_eq!(asked[..refusing], (0..refusing).map(In).collect::<Vec<_>>());
            assert_eq!(asked[refusing], No(refusing));
            assert_eq!(back, (0..refusing).rev().map(|id| Out(id, Refused)).collect::<Vec<_>>());
        }
    }
}

macro_rules! arities {
    ($($name:ident: $count:literal of [$($id:tt)+];)+) => {
        $(
            #[test]
            fn $name() {
                let (log, clock) = (Log::default(), <ManualClock>::new());
                let timer = &clock;
                for refusing in (0..$count).map(Some).chain([None]) {
                    let gates =
                        ($(Recording::refusing($id, &log, refusing == Some($id)),)+);
                    check_order(&gates, $count, refusing, &log);
                    check_waiting(&gates, timer, $count, refusing, &log);
                    let by_reference = ($(&gates.$id,)+);
                    check_order(&by_reference, $count, refusing, &log);
                    let at_once = ($(Immediate(&gates.$id),)+);
                    check_order(&at_once, $count, refusing, &log);
                }
            }
        )+
    };
}

arities! {
    one_gate: 1 of [0];
    two_gates: 2 of [0 1];
    three_gates: 3 of [0 1 2];
    four_gates: 4 of [0 1 2 3];
    five_gates: 5 of [0 1 2 3 4];
    six_gates: 6 of [0 1 2 3 4 5];
    seven_gates: 7 of [0 1 2 3 4 5 6];
    eight_gates: 8 of [0 1 2 3 4 5 6 7];
}

#[test]
fn tuples_of_tuples_keep_the_order() {
    let log = Log::default();
    let gate = |id| Recording::new(id, &log);
    let gates = (gate(0), (gate(1), gate(2)), (), gate(3));
    check_order(&gates, 4, None, &log);
    let gates = (gate(0), (gate(1), Recording::refusing(2, &log, true)), gate(3));
    check_order(&gates, 3, Some(2), &log);
}

#[test]
fn a_wait_that_is_cancelled_gives_back_from_right_to_left() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    let gate = |id| Recording::new(id, &log);
    let gates = (gate(0), Immediate(gate(1)), Recording::slow(2, &log), gate(3));
    {
        let mut entering = pin!(gates.wait_enter(timer, Deadline::NEVER));
        assert!(log.take().is_empty(), "nothing before the first poll");
        assert!(polled(entering.as_mut()).is_pending());
        assert!(polled(entering.as_mut()).is_pending());
        assert_eq!(log.take(), [In(0), In(1)], "entered once, and kept");
    }
    assert_eq!(log.take(), [Cancelled(2), Out(1, Refused), Out(0, Refused)]);
}

/// By hand, a wait may be cancelled at any time and more than once.
#[test]
fn what_a_wait_holds_is_given_back_once() {
    let clock = <ManualClock>::new();
    let timer = &clock;
    let (first, second) = (Semaphore::<Queue<1>>::new(1), Semaphore::<Queue<1>>::new(2));
    // Not full, or what came back twice would not show.
    let bucket = TokenBucket::new(BucketConfig::per_second(1).burst(8), timer);
    bucket.try_acquire(4).unwrap();
    let gates = (&first, Some(bucket.of(2)), second.of(2));
    let free = || (first.available(), bucket.peek(), second.available(), second.waiting());
    let begin = || Box::pin(waiting_at(&gates, &timer));
    let poll = |waiting: Pin<&mut _>| {
        let mut context = Context::from_waker(Waker::noop());
        gates.poll_enter(waiting, &timer, Deadline::NEVER, &mut context)
    };
    let cancel = |waiting: Pin<&mut _>| gates.cancel_enter(waiting, &timer);

    let mut waiting = begin();
    cancel(waiting.as_mut());
    assert_eq!(free(), (1, 4, 2, 0), "before the first poll");

    let held = second.try_acquire().unwrap();
    let mut waiting = begin();
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(free(), (0, 2, 1, 1));
    for _time in 0..2 {
        cancel(waiting.as_mut());
        assert_eq!(free(), (1, 4, 1, 0), "while it waits");
    }

    let mut waiting = begin();
    assert!(poll(waiting.as_mut()).is_pending());
    drop(held);
    let Poll::Ready(Ok(token)) = poll(waiting.as_mut()) else { panic!("all are open") };
    cancel(waiting.as_mut());
    assert_eq!(free(), (0, 2, 0, 0), "once it is ready");
    gates.exit(token, Refused);
    assert_eq!(free(), (1, 4, 2, 0));

    // A reservation of more than is there.
    let five = bucket.of(5);
    let mut waiting = pin!(waiting_at(&five, &timer));
    let mut context = Context::from_waker(Waker::noop());
    let polled = five.poll_enter(waiting.as_mut(), &timer, Deadline::NEVER, &mut context);
    assert!(polled.is_pending() && bucket.peek() == 0);
    for _time in 0..2 {
        five.cancel_enter(waiting.as_mut(), &timer);
        assert_eq!(bucket.peek(), 4);
    }
}

/// A new wait, of the type that goes with the timer.
fn waiting_at<T: Timer, G: WaitGate<T>>(_gate: &G, _timer: &T) -> G::Waiting {
    G::Waiting::default()
}

#[test]
fn an_answer_is_given_once() {
    let clock = <ManualClock>::new();
    let permits: Semaphore = Semaphore::new(2);
    let bucket = TokenBucket::new(BucketConfig::per_second(1).burst(4), &clock);
    let gates = (&bucket, &permits);
    let mut entering = pin!(gates.wait_enter(&clock, Deadline::NEVER));
    assert!(polled(entering.as_mut()).is_ready());
    assert!(polled(entering.as_mut()).is_pending());
    let mut acquiring = pin!(bucket.acquire(&clock, 1));
    assert!(polled(acquiring.as_mut()).is_ready());
    assert!(polled(acquiring.as_mut()).is_pending());
    assert_eq!((permits.available(), bucket.peek()), (1, 2));
}

#[test]
fn a_wait_that_was_never_polled_gives_nothing_back() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    let gates = (Recording::new(0, &log), Recording::new(1, &log));
    drop(gates.wait_enter(timer, Deadline::NEVER));
    assert!(log.take().is_empty());
}

#[test]
fn a_wait_goes_on_where_it_was() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    let gates = (Recording::slow(0, &log), Recording::slow(1, &log));
    let token = {
        let mut entering = pin!(gates.wait_enter(timer, Deadline::NEVER));
        assert!(polled(entering.as_mut()).is_pending());
        gates.0.ready.set(true);
        assert!(polled(entering.as_mut()).is_pending());
        assert_eq!(log.take(), [In(0)]);
        gates.1.ready.set(true);
        let Poll::Ready(Ok(token)) = polled(entering.as_mut()) else { panic!("both are ready") };
        token
    };
    assert_eq!(log.take(), [In(1)], "nothing is given back that was handed over");
    gates.exit(token, Success);
    assert_eq!(log.take(), [Out(1, Success), Out(0, Success)]);
}

#[test]
fn a_refusal_after_a_wait_gives_back_at_once() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    let gates = (Recording::slow(0, &log), Recording::refusing(1, &log, true));
    let mut entering = pin!(gates.wait_enter(timer, Deadline::NEVER));
    assert!(polled(entering.as_mut()).is_pending());
    gates.0.ready.set(true);
    assert!(matches!(polled(entering.as_mut()), Poll::Ready(Err(_))));
    assert_eq!(log.take(), [In(0), No(1), Out(0, Refused)]);
}

#[test]
fn an_immediate_gate_never_waits() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    let gate = Immediate(Recording::slow(0, &log));
    let mut entering = pin!(gate.wait_enter(timer, Deadline::NEVER));
    assert!(log.take().is_empty());
    assert_eq!(polled(entering.as_mut()), Poll::Ready(Ok(0)));
    let gate = Immediate(Recording::refusing(1, &log, true));
    let refused = pollster::block_on(gate.wait_enter(timer, Deadline::NEVER));
    assert_eq!(refused.unwrap_err().reason(), Reason::SwitchedOff);
}

#[test]
fn who_may_have_to_wait_is_known() {
    fn may_wait(gate: &impl for<'a> WaitGate<&'a ManualClock>) -> bool {
        gate.may_wait()
    }
    let (plain, queued): (Semaphore, Semaphore<Queue<1>>) = (Semaphore::new(1), Semaphore::new(1));
    assert!(may_wait(&queued) && may_wait(&queued.of(1)) && may_wait(&Some(&queued)));
    assert!(may_wait(&(Immediate(&queued), &queued)) && may_wait(&(&queued).shadow()));
    assert!(!may_wait(&plain) && !may_wait(&()) && !may_wait(&None::<&Semaphore<Queue<1>>>));
    assert!(!may_wait(&(Immediate(&queued), &plain)) && !may_wait(&Immediate(&queued)));
}

#[test]
fn an_option_is_its_gate_or_none() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    for refusing in [None, Some(0)] {
        let gate = Some(Recording::refusing(0, &log, refusing.is_some()));
        check_order(&gate, 1, refusing, &log);
        check_waiting(&gate, timer, 1, refusing, &log);
    }
    let none: Option<Recording<'_>> = None;
    none.permit().unwrap().success();
    let waited = pollster::block_on(none.wait_enter(timer, Deadline::NEVER));
    none.exit(waited.unwrap(), Success);
    let slow = Some(Recording::slow(1, &log));
    assert!(polled(pin!(slow.wait_enter(timer, Deadline::NEVER))).is_pending());
    assert_eq!(log.take(), [Cancelled(1)]);
}

#[cfg(feature = "alloc")]
#[test]
fn shared_pointers_are_their_gate() {
    use std::{rc::Rc, sync::Arc};

    let (log, clock) = (Log::default(), <ManualClock>::new());
    let timer = &clock;
    for refusing in [None, Some(0)] {
        let gate = || Recording::refusing(0, &log, refusing.is_some());
        #[allow(clippy::arc_with_non_send_sync, reason = "the gate writes to a cell")]
        let (rc, arc) = (Rc::new(gate()), Arc::new(gate()));
        check_order(&rc, 1, refusing, &log);
        check_waiting(&rc, timer, 1, refusing, &log);
        check_order(&arc, 1, refusing, &log);
        check_waiting(&arc, timer, 1, refusing, &log);
        // A permit may own its gate.
        assert_eq!(Permit::enter(Arc::clone(&arc)).is_ok(), refusing.is_none());
        log.take();
    }
}

#[test]
fn a_panic_further_on_gives_back_what_was_taken() {
    struct Panics;
    impl Gate for Panics {
        type Token = ();
        fn enter(&self) -> Result<(), Rejection> {
            panic!("in enter");
        }
        fn exit(&self, (): (), _: Outcome) {}
    }
    let log = Log::default();
    let gates = (Recording::new(0, &log), Recording::new(1, &log), Panics);
    assert!(catch_unwind(AssertUnwindSafe(|| gates.permit().is_ok())).is_err());
    // The call never ran, just as if the last one had refused.
    assert_eq!(log.take(), [In(0), In(1), Out(1, Refused), Out(0, Refused)]);
}

#[test]
fn a_permit_is_given_back_exactly_once() {
    let log = Log::default();
    let gate = Recording::new(0, &log);
    for outcome in [Success, Failure, Outcome::Ignored, Abandoned, Refused] {
        gate.permit().unwrap().finish(outcome);
        assert_eq!(log.take(), [In(0), Out(0, outcome)]);
    }
    drop(gate.permit());
    assert_eq!(log.take(), [In(0), Out(0, Abandoned)]);
    gate.permit().unwrap().success();
    gate.permit().unwrap().failure();
    gate.permit().unwrap().ignore();
    let ends: Vec<_> = log.take().into_iter().filter(|did| matches!(did, Out(..))).collect();
    assert_eq!(ends, [Out(0, Success), Out(0, Failure), Out(0, Outcome::Ignored)]);
    let permit = Permit::adopt(&gate, 0);
    assert_eq!(permit.gate().id, 0);
    drop(permit);
    assert_eq!(log.take(), [Out(0, Abandoned)]);
}

#[test]
fn calls_through_a_tuple_tell_every_gate() {
    let log = Log::default();
    let gates = (Recording::new(0, &log), Recording::new(1, &log));
    assert_eq!(gates.call(|| Err::<(), _>("no")), Err(Error::Inner("no")));
    assert_eq!(log.take(), [In(0), In(1), Out(1, Failure), Out(0, Failure)]);
    assert_eq!(pollster::block_on(gates.guard(async { Ok::<_, ()>(7) })), Ok(7));
    assert_eq!(log.take(), [In(0), In(1), Out(1, Success), Out(0, Success)]);
    drop(gates.guard(async { Ok::<_, ()>(7) }));
    assert!(log.take().is_empty());
}

#[derive(Default)]
struct Refusals(RefCell<Vec<(String, Reason)>>);

impl Observer for Refusals {
    fn on_event(&self, event: &Event<'_>) {
        let Event::Rejected { name, rejection } = event else { panic!("unexpected {event:?}") };
        self.0.borrow_mut().push(((*name).to_owned(), rejection.reason()));
    }
}

#[test]
fn an_observed_gate_reports_its_refusals_and_nothing_else() {
    let (log, clock, refusals) = (Log::default(), <ManualClock>::new(), Refusals::default());
    let timer = &clock;
    let open = Recording::new(0, &log).observed("open", &refusals);
    assert_eq!(open.inner().id, 0);
    check_order(&open, 1, None, &log);
    check_waiting(&open, timer, 1, None, &log);
    assert!(refusals.0.take().is_empty());

    let shut = Recording::refusing(0, &log, true).observed("shut", &refusals);
    check_order(&shut, 1, Some(0), &log);
    assert_eq!(refusals.0.take(), [("shut".to_owned(), Reason::SwitchedOff)]);
    check_waiting(&shut, timer, 1, Some(0), &log);
    assert_eq!(refusals.0.take(), [("shut".to_owned(), Reason::SwitchedOff)]);
}

#[test]
fn a_deadline_among_gates_rolls_back_the_rest() {
    let (log, clock) = (Log::default(), <ManualClock>::new());
    let over: DeadlineGate<&ManualClock> = Deadline::at(fusebox_core::Ticks(0)).on(&clock);
    let gates = (Recording::new(0, &log), over);
    assert_eq!(gates.permit().unwrap_err().reason(), Reason::DeadlineExceeded);
    assert_eq!(log.take(), [In(0), Out(0, Refused)]);
}
