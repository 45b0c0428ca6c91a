//! The suite on the host: all checks, and the storm with threads.

use std::thread;
use std::time::Duration;

use fusebox_std::blocking::{ThreadTimer, block_on};
use fusebox_std::{Clock, Deadline, StdClock};
use fusebox_suite::storm::{Storm, Totals, Worker};
use fusebox_suite::{Checked, checks};

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
    checks::run::<1_000_000_000>(|name, result| report.note(name, result));
    report.assert_ok();
}

#[test]
fn everything_holds_in_real_time() {
    let mut report = Report::default();
    let slack = Duration::from_secs(20);
    block_on(checks::timed::run(&ThreadTimer, slack, |name, result| report.note(name, result)));
    report.assert_ok();
}

/// A storm of as many threads as there are workers; every other one makes calls through the pipeline
/// as well.
fn rage<const LOSES: bool>(
    storm: &Storm<StdClock, LOSES>,
    workers: &[Worker],
    time: Duration,
) -> (Report, Totals) {
    let began = StdClock.now();
    let until = Deadline::after(&StdClock, time);
    thread::scope(|scope| {
        for (number, worker) in workers.iter().enumerate() {
            scope.spawn(move || {
                while !until.expired(&StdClock) {
                    (0..100).for_each(|_| worker.step(storm));
                    if number % 2 == 0 {
                        block_on(worker.call(storm, &ThreadTimer));
                    }
                }
            });
        }
    });
    let mut report = Report::default();
    storm.verify(workers, began, |name, result| report.note(name, result));
    let totals = storm.totals(workers);
    println!("{totals}");
    (report, totals)
}

fn workers() -> [Worker; 4] {
    [1, 2, 3, 4].map(Worker::new)
}

#[test]
fn threads_find_the_shared_state_as_it_must_be() {
    static STORM: Storm<StdClock> = Storm::new(StdClock);
    let (report, totals) = rage(&STORM, &workers(), Duration::from_secs(1));
    report.assert_ok();
    // All of it really happened.
    let Totals { interleaved, retries, probes, limited, waited, gave_up, withdrawals, .. } = totals;
    for happened in [interleaved, probes, limited, waited, gave_up, withdrawals] {
        assert!(happened > 0, "{totals:?}");
    }
    // A computer of one core interrupts its threads, but hardly ever there.
    let cores = thread::available_parallelism().map_or(1, usize::from);
    assert!(retries > 0 || cores == 1, "{totals:?}");
}

#[test]
fn a_lost_update_is_found() {
    static STORM: Storm<StdClock, true> = Storm::new(StdClock);
    let (report, _) = rage(&STORM, &workers(), Duration::from_millis(200));
    assert_eq!(report.failed.len(), 1, "{:#?}", report.failed);
    assert!(report.failed[0].contains("excludes"), "{}", report.failed[0]);
}
