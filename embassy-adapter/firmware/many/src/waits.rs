//! The ways in which a core asks a semaphore for permits, all of them at the same time.

use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{
    Acquire, AcquireBefore, Clock, Deadline, Permit, Queue, Random, Reason, Rejection, Rng,
    Semaphore,
};
use fusebox_suite::{Checked, ensure, ensure_eq};

use crate::cores::Tallies;
use crate::executor::{Task, block_on};
use crate::uptime::Uptime;

/// What a core counts when it asks for permits.
#[derive(Clone, Copy)]
pub(crate) enum Did {
    /// Got the permits.
    Served,
    /// Waited, and was woken by another core.
    Slept,
    /// Gave up a wait.
    Cancelled,
    /// Waited until its time was up.
    TimedOut,
    /// Was told that its time was up before it was.
    TooEarly,
    /// Found no place in the queue.
    QueueFull,
    /// Did not wait, and there was no permit.
    Refused,
    /// Got an answer that there is no reason for.
    Surprised,
}

/// What all cores counted in a phase.
pub(crate) type Waits = Tallies<8>;

impl Waits {
    /// Nothing yet.
    pub(crate) const fn none() -> Self {
        Self::new([
            "served",
            "slept",
            "cancelled",
            "timed out",
            "too early",
            "queue full",
            "refused",
            "surprised",
        ])
    }

    /// One more on this core.
    pub(crate) fn note(&self, core: usize, did: Did) {
        self.add(core, did as usize, 1);
    }

    /// How many on all cores.
    pub(crate) fn of(&self, did: Did) -> u64 {
        self.total(did as usize)
    }

    /// Whether all ways were gone, and none led astray.
    pub(crate) fn make_sense(&self) -> Checked {
        ensure!(self.of(Did::Served) > 0);
        ensure!(self.of(Did::Slept) > 0, "cores slept and were woken");
        ensure!(self.of(Did::Cancelled) > 0, "waits were cancelled");
        ensure!(self.of(Did::TimedOut) > 0, "waits timed out");
        ensure!(self.of(Did::Refused) > 0, "cores that did not wait were refused");
        ensure_eq!(self.of(Did::TooEarly), 0, "no time was up too early");
        ensure_eq!(self.of(Did::Surprised), 0, "every refusal had its reason");
        Ok(())
    }
}

/// A core that asks for permits.
pub(crate) struct Asker<'a> {
    core: usize,
    random: Rng,
    waits: &'a Waits,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(core: usize, waits: &'a Waits) -> Self {
        Self { core, random: Rng::from_seed(core as u64), waits }
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: u32) -> u32 {
        self.random.below(u64::from(bound)) as u32
    }

    /// Takes a moment, so that others come in the middle of what this core does.
    pub(crate) fn linger(&self) {
        (0..self.below(50)).for_each(|_| core::hint::spin_loop());
    }

    /// Asks for `n` permits in one way or another. `waiting` is told when a wait has begun that
    /// ends only by being served or cancelled, and again when it has ended.
    pub(crate) fn ask<const PLACES: usize>(
        &self,
        semaphore: &'static Semaphore<Queue<PLACES>>,
        n: u32,
        waiting: impl Fn(bool),
    ) -> Option<Permit<&'static Semaphore<Queue<PLACES>>>> {
        let answer = match self.below(8) {
            0 => Some(semaphore.try_acquire_many(n)),
            1 => Some(self.wait_in_time(semaphore, n)),
            2 => self.wait(semaphore, n, Some(0), waiting),
            3 | 4 => self.wait(semaphore, n, Some(self.below(500)), waiting),
            _ => self.wait(semaphore, n, None, waiting),
        };
        let did = match &answer {
            Some(Ok(_)) => Did::Served,
            Some(Err(refusal)) => match refusal.reason() {
                Reason::BulkheadFull => Did::Refused,
                Reason::QueueFull => Did::QueueFull,
                Reason::QueueTimeout => Did::TimedOut,
                _ => Did::Surprised,
            },
            None => Did::Cancelled,
        };
        self.waits.note(self.core, did);
        if matches!(did, Did::QueueFull | Did::Refused) {
            self.linger();
        }
        answer?.ok()
    }

    /// Waits in the queue, and gives up after so many moments where there is a number.
    fn wait<const PLACES: usize>(
        &self,
        semaphore: &'static Semaphore<Queue<PLACES>>,
        n: u32,
        moments: Option<u32>,
        waiting: impl Fn(bool),
    ) -> Option<Answer<PLACES>> {
        let wait = pin!(Acquire::new(semaphore, n));
        let mut task = Task::new(wait);
        if let Poll::Ready(answer) = task.poll() {
            return Some(answer);
        }
        waiting(true);
        let answer = match moments {
            Some(moments) => task.finish_within(moments),
            None => Some(task.finish()),
        };
        // Before the wait is dropped: others may be served from then on.
        waiting(false);
        self.waits.add(self.core, Did::Slept as usize, task.slept);
        answer
    }

    /// Waits in the queue for some microseconds at most.
    fn wait_in_time<const PLACES: usize>(
        &self,
        semaphore: &'static Semaphore<Queue<PLACES>>,
        n: u32,
    ) -> Answer<PLACES> {
        let limit = Duration::from_micros(u64::from(self.below(100)));
        let asked = Uptime.now();
        let wait = AcquireBefore::new(semaphore, n, Uptime, Deadline::NEVER).within(limit);
        let answer = block_on(wait);
        let is_late = Uptime.now().saturating_since(asked) >= Uptime::ticks(limit);
        if matches!(&answer, Err(late) if late.reason() == Reason::QueueTimeout) && !is_late {
            self.waits.note(self.core, Did::TooEarly);
        }
        answer
    }
}

/// What a semaphore says in the end.
type Answer<const PLACES: usize> = Result<Permit<&'static Semaphore<Queue<PLACES>>>, Rejection>;
