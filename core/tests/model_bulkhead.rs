//! The bulkhead against a model of it that is slow and obvious: a `VecDeque` of who waits, and the
//! instant until which each one does.

mod modelling;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use fusebox_core::{
    Bulkhead, BulkheadConfig, Clock, Deadline, Gate, ManualClock, Outcome, Permit, Queue, Reason,
    Rejection, Ticks, WaitGate,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Op {
    Now,
    /// Make a future, to be polled later.
    Make(Wait),
    /// Make a future and poll it.
    Start(Wait),
    Poll(usize),
    DropWaiter(usize),
    /// End a call, one way or another.
    Finish(usize, End),
    /// The clock jumps, backwards too.
    Step(i64),
}

#[derive(Clone, Copy, Debug)]
enum Wait {
    /// By `enter_waiting`.
    Own,
    /// By `wait_enter`, with a deadline so many ticks from now, which may lie in the past.
    Before(i64),
    /// By `wait_enter`, without a deadline.
    Never,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Success,
    Failure,
    Drop,
}

fn op() -> impl Strategy<Value = Op> {
    let wait = || {
        prop_oneof![
            3 => Just(Wait::Own),
            3 => (-3..20i64).prop_map(Wait::Before),
            1 => Just(Wait::Never),
        ]
    };
    let end = prop_oneof![Just(End::Success), Just(End::Failure), Just(End::Drop)];
    prop_oneof![
        2 => Just(Op::Now),
        2 => wait().prop_map(Op::Make),
        7 => wait().prop_map(Op::Start),
        7 => (0..6usize).prop_map(Op::Poll),
        3 => (0..6usize).prop_map(Op::DropWaiter),
        6 => (0..4usize, end).prop_map(|(index, end)| Op::Finish(index, end)),
        3 => prop_oneof![
            8 => -5..15i64,
            1 => Just(i64::MAX),
            1 => Just(i64::MIN),
        ].prop_map(Op::Step),
    ]
}

/// What the bulkhead should do.
struct Model {
    free: u32,
    places: usize,
    /// In ticks.
    max_wait: Option<u64>,
    /// Who waits, oldest first.
    queue: VecDeque<usize>,
    /// Who was let in and does not know yet.
    granted: Vec<usize>,
}

/// What a poll says; `None`: it waits.
type Answer = Option<Result<(), Reason>>;

impl Model {
    fn enter(&mut self) -> Result<(), Reason> {
        if self.free == 0 {
            return Err(Reason::BulkheadFull);
        }
        assert!(self.queue.is_empty(), "nobody waits while something is free");
        self.free -= 1;
        Ok(())
    }

    /// The first poll, and until when to wait where it does; without an end, `u128::MAX`.
    fn start(&mut self, who: usize, now: Ticks, deadline: Deadline) -> (Answer, u128) {
        let until = if deadline == Deadline::NEVER { None } else { Some(deadline.ticks()) };
        if until.is_some_and(|until| until <= now) {
            return (Some(Err(Reason::DeadlineExceeded)), 0);
        }
        if self.enter().is_ok() {
            return (Some(Ok(())), 0);
        }
        let refusal = if self.places == 0 {
            Reason::BulkheadFull
        } else if self.max_wait == Some(0) {
            Reason::QueueTimeout
        } else if self.queue.len() + self.granted.len() == self.places {
            Reason::QueueFull
        } else {
            self.queue.push_back(who);
            let limit = self.max_wait.map(|limit| u128::from(now.0) + u128::from(limit));
            let until = until.map(|until| u128::from(until.0));
            // What the clock cannot count up to is no limit.
            let ends = [limit.filter(|limit| *limit < u128::from(u64::MAX)), until];
            return (None, ends.into_iter().flatten().min().unwrap_or(u128::MAX));
        };
        (Some(Err(refusal)), 0)
    }

    /// A later poll.
    fn poll(&mut self, who: usize, now: Ticks, end: u128) -> Answer {
        if self.granted.contains(&who) {
            self.granted.retain(|other| *other != who);
            Some(Ok(()))
        } else if u128::from(now.0) >= end {
            self.queue.retain(|other| *other != who);
            Some(Err(Reason::QueueTimeout))
        } else {
            None
        }
    }

    fn cancel(&mut self, who: usize) {
        self.queue.retain(|other| *other != who);
        if self.granted.contains(&who) {
            self.granted.retain(|other| *other != who);
            self.exit();
        }
    }

    fn exit(&mut self) {
        match self.queue.pop_front() {
            Some(who) => self.granted.push(who),
            None => self.free += 1,
        }
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Pool<const N: usize> = Bulkhead<Queue<N>>;

/// A call that was let in.
enum Held<'a, const N: usize> {
    Permit(Permit<&'a Pool<N>>),
    Token(<Pool<N> as Gate>::Token),
}

type Entering<'a, const N: usize> =
    Pin<Box<dyn Future<Output = Result<Held<'a, N>, Rejection>> + 'a>>;

struct Waiter<'a, const N: usize> {
    who: usize,
    deadline: Deadline,
    /// When its wait ends, once it has begun.
    end: Option<u128>,
    future: Entering<'a, N>,
    /// Calls of its waker since it was last polled.
    wakes: Arc<Wakes>,
}

struct Run<'a, const N: usize> {
    bulkhead: &'a Pool<N>,
    clock: &'a ManualClock,
    model: Model,
    waiters: Vec<Waiter<'a, N>>,
    held: Vec<Held<'a, N>>,
    made: usize,
}

impl<'a, const N: usize> Run<'a, N> {
    fn make(&mut self, wait: Wait) {
        let (bulkhead, clock) = (self.bulkhead, self.clock);
        let deadline = match wait {
            Wait::Before(ticks) => Deadline::at(Ticks(clock.now().0.saturating_add_signed(ticks))),
            Wait::Own | Wait::Never => Deadline::NEVER,
        };
        let future: Entering<'a, N> = match wait {
            Wait::Own => {
                let entering = bulkhead.enter_waiting(clock);
                Box::pin(async { entering.await.map(Held::Permit) })
            }
            Wait::Before(_) | Wait::Never => {
                let entering = bulkhead.wait_enter(clock, deadline);
                Box::pin(async { entering.await.map(Held::Token) })
            }
        };
        self.made += 1;
        let (who, wakes) = (self.made, Arc::default());
        self.waiters.push(Waiter { who, deadline, end: None, future, wakes });
    }

    fn poll(&mut self, index: usize) {
        let mut waiter = self.waiters.remove(index);
        let now = self.clock.now();
        let expected = match waiter.end {
            Some(end) => self.model.poll(waiter.who, now, end),
            None => {
                let (answer, end) = self.model.start(waiter.who, now, waiter.deadline);
                waiter.end = Some(end);
                answer
            }
        };
        let waker = Waker::from(Arc::clone(&waiter.wakes));
        let answer = waiter.future.as_mut().poll(&mut Context::from_waker(&waker));
        // The sleep of a manual clock asks to be polled again at once.
        waiter.wakes.0.store(0, Ordering::Relaxed);
        match (answer, expected) {
            (Poll::Pending, None) => self.waiters.insert(index, waiter),
            (Poll::Ready(Ok(held)), Some(Ok(()))) => self.held.push(held),
            (Poll::Ready(Err(rejection)), Some(Err(reason))) => {
                assert_eq!(rejection.reason(), reason);
            }
            (answer, expected) => {
                let answer = answer.map_ok(|_| ());
                panic!("{answer:?} where {expected:?} was expected");
            }
        }
    }

    fn finish(&mut self, index: usize, end: End) {
        match (self.held.remove(index), end) {
            (Held::Permit(permit), End::Success) => permit.success(),
            (Held::Permit(permit), End::Failure) => permit.failure(),
            (Held::Permit(permit), End::Drop) => drop(permit),
            (Held::Token(token), End::Success) => self.bulkhead.exit(token, Outcome::Success),
            (Held::Token(token), End::Failure) => self.bulkhead.exit(token, Outcome::Failure),
            (Held::Token(token), End::Drop) => self.bulkhead.exit(token, Outcome::Refused),
        }
        self.model.exit();
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Now => {
                let answer = self.bulkhead.permit().map_err(|rejection| rejection.reason());
                assert_eq!(
                    answer.as_ref().map(|_| ()).map_err(|reason| *reason),
                    self.model.enter()
                );
                self.held.extend(answer.ok().map(Held::Permit));
            }
            Op::Make(wait) => self.make(wait),
            Op::Start(wait) => {
                self.make(wait);
                self.poll(self.waiters.len() - 1);
            }
            Op::Poll(index) if index < self.waiters.len() => self.poll(index),
            Op::DropWaiter(index) if index < self.waiters.len() => {
                self.model.cancel(self.waiters.remove(index).who);
            }
            Op::Finish(index, end) if index < self.held.len() => self.finish(index, end),
            Op::Poll(_) | Op::DropWaiter(_) | Op::Finish(..) => {}
            Op::Step(ticks) => self.clock.advance_ticks(ticks as u64),
        }
    }

    fn compare(&self) {
        let (usage, model) = (self.bulkhead.snapshot(), &self.model);
        assert_eq!(usage.available(), model.free);
        assert_eq!(usage.in_use(), usage.permits() - model.free);
        assert_eq!(usage.in_use() as usize, self.held.len() + model.granted.len());
        assert_eq!(usage.waiting() as usize, model.queue.len());
        for waiter in &self.waiters {
            let woken = waiter.wakes.0.load(Ordering::Relaxed);
            let granted = usize::from(model.granted.contains(&waiter.who));
            assert_eq!(woken, granted, "woken exactly once, exactly when let in");
        }
    }
}

fn compare_with_model<const N: usize>(permits: u32, max_wait: Option<u64>, ops: &[Op]) {
    let config = BulkheadConfig::new(permits);
    let bulkhead = Pool::<N>::new(match max_wait {
        Some(ticks) => config.max_wait(Duration::from_nanos(ticks)),
        None => config,
    });
    let clock: ManualClock = ManualClock::new();
    clock.set(Ticks(1_000));
    let clock = &clock;
    let (queue, granted) = (VecDeque::new(), Vec::new());
    let model = Model { free: permits, places: N, max_wait, queue, granted };
    let (waiters, held) = (Vec::new(), Vec::new());
    let mut run = Run { bulkhead: &bulkhead, clock, model, waiters, held, made: 0 };
    for op in ops {
        run.apply(op);
        run.compare();
    }
    run.waiters.clear();
    while !run.held.is_empty() {
        run.finish(0, End::Drop);
    }
    let usage = bulkhead.snapshot();
    assert_eq!((usage.available(), usage.waiting()), (permits, 0), "all is given back");
}

fn max_wait() -> impl Strategy<Value = Option<u64>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(0)),
        4 => (1..15u64).prop_map(Some),
        1 => Just(Some(u64::MAX)),
    ]
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn behaves_as_its_model(
        permits in 1..4u32,
        limit in max_wait(),
        ops in prop::collection::vec(op(), 1..60),
    ) {
        compare_with_model::<3>(permits, limit, &ops);
    }

    #[test]
    fn behaves_as_its_model_without_a_queue(
        permits in 1..3u32,
        limit in prop_oneof![Just(None), Just(Some(0))],
        ops in prop::collection::vec(op(), 1..20),
    ) {
        compare_with_model::<0>(permits, limit, &ops);
    }
}
