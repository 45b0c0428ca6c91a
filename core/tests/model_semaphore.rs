//! The semaphore against a model of it that is slow and obvious: a `VecDeque` of who waits.

mod modelling;

use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use fusebox_core::{
    Clock, Deadline, ManualClock, Permit, Queue, Reason, Rejection, Semaphore, Ticks,
};
use proptest::prelude::*;

const PLACES: usize = 3;
type Pool = Semaphore<Queue<PLACES>>;

#[derive(Clone, Debug)]
enum Op {
    Try(u32),
    /// Make a future and poll it.
    Start(u32),
    /// The same with a deadline so many ticks from now, which may lie in the past.
    StartBefore(u32, i64),
    /// The same with the limit of a wait.
    StartWithin(u64),
    /// Make a future and never poll it.
    Ignore(u32),
    Poll(usize),
    DropWait(usize),
    DropPermit(usize),
    /// The clock jumps, backwards too.
    Step(i64),
    /// Change how many permits there are.
    Resize(u32),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (0..7u32).prop_map(Op::Try),
        6 => (0..7u32).prop_map(Op::Start),
        3 => (1..6u32, -3..20i64).prop_map(|(n, ticks)| Op::StartBefore(n, ticks)),
        1 => (0..20u64).prop_map(Op::StartWithin),
        1 => (0..7u32).prop_map(Op::Ignore),
        6 => (0..8usize).prop_map(Op::Poll),
        3 => (0..8usize).prop_map(Op::DropWait),
        6 => (0..8usize).prop_map(Op::DropPermit),
        2 => prop_oneof![-5..15i64, Just(i64::MAX), Just(i64::MIN)].prop_map(Op::Step),
        2 => (1..8u32).prop_map(Op::Resize),
    ]
}

/// What the semaphore should do.
struct Model {
    total: u32,
    held: u32,
    /// Who waits, oldest first: number and need.
    queue: VecDeque<(usize, u32)>,
    /// Whose wait is over, but who has not been told: whether with permits.
    answered: Vec<(usize, bool)>,
}

impl Model {
    fn try_take(&mut self, n: u32) -> Result<(), Reason> {
        if n > self.total {
            Err(Reason::ExceedsBurst)
        } else if n == 0 {
            Ok(())
        } else if !self.queue.is_empty() || self.held + n > self.total {
            Err(Reason::BulkheadFull)
        } else {
            self.held += n;
            Ok(())
        }
    }

    /// `None`: waits.
    fn start(&mut self, who: usize, n: u32) -> Option<Result<(), Reason>> {
        match self.try_take(n) {
            Err(Reason::BulkheadFull) if self.queue.len() + self.answered.len() == PLACES => {
                Some(Err(Reason::QueueFull))
            }
            Err(Reason::BulkheadFull) => {
                self.queue.push_back((who, n));
                self.grant();
                None
            }
            answer => Some(answer),
        }
    }

    fn give(&mut self, n: u32) {
        self.held -= n;
        self.grant();
    }

    fn grant(&mut self) {
        while let Some(&(who, n)) = self.queue.front() {
            let granted = n <= self.total;
            if granted && self.held + n > self.total {
                return;
            }
            self.held += if granted { n } else { 0 };
            self.queue.pop_front();
            self.answered.push((who, granted));
        }
    }

    fn is_answered(&self, who: usize) -> bool {
        self.answered.iter().any(|&(other, _)| other == who)
    }

    fn collect(&mut self, who: usize) -> Option<bool> {
        let index = self.answered.iter().position(|&(other, _)| other == who)?;
        Some(self.answered.swap_remove(index).1)
    }

    fn cancel(&mut self, who: usize, n: u32) {
        match self.collect(who) {
            Some(true) => self.give(n),
            Some(false) => {}
            None => {
                self.queue.retain(|&(other, _)| other != who);
                self.grant();
            }
        }
    }

    fn resize(&mut self, total: u32) {
        self.total = total;
        self.grant();
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

type Acquiring<'a> = Pin<Box<dyn Future<Output = Result<Permit<&'a Pool>, Rejection>> + 'a>>;

struct Waiter<'a> {
    who: usize,
    n: u32,
    until: Option<Ticks>,
    future: Acquiring<'a>,
    /// Calls of its waker since it was last polled.
    wakes: Arc<Wakes>,
}

impl<'a> Waiter<'a> {
    fn poll(&mut self) -> Poll<Result<Permit<&'a Pool>, Reason>> {
        let waker = Waker::from(Arc::clone(&self.wakes));
        let answer = self.future.as_mut().poll(&mut Context::from_waker(&waker));
        // The sleep of a manual clock asks to be polled again at once.
        self.wakes.0.store(0, Ordering::Relaxed);
        answer.map_err(|rejection| rejection.reason())
    }
}

struct Run<'a> {
    pool: &'a Pool,
    clock: &'a ManualClock,
    model: Model,
    waiters: Vec<Waiter<'a>>,
    permits: Vec<(Permit<&'a Pool>, u32)>,
    started: usize,
}

impl<'a> Run<'a> {
    fn start(&mut self, n: u32, until: Option<Ticks>, future: Acquiring<'a>) {
        self.started += 1;
        let who = self.started;
        let mut waiter = Waiter { who, n, until, future, wakes: Arc::default() };
        let answer = waiter.poll();
        let expected = match self.model.start(who, n) {
            None if until.is_some_and(|until| self.clock.now() >= until) => {
                // Its time was up before it could wait.
                self.model.cancel(who, n);
                Some(Err(Reason::QueueTimeout))
            }
            other => other,
        };
        self.check(answer, expected, waiter);
    }

    fn poll(&mut self, index: usize) {
        let mut waiter = self.waiters.remove(index);
        let answer = waiter.poll();
        let expected = if let Some(granted) = self.model.collect(waiter.who) {
            Some(if granted { Ok(()) } else { Err(Reason::ExceedsBurst) })
        } else if waiter.until.is_some_and(|until| self.clock.now() >= until) {
            self.model.cancel(waiter.who, waiter.n);
            Some(Err(Reason::QueueTimeout))
        } else {
            None
        };
        self.check(answer, expected, waiter);
    }

    fn check(
        &mut self,
        answer: Poll<Result<Permit<&'a Pool>, Reason>>,
        expected: Option<Result<(), Reason>>,
        waiter: Waiter<'a>,
    ) {
        match (answer, expected) {
            (Poll::Pending, None) => self.waiters.push(waiter),
            (Poll::Ready(Ok(permit)), Some(Ok(()))) => self.permits.push((permit, waiter.n)),
            (Poll::Ready(Err(reason)), Some(Err(expected))) => assert_eq!(reason, expected),
            (answer, expected) => panic!("{answer:?} where {expected:?} was expected"),
        }
    }

    fn apply(&mut self, op: &Op) {
        let (pool, clock) = (self.pool, self.clock);
        match *op {
            Op::Try(n) => {
                let expected = self.model.try_take(n);
                let answer = pool.try_acquire_many(n).map_err(|rejection| rejection.reason());
                assert_eq!(answer.as_ref().map(|_| ()).map_err(|reason| *reason), expected);
                self.permits.extend(answer.ok().map(|permit| (permit, n)));
            }
            Op::Start(n) => self.start(n, None, Box::pin(pool.acquire_many(n))),
            Op::StartBefore(n, ticks) => {
                let until = Ticks(clock.now().0.saturating_add_signed(ticks));
                let deadline = Deadline::at(until);
                let mut future: Acquiring<'a> =
                    Box::pin(fusebox_core::AcquireBefore::new(pool, n, clock, deadline));
                if ticks <= 0 && !deadline.is_never() {
                    let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                    let refused = matches!(answer, Poll::Ready(Err(rejection))
                        if rejection.reason() == Reason::DeadlineExceeded);
                    assert!(refused, "its deadline had passed");
                } else {
                    let until = Some(until).filter(|_| !deadline.is_never());
                    self.start(n, until, future);
                }
            }
            Op::StartWithin(ticks) => {
                let until = clock.now().saturating_add(ticks);
                let until = Some(until).filter(|until| *until < Ticks::MAX || ticks == 0);
                let limit = core::time::Duration::from_nanos(ticks);
                let future = Box::pin(pool.acquire_timeout(clock, limit));
                if ticks == 0 {
                    self.start_at_once(future);
                } else {
                    self.start(1, until, future);
                }
            }
            Op::Ignore(n) => drop(pool.acquire_many(n)),
            Op::Poll(index) if index < self.waiters.len() => self.poll(index),
            Op::DropWait(index) if index < self.waiters.len() => {
                let waiter = self.waiters.remove(index);
                self.model.cancel(waiter.who, waiter.n);
            }
            Op::DropPermit(index) if index < self.permits.len() => {
                let (permit, n) = self.permits.swap_remove(index);
                drop(permit);
                self.model.give(n);
            }
            Op::Poll(_) | Op::DropWait(_) | Op::DropPermit(_) => {}
            Op::Step(ticks) => clock.advance_ticks(ticks as u64),
            Op::Resize(total) => {
                pool.set_permits(total).unwrap();
                self.model.resize(total);
            }
        }
    }

    /// With no time to wait it takes what is free, and takes no place in the queue.
    fn start_at_once(&mut self, mut future: Acquiring<'a>) {
        let answer = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match (answer, self.model.try_take(1)) {
            (Poll::Ready(Ok(permit)), Ok(())) => self.permits.push((permit, 1)),
            (Poll::Ready(Err(rejection)), Err(Reason::BulkheadFull)) => {
                assert_eq!(rejection.reason(), Reason::QueueTimeout);
            }
            (answer, expected) => panic!("{answer:?} where {expected:?} was expected"),
        }
    }

    fn compare(&self) {
        let usage = self.pool.snapshot();
        assert_eq!(usage.permits(), self.model.total);
        assert_eq!(usage.available(), self.model.total.saturating_sub(self.model.held));
        assert_eq!(usage.in_use(), self.model.held);
        assert_eq!(usage.waiting() as usize, self.model.queue.len());
        for waiter in &self.waiters {
            let woken = waiter.wakes.0.load(Ordering::Relaxed);
            let answered = usize::from(self.model.is_answered(waiter.who));
            assert_eq!(woken, answered, "woken exactly once, exactly when answered");
        }
    }
}

proptest! {
    #![proptest_config(modelling::config())]

    #[test]
    fn behaves_as_its_model(total in 1..6u32, ops in prop::collection::vec(op(), 1..60)) {
        let pool = Semaphore::<Queue<PLACES>>::new(total);
        let clock: ManualClock = ManualClock::new();
        clock.set(Ticks(1_000));
        let model = Model { total, held: 0, queue: VecDeque::new(), answered: Vec::new() };
        let (waiters, permits) = (Vec::new(), Vec::new());
        let mut run = Run { pool: &pool, clock: &clock, model, waiters, permits, started: 0 };
        for op in &ops {
            run.apply(op);
            run.compare();
        }
        let Run { waiters, permits, model, .. } = run;
        drop((permits, waiters));
        prop_assert_eq!((pool.available(), pool.waiting()), (model.total, 0));
    }
}
