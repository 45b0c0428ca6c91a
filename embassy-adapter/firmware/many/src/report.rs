//! What the run prints, and its status. Core 0 alone prints, while the others wait.

use core::sync::atomic::{AtomicU32, Ordering};

use fusebox_core::WORD_BITS;
use fusebox_suite::Checked;
use semihosting::{print, println};

use crate::arch::{NAME, TICKS_PER_SECOND, frequency};
use crate::{CORES, fail};

// Relaxed, both: core 0 alone uses them.
static CHECKS: AtomicU32 = AtomicU32::new(0);
static FAILURES: AtomicU32 = AtomicU32::new(0);

/// Says what this is, and makes sure that it is.
pub(crate) fn begin() {
    println!(
        "many on {NAME}: {CORES} cores, words of {WORD_BITS} bits, {TICKS_PER_SECOND} ticks per second"
    );
    if frequency() != TICKS_PER_SECOND {
        fail(format_args!("the counter runs at {} per second", frequency()));
    }
}

/// A phase is over: how long it took, and how many compare-and-swaps have failed in it.
pub(crate) fn phase(name: &str, ticks: u64, collisions: usize) {
    let millis = ticks / (TICKS_PER_SECOND / 1_000);
    println!("{name}: {millis} ms, {collisions} swaps failed");
}

/// The result of a check.
pub(crate) fn check(name: &'static str, result: Checked) {
    CHECKS.fetch_add(1, Ordering::Relaxed);
    match result {
        Ok(()) => println!("  ok    {name}"),
        Err(failure) => {
            FAILURES.fetch_add(1, Ordering::Relaxed);
            println!("  FAIL  {name}: {failure}");
        }
    }
}

/// What a core has counted.
pub(crate) fn tally(core: usize, counts: impl Iterator<Item = (&'static str, u32)>) {
    print!("        core {core}:");
    for (name, count) in counts {
        print!(" {count} {name},");
    }
    println!();
}

/// Ends the run.
pub(crate) fn end() -> ! {
    let (checks, failures) = (CHECKS.load(Ordering::Relaxed), FAILURES.load(Ordering::Relaxed));
    let passed = checks - failures;
    if failures != 0 {
        fail(format_args!("{passed} checks passed, {failures} failed"));
    }
    println!("PASSED: {passed} checks passed, {failures} failed");
    semihosting::process::exit(0)
}
