//! embassy's mock time driver, for one test at a time, and an executor that polls only what was
//! woken.
#![allow(dead_code, reason = "not every test needs all of it")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use embassy_time::{Duration, Instant, MockDriver};
use fusebox_embassy::Ticks;

/// The driver is one for the process, and so are its clock and its queue.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The clock of this test, which starts at 0.
pub(crate) struct Time {
    _turn: MutexGuard<'static, ()>,
}

impl Time {
    pub(crate) fn begin() -> Self {
        // A test that failed leaves nothing behind that `reset` does not clear.
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        MockDriver::get().reset();
        Self { _turn: turn }
    }

    pub(crate) fn advance_ticks(&self, ticks: u64) {
        MockDriver::get().advance(Duration::from_ticks(ticks));
    }

    pub(crate) fn advance_millis(&self, millis: u64) {
        MockDriver::get().advance(Duration::from_millis(millis));
    }

    /// Sets the clock, back too, as no driver may. What was in its queue is forgotten.
    pub(crate) fn jump(&self, to: Ticks) {
        MockDriver::get().reset();
        self.advance_ticks(to.0);
    }

    pub(crate) fn millis(&self) -> u64 {
        Instant::now().as_millis()
    }

    /// Runs `future` to its end. It is polled when it was woken, and time passes, in milliseconds,
    /// while it was not: a wake-up that is forgotten is one that never comes.
    pub(crate) fn run<F: Future>(&self, future: F) -> F::Output {
        let mut task = pin!(future);
        let alarm = Alarm::new();
        loop {
            let woken = alarm.rung();
            assert!(woken < 10_000, "it is woken for nothing");
            if let Poll::Ready(output) = alarm.poll(task.as_mut()) {
                return output;
            }
            while alarm.rung() == woken {
                assert!(self.millis() < 1_000_000, "nothing woke it");
                self.advance_millis(1);
            }
        }
    }
}

/// A waker that counts.
pub(crate) struct Alarm(AtomicU32);

impl Alarm {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU32::new(0)))
    }

    pub(crate) fn rung(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }

    pub(crate) fn poll<F: Future + ?Sized>(
        self: &Arc<Self>,
        future: Pin<&mut F>,
    ) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(self))))
    }
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) const fn ms(millis: u64) -> core::time::Duration {
    core::time::Duration::from_millis(millis)
}
