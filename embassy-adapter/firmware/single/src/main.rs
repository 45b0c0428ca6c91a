//! What every primitive does, on one core: on clocks that are moved by hand, and on the machine's
//! timer.
#![no_std]
#![no_main]

use core::time::Duration;

use board::Report;
use board::timer::{self, Uptime};
use fusebox_suite::{Checked, checks};

board::program!(run);

fn run() -> Report {
    let mut report = Report::open("single");
    on_manual_clocks(&mut report);
    on_the_timer(&mut report);
    report
}

/// Notes the checks of the suite.
fn into(report: &mut Report) -> impl FnMut(&'static str, Checked) {
    |name, result| report.check(name, result)
}

/// On a clock as slow as a watch's, and on one as fast as this machine's.
fn on_manual_clocks(report: &mut Report) {
    checks::run::<32_768>(into(report));
    // All checks once more, compiled for another constant: more than some machines have flash for.
    if board::IS_LARGE {
        checks::run::<{ timer::TICKS_PER_SECOND }>(into(report));
    }
}

fn on_the_timer(report: &mut Report) {
    timer::start(timer::MILLISECOND / 2, timer::MILLISECOND, |_| {});
    // Some periods: waits look at the clock once in each.
    let slack = Duration::from_millis(5);
    board::block_on(checks::timed::run(&Uptime, slack, into(report)));
}
