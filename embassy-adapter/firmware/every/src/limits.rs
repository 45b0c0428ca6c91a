//! The pipeline, with all its parts.

use crate::ready;
use core::time::Duration;

use fusebox_core::{
    Backoff, BreakerConfig, BucketConfig, Bulkhead, BulkheadConfig, CircuitBreaker, Deadline,
    FailureIf, Idle, Immediate, Jitter, Pipeline, Queue, Retry, TokenBucket,
};

use crate::{CLOCK, RANDOM, Us, Watcher, any, budget, keep, now, poll, some_time};

static BREAKER: CircuitBreaker<&Us> = CircuitBreaker::new(BreakerConfig::standard(), &CLOCK);
static BUCKET: TokenBucket<&Us> = TokenBucket::new(BucketConfig::per_second(10), &CLOCK);
static BULKHEAD: Bulkhead<Queue<4>> = Bulkhead::new(BulkheadConfig::new(4));
const DELAYS: Backoff = Backoff::exponential(Duration::from_millis(10));

pub(crate) fn all() {
    keep((&BREAKER, &BUCKET, &BULKHEAD).is_idle());
    keep((BREAKER.is_stale(), BUCKET.is_stale(), BULKHEAD.is_stale()));
    let Ok(retry) = Retry::try_new(DELAYS.jitter(Jitter::Full, &RANDOM)) else { return };
    let retry = retry.max_attempts(3).budget(budget::shared());
    #[cfg(feature = "waits")]
    let bulkhead = &BULKHEAD;
    #[cfg(not(feature = "waits"))]
    let bulkhead = Immediate(&BULKHEAD);
    let waiting = Pipeline::new(&CLOCK)
        .deadline(some_time())
        .per_call_waiting((bulkhead, &BUCKET))
        .retry(retry)
        .per_attempt_waiting((Immediate(&BREAKER), &BUCKET))
        .attempt_timeout(some_time())
        .classify(FailureIf(|error: &u32| any(*error) > 1))
        .observed_by("waiting", Watcher);
    poll(waiting.call(|_| ready(any(Err::<(), u32>(1)))));
    poll(waiting.call_before(Deadline::at(now()), |_| ready(any(Ok::<(), u32>(())))));

    let at_once = Pipeline::new(&CLOCK).per_call(&BULKHEAD).per_attempt(&BREAKER);
    poll(at_once.call(|_| ready(any(Err::<(), u32>(1)))));
}
