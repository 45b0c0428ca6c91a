//! The token bucket.

use core::time::Duration;

use fusebox_core::{BucketConfig, Timer, TokenBucket};

use super::Watch;
use crate::{Checked, ensure};

/// The second of two calls waits for as long as a token takes.
pub(super) async fn lets_one_in_after_its_interval<T: Timer>(
    timer: &T,
    slack: Duration,
) -> Checked {
    const INTERVAL: Duration = Duration::from_millis(40);
    let bucket = TokenBucket::new(BucketConfig::every(INTERVAL).burst(1), timer);
    let watch = Watch::start(timer, slack);
    ensure!(bucket.try_acquire(1).is_ok());
    ensure!(bucket.acquire(timer, 1).await.is_ok());
    watch.reads(INTERVAL)
}

/// Asked all the time, which must not cost it what has come in since.
pub(super) async fn keeps_its_rate<T: Timer>(timer: &T, slack: Duration) -> Checked {
    let bucket = TokenBucket::new(BucketConfig::per_second(200).burst(2), timer);
    let watch = Watch::start(timer, slack);
    for _ in 0..2 + 10 {
        while bucket.try_acquire(1).is_err() {}
    }
    watch.reads(Duration::from_millis(50))
}
