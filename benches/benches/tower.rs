//! What a layer adds to a service that does nothing, beside tower's own limit of calls at once.

#![allow(missing_docs, reason = "criterion's macros make undocumented functions")]

use std::future::{Future, Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use fusebox_std::prelude::*;
use fusebox_std::tower::{GateLayer, PipelineLayer, ResendClones};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service};

#[derive(Clone)]
struct NoOp;

impl Service<u32> for NoOp {
    type Response = u32;
    type Error = ();
    type Future = Ready<Result<u32, ()>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

fn layers(c: &mut Criterion) {
    static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    let shared: Arc<CircuitBreaker> =
        Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let permits: Arc<Semaphore> = Arc::new(Semaphore::new(64));
    let pipeline = Pipeline::new(TokioTimer)
        .per_call(Arc::clone(&permits))
        .retry(Retry::new(Backoff::constant(Duration::from_millis(10))))
        .per_attempt(&BREAKER);

    let mut group = c.benchmark_group("tower");
    let mut measure = |name: &str, call: &mut dyn FnMut(&mut Context<'_>) -> bool| {
        group.bench_function(name, |b| {
            let mut cx = Context::from_waker(Waker::noop());
            b.iter(|| call(black_box(&mut cx)));
        });
    };
    let mut bare = NoOp;
    measure("no layer", &mut |cx| served(&mut bare, cx));
    let mut gated = GateLayer::new(&BREAKER).layer(NoOp);
    measure("breaker in a static", &mut |cx| served(&mut gated, cx));
    let mut gated = GateLayer::new(shared).layer(NoOp);
    measure("breaker in an Arc", &mut |cx| served(&mut gated, cx));
    let mut gated = GateLayer::new(permits).layer(NoOp);
    measure("semaphore in an Arc", &mut |cx| served(&mut gated, cx));
    let mut limited = ConcurrencyLimit::new(NoOp, 64);
    measure("tower's ConcurrencyLimit", &mut |cx| served(&mut limited, cx));
    let mut piped = PipelineLayer::retrying(Arc::new(pipeline), ResendClones).layer(NoOp);
    measure("pipeline of semaphore, retry, breaker", &mut |cx| served(&mut piped, cx));
    group.finish();
}

/// Asks a service and polls its answer once.
#[inline(always)]
fn served<S: Service<u32>>(service: &mut S, cx: &mut Context<'_>) -> bool {
    let ready = service.poll_ready(cx).is_ready();
    ready && pin!(service.call(black_box(7))).poll(cx).is_ready()
}

criterion_group!(benches, layers);
criterion_main!(benches);
