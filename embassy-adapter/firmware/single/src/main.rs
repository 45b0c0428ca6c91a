//! What every primitive does, on one core: on clocks that are moved by hand, and on the machine's
//! timer.
#![no_std]
#![no_main]

use core::time::Duration;

use board::Report;
use board::timer::{self, Uptime};
use fusebox_suite::Checked;
use fusebox_suite::checks::{self, Manual};

board::program!(run);

/// All checks, on a clock as slow as a watch's and on one as fast as this machine's; where that is
/// more than there is flash for, one part of them on the slow one.
fn run() -> Report {
    let mut report = Report::open("single");
    if board::IS_LARGE {
        checks::run::<32_768>(into(&mut report));
        checks::run::<{ timer::TICKS_PER_SECOND }>(into(&mut report));
    } else if cfg!(feature = "further") {
        checks::run_these(Manual::<32_768>::FURTHER, into(&mut report));
        return report;
    } else {
        checks::run_these(Manual::<32_768>::FIRST, into(&mut report));
    }
    on_the_timer(&mut report);
    report
}

/// Notes the checks of the suite.
fn into(report: &mut Report) -> impl FnMut(&'static str, Checked) {
    |name, result| report.check(name, result)
}

fn on_the_timer(report: &mut Report) {
    timer::start(timer::MILLISECOND / 2, timer::MILLISECOND, |_| {});
    // Some periods: waits look at the clock once in each.
    let slack = Duration::from_millis(5);
    board::block_on(checks::timed::run(&Uptime, slack, into(report)));
}
