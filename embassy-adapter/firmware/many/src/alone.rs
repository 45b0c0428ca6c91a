//! The behaviour of every primitive, on core 0 alone: on a clock that is moved by hand, and on the
//! machine's. And what a core does that collides with nobody.

use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;

use fusebox_core::failed_swaps;
use fusebox_suite::{Checked, checks, ensure_eq};

use crate::cores::Phase;
use crate::executor::block_on;
use crate::hammer;
use crate::report;
use crate::uptime::Uptime;

pub(crate) const PHASE: Phase = Phase { name: "alone", work, verify };

/// How late anything may be: the computer may be busy.
const SLACK: Duration = Duration::from_secs(10);

/// How many swaps failed in a hammering without others. Relaxed, both times: core 0 alone uses it.
static FAILED: AtomicUsize = AtomicUsize::new(0);

fn work(core: usize) {
    if core != 0 {
        return;
    }
    checks::run::<1_000_000>(report::check);
    block_on(checks::timed::run(&Uptime, SLACK, report::check));
    let before = failed_swaps();
    hammer::hammer_alone();
    FAILED.store(failed_swaps().wrapping_sub(before), Ordering::Relaxed);
}

fn verify(report: &mut dyn FnMut(&'static str, Checked)) {
    // What makes the failures in the other phases worth something.
    report("alone: without other cores no swap fails", none_failed());
}

fn none_failed() -> Checked {
    ensure_eq!(FAILED.load(Ordering::Relaxed), 0);
    Ok(())
}
