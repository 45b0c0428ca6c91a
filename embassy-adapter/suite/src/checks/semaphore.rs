//! The semaphore and the bulkhead.

use core::future::Future;
use core::pin::{Pin, pin};
use core::task::Poll;

use fusebox_core::{
    Bulkhead, BulkheadConfig, Deadline, Gate, ManualClock, Permit, Queue, Reason, Rejection,
    Semaphore,
};

use super::support::{EIGHTH, SECOND, reason};
use crate::{Checked, Failure, advance_until, ensure, ensure_eq, poll_once};

type Waiters = Semaphore<Queue<2>>;

fn refused<T, F>(wait: Pin<&mut F>) -> Option<Reason>
where
    F: Future<Output = Result<T, Rejection>>,
{
    match poll_once(wait) {
        Poll::Ready(answer) => reason(answer),
        Poll::Pending => None,
    }
}

/// What must be there, unless something is wrong.
fn held<R>(permit: Result<Permit<R>, Rejection>) -> Result<Permit<R>, Failure>
where
    R: core::ops::Deref,
    R::Target: Gate,
{
    permit.map_err(|_| Failure::new("a permit is free"))
}

pub(super) fn never_more_than_there_are<const HZ: u64>() -> Checked {
    let permits: Semaphore = Semaphore::new(3);
    let one = held(permits.try_acquire())?;
    let two = held(permits.try_acquire_many(2))?;
    ensure!(reason(permits.try_acquire()) == Some(Reason::BulkheadFull));
    ensure_eq!(permits.in_use(), 3);
    drop(one);
    ensure!(permits.try_acquire_many(2).is_err(), "all or none");
    ensure_eq!(permits.available(), 1);
    drop(two);
    ensure_eq!(permits.available(), 3);
    ensure!(reason(permits.try_acquire_many(4)) == Some(Reason::ExceedsBurst));
    let none = held(permits.try_acquire_many(0))?;
    ensure_eq!(permits.available(), 3);
    drop(none);
    ensure!(Semaphore::<Queue<0>>::try_new(0).is_err());
    Ok(())
}

pub(super) fn a_gate_has_its_permits_back_however_a_call_ends<const HZ: u64>() -> Checked {
    let permits: Semaphore = Semaphore::new(3);
    ensure!(permits.call(|| Err::<(), _>("down")).is_err());
    ensure_eq!(permits.available(), 3);
    let inside = permits.of(2).call(|| Ok::<_, ()>(permits.snapshot()));
    ensure!(inside.is_ok_and(|usage| usage.percent() == 66 && usage.available() == 1));
    ensure_eq!(permits.available(), 3);
    drop(held(permits.permit())?);
    ensure_eq!(permits.available(), 3);
    Ok(())
}

pub(super) fn first_come_first_served<const HZ: u64>() -> Checked {
    let permits = Waiters::new(1);
    let first_held = held(permits.try_acquire())?;
    let (mut first, mut second) = (pin!(permits.acquire()), pin!(permits.acquire()));
    ensure!(poll_once(first.as_mut()).is_pending());
    ensure!(poll_once(second.as_mut()).is_pending());
    ensure_eq!(permits.waiting(), 2);
    drop(first_held);
    ensure!(permits.try_acquire().is_err(), "it is on its way to the first");
    ensure!(poll_once(second.as_mut()).is_pending());
    let Poll::Ready(Ok(granted)) = poll_once(first) else {
        return Err(Failure::new("the first is served"));
    };
    drop(granted);
    ensure!(matches!(poll_once(second), Poll::Ready(Ok(_))));
    ensure_eq!(permits.available(), 1);
    ensure_eq!(permits.waiting(), 0);
    Ok(())
}

pub(super) fn who_needs_many_is_not_overtaken<const HZ: u64>() -> Checked {
    let permits = Waiters::new(2);
    let (one, other) = (held(permits.try_acquire())?, held(permits.try_acquire())?);
    let (mut wide, mut narrow) = (pin!(permits.acquire_many(2)), pin!(permits.acquire()));
    ensure!(poll_once(wide.as_mut()).is_pending());
    ensure!(poll_once(narrow.as_mut()).is_pending());
    drop(one);
    ensure!(poll_once(narrow.as_mut()).is_pending());
    ensure_eq!(permits.available(), 1);
    ensure!(permits.try_acquire().is_err(), "a newcomer does not overtake");
    drop(other);
    let Poll::Ready(Ok(both)) = poll_once(wide) else {
        return Err(Failure::new("the wide one is served"));
    };
    ensure!(poll_once(narrow.as_mut()).is_pending());
    drop(both);
    ensure!(matches!(poll_once(narrow), Poll::Ready(Ok(_))));
    Ok(())
}

pub(super) fn a_full_queue_refuses<const HZ: u64>() -> Checked {
    let permits = Waiters::new(1);
    ensure_eq!(permits.queue_capacity(), 2);
    let _held = held(permits.try_acquire())?;
    let (mut first, mut second) = (pin!(permits.acquire()), pin!(permits.acquire()));
    ensure!(poll_once(first.as_mut()).is_pending() && poll_once(second.as_mut()).is_pending());
    ensure!(refused(pin!(permits.acquire())) == Some(Reason::QueueFull));
    let none: Semaphore = Semaphore::new(1);
    let _none_left = held(none.try_acquire())?;
    ensure!(refused(pin!(none.acquire())) == Some(Reason::BulkheadFull));
    ensure!(refused(pin!(none.acquire_many(2))) == Some(Reason::ExceedsBurst));
    Ok(())
}

pub(super) fn who_gives_up_leaves_nothing_behind<const HZ: u64>() -> Checked {
    let permits = Waiters::new(1);
    let one = held(permits.try_acquire())?;
    let mut behind = pin!(permits.acquire());
    {
        let mut ahead = pin!(permits.acquire());
        ensure!(poll_once(ahead.as_mut()).is_pending());
        ensure!(poll_once(behind.as_mut()).is_pending());
        // Granted, and not collected any more.
        drop(one);
    }
    ensure!(matches!(poll_once(behind), Poll::Ready(Ok(_))), "whoever is behind gets it");
    ensure_eq!(permits.available(), 1);
    ensure_eq!(permits.waiting(), 0);
    Ok(())
}

pub(super) fn their_number_changes_and_none_is_lost<const HZ: u64>() -> Checked {
    let permits = Waiters::new(2);
    let both = held(permits.try_acquire_many(2))?;
    let (mut two, mut one) = (pin!(permits.acquire_many(2)), pin!(permits.acquire()));
    ensure!(poll_once(two.as_mut()).is_pending() && poll_once(one.as_mut()).is_pending());
    ensure!(permits.set_permits(1).is_ok());
    ensure!(refused(two) == Some(Reason::ExceedsBurst), "there are not so many any more");
    ensure!(poll_once(one.as_mut()).is_pending());
    ensure_eq!(permits.in_use(), 2);
    ensure_eq!(permits.available(), 0);
    ensure!(permits.set_permits(3).is_ok());
    let Poll::Ready(Ok(third)) = poll_once(one) else {
        return Err(Failure::new("there is one more"));
    };
    drop((both, third));
    ensure_eq!(permits.available(), 3);
    ensure_eq!(permits.waiting(), 0);
    ensure!(permits.set_permits(0).is_err());
    ensure_eq!(permits.permits(), 3);
    Ok(())
}

pub(super) fn a_wait_has_an_end<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let permits = Waiters::new(1);
    let one = held(permits.try_acquire())?;
    let waited = advance_until(&clock, EIGHTH, 8, permits.acquire_timeout(&clock, EIGHTH * 4));
    ensure!(waited.and_then(reason) == Some(Reason::QueueTimeout));
    ensure!(clock.elapsed() >= EIGHTH * 4 && clock.elapsed() < EIGHTH * 6);
    let soon = Deadline::after(&clock, EIGHTH);
    let waited = advance_until(&clock, EIGHTH, 8, permits.acquire_before(&clock, soon));
    ensure!(waited.and_then(reason) == Some(Reason::QueueTimeout));
    drop(one);
    let past = pin!(permits.acquire_before(&clock, soon));
    ensure!(refused(past) == Some(Reason::DeadlineExceeded), "even where it is free");
    ensure_eq!(permits.waiting(), 0);
    ensure!(advance_until(&clock, EIGHTH, 1, permits.acquire_timeout(&clock, SECOND)).is_some());
    ensure_eq!(permits.available(), 1);
    Ok(())
}

pub(super) fn a_bulkhead_waits_so_long<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let config = BulkheadConfig::new(1).max_wait(EIGHTH * 2);
    let bulkhead: Bulkhead<Queue<1>> = Bulkhead::new(config);
    let one = held(bulkhead.permit())?;
    ensure!(reason(bulkhead.permit()) == Some(Reason::BulkheadFull), "as a gate it does not wait");
    let late = advance_until(&clock, EIGHTH, 4, bulkhead.enter_waiting(&clock));
    ensure!(late.and_then(reason) == Some(Reason::QueueTimeout));
    ensure!(bulkhead.max_wait() == Some(EIGHTH * 2));
    {
        let mut waits = pin!(bulkhead.enter_waiting(&clock));
        ensure!(poll_once(waits.as_mut()).is_pending());
        ensure!(refused(pin!(bulkhead.enter_waiting(&clock))) == Some(Reason::QueueFull));
        one.success();
        ensure!(matches!(poll_once(waits), Poll::Ready(Ok(_))));
    }
    ensure_eq!(bulkhead.snapshot().available(), 1);
    ensure_eq!(bulkhead.semaphore().permits(), 1);
    ensure!(Bulkhead::<Queue<0>>::try_new(config).is_err(), "nowhere to wait");
    Ok(())
}
