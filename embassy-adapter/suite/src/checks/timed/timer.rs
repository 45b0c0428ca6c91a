//! The timer itself, which all the rest relies on.

use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use core::time::Duration;

use fusebox_core::{Ticks, Timer, ticks_from_duration};

use super::Watch;
use crate::{Checked, ensure};

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
    let mut past = pin!(timer.sleep_until(Ticks::ZERO));
    // With the waker of the task, as some timers take no other.
    let at_once = poll_fn(|cx| Poll::Ready(past.as_mut().poll(cx).is_ready())).await;
    ensure!(at_once, "what has passed needs no wait");
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
