//! Several policies around one operation: ours in a pipeline, the peers' as tower layers in the
//! same order.
//!
//! At most 64 calls at once, at most 3 attempts 100 ms and more apart, a breaker that trips after 5
//! failures in a row around each attempt; where there are five, a deadline of 2 s around all of it
//! and 500 ms for an attempt. tower has the limit, the retries and the timeouts, tower-resilience
//! the breaker. tower's retries wait no longer than they are told to by the policy, which is not
//! asked where nothing fails. The operation is ready at once. tower's `RateLimit` is not here: its
//! state is not shared by the clones of a service, so it does not do the job of a token bucket.

use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fusebox_std::tower::{PipelineLayer, ResendClones};
use fusebox_std::{
    Backoff, Bulkhead, BulkheadConfig, CircuitBreaker, Pipeline, Retry, StdClock, TokioTimer,
};
use tower::limit::ConcurrencyLimit;
use tower::retry::Policy;
use tower::timeout::Timeout;
use tower::util::MapErr;
use tower::{BoxError, Layer};
use tower_resilience_circuitbreaker::{
    CircuitBreaker as TowerBreaker, CircuitBreakerError, CircuitBreakerLayer, DefaultClassifier,
};

use crate::breaker::{AN_HOUR, CONFIG, IN_A_ROW, Inner, service_call};
use crate::rows::{Rows, limit, output_of};

const RETRY: Retry = Retry::new(Backoff::constant(Duration::from_millis(100))).max_attempts(3);
const AT_ONCE: usize = 64;
const DEADLINE: Duration = Duration::from_secs(2);
const ATTEMPT: Duration = Duration::from_millis(500);

pub(crate) fn rows(rows: &mut impl Rows) {
    let bulkhead: Bulkhead = Bulkhead::new(BulkheadConfig::new(AT_ONCE as u32));
    let breaker = CircuitBreaker::<StdClock>::new(CONFIG, StdClock);

    rows.group("pipeline of bulkhead, retry and breaker");
    rows.row("us", true, || {
        || {
            let pipeline = Pipeline::new(TokioTimer)
                .per_call(black_box(&bulkhead))
                .retry(RETRY)
                .per_attempt(black_box(&breaker));
            output_of(pipeline.call(|_| async { black_box(Ok::<_, ()>(1)) })).is_ok()
        }
    });
    let pipeline = Pipeline::new(TokioTimer)
        .per_call(Arc::new(<Bulkhead>::new(BulkheadConfig::new(AT_ONCE as u32))))
        .retry(RETRY)
        .per_attempt(Arc::new(CircuitBreaker::<StdClock>::new(CONFIG, StdClock)));
    let layer = PipelineLayer::retrying(Arc::new(pipeline), ResendClones);
    let service = layer.layer(Inner);
    rows.row("us, as a layer", true, || service_call(&service, false));
    let peer =
        ConcurrencyLimit::new(tower::retry::Retry::new(Twice(2), tower_breaker(Inner)), AT_ONCE);
    rows.row("tower and tower-resilience", true, || service_call(&peer, false));
    two_swaps(rows);

    rows.group("pipeline of deadline, bulkhead, retry, breaker and timeout");
    rows.row("us", true, || {
        || {
            let pipeline = Pipeline::new(TokioTimer)
                .deadline(DEADLINE)
                .per_call(black_box(&bulkhead))
                .retry(RETRY)
                .per_attempt(black_box(&breaker))
                .attempt_timeout(ATTEMPT);
            output_of(pipeline.call(|_| async { black_box(Ok::<_, ()>(1)) })).is_ok()
        }
    });
    let attempt = tower_breaker(Timeout::new(Inner, ATTEMPT));
    let retried = tower::retry::Retry::new(Twice(2), attempt);
    let limited = MapErr::new(ConcurrencyLimit::new(retried, AT_ONCE), boxed as fn(_) -> _);
    let peer = Timeout::new(limited, DEADLINE);
    rows.row("tower and tower-resilience", true, || service_call(&peer, false));
    two_swaps(rows);
}

fn two_swaps(rows: &mut impl Rows) {
    let word = AtomicU64::new(0);
    let word = &word;
    limit(rows, "two read-modify-writes", || {
        || {
            black_box(word).fetch_sub(1, Ordering::Acquire);
            black_box(word).fetch_add(1, Ordering::Release)
        }
    });
}

fn tower_breaker<S>(inner: S) -> TowerBreaker<S, DefaultClassifier> {
    let config = CircuitBreakerLayer::builder()
        .consecutive_failures(IN_A_ROW as usize)
        .wait_duration_in_open(AN_HOUR);
    config.build().expect("good settings").layer_fn(inner)
}

/// Two retries of whatever fails.
#[derive(Clone)]
struct Twice(u32);

impl<T, E> Policy<bool, T, E> for Twice {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut bool, result: &mut Result<T, E>) -> Option<Ready<()>> {
        if result.is_ok() || self.0 == 0 {
            return None;
        }
        self.0 -= 1;
        Some(ready(()))
    }

    fn clone_request(&mut self, fails: &bool) -> Option<bool> {
        Some(*fails)
    }
}

fn boxed(error: CircuitBreakerError<BoxError>) -> BoxError {
    format!("{error:?}").into()
}
