//! A storm of interrupts on primitives that the interrupted program uses, too.
//!
//! The program and the timer's interrupt make random use of one breaker, one bucket, one
//! semaphore.. and the interrupt comes so often that the program gets only a few uses further each
//! time. In the end, all must be accounted for: see [`fusebox_suite::storm`].
#![no_std]
#![no_main]

use board::timer::{self, Uptime};
use board::{Report, Slowed};
use fusebox_core::Clock;
use fusebox_suite::storm::{Storm, Totals, Worker};

board::program!(run);

const TIME: Slowed<Uptime> = Slowed(Uptime);
/// With a mistake in it, which must be found.
const LOSES: bool = cfg!(feature = "planted-lost-update");

static STORM: Storm<Slowed<Uptime>, LOSES> = Storm::new(TIME);
static PROGRAM: Worker = Worker::new(1);
static INTERRUPT: Worker = Worker::new(2);

fn run() -> Report {
    let mut report = Report::open("storm");
    timer::start(timer::MILLISECOND / 8, timer::MILLISECOND / 4, |_| INTERRUPT.step(&STORM));
    let began = TIME.now();
    for _round in 0..200 {
        (0..100).for_each(|_| PROGRAM.step(&STORM));
        board::block_on(PROGRAM.call(&STORM, &TIME));
    }
    timer::start(timer::MILLISECOND / 2, timer::MILLISECOND, |_| {});

    let workers = [&PROGRAM, &INTERRUPT];
    let totals = STORM.totals(workers);
    STORM.verify(workers, began, |name, result| report.check(name, result));
    report.tell("storm: all of it happened", all_of_it_happened(totals));
    report
}

/// Where nothing happened, the checks of what came of it say nothing.
fn all_of_it_happened(totals: Totals) -> Result<Totals, Totals> {
    let Totals { interleaved, retries, probes, granted, limited, .. } = totals;
    let Totals { waited, gave_up, withdrawals, .. } = totals;
    let each = [retries, probes, granted, limited, waited, gave_up, withdrawals];
    if interleaved > 1_000 && each.iter().all(|&n| n > 10) { Ok(totals) } else { Err(totals) }
}
