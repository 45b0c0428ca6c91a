//! Semaphores, bulkheads and their queues.

use core::time::Duration;

#[cfg(feature = "waits")]
use fusebox_core::{Acquire, AcquireBefore, Deadline, WaitGate};
use fusebox_core::{Bulkhead, BulkheadConfig, Gate, Queue, Semaphore};

#[cfg(feature = "waits")]
use crate::{CLOCK, now, poll};
use crate::{any, keep, some_time, use_gate};

static SEMAPHORE: Semaphore<Queue<4>> = Semaphore::new(2);
static BULKHEAD: Bulkhead<Queue<4>> =
    Bulkhead::new(BulkheadConfig::new(4).max_wait(Duration::from_secs(1)));

pub(crate) fn all() {
    use_gate(&SEMAPHORE);
    use_gate(&SEMAPHORE.of(any(2)));
    keep((SEMAPHORE.try_acquire().is_ok(), SEMAPHORE.try_acquire_many(any(2)).is_ok()));
    if let Ok(token) = SEMAPHORE.enter() {
        keep(token.permits());
        SEMAPHORE.exit(token, crate::outcome());
    }
    #[cfg(feature = "waits")]
    waits();
    let usage = SEMAPHORE.snapshot();
    keep((usage.permits(), usage.available(), usage.in_use(), usage.waiting(), usage.percent()));
    keep((SEMAPHORE.permits(), SEMAPHORE.available(), SEMAPHORE.in_use()));
    keep((SEMAPHORE.waiting(), SEMAPHORE.queue_capacity()));
    keep(SEMAPHORE.set_permits(any(3)).is_ok());
    if let Ok(semaphore) = Semaphore::<Queue<1>>::try_new(any(1)) {
        use_gate(&semaphore);
    }
    bulkheads();
}

#[cfg(feature = "waits")]
fn waits() {
    use core::future::Future;

    let held = SEMAPHORE.try_acquire_many(any(2));
    poll(SEMAPHORE.acquire());
    poll(SEMAPHORE.acquire_many(any(2)));
    poll(SEMAPHORE.acquire_timeout(&CLOCK, some_time()));
    poll(SEMAPHORE.acquire_before(&CLOCK, Deadline::at(now())));
    poll(Acquire::new(&SEMAPHORE, any(1)));
    poll(AcquireBefore::new(&SEMAPHORE, any(1), &CLOCK, Deadline::NEVER).within(some_time()));
    poll(SEMAPHORE.wait_enter(&CLOCK, Deadline::at(now())));
    poll(SEMAPHORE.of(any(2)).wait_enter(&CLOCK, Deadline::at(now())));
    poll(BULKHEAD.enter_waiting(&CLOCK));
    poll(BULKHEAD.wait_enter(&CLOCK, Deadline::at(now())));
    // Released while somebody waits.
    let mut waiting = core::pin::pin!(SEMAPHORE.acquire());
    let mut context = core::task::Context::from_waker(core::task::Waker::noop());
    keep(waiting.as_mut().poll(&mut context).is_ready());
    drop(held);
    keep(waiting.as_mut().poll(&mut context).is_ready());
}

fn bulkheads() {
    use_gate(&BULKHEAD);
    keep(BULKHEAD.set_max_concurrent(any(5)).is_ok());
    keep((BULKHEAD.semaphore().available(), BULKHEAD.max_wait(), BULKHEAD.snapshot().in_use()));
    let config = BulkheadConfig::new(any(4)).max_wait(some_time());
    if let Ok(bulkhead) = Bulkhead::<Queue<1>>::try_new(config) {
        use_gate(&bulkhead);
    }
}
