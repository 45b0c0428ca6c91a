//! The gates that do not wait, by the storm that interrupts and threads go through as well.

use fusebox_suite::Checked;
use fusebox_suite::storm::{Storm, Worker};
use semihosting::println;

use crate::CORES;
use crate::cores::{Enough, Phase, contend, contended, phase_began};
use crate::uptime::Uptime;

pub(crate) const PHASE: Phase = Phase { name: "storm", work, verify };

const ENOUGH: Enough = Enough { rounds: 2_000, collisions: 10 };

/// With the mistake planted, the storm must fail.
const LOSES: bool = cfg!(feature = "planted-lost-update");

static STORM: Storm<Uptime, LOSES> = Storm::new(Uptime);
static WORKERS: [Worker; CORES] = [Worker::new(1), Worker::new(2), Worker::new(3), Worker::new(4)];

fn work(core: usize) {
    contend(core, &ENOUGH, || WORKERS[core].step(&STORM));
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    for (core, worker) in WORKERS.iter().enumerate() {
        println!("        core {core}: {}", STORM.totals([worker]));
    }
    println!("        all: {}", STORM.totals(&WORKERS));
    STORM.verify(&WORKERS, phase_began(), &mut *report);
    report("storm: the cores collided", contended(&ENOUGH));
}
