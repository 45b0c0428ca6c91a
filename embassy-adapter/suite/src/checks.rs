//! The behaviour of every primitive.

mod bucket;
pub mod timed;

use crate::failure::Checked;

/// A check and its name, such as `bucket: a_burst_and_then_the_rate`.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// What it checks.
    pub name: &'static str,
    /// The check. It may be run any number of times.
    pub run: fn() -> Checked,
}

/// The checks on a manual clock of `HZ` ticks per second.
#[derive(Clone, Copy, Debug)]
pub struct Manual<const HZ: u64>;

macro_rules! table {
    ($($module:ident: $($check:ident)+;)+) => {
        impl<const HZ: u64> Manual<HZ> {
            /// All of them.
            pub const CHECKS: &'static [Check] = &[$($(Check {
                name: concat!(stringify!($module), ": ", stringify!($check)),
                run: $module::$check::<HZ>,
            },)+)+];
        }
    };
}

table! {
    bucket: a_burst_and_then_the_rate;
}

/// Runs all checks on a manual clock of `HZ` ticks per second, a multiple of 8 from 1000 to 10^9,
/// and tells `report` of each. It takes no time but the computer's.
pub fn run<const HZ: u64>(mut report: impl FnMut(&'static str, Checked)) {
    for check in Manual::<HZ>::CHECKS {
        report(check.name, (check.run)());
    }
}
