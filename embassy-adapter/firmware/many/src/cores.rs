//! How the cores work together: meeting, watching the time, and colliding for long enough.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fusebox_core::{Clock, Ticks, failed_swaps};
use fusebox_suite::{Checked, ensure};

use crate::arch::{self, TICKS_PER_SECOND, core_index, ticks};
use crate::report;
use crate::uptime::Uptime;
use crate::{CORES, fail};

/// How long anything may take, in seconds: far more than a busy computer needs.
const PATIENCE: u64 = 30;

/// Waits until `done`, or fails the run. Looks again when another core has woken this one, at
/// `alarm`, and every millisecond.
pub(crate) fn wait_until(for_what: &str, alarm: u64, done: impl Fn() -> bool) {
    let began = ticks();
    while !done() {
        let now = ticks();
        if now.saturating_sub(began) > PATIENCE * TICKS_PER_SECOND {
            let core = core_index();
            fail(format_args!("core {core} has waited {PATIENCE} s for {for_what}"));
        }
        arch::idle_until(alarm.min(now + TICKS_PER_SECOND / 1_000));
    }
}

/// Has all other cores look again at what they wait for.
pub(crate) fn wake_others() {
    let this = core_index();
    (0..CORES).filter(|&core| core != this).for_each(arch::wake);
}

/// Waits until all cores are here.
pub(crate) fn meet() {
    static ARRIVED: AtomicUsize = AtomicUsize::new(0);
    static MEETINGS: AtomicU32 = AtomicU32::new(0);

    // Acquire: pairs with the Release below; the last meeting's `ARRIVED` is 0 again.
    let meeting = MEETINGS.load(Ordering::Acquire);
    // AcqRel: hands on what those before did to the last one, who hands it on to all.
    if ARRIVED.fetch_add(1, Ordering::AcqRel) == CORES - 1 {
        // Relaxed: published by the next line.
        ARRIVED.store(0, Ordering::Relaxed);
        MEETINGS.store(meeting.wrapping_add(1), Ordering::Release);
        wake_others();
    } else {
        // Acquire: pairs with the Release above.
        let all_here = || MEETINGS.load(Ordering::Acquire) != meeting;
        wait_until("the other cores", u64::MAX, all_here);
    }
}

/// What all cores do together, and what must hold afterwards.
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// Runs on each core.
    pub(crate) work: fn(core: usize),
    /// Runs on core 0 when all are done; tells `report` of each thing that must hold.
    pub(crate) verify: fn(&mut dyn FnMut(&'static str, Checked)),
}

impl Phase {
    pub(crate) fn run(&self, core: usize) {
        if core == 0 {
            CONTEST.begin();
        }
        meet();
        (self.work)(core);
        meet();
        if core == 0 {
            let ticks = Uptime.now().saturating_since(phase_began());
            report::phase(self.name, ticks, CONTEST.collisions());
            (self.verify)(&mut report::check);
        }
    }
}

/// The end of a phase in which all cores collide: when they have done so often enough.
struct Contest {
    over: AtomicBool,
    rounds: [AtomicU32; CORES],
    /// The failed swaps of all cores before it.
    before: AtomicUsize,
    began: AtomicU64,
}

static CONTEST: Contest = Contest {
    over: AtomicBool::new(false),
    rounds: [const { AtomicU32::new(0) }; CORES],
    before: AtomicUsize::new(0),
    began: AtomicU64::new(0),
};

/// What makes a contest long enough, besides its time. Where the computer runs fewer cores at once
/// than the machine has, or is busy, that takes longer.
pub(crate) struct Enough {
    /// Rounds of each core.
    pub(crate) rounds: u32,
    /// Failed swaps, of all together.
    pub(crate) collisions: usize,
}

/// How long a contest lasts where it need not be longer, in milliseconds.
const TIME: u64 = 500;
/// When it ends in any case, and has failed: far more than a busy computer needs.
const TOO_LONG: u64 = 20_000;

// Relaxed, all of it: figures that publish nothing, but for what `begin` writes, which the meeting
// publishes that follows.
impl Contest {
    fn begin(&self) {
        self.over.store(false, Ordering::Relaxed);
        for rounds in &self.rounds {
            rounds.store(0, Ordering::Relaxed);
        }
        self.before.store(failed_swaps(), Ordering::Relaxed);
        self.began.store(ticks(), Ordering::Relaxed);
    }

    fn collisions(&self) -> usize {
        failed_swaps().wrapping_sub(self.before.load(Ordering::Relaxed))
    }

    fn fewest_rounds(&self) -> u32 {
        self.rounds.iter().map(|rounds| rounds.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    fn is_over(&self, enough: &Enough) -> bool {
        let elapsed = Uptime.now().saturating_since(phase_began()) / (TICKS_PER_SECOND / 1_000);
        elapsed >= TOO_LONG || (elapsed >= TIME && self.has(enough).is_ok())
    }

    fn has(&self, enough: &Enough) -> Checked {
        ensure!(self.fewest_rounds() >= enough.rounds, "every core had its rounds");
        ensure!(self.collisions() >= enough.collisions, "swaps failed, as cores collided");
        Ok(())
    }
}

/// Goes `round` after round on this core, as all cores do at the same time, until that is `enough`.
pub(crate) fn contend(core: usize, enough: &Enough, mut round: impl FnMut()) {
    while !CONTEST.over.load(Ordering::Relaxed) {
        round();
        let rounds = CONTEST.rounds[core].fetch_add(1, Ordering::Relaxed);
        // One core judges, and not all the time.
        if core == 0 && rounds.is_multiple_of(16) && CONTEST.is_over(enough) {
            CONTEST.over.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether there was `enough` of the contest, in the end.
pub(crate) fn contended(enough: &Enough) -> Checked {
    CONTEST.has(enough)
}

/// An instant before anything of this phase happened.
pub(crate) fn phase_began() -> Ticks {
    Ticks(CONTEST.began.load(Ordering::Relaxed))
}

/// What each core counted in a phase; `N` kinds of things, by name.
pub(crate) struct Tallies<const N: usize> {
    names: [&'static str; N],
    counts: [[AtomicU32; N]; CORES],
}

// Relaxed, all of it: each figure has one writer, and is read when the phase is over.
impl<const N: usize> Tallies<N> {
    pub(crate) const fn new(names: [&'static str; N]) -> Self {
        Self { names, counts: [const { [const { AtomicU32::new(0) }; N] }; CORES] }
    }

    /// One more, or several, of a kind on this core.
    pub(crate) fn add(&self, core: usize, kind: usize, more: u32) {
        self.counts[core][kind].fetch_add(more, Ordering::Relaxed);
    }

    /// How many of a kind there were on all cores.
    pub(crate) fn total(&self, kind: usize) -> u64 {
        self.counts.iter().map(|counts| u64::from(counts[kind].load(Ordering::Relaxed))).sum()
    }

    /// Prints a line for each core.
    pub(crate) fn print(&self) {
        for (core, counts) in self.counts.iter().enumerate() {
            let counts = counts.iter().map(|count| count.load(Ordering::Relaxed));
            report::tally(core, self.names.iter().copied().zip(counts));
        }
    }
}
