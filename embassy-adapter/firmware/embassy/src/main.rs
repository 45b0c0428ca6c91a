//! Tasks of embassy that go through the pipeline, on a Cortex-M3, while an interrupt uses the same
//! statics.
//!
//! Three contexts preempt one another, each of which runs to its end before the one below goes on:
//!
//! | context | what it does |
//! |---|---|
//! | the interrupt of a timer, some thousand times a second | uses the primitives of the storm |
//! | an executor in an interrupt, with a task | calls through the storm's pipeline |
//! | an executor in the thread, with two tasks | the same |
//!
//! All of it is on one [`Storm`], whose clock and timer are embassy's by way of `fusebox-embassy`,
//! and in the end everything must be accounted for. Before that, a task runs the suite's checks on
//! that timer.
#![no_std]
#![no_main]

mod driver;
mod interrupts;
mod place;

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use core::time::Duration;

use board::{Report, Slowed};
use cortex_m_rt::exception;
use embassy_executor::{Executor, InterruptExecutor, Spawner};
use embassy_time::Timer;
use fusebox_embassy::{Clock, EmbassyTimer, Random, Rng};
use fusebox_suite::checks;
use fusebox_suite::storm::{Storm, Totals, Worker};
use static_cell::StaticCell;

use interrupts::{Interrupt, timer};
use place::{INTERRUPT, Place, THREAD};

board::program!(run);

const TIME: Slowed<EmbassyTimer> = Slowed(EmbassyTimer);
/// With a mistake in it, which must be found.
const LOSES: bool = cfg!(feature = "planted-lost-update");

static STORM: Storm<Slowed<EmbassyTimer>, LOSES> = Storm::new(TIME);
static TIMER: Worker = Worker::new(1);
static TASKS: [Worker; 3] = [Worker::new(2), Worker::new(3), Worker::new(4)];

static IN_THREAD: StaticCell<Executor> = StaticCell::new();
static IN_INTERRUPT: InterruptExecutor = InterruptExecutor::new();

fn run() -> Report {
    let report = Report::open("embassy");
    let Some(mut core) = cortex_m::Peripherals::take() else { return report };
    interrupts::set_priorities(&mut core.NVIC, &mut core.SCB);
    driver::start(core.SYST);
    IN_THREAD.init(Executor::new()).run(|spawner| {
        spawner.spawn(program(spawner, report).expect("it is spawned once"));
    })
}

#[embassy_executor::task]
async fn program(spawner: Spawner, mut report: Report) {
    // Some of the driver's periods: it wakes tasks at the end of each.
    let slack = Duration::from_millis(5);
    checks::timed::run(&EmbassyTimer, slack, |name, result| report.check(name, result)).await;
    storm(spawner, &mut report).await;
    board::finish(report)
}

/// Until when the tasks go on.
static STOP: AtomicBool = AtomicBool::new(false);
static STOPPED: AtomicU32 = AtomicU32::new(0);

/// Calls through the pipeline over and over, with `pause` milliseconds of doing nothing in between.
#[embassy_executor::task(pool_size = 3)]
async fn calls(worker: &'static Worker, place: &'static Place, pause: u64) {
    while !STOP.load(Ordering::Relaxed) {
        place.watch(worker.call(&STORM, &TIME)).await;
        place.watch(async { (0..10).for_each(|_| worker.step(&STORM)) }).await;
        Timer::after_millis(pause).await;
    }
    STOPPED.fetch_add(1, Ordering::Relaxed);
}

async fn storm(spawner: Spawner, report: &mut Report) {
    let (began, [first, second, third]) = (TIME.now(), &TASKS);
    timer::enable();
    timer::after(next_period());
    let interrupt = IN_INTERRUPT.start(Interrupt::Uart1);
    interrupt.spawn(calls(third, &INTERRUPT, 3).expect("the pool is large enough"));
    for worker in [first, second] {
        spawner.spawn(calls(worker, &THREAD, 0).expect("the pool is large enough"));
    }

    let workers = || TASKS.iter().chain([&TIMER]);
    for _tenth in 0..200 {
        Timer::after_millis(100).await;
        if is_enough(&STORM.totals(workers())) {
            break;
        }
    }
    STOP.store(true, Ordering::Relaxed);
    while STOPPED.load(Ordering::Relaxed) < TASKS.len() as u32 {
        Timer::after_millis(10).await;
    }
    timer::disable();

    let totals = STORM.totals(workers());
    STORM.verify(workers(), began, |name, result| report.check(name, result));
    let enough = is_enough(&totals);
    report.tell("storm: all of it happened", if enough { Ok(totals) } else { Err(totals) });
    report.tell("storm: calls were preempted", place::preemptions());
}

/// Whether so much happened that the checks of what came of it say something.
fn is_enough(totals: &Totals) -> bool {
    let Totals { steps, interleaved, retries, opened, probes, granted, limited, .. } = *totals;
    let Totals { waited, gave_up, withdrawals, .. } = *totals;
    let each = [opened, probes, granted, limited, waited, gave_up, withdrawals];
    steps > 50_000 && interleaved > 5_000 && retries > 20 && each.iter().all(|&n| n > 100)
}

/// The interrupts that have no handler of their own, which are all of a device.
#[exception]
unsafe fn DefaultHandler(interrupt: i16) {
    const UART_1: i16 = Interrupt::Uart1 as i16;
    const TIMER_0A: i16 = Interrupt::Timer0A as i16;
    match interrupt {
        TIMER_0A => on_timer(),
        // SAFETY: this is the handler of the interrupt with which it was started.
        UART_1 => unsafe { IN_INTERRUPT.on_interrupt() },
        other => panic!("nobody asked for interrupt {other}"),
    }
}

fn on_timer() {
    place::preempted();
    TIMER.step(&STORM);
    timer::after(next_period());
}

/// An eighth to a quarter of a millisecond in ticks, drawn anew each time, so that the interrupts
/// meet the tasks everywhere.
fn next_period() -> u32 {
    static PERIODS: Rng = Rng::from_seed(1);
    1_500 + PERIODS.below(1_500) as u32
}
