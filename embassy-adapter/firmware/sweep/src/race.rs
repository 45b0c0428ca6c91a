//! A race: an operation, and another one on the same primitives in an interrupt.
//!
//! **Background.** An operation is many instructions, and an interrupt may come before any of them.
//! Which ones matter is up to the compiler, so that picking some by hand proves little.
//!
//! **Solution.** Take them all. The machine's timer is set to interrupt after a few of its ticks,
//! then after some more, until the operation is over before the interrupt comes. Two ticks are
//! shorter than an instruction (see `-icount` in `.cargo/config.toml`), so that none is passed
//! over; this is checked, by counting. What may come of it is found out by trying, too: first
//! without a timer, with the interrupt's part called before, between and after the *steps* of the
//! operation. A step is a call that must look as if it all happened at one instant. So whatever
//! comes of an interrupt must be what came of one of these orders, and each of them must come up.
//!
//! A race may have two interrupts. Then each instruction for the first one goes with each
//! instruction for the second, after it.

use core::cell::Cell;
use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering, compiler_fence};

use board::timer;
use critical_section::Mutex;

/// What the interrupt does. It is a context of its own, hence `Send`.
type Part<'a> = dyn FnMut() -> u32 + Send + 'a;

/// The most steps of an operation.
const STEPS: usize = 4;
/// The most interrupts of a race.
pub(crate) const INTERRUPTS: usize = 2;

/// What came of a race, as numbers of its own choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// What the steps returned.
    steps: [u32; STEPS],
    /// What the interrupts returned.
    interrupts: [u32; INTERRUPTS],
    /// What is left.
    end: [u32; 3],
}

impl Outcome {
    pub(crate) const NONE: Self =
        Self { steps: [0; STEPS], interrupts: [0; INTERRUPTS], end: [0; 3] };
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "steps {:?}, interrupts {:?}, end {:?}", self.steps, self.interrupts, self.end)
    }
}

/// When the interrupts come.
#[derive(Clone, Copy)]
pub(crate) enum When {
    /// Called as functions before these steps, in ascending order.
    Before([usize; INTERRUPTS]),
    /// From the timer: this many ticks after the beginning, and after the first interrupt.
    After([u32; INTERRUPTS]),
}

/// One run of a race.
pub(crate) struct Race {
    when: When,
    interrupts: usize,
    /// How many steps it has.
    pub(crate) steps: usize,
    /// The instructions before which the timer interrupted the steps.
    pub(crate) hits: [Option<usize>; INTERRUPTS],
    /// How long the steps took, where no interrupt came.
    pub(crate) ticks: u32,
    /// Whether what its [`Case`](crate::explore::Case) names happened.
    pub(crate) noted: bool,
    /// Whether what must hold in any order does.
    pub(crate) holds: bool,
    pub(crate) outcome: Outcome,
}

impl Race {
    pub(crate) fn new(interrupts: usize, when: When) -> Self {
        Self {
            when,
            interrupts,
            steps: 0,
            hits: [None; INTERRUPTS],
            ticks: 0,
            noted: false,
            holds: false,
            outcome: Outcome::NONE,
        }
    }

    /// Takes `steps`, and has `part` done by an interrupt at some time, on primitives that are new.
    pub(crate) fn run<const N: usize>(
        &mut self,
        mut steps: [&mut dyn FnMut() -> u32; N],
        part: &mut Part<'_>,
    ) {
        const { assert!(N <= STEPS) };
        self.steps = N;
        match self.when {
            When::Before(at) => self.in_turn(at, &mut steps, part),
            When::After(ticks) => self.preempted(ticks, &mut steps, part),
        }
    }

    /// Notes what is left when all is over, and whether all holds that must in any order: the
    /// orders that are tried out first may be wrong themselves.
    pub(crate) fn end(&mut self, holds: bool, left: [u32; 3]) {
        self.holds = holds;
        self.outcome.end = left;
    }

    /// How many steps and interrupts returned 0, which is the [answer](crate::answer) of a gate
    /// that lets a call in.
    pub(crate) fn let_in(&self) -> usize {
        let Outcome { steps, interrupts, .. } = &self.outcome;
        let answers = steps[..self.steps].iter().chain(&interrupts[..self.interrupts]);
        answers.filter(|&&answer| answer == 0).count()
    }

    /// What the first interrupt returned.
    pub(crate) fn interrupt(&self) -> u32 {
        self.outcome.interrupts[0]
    }

    fn in_turn(
        &mut self,
        at: [usize; INTERRUPTS],
        steps: &mut [&mut dyn FnMut() -> u32],
        part: &mut Part<'_>,
    ) {
        for n in 0..=steps.len() {
            for which in (0..self.interrupts).filter(|&which| at[which] == n) {
                self.outcome.interrupts[which] = part();
            }
            if let Some(step) = steps.get_mut(n) {
                self.outcome.steps[n] = step();
            }
        }
    }

    fn preempted(
        &mut self,
        ticks: [u32; INTERRUPTS],
        steps: &mut [&mut dyn FnMut() -> u32],
        part: &mut Part<'_>,
    ) {
        // SAFETY: only the lifetime changes. What is posted is taken back below, before the end of
        // that lifetime, and nothing keeps it then.
        let part =
            unsafe { core::mem::transmute::<&mut Part<'_>, &'static mut Part<'static>>(part) };
        let job = Job {
            part,
            ticks,
            interrupts: self.interrupts,
            hits: self.hits,
            done: 0,
            returned: [0; INTERRUPTS],
        };
        post(Some(job));

        timer::once(ticks[0], on_timer);
        STEPPING.store(true, Ordering::Relaxed);
        let began = timer::stamp();
        for (n, step) in steps.iter_mut().enumerate() {
            // Neither are the steps moved out of here, nor their memory accesses.
            compiler_fence(Ordering::SeqCst);
            self.outcome.steps[n] = step();
        }
        compiler_fence(Ordering::SeqCst);
        self.ticks = timer::since(began);
        STEPPING.store(false, Ordering::Relaxed);
        timer::stop();

        let Some(mut job) = post(None) else { return };
        // The interrupts that would have come too late.
        while job.done < job.interrupts {
            job.call(None);
        }
        self.hits = job.hits;
        self.outcome.interrupts = job.returned;
    }
}

/// Whether the steps are being taken.
static STEPPING: AtomicBool = AtomicBool::new(false);

/// What the timer's interrupt is to do, and what it has done.
struct Job {
    part: &'static mut Part<'static>,
    ticks: [u32; INTERRUPTS],
    interrupts: usize,
    done: usize,
    hits: [Option<usize>; INTERRUPTS],
    returned: [u32; INTERRUPTS],
}

static JOB: Mutex<Cell<Option<Job>>> = Mutex::new(Cell::new(None));

/// Puts a job where the interrupt finds it, or nothing; returns what was there.
fn post(job: Option<Job>) -> Option<Job> {
    critical_section::with(|cs| JOB.borrow(cs).replace(job))
}

impl Job {
    fn call(&mut self, hit: Option<usize>) {
        self.hits[self.done] = hit;
        self.returned[self.done] = (self.part)();
        self.done += 1;
    }
}

fn on_timer(interrupted: usize) {
    let hit = STEPPING.load(Ordering::Relaxed).then_some(interrupted);
    let Some(mut job) = post(None) else { return };
    job.call(hit);
    let next = job.ticks.get(job.done).copied().filter(|_| job.done < job.interrupts);
    post(Some(job));
    if let Some(ticks) = next {
        timer::once(ticks, on_timer);
    }
}
