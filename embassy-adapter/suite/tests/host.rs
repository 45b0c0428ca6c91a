//! The suite on the host: all checks, and the storm with threads.

use std::thread;
use std::time::Duration;

use fusebox_std::blocking::{ThreadTimer, block_on};
use fusebox_std::{Clock, StdClock};
use fusebox_suite::storm::{Storm, Worker};
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

/// Makes steps on as many threads as there are workers.
fn rage<const LOSES: bool>(
    storm: &Storm<StdClock, LOSES>,
    workers: &[Worker],
    steps: u32,
) -> Report {
    let began = StdClock.now();
    thread::scope(|scope| {
        for worker in workers {
            scope.spawn(move || (0..steps).for_each(|_| worker.step(storm)));
        }
    });
    let mut report = Report::default();
    storm.verify(workers, began, |name, result| report.note(name, result));
    println!("{}", storm.totals(workers));
    report
}

#[test]
fn threads_find_the_shared_state_as_it_must_be() {
    static STORM: Storm<StdClock> = Storm::new(StdClock);
    static WORKERS: [Worker; 4] = [Worker::new(1), Worker::new(2), Worker::new(3), Worker::new(4)];
    rage(&STORM, &WORKERS, 100_000).assert_ok();
}

#[test]
fn a_lost_update_is_found() {
    static STORM: Storm<StdClock, true> = Storm::new(StdClock);
    static WORKERS: [Worker; 4] = [Worker::new(1), Worker::new(2), Worker::new(3), Worker::new(4)];
    let report = rage(&STORM, &WORKERS, 100_000);
    assert_eq!(report.failed.len(), 1, "{:#?}", report.failed);
    assert!(report.failed[0].contains("excludes"), "{}", report.failed[0]);
}
