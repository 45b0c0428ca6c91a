//! The token bucket.

use core::time::Duration;

use fusebox_core::{BucketConfig, ManualClock, Reason, TokenBucket};

use crate::{Checked, ensure, ensure_eq};

/// A full bucket lets its burst through at once, then one call per interval, and says exactly when
/// the next one will be let in.
pub(super) fn a_burst_and_then_the_rate<const HZ: u64>() -> Checked {
    let clock = ManualClock::<HZ>::new();
    let bucket = TokenBucket::new(BucketConfig::per_second(8).burst(3), &clock);
    for left in [2, 1, 0] {
        ensure!(bucket.try_acquire(1).is_ok());
        ensure_eq!(bucket.peek(), left);
    }
    let Err(refused) = bucket.try_acquire(1) else {
        return Err(crate::Failure::new("one more than the burst"));
    };
    ensure!(refused.reason() == Reason::RateLimited);
    let Some(wait) = refused.retry_after() else {
        return Err(crate::Failure::new("it knows when"));
    };
    // The interval is rounded up, by less than a thousandth.
    ensure!(wait >= Duration::from_millis(125) && wait <= Duration::from_millis(126));
    clock.advance(wait);
    ensure!(bucket.try_acquire(1).is_ok());
    ensure!(bucket.try_acquire(1).is_err());
    Ok(())
}
