//! Timeouts.

use core::future::pending;
use core::time::Duration;

use fusebox_core::{Error, Timeout, Timer, ticks_from_duration};

use super::Watch;
use crate::{Checked, ensure};

pub(super) async fn cuts_off_in_time<T: Timer>(timer: &T, slack: Duration) -> Checked {
    const LIMIT: Duration = Duration::from_millis(30);
    let watch = Watch::start(timer, slack);
    let answer = Timeout::new(LIMIT).run(timer, pending::<Result<(), ()>>()).await;
    ensure!(answer == Err(Error::TimedOut));
    watch.reads(LIMIT)
}

pub(super) async fn leaves_alone_what_is_done<T: Timer>(timer: &T, slack: Duration) -> Checked {
    let ticks = ticks_from_duration(Duration::from_millis(10), T::TICKS_PER_SECOND);
    let watch = Watch::start(timer, slack);
    let slow = async {
        timer.sleep_until(timer.now().saturating_add(ticks)).await;
        Ok::<_, ()>(7)
    };
    // Longer than it may be late.
    let limit = Timeout::new(Duration::from_secs(1) + slack);
    ensure!(limit.run(timer, slow).await == Ok(7));
    watch.reads(Duration::from_millis(10))
}
