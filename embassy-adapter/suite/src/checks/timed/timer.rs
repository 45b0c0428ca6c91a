//! The timer itself, which all the rest relies on.

use core::pin::pin;
use core::time::Duration;

use fusebox_core::{Ticks, Timer, ticks_from_duration};

use super::Watch;
use crate::{Checked, ensure, poll_once};

pub(super) async fn its_clock_goes_on<T: Timer>(timer: &T, _slack: Duration) -> Checked {
    let mut before = timer.now();
    let until =
        before.saturating_add(ticks_from_duration(Duration::from_millis(5), T::TICKS_PER_SECOND));
    while before < until {
        let now = timer.now();
        ensure!(now >= before, "on one core it never steps back");
        before = now;
    }
    Ok(())
}

pub(super) async fn it_wakes_not_early<T: Timer>(timer: &T, slack: Duration) -> Checked {
    ensure!(poll_once(pin!(timer.sleep_until(Ticks::ZERO))).is_ready(), "what has passed");
    for millis in [1, 7, 20] {
        let exactly = Duration::from_millis(millis);
        let watch = Watch::start(timer, slack);
        let ticks = ticks_from_duration(exactly, T::TICKS_PER_SECOND);
        let at = timer.now().saturating_add(ticks);
        timer.sleep_until(at).await;
        ensure!(timer.now() >= at, "it is early");
        watch.reads(exactly)?;
    }
    Ok(())
}
