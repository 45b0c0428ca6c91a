//! The suite on the host: all checks, and the storm with threads and with interrupts.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use fusebox_std::blocking::{self, ThreadTimer};
use fusebox_std::{Clock, Deadline, ManualClock, Random, Rng, StdClock, Ticks, Timer, TokioTimer};
use fusebox_suite::storm::{Storm, Totals, Worker};
use fusebox_suite::{Checked, Polled, checks};

/// Gathers failures, so that one test shows all of them.
#[derive(Default)]
struct Report {
    passed: usize,
    failed: Vec<String>,
}

impl Report {
    fn note(&mut self, name: &str, result: Checked) {
        match result {
            Ok(()) => self.passed += 1,
            Err(failure) => self.failed.push(format!("{name}: {failure}")),
        }
    }

    #[track_caller]
    fn assert_ok(&self) {
        assert!(self.passed > 0 && self.failed.is_empty(), "{:#?}", self.failed);
    }
}

#[test]
fn everything_holds_on_manual_clocks_of_all_speeds() {
    let mut report = Report::default();
    checks::run::<1_000>(|name, result| report.note(name, result));
    checks::run::<32_768>(|name, result| report.note(name, result));
    checks::run::<1_000_000>(|name, result| report.note(name, result));
    checks::run::<12_500_000>(|name, result| report.note(name, result));
    checks::run::<1_000_000_000>(|name, result| report.note(name, result));
    report.assert_ok();
}

/// Whatever else the computer does.
const SLACK: Duration = Duration::from_secs(20);

async fn timed(timer: impl Timer) {
    let mut report = Report::default();
    checks::timed::run(&timer, SLACK, |name, result| report.note(name, result)).await;
    report.assert_ok();
}

#[test]
fn everything_holds_on_a_thread_that_sleeps() {
    blocking::block_on(timed(ThreadTimer));
}

#[test]
fn everything_holds_in_tokios_time() {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime needs nothing but memory")
        .block_on(timed(TokioTimer));
}

#[test]
fn everything_holds_where_nobody_sleeps() {
    fusebox_suite::block_on(timed(Polled(StdClock)));
}

fn verified<C: Clock + Copy, const LOSES: bool>(
    storm: &Storm<C, LOSES>,
    workers: &[Worker],
    began: Ticks,
) -> Report {
    let mut report = Report::default();
    storm.verify(workers, began, |name, result| report.note(name, result));
    report
}

/// A storm of as many threads as there are workers, until it has been enough or for some seconds;
/// every other one makes calls through the pipeline as well.
fn rage<const LOSES: bool>(
    storm: &Storm<StdClock, LOSES>,
    workers: &[Worker],
    is_enough: impl Fn(&Totals) -> bool + Sync,
) -> (Report, Totals) {
    let (began, is_enough) = (StdClock.now(), &is_enough);
    let until = Deadline::after(&StdClock, Duration::from_secs(3));
    thread::scope(|scope| {
        for (number, worker) in workers.iter().enumerate() {
            scope.spawn(move || {
                while !until.expired(&StdClock) && !is_enough(&storm.totals(workers)) {
                    (0..100).for_each(|_| worker.step(storm));
                    if number % 2 == 0 {
                        blocking::block_on(worker.call(storm, &ThreadTimer));
                    }
                }
            });
        }
    });
    let totals = storm.totals(workers);
    println!("{totals}");
    (verified(storm, workers, began), totals)
}

fn workers<const N: usize>() -> [Worker; N] {
    std::array::from_fn(|number| Worker::new(number as u32))
}

#[test]
fn threads_find_the_shared_state_as_it_must_be() {
    static STORM: Storm<StdClock> = Storm::new(StdClock);
    // A computer of one core interrupts its threads, but hardly ever there.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let happened = |totals: &Totals, times: u32| {
        let Totals { interleaved, retries, probes, limited, waited, gave_up, .. } = *totals;
        let all = [interleaved, limited, waited, gave_up, totals.withdrawals];
        all.iter().all(|&count| count >= 10 * times)
            && probes >= times.div_ceil(10)
            && (retries >= times || cores == 1)
    };
    let (report, totals) = rage(&STORM, &workers::<4>(), |totals| happened(totals, 500));
    report.assert_ok();
    assert!(happened(&totals, 1), "not all of it really happened: {totals}");
}

#[test]
fn a_lost_update_is_found() {
    static STORM: Storm<StdClock, true> = Storm::new(StdClock);
    let (report, _) = rage(&STORM, &workers::<4>(), |totals| totals.interleaved > 5_000);
    assert_the_lost_update_is_found(&report);
}

#[track_caller]
fn assert_the_lost_update_is_found(report: &Report) {
    assert_eq!(report.failed.len(), 1, "{:#?}", report.failed);
    assert!(report.failed[0].contains("excludes"), "{}", report.failed[0]);
}

/// A storm of one, in which time passes with each step.
fn alone<const HZ: u64>() {
    let (clock, worker) = (ManualClock::<HZ>::new(), Worker::new(7));
    let storm: Storm<_> = Storm::new(&clock);
    for _ in 0..5_000 {
        worker.step(&storm);
        clock.advance(Duration::from_micros(100));
    }
    verified(&storm, &[worker], Ticks::ZERO).assert_ok();
}

#[test]
fn a_clock_of_any_speed_will_do() {
    alone::<1_000>();
    alone::<32_768>();
    alone::<1_000_000>();
    alone::<12_500_000>();
    alone::<62_500_000>();
    alone::<1_000_000_000>();
}

thread_local! {
    /// What an interrupt does, if one may come.
    static INTERRUPT: Cell<Option<fn(usize)>> = const { Cell::new(None) };
    /// How many interrupts are on.
    static LEVEL: Cell<usize> = const { Cell::new(0) };
    static TIME: ManualClock<1_000_000> = const { ManualClock::new() };
    static CHANCE: Rng = const { Rng::from_seed(7) };
}

/// A clock that is interrupted at times just after it was read, so that its reading is late; and
/// with it whatever has read it. Time passes as it is read.
#[derive(Clone, Copy)]
struct Interrupted;

const LEVELS: usize = 3;

impl Clock for Interrupted {
    const TICKS_PER_SECOND: u64 = 1_000_000;

    fn now(&self) -> Ticks {
        let now = TIME.with(|time| {
            time.advance_ticks(CHANCE.with(|chance| chance.below(20)));
            time.now()
        });
        let level = LEVEL.get() + 1;
        if let Some(interrupt) = INTERRUPT.get() {
            if level < LEVELS && CHANCE.with(|chance| chance.below(8)) == 0 {
                LEVEL.set(level);
                interrupt(level);
                LEVEL.set(level - 1);
            }
        }
        now
    }
}

/// Steps on one core that are interrupted by others, at the same places in each run.
fn interrupted<const LOSES: bool>(
    storm: &Storm<Interrupted, LOSES>,
    workers: &[Worker; LEVELS],
    interrupt: fn(usize),
) -> Report {
    let began = Interrupted.now();
    INTERRUPT.set(Some(interrupt));
    (0..50_000).for_each(|_| workers[0].step(storm));
    INTERRUPT.set(None);
    let totals = storm.totals(workers);
    println!("{totals}");
    assert!(totals.interleaved > 1_000 && totals.probes > 100, "{totals}");
    verified(storm, workers, began)
}

#[test]
fn interrupts_find_the_shared_state_as_it_must_be() {
    static STORM: Storm<Interrupted> = Storm::new(Interrupted);
    static WORKERS: [Worker; LEVELS] = [Worker::new(1), Worker::new(2), Worker::new(3)];
    interrupted(&STORM, &WORKERS, |level| WORKERS[level].step(&STORM)).assert_ok();
}

#[test]
fn an_update_that_an_interrupt_loses_is_found() {
    static STORM: Storm<Interrupted, true> = Storm::new(Interrupted);
    static WORKERS: [Worker; LEVELS] = [Worker::new(1), Worker::new(2), Worker::new(3)];
    let report = interrupted(&STORM, &WORKERS, |level| WORKERS[level].step(&STORM));
    assert_the_lost_update_is_found(&report);
}
