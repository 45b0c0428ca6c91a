//! The semaphore and the bulkhead from outside: configuration, reasons, limits of waits, figures.

use core::future::Future;
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use core::time::Duration;

use fusebox_core::{
    Bulkhead, BulkheadConfig, Deadline, Gate, ManualClock, Permit, Queue, Reason, Rejection,
    Semaphore, Ticks, WORD_BITS, WaitGate,
};

const MS: Duration = Duration::from_millis(1);

/// Polls a future once.
macro_rules! poll {
    ($future:expr) => {
        $future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    };
}

fn reason<T>(answer: Poll<Result<T, Rejection>>) -> Option<Reason> {
    match answer {
        Poll::Ready(Err(rejection)) => Some(rejection.reason()),
        _ => None,
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_with_what_would() {
    let none = Semaphore::<Queue<1>>::try_new(0).unwrap_err();
    let most = if WORD_BITS == 64 { u32::MAX } else { (1 << 20) - 1 };
    let range = if WORD_BITS == 64 { "at least 1" } else { "from 1 to 1048575" };
    assert_eq!(none.to_string(), format!("the semaphore's `permits` must be {range}, but is 0"));
    assert_eq!(Semaphore::<Queue<1>>::try_new(most).unwrap().available(), most);
    assert_eq!(Semaphore::<Queue<1>>::try_new(u32::MAX).is_ok(), WORD_BITS == 64);
    assert_eq!(Semaphore::<Queue<2048>>::try_new(1).is_ok(), WORD_BITS == 64);

    let waits_nowhere = BulkheadConfig::new(1).max_wait(MS);
    let error = Bulkhead::<Queue<0>>::try_new(waits_nowhere).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the places in the queue of a bulkhead with a `max_wait` must be at least 1, but is 0"
    );
    assert!(Bulkhead::<Queue<0>>::try_new(BulkheadConfig::new(1).max_wait(Duration::ZERO)).is_ok());
    let none = Bulkhead::<Queue<1>>::try_new(BulkheadConfig::new(0)).unwrap_err();
    assert_eq!(
        none.to_string(),
        format!("the bulkhead's `max_concurrent` must be {range}, but is 0")
    );
}

#[test]
fn without_a_queue_nobody_waits() {
    static POOL: Semaphore = Semaphore::new(1);
    let held = POOL.try_acquire().unwrap();
    assert_eq!(reason(poll!(pin!(POOL.acquire()))), Some(Reason::BulkheadFull));
    drop(held);
    assert!(poll!(pin!(POOL.acquire())).is_ready());
}

/// A bulkhead without places blamed the wait where that was zero as well: "timed out" says that
/// waiting longer would have helped.
#[test]
fn without_a_queue_a_bulkhead_is_full_whatever_the_wait() {
    let clock: ManualClock = ManualClock::new();
    let no_wait = BulkheadConfig::new(1).max_wait(Duration::ZERO);
    for config in [BulkheadConfig::new(1), no_wait] {
        let bulkhead: Bulkhead = Bulkhead::new(config);
        let _held = bulkhead.permit().unwrap();
        let full = reason(poll!(pin!(bulkhead.enter_waiting(&clock))));
        assert_eq!(full, Some(Reason::BulkheadFull));
    }
    let queued: Bulkhead<Queue<1>> = Bulkhead::new(no_wait);
    let _held = queued.permit().unwrap();
    let late = reason(poll!(pin!(queued.enter_waiting(&clock))));
    assert_eq!(late, Some(Reason::QueueTimeout));
}

#[test]
fn a_deadline_that_has_passed_takes_nothing() {
    let clock: ManualClock = ManualClock::new();
    clock.set(Ticks(10));
    let pool: Semaphore<Queue<1>> = Semaphore::new(2);
    let late = Deadline::at(Ticks(10));
    assert_eq!(
        reason(poll!(pin!(pool.acquire_before(&clock, late)))),
        Some(Reason::DeadlineExceeded)
    );
    assert_eq!(reason(poll!(pin!(pool.wait_enter(&clock, late)))), Some(Reason::DeadlineExceeded));
    assert_eq!((pool.available(), pool.waiting()), (2, 0));
}

#[test]
fn several_permits_are_a_gate_that_waits() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let pool: Semaphore<Queue<1>> = Semaphore::new(3);
    let held = pool.try_acquire_many(2).unwrap();
    let two = pool.of(2);
    let mut wait = pin!(two.wait_enter(timer, Deadline::NEVER));
    assert!(poll!(wait).is_pending());
    drop(held);
    let Poll::Ready(Ok(token)) = poll!(wait) else { panic!("two are free") };
    assert_eq!((token.permits(), pool.available()), (2, 1));
    drop(Permit::adopt(&two, token));
    assert_eq!(pool.available(), 3);
    assert!(poll!(wait).is_pending(), "has had its answer");
}

#[test]
fn a_bulkhead_waits_no_longer_than_it_may_nor_than_the_deadline() {
    let clock: ManualClock = ManualClock::new();
    let timer = &clock;
    let config = BulkheadConfig::new(1).max_wait(5 * MS);
    let bulkhead: Bulkhead<Queue<1>> = Bulkhead::new(config);
    let held = bulkhead.permit().unwrap();

    let mut own = Box::pin(bulkhead.enter_waiting(timer));
    assert!(poll!(own).is_pending());
    let full = reason(poll!(pin!(bulkhead.enter_waiting(timer))));
    assert_eq!(full, Some(Reason::QueueFull));
    clock.advance(4 * MS);
    assert!(poll!(own).is_pending());
    clock.advance(MS);
    assert_eq!(reason(poll!(own)), Some(Reason::QueueTimeout));

    let mut deadline = Box::pin(bulkhead.wait_enter(timer, Deadline::after(timer, 2 * MS)));
    assert!(poll!(deadline).is_pending());
    clock.advance(2 * MS);
    assert_eq!(reason(poll!(deadline)), Some(Reason::QueueTimeout));
    assert_eq!(bulkhead.snapshot().waiting(), 0);

    let mut in_time = Box::pin(bulkhead.enter_waiting(timer));
    assert!(poll!(in_time).is_pending());
    drop(held);
    clock.advance(9 * MS);
    assert!(poll!(in_time).is_ready(), "granted before its time was up, and collected after");
}

#[test]
fn figures_are_those_of_one_instant() {
    let pool: Semaphore<Queue<2>> = Semaphore::new(7);
    let held = pool.try_acquire_many(6).unwrap();
    let mut wait = pin!(pool.acquire_many(2));
    assert!(poll!(wait).is_pending());
    let usage = pool.snapshot();
    assert_eq!((usage.permits(), usage.available(), usage.in_use()), (7, 1, 6));
    assert_eq!((usage.waiting(), usage.percent(), pool.queue_capacity()), (1, 85, 2));
    assert_eq!(
        format!("{pool:?}"),
        "Semaphore { permits: 7, available: 1, waiting: 1, queue_capacity: 2 }"
    );
    drop(held);
    assert_eq!((pool.in_use(), pool.waiting()), (2, 0), "granted, on its way");
}

#[test]
fn fewer_permits_than_are_held_are_no_permits_until_enough_are_back() {
    let bulkhead: Bulkhead<Queue<1>> = Bulkhead::new(BulkheadConfig::new(10));
    let held = [(); 4].map(|()| bulkhead.permit().unwrap());
    bulkhead.set_max_concurrent(2).unwrap();
    let usage = bulkhead.snapshot();
    assert_eq!((usage.permits(), usage.available(), usage.in_use()), (2, 0, 4));
    assert_eq!(usage.percent(), 200);
    let [one, two, three, four] = held;
    drop((one, two));
    assert_eq!(bulkhead.permit().unwrap_err().reason(), Reason::BulkheadFull);
    drop(three);
    let again = bulkhead.permit().unwrap();
    drop((four, again));
    assert_eq!(bulkhead.snapshot().available(), 2);
    let error = bulkhead.set_max_concurrent(0).unwrap_err().to_string();
    assert!(error.starts_with("the bulkhead's `max_concurrent`"), "{error}");
    assert_eq!(bulkhead.snapshot().permits(), 2, "nothing has changed");
}

#[cfg(feature = "alloc")]
#[test]
fn a_queue_on_the_heap_has_the_places_asked_for() {
    use fusebox_core::{Acquire, HeapQueue};
    use std::sync::Arc;

    let pool: Arc<Semaphore<HeapQueue>> = Arc::new(Semaphore::with_queue(1, 2).unwrap());
    let held = Permit::enter(Arc::clone(&pool)).unwrap();
    let mut waits = [(); 2].map(|()| Box::pin(Acquire::new(Arc::clone(&pool), 1)));
    for wait in &mut waits {
        assert!(poll!(wait).is_pending());
    }
    assert_eq!(reason(poll!(pin!(pool.acquire()))), Some(Reason::QueueFull));
    drop(held);
    assert!(poll!(waits[0]).is_ready() && poll!(waits[1]).is_ready());
    assert!(Semaphore::with_queue(0, 1).is_err());
}
