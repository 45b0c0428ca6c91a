//! Layers around a service that does nothing: ours, tower's own limits and tower-resilience's
//! breaker.
//!
//! Called as hyper calls: asked whether it is ready, then called, and the answer is polled once.
//! What a clone of the service costs, which some servers make for each request, is not in it.
//!
//! Whoever holds the gate in an `Arc` pays for two counts, as the future must keep it alive: this
//! is the limit that those rows stand beside. tower's limit of calls at once keeps the same count,
//! and a semaphore. Its `RateLimit` is told beside our bucket though it is not shared by the clones
//! of a service (it has none): it counts in plain fields, behind no atomic at all.

use std::fmt;
use std::future::poll_fn;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use fusebox_std::tower::GateLayer;
use fusebox_std::{BucketConfig, CircuitBreaker, Semaphore, StdClock, TokenBucket};
use tower::limit::{ConcurrencyLimit, RateLimit, rate::Rate};
use tower::{Layer, Service};
use tower_resilience_circuitbreaker::CircuitBreakerLayer;

use crate::breaker::{AN_HOUR, CONFIG, IN_A_ROW, Inner, service_call};
use crate::rows::{Rows, limit, output_of};

const AT_ONCE: u32 = 64;

pub(crate) fn rows(rows: &mut impl Rows) {
    breakers(rows);
    limits(rows);
    rate_limits(rows);
}

fn breakers(rows: &mut impl Rows) {
    static BREAKER: CircuitBreaker = CircuitBreaker::new(CONFIG, StdClock);
    let shared: Arc<CircuitBreaker> = Arc::new(CircuitBreaker::new(CONFIG, StdClock));
    rows.group("layer of a closed breaker");
    let service = GateLayer::new(&BREAKER).layer(Inner);
    rows.row("us, in a static", true, || service_call(&service, false));
    let service = GateLayer::new(Arc::clone(&shared)).layer(Inner);
    rows.row("us, in an Arc", true, || service_call(&service, false));
    let config = CircuitBreakerLayer::builder()
        .consecutive_failures(IN_A_ROW as usize)
        .wait_duration_in_open(AN_HOUR);
    let service = config.build().expect("good settings").layer_fn(Inner);
    rows.row("tower-resilience", true, || service_call(&service, false));
    alone(rows);
    counted(rows);
}

fn limits(rows: &mut impl Rows) {
    let permits: Arc<Semaphore> = Arc::new(Semaphore::new(AT_ONCE));
    rows.group("layer of so many at once");
    let service = GateLayer::new(permits).layer(Inner);
    rows.row("us, in an Arc", true, || service_call(&service, false));
    let service = ConcurrencyLimit::new(Inner, AT_ONCE as usize);
    rows.row("tower", true, || service_call(&service, false));
    counted(rows);
}

fn rate_limits(rows: &mut impl Rows) {
    static BUCKET: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(1_000_000_000), StdClock);
    rows.group("layer of so many a second");
    let service = GateLayer::new(&BUCKET).layer(Inner);
    rows.row("us, in a static", true, || service_call(&service, false));
    rows.row("tower, one service only", true, || {
        let rate = Rate::new(1_000_000_000, Duration::from_secs(1));
        one_call(RateLimit::new(Inner, rate))
    });
    alone(rows);
}

/// As `service_call`, of a service that cannot be cloned.
fn one_call<S>(mut service: S) -> impl FnMut() -> bool
where
    S: Service<bool, Error: fmt::Debug>,
{
    move || {
        output_of(poll_fn(|context| service.poll_ready(context))).expect("never fails");
        output_of(black_box(&mut service).call(false)).is_ok()
    }
}

fn alone(rows: &mut impl Rows) {
    limit(rows, "the service alone", || service_call(&Inner, false));
}

/// What holding anything in an `Arc` takes.
fn counted(rows: &mut impl Rows) {
    let held = Arc::new(7_u64);
    limit(rows, "the service alone, and an Arc cloned and dropped", || {
        let held = Arc::clone(&held);
        let mut call = service_call(&Inner, false);
        move || {
            let keeps = black_box(Arc::clone(&held));
            let served = call();
            drop(keeps);
            served
        }
    });
}
