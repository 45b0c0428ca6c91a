//! Retries of an operation that succeeds at once, and the delays between retries that are not
//! needed here.
//!
//! Exponential from 100 ms to 20 s, at most 3 attempts, jitter where it says so. backon adds its
//! jitter to the delay, ours draws from half of it to all of it: one random number each.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use fusebox_std::{Backoff, Jitter, Retry, Rng, TokioTimer};
use layered::{Execute, Service as _, Stack};
use seatbelt::{RecoveryInfo, ResilienceContext};

use crate::rows::{Rows, output_of};

const BASE: Duration = Duration::from_millis(100);
const MAX: Duration = Duration::from_secs(20);
const EXPONENTIAL: Backoff = Backoff::exponential(BASE).max_delay(MAX);
const BACKON: ExponentialBuilder =
    ExponentialBuilder::new().with_factor(2.0).with_min_delay(BASE).with_max_delay(MAX);
const DELAYS: usize = 10;

fn sum(delays: impl Iterator<Item = Duration>) -> bool {
    black_box(delays.take(DELAYS).sum::<Duration>()) > BASE
}

pub(crate) fn rows(rows: &mut impl Rows) {
    rows.group("ten delays");
    rows.row("us", true, || || sum(black_box(EXPONENTIAL).delays()));
    let peer = BACKON.with_max_times(DELAYS);
    rows.row("backon", true, || || sum(black_box(peer).build()));

    rows.group("ten delays with jitter");
    let rng = Rng::from_seed(1);
    let ours = EXPONENTIAL.jitter(Jitter::Equal, &rng);
    rows.row("us", true, || || sum(black_box(ours).delays()));
    let peer = peer.with_jitter().with_jitter_seed(1);
    rows.row("backon", true, || || sum(black_box(peer).build()));

    rows.group("retry, succeeds at once");
    let retry = Retry::new(ours).max_attempts(3);
    rows.row("us", true, || {
        || output_of(black_box(retry).call(TokioTimer, |_| async { work() })).is_ok()
    });
    let peer = peer.with_max_times(2);
    rows.row("backon", true, || {
        || {
            output_of(async { (|| async { work() }).retry(black_box(peer)).sleep(sleep).await })
                .is_ok()
        }
    });
    let peer = Arc::new(seatbelt_retry());
    rows.row("seatbelt", true, || || output_of(black_box(&peer).execute(1)).is_ok());
}

fn work() -> Result<u32, ()> {
    black_box(Ok(1))
}

fn sleep(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}

fn seatbelt_retry() -> impl layered::Service<u32, Out = Result<u32, ()>> {
    let context = ResilienceContext::new(crate::tick_clock());
    let layer = seatbelt::retry::Retry::layer("retry", &context)
        .clone_input()
        .recovery_with(|result: &Result<u32, ()>, _| match result {
            Ok(_) => RecoveryInfo::never(),
            Err(()) => RecoveryInfo::retry(),
        })
        .max_retry_attempts(2)
        .base_delay(BASE)
        .max_delay(MAX)
        .use_jitter(true);
    (layer, Execute::new(|_: u32| async { work() })).into_service()
}
