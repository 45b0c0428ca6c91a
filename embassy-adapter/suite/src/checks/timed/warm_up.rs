//! The warm-up limiter.

use core::time::Duration;

use fusebox_core::{Rate, Timer, WarmUp, WarmUpConfig};

use super::Watch;
use crate::{Checked, Failure, ensure};

/// The second of two calls waits for almost three intervals, as the first one finds it cold.
pub(super) async fn lets_one_in_after_its_pause<T: Timer>(timer: &T, slack: Duration) -> Checked {
    let config = WarmUpConfig::new(Rate::per_second(50), Duration::from_secs(2));
    let limit = WarmUp::try_new(config, timer)
        .map_err(|_| Failure::new("it fits each clock of a platform"))?;
    let watch = Watch::start(timer, slack);
    ensure!(limit.try_acquire().is_ok());
    let pause = limit.time_until();
    ensure!(pause > Duration::from_millis(40), "it is cold");
    ensure!(limit.acquire(timer).await.is_ok());
    watch.reads(pause)
}
