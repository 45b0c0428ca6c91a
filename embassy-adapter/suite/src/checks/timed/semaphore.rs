//! The semaphore.

use core::time::Duration;

use fusebox_core::{Queue, Reason, Semaphore, Timer};

use super::Watch;
use crate::{Checked, Failure, ensure, ensure_eq};

pub(super) async fn gives_up_in_time<T: Timer>(timer: &T, slack: Duration) -> Checked {
    const LIMIT: Duration = Duration::from_millis(30);
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let held = permits.try_acquire().map_err(|_| Failure::new("one is free"))?;
    let watch = Watch::start(timer, slack);
    let Err(refused) = permits.acquire_timeout(timer, LIMIT).await else {
        return Err(Failure::new("all permits are out"));
    };
    ensure!(refused.reason() == Reason::QueueTimeout);
    watch.reads(LIMIT)?;
    drop(held);
    ensure!(permits.acquire_timeout(timer, LIMIT).await.is_ok());
    ensure_eq!(permits.available(), 1);
    Ok(())
}
