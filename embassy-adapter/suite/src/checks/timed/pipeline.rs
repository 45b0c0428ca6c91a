//! The pipeline.

use core::future::pending;
use core::time::Duration;

use fusebox_core::{
    Backoff, BreakerConfig, CircuitBreaker, Error, Pipeline, Queue, Retry, Semaphore, State, Timer,
};

use super::Watch;
use crate::{Checked, ensure, ensure_eq};

pub(super) async fn tries_again_after_a_timeout<T: Timer>(timer: &T, slack: Duration) -> Checked {
    const LIMIT: Duration = Duration::from_millis(20);
    const DELAY: Duration = Duration::from_millis(10);
    let permits: Semaphore<Queue<1>> = Semaphore::new(1);
    let breaker = CircuitBreaker::new(BreakerConfig::standard(), timer);
    let watch = Watch::start(timer, slack);
    let answer = Pipeline::new(timer)
        .per_call_waiting(&permits)
        .retry(Retry::new(Backoff::constant(DELAY)))
        .per_attempt(&breaker)
        .attempt_timeout(LIMIT)
        .call(|attempt| async move {
            if attempt.is_retry() { Ok::<_, ()>(attempt.number) } else { pending().await }
        })
        .await;
    ensure!(answer == Ok(2));
    watch.reads(LIMIT + DELAY)?;
    ensure_eq!(permits.available(), 1);
    ensure_eq!(breaker.state(), State::Closed);
    Ok(())
}

pub(super) async fn ends_at_its_deadline<T: Timer>(timer: &T, slack: Duration) -> Checked {
    const DEADLINE: Duration = Duration::from_millis(40);
    let watch = Watch::start(timer, slack);
    let answer = Pipeline::new(timer)
        .deadline(DEADLINE)
        .retry(Retry::new(Backoff::none()).unlimited())
        .attempt_timeout(Duration::from_millis(30))
        .call(|_| pending::<Result<(), ()>>())
        .await;
    ensure!(answer == Err(Error::TimedOut));
    watch.reads(DEADLINE)
}
