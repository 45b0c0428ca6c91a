//! What a run prints and how it ends.

use core::fmt;

use semihosting::println;

/// Counts what was checked, and prints a line for each check and one at the end.
#[derive(Debug, Default)]
#[must_use = "it decides the status with which the run exits"]
pub struct Report {
    passed: u32,
    failed: u32,
}

impl Report {
    /// Nothing checked yet. Prints where the program runs.
    pub fn open(program: &str) -> Self {
        println!("{program} on {}", crate::NAME);
        Self::default()
    }

    /// Notes a check, and prints its name, and why it failed if it did.
    pub fn check<E: fmt::Display>(&mut self, name: &str, found: Result<(), E>) {
        match found {
            Ok(()) => self.pass(format_args!("{name}")),
            Err(why) => self.fail(name, why),
        }
    }

    /// The same for one that found something worth telling.
    pub fn tell<T: fmt::Display, E: fmt::Display>(&mut self, name: &str, found: Result<T, E>) {
        match found {
            Ok(what) => self.pass(format_args!("{name}: {what}")),
            Err(why) => self.fail(name, why),
        }
    }

    fn pass(&mut self, what: fmt::Arguments<'_>) {
        self.passed += 1;
        println!("  ok    {what}");
    }

    fn fail(&mut self, name: &str, why: impl fmt::Display) {
        self.failed += 1;
        println!("  FAIL  {name}: {why}");
    }

    /// Prints the last line. A run that checked nothing did not pass.
    pub(crate) fn close(self) -> bool {
        let Self { passed, failed } = self;
        let good = failed == 0 && passed > 0;
        println!(
            "{}: {passed} checks passed, {failed} failed",
            if good { "PASSED" } else { "FAILED" }
        );
        good
    }
}
