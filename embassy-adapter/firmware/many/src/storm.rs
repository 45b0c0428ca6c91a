//! All primitives at once, by the storm that interrupts and threads go through as well: mostly
//! steps that do not wait, and now and then a call through a whole pipeline, which does.

use fusebox_suite::Checked;
use fusebox_suite::storm::{Storm, Worker};
use semihosting::println;

use crate::CORES;
use crate::cores::{Enough, Phase, contend, contended, phase_began};
use crate::executor::block_on;
use crate::uptime::Uptime;

pub(crate) const PHASE: Phase = Phase { name: "storm", work, verify };

const ENOUGH: Enough = Enough { rounds: 2_000, collisions: 10 };

/// Few calls, as a core steps no further while one of its own waits.
const STEPS_PER_CALL: u32 = 8_192;

/// With the mistake planted, the storm must fail.
pub(crate) const LOSES: bool = cfg!(feature = "planted-lost-update");

static STORM: Storm<Uptime, LOSES> = Storm::new(Uptime);
static WORKERS: [Worker; CORES] = [Worker::new(1), Worker::new(2), Worker::new(3), Worker::new(4)];

fn work(core: usize) {
    let worker = &WORKERS[core];
    let mut steps = 0_u32;
    contend(core, &ENOUGH, || {
        steps += 1;
        if steps.is_multiple_of(STEPS_PER_CALL) {
            block_on(worker.call(&STORM, &Uptime));
        } else {
            worker.step(&STORM);
        }
    });
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    for (core, worker) in WORKERS.iter().enumerate() {
        println!("        core {core}: {}", STORM.totals([worker]));
    }
    println!("        all: {}", STORM.totals(&WORKERS));
    STORM.verify(&WORKERS, phase_began(), &mut *report);
    report("storm: the cores collided", contended(&ENOUGH));
}
