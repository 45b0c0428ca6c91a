//! `CoDel` around a gate that waits.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use fusebox_core::{
    Clock, CoDel, CoDelConfig, Deadline, Gate, ManualClock, Outcome, Queue, Reason, Semaphore,
    Ticks, WaitGate,
};

const MS: Duration = Duration::from_millis(1);

/// A tick is a millisecond: exact at any width of the words.
type Millis = ManualClock<1_000>;

fn poll<F: Future>(future: &mut Pin<Box<F>>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_standing_queue_is_shed_down_to_twice_the_target() {
    let clock = Millis::new();
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    // Ten arrive every 10 ms, and eight of them can be served.
    let (mut queue, mut delays) = (std::collections::VecDeque::new(), Vec::new());
    for round in 0..500 {
        queue.extend([clock.now(); 10]);
        clock.advance(10 * MS);
        let mut served = 0;
        while served < 8 {
            let Some(enqueued) = queue.pop_front() else { break };
            let delay = Duration::from_millis(clock.now().0 - enqueued.0);
            if codel.since(enqueued).permit().map(|permit| permit.success()).is_ok() {
                served += 1;
                delays.push((round, delay));
            }
        }
    }
    let settled = delays.iter().filter(|(round, _)| *round > 50);
    let most = settled.map(|&(_, delay)| delay).max().unwrap();
    assert!(most <= 110 * MS, "{most:?} where it would have been a second");
    assert!(delays.len() >= 490 * 8, "all that can be served is: {}", delays.len());
}

#[test]
fn what_waited_too_long_gives_its_turn_back() {
    let clock = Millis::new();
    let timer = &clock;
    let permits: Semaphore<Queue<8>> = Semaphore::new(1);
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    let queue = codel.queue(&permits);
    let enter = || Box::pin(queue.wait_enter(&timer, Deadline::NEVER));

    // Nothing has been on target for 100 ms.
    clock.set(Ticks(1_000));
    assert!(codel.admit_at(Ticks(0), clock.now()).is_ok());
    clock.advance(100 * MS);
    assert!(codel.admit_at(Ticks(0), clock.now()).is_err());
    assert!(codel.admit(Ticks(0)).is_err() && codel.admit(clock.now()).is_ok(), "by its own clock");

    let held = queue.inner().try_acquire().unwrap();
    let (mut first, mut second) = (enter(), enter());
    assert!(poll(&mut first).is_pending());
    clock.advance(8 * MS);
    assert!(poll(&mut second).is_pending());
    clock.advance(3 * MS);
    drop(held);
    let Poll::Ready(Err(refused)) = poll(&mut first) else { panic!("it has waited for 11 ms") };
    assert_eq!((refused.reason(), refused.retry_after()), (Reason::Overloaded, Some(89 * MS)));
    let Poll::Ready(Ok(token)) = poll(&mut second) else { panic!("it has waited for 3 ms") };
    queue.exit(token, Outcome::Success);
    assert_eq!((permits.available(), permits.waiting()), (1, 0));
}

#[test]
fn a_wait_that_is_cancelled_costs_nothing() {
    let clock = Millis::new();
    let timer = &clock;
    let permits: Semaphore<Queue<2>> = Semaphore::new(1);
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    let queue = codel.queue(&permits);
    let held = queue.permit().unwrap();
    let mut waits = Box::pin(queue.wait_enter(&timer, Deadline::NEVER));
    assert!(poll(&mut waits).is_pending());
    drop(held);
    // Granted, and not collected.
    drop(waits);
    drop(queue.wait_enter(&timer, Deadline::NEVER));
    assert_eq!((permits.available(), permits.waiting()), (1, 0));
}

#[test]
fn a_refusal_says_when_it_is_judged_again() {
    let clock = Millis::new();
    clock.set(Ticks(1_000));
    let codel = CoDel::new(CoDelConfig::new(), &clock);
    let waited = |delay: u64| codel.since(Ticks(clock.now().0 - delay)).enter();
    assert!(waited(20).is_ok());
    clock.advance(100 * MS);
    assert_eq!(waited(20).unwrap_err().retry_after(), Some(100 * MS));
    clock.advance(30 * MS);
    assert_eq!(waited(20).unwrap_err().retry_after(), Some(70 * MS));
    assert!(waited(10).is_ok(), "twice the target is served");
}
