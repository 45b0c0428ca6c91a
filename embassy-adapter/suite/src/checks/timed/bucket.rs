//! The token bucket.

use core::time::Duration;

use fusebox_core::{BucketConfig, Timer, TokenBucket, ticks_from_duration};

use crate::{Checked, ensure};

/// The second of two calls waits for as long as a token takes.
pub(super) async fn lets_one_in_after_its_interval<T: Timer>(
    timer: &T,
    slack: Duration,
) -> Checked {
    const INTERVAL: Duration = Duration::from_millis(40);
    let bucket = TokenBucket::new(BucketConfig::every(INTERVAL).burst(1), timer);
    ensure!(bucket.try_acquire(1).is_ok());
    let began = timer.now();
    ensure!(bucket.acquire(timer, 1).await.is_ok());
    let waited = timer.now().saturating_since(began);
    // The first call was a little earlier than `began`.
    let ticks = |duration| ticks_from_duration(duration, T::TICKS_PER_SECOND);
    ensure!(waited <= ticks(INTERVAL + slack), "too late");
    ensure!(waited >= ticks(INTERVAL / 2), "too early");
    Ok(())
}
