//! One task per core, and wakers that work across cores.
//!
//! A waker sets the flag of its core and interrupts it. A core that waits polls its future again
//! when its flag is set, or when the earliest sleep of that future is over, and *not before*: an
//! executor that polls now and then would go on after a wake-up that was lost, and hide it. Here
//! the core waits for ever, and the watch in [`wait_until`] fails the run.

use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use fusebox_core::{Clock, Ticks};

use crate::CORES;
use crate::arch::{self, core_index};
use crate::cores::wait_until;
use crate::uptime::Uptime;

/// What wakes a core.
struct Bell {
    core: usize,
    /// Set by wakers.
    rung: AtomicBool,
    /// When the core polls by itself; `u64::MAX` where nothing sleeps. Only its own core uses it.
    alarm: AtomicU64,
}

static BELLS: [Bell; CORES] = [Bell::new(0), Bell::new(1), Bell::new(2), Bell::new(3)];

impl Bell {
    const fn new(core: usize) -> Self {
        Self { core, rung: AtomicBool::new(false), alarm: AtomicU64::new(u64::MAX) }
    }

    fn ring(&self) {
        // Release: what came before the wake-up is seen by the poll; pairs with `is_rung`.
        self.rung.store(true, Ordering::Release);
        arch::wake(self.core);
    }

    fn is_rung(&self) -> bool {
        // Acquire: pairs with `ring`.
        self.rung.load(Ordering::Acquire)
    }

    /// Makes ready for a poll: only what rings after this leads to another one.
    fn reset(&self) {
        // Relaxed: the core's own. A ring before this store leads to no poll but the one that
        // follows, which is the one it asked for: what it tells of has been read with Acquire.
        self.alarm.store(u64::MAX, Ordering::Relaxed);
        self.rung.swap(false, Ordering::Acquire);
    }
}

/// The waker of the core with this bell.
fn waker(bell: &'static Bell) -> Waker {
    const VTABLE: RawWakerVTable = RawWakerVTable::new(clone, ring, ring, |_| {});

    fn clone(bell: *const ()) -> RawWaker {
        RawWaker::new(bell, &VTABLE)
    }

    fn ring(bell: *const ()) {
        // SAFETY: made from a `&'static Bell` below, and only ever copied.
        unsafe { &*bell.cast::<Bell>() }.ring();
    }

    // SAFETY: the data is a shared reference to a static of atomics: nothing to own or to release,
    // and all functions may be called on any core.
    unsafe { Waker::from_raw(RawWaker::new(core::ptr::from_ref(bell).cast(), &VTABLE)) }
}

/// Has the task of this core polled again at `at`, if not before.
pub(crate) fn poll_again_at(at: Ticks) {
    // Relaxed: the core's own.
    BELLS[core_index()].alarm.fetch_min(at.0, Ordering::Relaxed);
}

/// A future that this core runs.
pub(crate) struct Task<'a, F> {
    bell: &'static Bell,
    waker: Waker,
    future: Pin<&'a mut F>,
    /// How often the core has slept.
    pub(crate) slept: u32,
}

impl<'a, F: Future> Task<'a, F> {
    pub(crate) fn new(future: Pin<&'a mut F>) -> Self {
        let bell = &BELLS[core_index()];
        Self { bell, waker: waker(bell), future, slept: 0 }
    }

    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        self.bell.reset();
        self.future.as_mut().poll(&mut Context::from_waker(&self.waker))
    }

    /// Whether a poll is due.
    fn is_due(&self) -> bool {
        // Relaxed: the core's own.
        self.bell.is_rung() || Uptime.now().0 >= self.bell.alarm.load(Ordering::Relaxed)
    }

    /// Sleeps until a poll is due.
    fn sleep(&mut self) {
        self.slept += 1;
        // Relaxed: the core's own.
        let alarm = self.bell.alarm.load(Ordering::Relaxed);
        wait_until("being woken", alarm, || self.is_due());
    }

    /// Polls a future that is pending whenever that is due, to its end.
    pub(crate) fn finish(&mut self) -> F::Output {
        loop {
            self.sleep();
            if let Poll::Ready(output) = self.poll() {
                return output;
            }
        }
    }

    /// The same for so many moments; `None` where it is not done then.
    pub(crate) fn finish_within(&mut self, moments: u32) -> Option<F::Output> {
        for _ in 0..moments {
            core::hint::spin_loop();
            if !self.is_due() {
                continue;
            }
            if let Poll::Ready(output) = self.poll() {
                return Some(output);
            }
        }
        None
    }
}

/// Runs `future` to its end on this core.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let future = pin!(future);
    let mut task = Task::new(future);
    match task.poll() {
        Poll::Ready(output) => output,
        Poll::Pending => task.finish(),
    }
}
