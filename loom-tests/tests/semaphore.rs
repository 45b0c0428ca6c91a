//! The races of the semaphore.
//!
//! Who waits in these models blocks its thread, so that a lost wake-up is a deadlock, which loom
//! reports; and at the end all permits must be back and nobody counted as waiting.

mod bounded;

use bounded::up_to;
use core::future::Future;
use core::pin::Pin;
use core::task::{Context, Poll, Waker};
use std::sync::Arc;

use fusebox_core::{
    Acquire, AcquireBefore, Clock, Deadline, Permit, Queue, Reason, Semaphore, Ticks, Timer,
};
use loom::future::block_on;
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;

type Pool = Semaphore<Queue<2>>;
type Held = Permit<Arc<Pool>>;
type Wait = Acquire<Arc<Pool>>;

fn pool(permits: u32) -> Arc<Pool> {
    Arc::new(Semaphore::<Queue<2>>::new(permits))
}

fn wait(pool: &Arc<Pool>, n: u32) -> Wait {
    Acquire::new(Arc::clone(pool), n)
}

/// Polls a future once, with a waker that does nothing.
fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// Takes `n` permits that are free.
fn hold(pool: &Arc<Pool>, n: u32) -> Held {
    match poll(&mut wait(pool, n)) {
        Poll::Ready(Ok(permit)) => permit,
        other => panic!("{n} permits should be free: {other:?}"),
    }
}

/// Queues for `n` permits that are not free.
fn queue(pool: &Arc<Pool>, n: u32) -> Wait {
    let mut wait = wait(pool, n);
    assert!(poll(&mut wait).is_pending());
    wait
}

fn assert_at_rest(pool: &Pool, available: u32, waiting: u32) {
    assert_eq!((pool.available(), pool.waiting()), (available, waiting));
}

/// Race: a waiter publishes its slot while the last permit comes back. Fails without the fence in
/// `grant`: the giver sees no slot, the waiter no permit.
#[test]
fn release_against_enqueue() {
    up_to(4, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(block_on(wait(&pool, 1)).unwrap()))
        };
        drop(held);
        waiter.join().unwrap();
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: the only waiter gives up while it is granted. Fails where a granted permit is not given
/// back by the one who gives up, or a reservation is not put back by the granter who came too late.
#[test]
fn grant_against_cancel() {
    up_to(4, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let waiter = queue(&pool, 1);
        let giver = thread::spawn(move || drop(held));
        drop(waiter);
        giver.join().unwrap();
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: a waiter moves to another waker while it is granted. Fails where the waker is registered
/// after the look at the slot: the granter wakes the old one.
#[test]
fn grant_against_a_new_waker() {
    up_to(4, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let waiter = queue(&pool, 1);
        let giver = thread::spawn(move || drop(held));
        drop(block_on(waiter).unwrap());
        giver.join().unwrap();
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: two permits come back at once to a waiter that needs both. Fails without the fence in
/// `grant`: each giver sees its own permit only and leaves it at that.
#[test]
fn two_releases_against_a_waiter_for_both() {
    up_to(2, || {
        let pool = pool(2);
        let givers = [hold(&pool, 1), hold(&pool, 1)].map(|held| thread::spawn(move || drop(held)));
        let mut waiter = wait(&pool, 2);
        let answer = poll(&mut waiter);
        for giver in givers {
            giver.join().unwrap();
        }
        let answer = if answer.is_pending() { poll(&mut waiter) } else { answer };
        assert!(answer.is_ready(), "both permits are free, and one waits on");
        drop(answer);
        assert_at_rest(&pool, 2, 0);
    });
}

/// Race: the head of the queue gives up while the permit it waits for comes back, and another waits
/// behind it. Fails where who gives up a granted permit does not hand it on, or a granter does not
/// go round again after a grant that failed.
#[test]
fn cancelled_head_against_release() {
    up_to(3, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let (head, mut second) = (queue(&pool, 1), queue(&pool, 1));
        let giver = thread::spawn(move || drop(held));
        drop(head);
        giver.join().unwrap();
        assert!(poll(&mut second).is_ready(), "the permit is free, and one waits on");
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: the head, whose need stands in everybody's way, gives up while a newcomer that needs less
/// queues. Fails without the `grant` after giving up, and without its fence: the one sees no
/// newcomer, the other still sees the head. Fails also where a waiter is counted after it published
/// its slot: it is granted and taken off the count before, and the count never comes back to 0.
#[test]
fn cancelled_head_against_newcomer() {
    up_to(3, || {
        let pool = pool(2);
        let held = hold(&pool, 1);
        let head = queue(&pool, 2);
        let newcomer = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(block_on(wait(&pool, 1)).unwrap()))
        };
        drop(head);
        newcomer.join().unwrap();
        drop(held);
        assert_at_rest(&pool, 2, 0);
    });
}

/// Race: the head, whose need stands in the way, is granted by one giver while another gives back
/// what is enough for the second waiter. Fails where the fence stands before the rounds of `grant`
/// instead of in each: the second giver still sees the head, the first does not yet see the second
/// permit.
#[test]
fn granted_head_against_release() {
    up_to(3, || {
        let pool = pool(3);
        let (most, rest) = (hold(&pool, 2), hold(&pool, 1));
        let (mut head, mut next) = (queue(&pool, 2), queue(&pool, 1));
        let giver = thread::spawn(move || drop(rest));
        drop(most);
        giver.join().unwrap();
        let (head, next) = (poll(&mut head), poll(&mut next));
        assert!(head.is_ready() && next.is_ready(), "all permits are back, and one waits on");
        drop((head, next));
        assert_at_rest(&pool, 3, 0);
    });
}

/// Race: a permit comes back to a waiter while a newcomer tries to take it. Fails where the fast
/// path does not ask whether somebody waits.
#[test]
fn try_acquire_against_a_waiter() {
    up_to(3, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let mut waiter = queue(&pool, 1);
        let giver = thread::spawn(move || drop(held));
        let newcomer = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || assert!(pool.try_acquire().is_err(), "overtook the waiter"))
        };
        giver.join().unwrap();
        newcomer.join().unwrap();
        assert!(poll(&mut waiter).is_ready());
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: the head gives up while a granter has reserved its permit, and then tries to take it past
/// the one who waits behind. Fails where the granter takes the waiter off the count together with
/// the reservation: both do, and the count reads 0 while one waits.
#[test]
fn try_acquire_after_a_cancel_against_a_grant() {
    up_to(3, || {
        let pool = pool(2);
        let held = hold(&pool, 2);
        let (head, mut second) = (queue(&pool, 1), queue(&pool, 2));
        let giver = thread::spawn(move || drop(held));
        drop(head);
        assert!(pool.try_acquire().is_err(), "overtook the waiter");
        giver.join().unwrap();
        assert!(poll(&mut second).is_ready());
        assert_at_rest(&pool, 2, 0);
    });
}

/// Race: two waiters queue, one after the other, while a granter is looking through the slots: it
/// passed the first one's slot before and finds the second. Fails where a granter heeds tickets
/// that were drawn after it began.
#[test]
fn two_newcomers_against_a_scan() {
    up_to(3, || {
        let pool = pool(2);
        let (one, other) = (hold(&pool, 1), hold(&pool, 1));
        let giver = thread::spawn(move || drop(one));
        let (mut first, mut second) = (wait(&pool, 2), wait(&pool, 2));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        drop(other);
        giver.join().unwrap();
        assert!(poll(&mut second).is_pending(), "overtook the first");
        assert!(poll(&mut first).is_ready());
        drop(second);
        assert_at_rest(&pool, 2, 0);
    });
}

/// Race: a granter that is late finds another wait in the slot, for more than it has reserved.
/// Fails where the grant does not compare tickets.
#[test]
fn grant_against_the_next_wait_in_the_slot() {
    up_to(3, || {
        let pool = pool(2);
        let (held, kept) = (hold(&pool, 1), hold(&pool, 1));
        let waiter = queue(&pool, 1);
        let giver = thread::spawn(move || drop(held));
        drop(waiter);
        let mut next = queue(&pool, 2);
        giver.join().unwrap();
        assert!(poll(&mut next).is_pending(), "granted what somebody holds");
        drop(kept);
        assert!(poll(&mut next).is_ready());
        assert_at_rest(&pool, 2, 0);
    });
}

/// Adds 1 in two steps, which only an exclusive holder may do.
fn increment(counter: &AtomicUsize) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// Race: two holders, one after the other, of the only permit. Fails where a permit does not carry
/// what its holder did on to the next one: `give` without Release, `take` or `is_granted`
/// without Acquire.
#[test]
fn permit_orders_memory() {
    up_to(4, || {
        let (pool, counter) = (pool(1), Arc::new(AtomicUsize::new(0)));
        let other = {
            let (pool, counter) = (Arc::clone(&pool), Arc::clone(&counter));
            thread::spawn(move || {
                let held = block_on(wait(&pool, 1)).unwrap();
                increment(&counter);
                drop(held);
            })
        };
        let held = block_on(wait(&pool, 1)).unwrap();
        increment(&counter);
        drop(held);
        other.join().unwrap();
        assert_eq!(counter.load(Ordering::Relaxed), 2);
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: a permit comes back while somebody else, who gives up, hands it to the waiter. Fails where
/// it does not carry on what its holder did: the slot's `grant` without Release.
#[test]
fn permit_from_a_third_orders_memory() {
    up_to(3, || {
        let (pool, counter) = (pool(1), Arc::new(AtomicUsize::new(0)));
        let held = hold(&pool, 1);
        let (mut waiter, third) = (queue(&pool, 1), queue(&pool, 1));
        let giver = {
            let counter = Arc::clone(&counter);
            thread::spawn(move || {
                increment(&counter);
                drop(held);
            })
        };
        let waiter = thread::spawn(move || {
            let answer = poll(&mut waiter);
            if answer.is_ready() {
                assert_eq!(counter.load(Ordering::Relaxed), 1);
            }
            // What comes after is of no interest here, and takes long to explore.
            core::mem::forget((answer, waiter));
        });
        drop(third);
        giver.join().unwrap();
        waiter.join().unwrap();
    });
}

/// A timer at which it is 0 until a sleeper has been polled once, and then the end of time.
#[derive(Clone, Copy)]
struct SecondPoll;

impl Clock for SecondPoll {
    const TICKS_PER_SECOND: u64 = 1;
    fn now(&self) -> Ticks {
        Ticks::ZERO
    }
}

impl Timer for SecondPoll {
    type Sleep = Expiring;
    fn sleep_until(&self, _at: Ticks) -> Expiring {
        Expiring(false)
    }
}

struct Expiring(bool);

impl Future for Expiring {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<()> {
        if core::mem::replace(&mut self.0, true) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Race: the time is up while the permit is granted, and another waits behind. Fails where the
/// timeout forgets the granted permit.
#[test]
fn timeout_against_grant() {
    up_to(3, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let until = Deadline::at(Ticks(1));
        let mut timed = AcquireBefore::new(Arc::clone(&pool), 1, SecondPoll, until);
        assert!(poll(&mut timed).is_pending());
        let mut second = queue(&pool, 1);
        let giver = thread::spawn(move || drop(held));
        match poll(&mut timed) {
            Poll::Ready(Err(rejection)) => assert_eq!(rejection.reason(), Reason::QueueTimeout),
            Poll::Ready(Ok(permit)) => drop(permit),
            Poll::Pending => panic!("its time was up"),
        }
        giver.join().unwrap();
        assert!(poll(&mut second).is_ready());
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: a waiter queues for a permit that there is not yet, while there come to be more. Fails
/// where who changes the number does not go round the waiters, or reads them before its write:
/// without the fence, the one sees no slot, the other the old number.
#[test]
fn growth_against_enqueue() {
    up_to(3, || {
        let pool = pool(1);
        let held = hold(&pool, 1);
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || drop(block_on(wait(&pool, 1)).unwrap()))
        };
        pool.set_permits(2).unwrap();
        waiter.join().unwrap();
        drop(held);
        assert_at_rest(&pool, 2, 0);
    });
}

/// Race: there come to be fewer permits than a waiter needs while it queues, with another behind
/// it. Fails where it is not refused: it would wait for ever, and the other with it.
#[test]
fn shrinking_against_a_waiter_for_more() {
    up_to(3, || {
        let pool = pool(2);
        let held = hold(&pool, 1);
        let waiter = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || {
                let refused = block_on(wait(&pool, 2)).unwrap_err();
                assert_eq!(refused.reason(), Reason::ExceedsBurst);
            })
        };
        pool.set_permits(1).unwrap();
        waiter.join().unwrap();
        let mut next = queue(&pool, 1);
        drop(held);
        assert!(poll(&mut next).is_ready(), "the permit is free, and one waits on");
        assert_at_rest(&pool, 1, 0);
    });
}

/// Race: there come to be fewer permits than are held, while one more is taken and another comes
/// back. Fails where the change cuts what is held down to the new number: then the one that comes
/// back makes another free that is still held.
#[test]
fn shrinking_against_taking_and_giving_back() {
    up_to(3, || {
        let pool = pool(2);
        let held = hold(&pool, 1);
        let taker = {
            let pool = Arc::clone(&pool);
            thread::spawn(move || Permit::enter(pool))
        };
        pool.set_permits(1).unwrap();
        drop(held);
        let taken = taker.join().unwrap();
        assert_at_rest(&pool, u32::from(taken.is_err()), 0);
        drop(taken);
        assert_at_rest(&pool, 1, 0);
    });
}
