//! A storm of interrupts on primitives that the interrupted program uses, too.
//!
//! The program and the timer's interrupt make random use of one breaker, one bucket, one semaphore..
//! and the interrupt comes so often that the program gets only a few uses further each time. In the
//! end, all must be accounted for: see [`fusebox_suite::storm`].
#![no_std]
#![no_main]

use board::Report;
use board::timer::{self, Uptime};
use fusebox_core::{Clock, Ticks, Timer};
use fusebox_suite::storm::{Storm, Totals, Worker};

board::program!(run);

/// With a mistake in it, which must be found.
const LOSES: bool = cfg!(feature = "planted-lost-update");

static STORM: Storm<Slowed, LOSES> = Storm::new(Slowed);
static PROGRAM: Worker = Worker::new(1);
static INTERRUPT: Worker = Worker::new(2);

fn run() -> Report {
    let mut report = Report::open("storm");
    timer::start(timer::MILLISECOND / 8, timer::MILLISECOND * 2 / 8, |_| INTERRUPT.step(&STORM));
    let began = Slowed.now();
    for _round in 0..200 {
        (0..100).for_each(|_| PROGRAM.step(&STORM));
        board::block_on(PROGRAM.call(&STORM, &Slowed));
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

/// The machine's time, in which a second lasts eight of them. A machine that makes four million
/// instructions per second (see `-icount`) asks for too little in one of its own: the storm's bucket
/// would have enough for all.
#[derive(Clone, Copy)]
struct Slowed;

impl Clock for Slowed {
    const TICKS_PER_SECOND: u64 = Uptime::TICKS_PER_SECOND * 8;

    fn now(&self) -> Ticks {
        Uptime.now()
    }
}

impl Timer for Slowed {
    type Sleep = timer::Sleep;

    fn sleep_until(&self, at: Ticks) -> timer::Sleep {
        Uptime.sleep_until(at)
    }
}
