//! The core on four cores at once, on bare metal: what a kernel asks of it.
//!
//! No operating system and no threads: four cores of RV64 or AArch64 start, meet, and use the same
//! `static` primitives, each as fast as it can. The time is the machine's counter. Phase by phase,
//! core 0 checks what must hold afterwards, prints a line for each check, and ends the run with a
//! status. A core that waits for longer than anything here can take ends it as well: a lost wake-up
//! is a failure, not a run that hangs.
//!
//! | phase | what it shows |
//! |---|---|
//! | [`alone`] | the behaviour of every primitive with 64-bit words, on core 0 while the others wait |
//! | [`hammer`] | one gate at a time: never more than the burst, the probes, the permits, the retries |
//! | [`storm`] | all primitives at once, and pipelines |
//! | [`lock`] | one permit excludes, orders memory and is handed on in turn, whatever is cancelled |
//! | [`pool`] | several permits are conserved, with a queue that is too short |
//! | [`turns`] | each hand-over wakes the one core whose turn it is |
//! | [`times`] | timeouts, deadlines and reservations in real time |
#![no_std]
#![no_main]

mod alone;
mod arch;
mod cores;
mod executor;
mod hammer;
mod lock;
mod pool;
mod report;
mod storm;
mod times;
mod turns;
mod uptime;
mod waits;

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};

use cores::{Phase, meet};

#[cfg(not(fusebox_failed_swaps))]
compile_error!(
    "start cargo in the folder of this program, where its settings are, or use `../run`"
);

/// How many cores the machine has and the program uses.
const CORES: usize = 4;

/// What all cores do together, one after another: nothing but the storm where that has to fail.
const PHASES: &[Phase] = if storm::LOSES { &[storm::PHASE] } else { ALL };
const ALL: &[Phase] = &[
    alone::PHASE,
    hammer::BUCKET,
    hammer::PROBES,
    hammer::PERMITS,
    hammer::BUDGET,
    storm::PHASE,
    lock::PHASE,
    pool::PHASE,
    turns::PHASE,
    times::PHASE,
];

/// Where each core arrives once it has a stack.
extern "C" fn core_main(core: usize) -> ! {
    arch::begin();
    if core == 0 {
        report::begin();
        arch::start_others();
    }
    meet();
    for phase in PHASES {
        phase.run(core);
    }
    if core == 0 {
        report::end();
    }
    rest()
}

/// Ends the run as failed.
fn fail(why: fmt::Arguments<'_>) -> ! {
    end(1, why)
}

/// Ends the run at once. Of several cores that do so together, the first one says why.
fn end(status: i32, why: fmt::Arguments<'_>) -> ! {
    static ENDING: AtomicBool = AtomicBool::new(false);
    // Relaxed: only who is first matters.
    if !ENDING.swap(true, Ordering::Relaxed) {
        semihosting::println!("FAILED: {why}");
        semihosting::process::exit(status)
    }
    rest()
}

/// Does nothing any more.
fn rest() -> ! {
    loop {
        arch::idle_until(u64::MAX);
    }
}
