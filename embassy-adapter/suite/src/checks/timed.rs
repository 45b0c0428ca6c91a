//! What needs time to pass: checked on the timer of the platform.
//!
//! That nothing happens too early is checked by the platform's own clock. That it happens in time
//! is checked only as far as the caller says: an emulator may be slow, and a computer busy.

mod breaker;
mod bucket;
mod pipeline;
mod retry;
mod semaphore;
mod timeout;
mod timer;
mod warm_up;

use core::time::Duration;

use fusebox_core::{Ticks, Timer, ticks_from_duration};

use crate::ensure;
use crate::failure::Checked;

macro_rules! table {
    ($($module:ident: $($check:ident)+;)+) => {
        /// Runs all checks on `timer`, one after another, and tells `report` of each. It takes
        /// about half a second of the timer's time.
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
    timer:
        its_clock_goes_on
        it_wakes_not_early;
    breaker:
        half_opens_after_its_time
        refuses_until_then;
    bucket:
        lets_one_in_after_its_interval
        keeps_its_rate;
    warm_up:
        lets_one_in_after_its_pause;
    semaphore:
        gives_up_in_time;
    timeout:
        cuts_off_in_time
        leaves_alone_what_is_done;
    retry:
        waits_its_delays
        does_not_wait_past_its_deadline;
    pipeline:
        tries_again_after_a_timeout
        ends_at_its_deadline;
}

/// What is short of `exactly` by this is not early: where words are 32 bits wide, waits may end a
/// 256th early, and a breaker's open time is kept in units of up to a 512th of it and its lateness.
const ROUNDED: u32 = 100;

/// When something began, by the timer's clock.
struct Watch<'a, T> {
    timer: &'a T,
    began: Ticks,
    slack: Duration,
}

impl<'a, T: Timer> Watch<'a, T> {
    fn start(timer: &'a T, slack: Duration) -> Self {
        Self { timer, began: timer.now(), slack }
    }

    /// So long has passed, and not much more.
    fn reads(&self, exactly: Duration) -> Checked {
        let ticks = |duration| ticks_from_duration(duration, T::TICKS_PER_SECOND);
        let passed = self.timer.now().saturating_since(self.began);
        ensure!(passed >= ticks(exactly - exactly / ROUNDED), "it is early");
        ensure!(passed <= ticks(exactly + self.slack), "it is late");
        Ok(())
    }
}
