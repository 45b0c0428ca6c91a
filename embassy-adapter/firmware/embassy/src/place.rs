//! Where calls are preempted.

use core::fmt;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A level of priority at which tasks run.
pub(crate) struct Place {
    /// Whether a task is in the middle of a call.
    inside: AtomicBool,
    /// How often the timer found it there.
    by_timer: AtomicU32,
    /// How often a task of a higher place found it there.
    by_task: AtomicU32,
    /// The place that this one preempts.
    below: Option<&'static Place>,
}

pub(crate) static THREAD: Place = Place::above(None);
pub(crate) static INTERRUPT: Place = Place::above(Some(&THREAD));

impl Place {
    const fn above(below: Option<&'static Place>) -> Self {
        let (by_timer, by_task) = (AtomicU32::new(0), AtomicU32::new(0));
        Self { inside: AtomicBool::new(false), by_timer, by_task, below }
    }

    /// Runs what can be preempted here: a call, which is in the middle of something whenever it is
    /// being polled.
    pub(crate) async fn watch<F: Future>(&self, call: F) -> F::Output {
        let mut call = pin!(call);
        poll_fn(|cx| {
            if let Some(below) = self.below.filter(|below| below.inside.load(Ordering::Relaxed)) {
                raise(&below.by_task);
            }
            self.inside.store(true, Ordering::Relaxed);
            let polled = call.as_mut().poll(cx);
            self.inside.store(false, Ordering::Relaxed);
            polled
        })
        .await
    }
}

/// To be called by the timer's interrupt.
pub(crate) fn preempted() {
    // What is higher is what runs.
    let places = [&INTERRUPT, &THREAD];
    if let Some(place) = places.into_iter().find(|place| place.inside.load(Ordering::Relaxed)) {
        raise(&place.by_timer);
    }
}

/// Each of the counters is raised at one level of priority only.
fn raise(counter: &AtomicU32) {
    counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

/// How often calls were preempted.
pub(crate) struct Preemptions {
    thread_by_timer: u32,
    thread_by_task: u32,
    interrupt_by_timer: u32,
}

/// How often calls were preempted; an error where it is too little to say anything.
pub(crate) fn preemptions() -> Result<Preemptions, Preemptions> {
    let count = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
    let (thread_by_timer, thread_by_task) = (count(&THREAD.by_timer), count(&THREAD.by_task));
    let interrupt_by_timer = count(&INTERRUPT.by_timer);
    let all = Preemptions { thread_by_timer, thread_by_task, interrupt_by_timer };
    let enough = thread_by_timer > 1_000 && thread_by_task > 100 && interrupt_by_timer > 100;
    if enough { Ok(all) } else { Err(all) }
}

impl fmt::Display for Preemptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { thread_by_timer, thread_by_task, interrupt_by_timer } = self;
        write!(
            f,
            "{thread_by_timer} in the thread by the timer, {thread_by_task} by the task in "
        )?;
        write!(f, "the interrupt, and that one {interrupt_by_timer} by the timer")
    }
}
