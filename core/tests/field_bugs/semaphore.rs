//! Permits and queues: bugs 18, 19 and 20, and what of 8 touches permits.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use fusebox_core::{Gate, Outcome, Permit, Queue, Reason, Semaphore};

type Pool = Semaphore<Queue<4>>;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn poll<F: Future>(self: &Arc<Self>, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }

    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bug 18. Cause: the wake-up goes to one waiter, who is cancelled before it runs, and is not
/// handed on. Seen in: embassy#6964, embassy#2766, shuttle#167.
#[test]
pub(crate) fn a_cancelled_waiter_hands_its_wake_up_on() {
    let pool = Pool::new(1);
    let held = pool.try_acquire().unwrap();
    let mut first = Box::pin(pool.acquire());
    let mut second = Box::pin(pool.acquire());
    let wakes: Arc<Wakes> = Arc::default();
    assert!(poll(first.as_mut()).is_pending() && wakes.poll(second.as_mut()).is_pending());
    drop(held);
    assert_eq!(wakes.count(), 0, "the first one's turn");
    drop(first);
    assert_eq!(wakes.count(), 1, "was told that it is its turn now");
    assert!(wakes.poll(second.as_mut()).is_ready());
}

/// Bug 18. Cause: a waiter at the head needs much and gives up; those behind it, who need little,
/// are not looked at again. Seen in: the same queues, with `acquire_many`.
#[test]
pub(crate) fn a_cancelled_head_lets_those_behind_it_through() {
    let pool = Pool::new(3);
    let held = pool.try_acquire_many(2).unwrap();
    let mut large = Box::pin(pool.acquire_many(3));
    let mut small = Box::pin(pool.acquire());
    let wakes: Arc<Wakes> = Arc::default();
    assert!(poll(large.as_mut()).is_pending() && wakes.poll(small.as_mut()).is_pending());
    drop(large);
    assert_eq!(wakes.count(), 1);
    assert!(wakes.poll(small.as_mut()).is_ready());
    drop(held);
}

/// Bug 18. Cause: a waiter that is polled and finds too few permits wakes the other one, who finds
/// too few permits and wakes the first: both spin for ever. Seen in: embassy-sync's greedy
/// semaphore.
#[test]
pub(crate) fn waiters_that_cannot_go_on_wake_nobody() {
    let pool = Pool::new(3);
    let held = pool.try_acquire_many(2).unwrap();
    let wakes: [Arc<Wakes>; 2] = Default::default();
    let mut waits = [Box::pin(pool.acquire_many(2)), Box::pin(pool.acquire_many(3))];
    for _ in 0..10 {
        for (wait, wakes) in waits.iter_mut().zip(&wakes) {
            assert!(wakes.poll(wait.as_mut()).is_pending());
        }
    }
    assert_eq!(wakes.each_ref().map(|wakes| wakes.count()), [0, 0]);
    drop(held);
    assert_eq!(wakes.each_ref().map(|wakes| wakes.count()), [1, 0]);
}

/// Bug 19. Cause: permits are added without a check, and the count overflows, into its flags or to
/// zero. Seen in: tokio#8395.
#[test]
pub(crate) fn permits_given_back_twice_do_not_overflow() {
    for total in [1, 1_000, (1 << 20) - 1] {
        let pool = Pool::new(total);
        let token = pool.of(total).enter().unwrap();
        for _ in 0..3 {
            pool.exit(token, Outcome::Success);
            assert_eq!((pool.available(), pool.waiting()), (total, 0));
        }
    }
}

/// Bug 19. Cause: a call that costs more than there can ever be waits for ever, and with it all
/// that queue behind it. Seen in: smithy-rs#4749.
#[test]
pub(crate) fn more_than_there_is_is_refused_at_once() {
    let pool = Pool::new(3);
    let never = |reason| assert_eq!(reason, Reason::ExceedsBurst);
    never(pool.try_acquire_many(4).unwrap_err().reason());
    never(pool.of(u32::MAX).permit().unwrap_err().reason());
    let Poll::Ready(Err(rejection)) = poll(pin!(pool.acquire_many(4))) else {
        panic!("must not wait")
    };
    never(rejection.reason());
    assert_eq!((rejection.retry_after(), pool.waiting()), (None, 0));
}

/// Bug 19. Cause: the capacity goes below zero while permits are out, and each permit that comes
/// back starts a sleep of its own. Seen in: smithy-rs#4632. Here what is free is never below zero,
/// because nothing is taken before it is there.
#[test]
pub(crate) fn what_is_free_never_goes_below_zero() {
    let pool = Pool::new(2);
    let held = pool.try_acquire_many(2).unwrap();
    let mut waits: Vec<_> = (0..4).map(|_| Box::pin(pool.acquire_many(2))).collect();
    for wait in &mut waits {
        assert!(poll(wait.as_mut()).is_pending());
        assert_eq!((pool.available(), pool.in_use()), (0, 2));
    }
    let Poll::Ready(Err(rejection)) = poll(pin!(pool.acquire())) else { panic!("must not wait") };
    assert_eq!(rejection.reason(), Reason::QueueFull);
    drop(held);
    assert_eq!((pool.available(), pool.in_use(), pool.waiting()), (0, 2, 3));
}

/// Bug 20. Cause: a guard keeps a copy of the state from when it was made and writes it back when
/// it is dropped, over what happened since. Seen in: leaky-bucket#39.
#[test]
pub(crate) fn permits_given_back_in_any_order_keep_what_happened_since() {
    let pool = Pool::new(5);
    let first = pool.try_acquire_many(2).unwrap();
    let second = pool.try_acquire().unwrap();
    let mut wait = Box::pin(pool.acquire_many(4));
    assert!(poll(wait.as_mut()).is_pending());
    drop(first);
    assert_eq!((pool.available(), pool.waiting()), (4 - 4, 0), "granted");
    drop(wait);
    let third = pool.try_acquire_many(3).unwrap();
    drop(second);
    assert_eq!(pool.available(), 2);
    drop(third);
    assert_eq!(pool.available(), 5);
}

/// Bug 8. Cause: the permit is given back on success and on failure only: not where the call is
/// dropped, returns early, panics, or ends in an error that is ignored. Seen in: resilience4j#935,
/// #1389, #2324, cockatiel#112.
#[test]
pub(crate) fn a_permit_comes_back_whatever_happens() {
    fn early(pool: &Pool) -> Result<(), fusebox_core::Rejection> {
        let _held = pool.try_acquire()?;
        let _more = pool.try_acquire_many(100)?;
        unreachable!("refused above")
    }

    let pool = Pool::new(1);
    let all_back = |pool: &Pool| assert_eq!((pool.available(), pool.waiting()), (1, 0));

    assert!(early(&pool).is_err());
    all_back(&pool);

    let panicked = catch_unwind(AssertUnwindSafe(|| pool.call(|| -> Result<(), ()> { panic!() })));
    assert!(panicked.is_err());
    all_back(&pool);

    let ignored = |_: &Result<(), ()>| Outcome::Ignored;
    assert!(pool.call_with(ignored, || Err(())).is_err());
    all_back(&pool);

    let mut hung = Box::pin(pool.guard(core::future::pending::<Result<(), ()>>()));
    assert!(poll(hung.as_mut()).is_pending());
    assert_eq!(pool.available(), 0);
    drop(hung);
    all_back(&pool);

    let sent = Permit::enter(&pool).unwrap();
    std::thread::scope(|scope| scope.spawn(move || drop(sent)).join().unwrap());
    all_back(&pool);
}
