//! Running a future on a plain thread, with timers and without a timer thread.
//!
//! [`block_on`] parks its thread until it is woken or the earliest sleep of that thread is over.
//! The sleeps are in a list of the thread: each entry has the waker it was polled with, so that
//! combinators which poll only what was woken work too.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use fusebox_core::{Clock, Deadline, Ticks, Timer};

use crate::StdClock;

/// Runs `future` on this thread, to its end.
///
/// It may be nested, but then the outer future waits for the inner one.
///
/// # Examples
///
/// ```
/// use fusebox_std::blocking::{ThreadTimer, block_on};
/// use fusebox_std::{Error, Timeout};
/// use std::time::Duration;
///
/// let hangs = std::future::pending::<Result<(), std::io::Error>>();
/// let answer = block_on(Timeout::new(Duration::from_millis(1)).run(ThreadTimer, hangs));
/// assert!(matches!(answer, Err(Error::TimedOut)));
/// ```
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let alarm = Arc::new(Alarm { rung: AtomicBool::new(false), thread: thread::current() });
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        alarm.wait();
    }
}

/// Wakes a parked thread.
struct Alarm {
    /// Of its own, because whatever the future calls may park this thread as well, and so use up
    /// the one token that `unpark` leaves.
    rung: AtomicBool,
    thread: Thread,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: publishes what the waker's caller did before; pairs with the Acquire in `wait`.
        self.rung.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

impl Alarm {
    /// Parks until this rings, and rings for the sleeps that end meanwhile.
    fn wait(&self) {
        // Acquire: pairs with the Release in `wake_by_ref`, so that the next poll sees what it was
        // woken for.
        while !self.rung.swap(false, Ordering::Acquire) {
            match wake_due() {
                Due::Now => {}
                Due::At(at) => thread::park_timeout(Deadline::at(at).remaining(&StdClock)),
                Due::Never => thread::park(),
            }
        }
    }
}

/// A sleep that this thread is in.
struct Entry {
    id: u64,
    at: Ticks,
    waker: Waker,
}

thread_local! {
    static SLEEPS: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    static NEXT_ID: Cell<u64> = const { Cell::new(0) };
}

/// The list of this thread; `None` in a thread that is being torn down, once it is gone.
fn with_sleeps<T>(work: impl FnOnce(&mut Vec<Entry>) -> T) -> Option<T> {
    SLEEPS.try_with(|sleeps| work(&mut sleeps.borrow_mut())).ok()
}

/// When the next sleep ends.
enum Due {
    /// Some just have, and were woken.
    Now,
    At(Ticks),
    Never,
}

/// Wakes the sleeps that are over.
fn wake_due() -> Due {
    let now = StdClock.now();
    let due = with_sleeps(|sleeps| {
        let (over, later): (Vec<_>, Vec<_>) =
            std::mem::take(sleeps).into_iter().partition(|entry| entry.at <= now);
        *sleeps = later;
        (over, sleeps.iter().map(|entry| entry.at).min())
    });
    let Some((over, next)) = due else { return Due::Never };
    // Outside of the borrow: a waker is foreign code.
    let any = !over.is_empty();
    over.into_iter().for_each(|entry| entry.waker.wake());
    match next {
        _ if any => Due::Now,
        Some(at) => Due::At(at),
        None => Due::Never,
    }
}

/// A timer for plain threads: the clock is that of [`StdClock`], and its sleeps end within
/// [`block_on`].
///
/// # Examples
///
/// ```
/// use fusebox_std::blocking::{ThreadTimer, block_on};
/// use fusebox_std::{Backoff, Retry};
/// use std::time::Duration;
///
/// let retry = Retry::new(Backoff::constant(Duration::from_millis(1)));
/// let answer = block_on(retry.call(ThreadTimer, |attempt| async move {
///     if attempt.is_retry() { Ok(attempt.number) } else { Err("not yet") }
/// }));
/// assert_eq!(answer, Ok(2));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ThreadTimer;

impl Clock for ThreadTimer {
    const TICKS_PER_SECOND: u64 = StdClock::TICKS_PER_SECOND;

    #[inline]
    fn now(&self) -> Ticks {
        StdClock.now()
    }
}

impl Timer for ThreadTimer {
    type Sleep = ThreadSleep;

    fn sleep_until(&self, at: Ticks) -> ThreadSleep {
        ThreadSleep { at, id: None, here: PhantomData }
    }
}

/// The sleep of a [`ThreadTimer`]. It stays on its thread, and ends only within [`block_on`].
#[must_use = "futures do nothing unless polled"]
pub struct ThreadSleep {
    at: Ticks,
    /// Its place in the thread's list, once it is in there.
    id: Option<u64>,
    /// Not `Send`: it is in the list of this thread.
    here: PhantomData<*const ()>,
}

impl Future for ThreadSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.leave();
        if StdClock.now() >= self.at {
            return Poll::Ready(());
        }
        let id = NEXT_ID.get();
        NEXT_ID.set(id.wrapping_add(1));
        self.id = Some(id);
        let entry = Entry { id, at: self.at, waker: cx.waker().clone() };
        if with_sleeps(|sleeps| sleeps.push(entry)).is_some() {
            return Poll::Pending;
        }
        // A `block_on` in the destructor of a thread-local value, with no list left to wait by.
        thread::sleep(Deadline::at(self.at).remaining(&StdClock));
        Poll::Ready(())
    }
}

impl ThreadSleep {
    fn leave(&mut self) {
        if let Some(id) = self.id.take() {
            // The entry is dropped outside of the borrow: its waker is foreign code.
            let _entry = with_sleeps(|sleeps| {
                let place = sleeps.iter().position(|entry| entry.id == id)?;
                Some(sleeps.swap_remove(place))
            });
        }
    }
}

impl Drop for ThreadSleep {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for ThreadSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadSleep").field("at", &self.at).finish_non_exhaustive()
    }
}
