//! Retries.

use core::future::ready;
use core::time::Duration;

use fusebox_core::{Backoff, Error, Retry, Timer};

use super::Watch;
use crate::{Checked, ensure};

const DELAY: Duration = Duration::from_millis(10);

pub(super) async fn waits_its_delays<T: Timer>(timer: &T, slack: Duration) -> Checked {
    let watch = Watch::start(timer, slack);
    let retry = Retry::new(Backoff::exponential(DELAY)).max_attempts(3);
    let answer = retry.call(timer, |attempt| ready(Err::<(), _>(attempt.number))).await;
    ensure!(answer == Err(Error::Inner(3)));
    watch.reads(DELAY * 3)
}

pub(super) async fn does_not_wait_past_its_deadline<T: Timer>(
    timer: &T,
    slack: Duration,
) -> Checked {
    let watch = Watch::start(timer, slack);
    let patient = Backoff::constant(Duration::from_secs(30));
    let retry = Retry::new(patient).deadline(Duration::from_secs(20));
    let answer = retry.call(timer, |attempt| ready(Err::<(), _>(attempt.number))).await;
    ensure!(answer == Err(Error::Inner(1)));
    watch.reads(Duration::ZERO)
}
