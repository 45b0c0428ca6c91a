//! What needs time to pass: checked on the timer of the platform.
//!
//! That nothing happens too early is checked exactly, by the platform's own clock. That it happens
//! in time is checked only as far as the caller says: an emulator may be slow, and a computer busy.

mod bucket;

use core::time::Duration;

use fusebox_core::Timer;

use crate::failure::Checked;

macro_rules! table {
    ($($module:ident: $($check:ident)+;)+) => {
        /// Runs all checks on `timer`, one after another, and tells `report` of each. It takes about
        /// a second of the timer's time.
        ///
        /// `slack` is how much too late anything may happen: a generous multiple of the timer's
        /// period where nothing else runs, seconds where the computer may be busy.
        ///
        /// The future may be awaited in an executor, or run by [`block_on`](crate::block_on) where
        /// the timer does without one, or by the platform's own.
        pub async fn run<T: Timer>(
            timer: &T,
            slack: Duration,
            mut report: impl FnMut(&'static str, Checked),
        ) {
            $($(
                let name = concat!(stringify!($module), ", timed: ", stringify!($check));
                report(name, $module::$check(timer, slack).await);
            )+)+
        }
    };
}

table! {
    bucket: lets_one_in_after_its_interval;
}
