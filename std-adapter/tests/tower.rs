//! The layers for tower: tower's contract, and what of this field's bugs is about layers.
#![cfg(all(feature = "tower", feature = "tokio"))]

mod strict;

use std::convert::Infallible;
use std::future::{pending, ready};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::Context;
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use fusebox_std::{BudgetConfig, Ratio};
use strict::Strict;
use tokio_test::{assert_pending, assert_ready, assert_ready_err, assert_ready_ok, task};
use tower::limit::ConcurrencyLimit;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

const MS: Duration = Duration::from_millis(1);

fn permits(most: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(most))
}

fn breaker() -> Arc<CircuitBreaker> {
    Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock))
}

fn retry() -> Retry {
    Retry::new(Backoff::constant(MS)).max_attempts(3)
}

// ------------------------------------------------------------------------------ tower's contract

#[test]
fn readiness_is_the_inner_services() {
    let limit = permits(1);
    let (mut service, mut handle) =
        mock::spawn_layer::<u32, u32, _>(GateLayer::new(Arc::clone(&limit)));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("gone");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.into_inner().expect("the service's own").to_string(), "gone");
}

#[test]
fn readiness_is_the_inner_services_in_a_pipeline_too() {
    let pipeline = Arc::new(Pipeline::new(TokioTimer).per_call(permits(1)));
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(PipelineLayer::new(pipeline));
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("gone");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.into_inner().expect("the service's own").to_string(), "gone");
}

#[tokio::test]
async fn the_service_that_was_ready_is_the_one_that_is_called() {
    let pipeline = Arc::new(Pipeline::new(TokioTimer).retry(retry()));
    let mut gated = GateLayer::new(permits(1)).layer(Strict::default());
    let mut piped = PipelineLayer::retrying(pipeline, ResendClones).layer(Strict::default());
    let boxed = ServiceBuilder::new().layer(BoxErrorLayer).layer(GateLayer::new(permits(1)));
    let mut boxed = boxed.service(Strict::default());
    for request in 1..4 {
        assert_eq!(gated.ready().await.unwrap().call(request).await, Ok(request));
        assert_eq!(piped.ready().await.unwrap().call(request).await, Ok(request));
        assert_eq!(boxed.ready().await.unwrap().call(request).await.unwrap(), request);
    }
    // Each retry asks again, too.
    assert_eq!(piped.ready().await.unwrap().call(0).await, Err(Error::Inner("zero")));
    assert_eq!(piped.inner().calls.load(Relaxed), 6);
}

#[test]
fn a_request_that_is_refused_does_not_reach_the_service() {
    let limit = permits(1);
    let (mut service, mut handle) =
        mock::spawn_layer::<u32, u32, _>(GateLayer::new(Arc::clone(&limit)));
    handle.allow(2);
    let held = limit.permit().expect("it is free");
    assert_ready_ok!(service.poll_ready());
    let mut refused = task::spawn(service.call(1));
    let error = assert_ready_err!(refused.poll());
    assert_eq!(error.rejection().map(|why| why.reason()), Some(Reason::BulkheadFull));
    assert_pending!(handle.poll_request(), "nothing was sent");

    drop(held);
    assert_ready_ok!(service.poll_ready());
    let mut served = task::spawn(service.call(2));
    assert_pending!(served.poll());
    let (request, answer) = assert_ready!(handle.poll_request()).expect("a request");
    answer.send_response(request + 1);
    assert_eq!(assert_ready_ok!(served.poll()), 3);
}

// ------------------------------------------------------------------------------- bugs of the field

/// Bug 14: each `layer()` and each `Clone` made a breaker of its own (acton-service#44), so that
/// none of them ever saw enough failures.
#[tokio::test]
async fn a_layer_that_is_cloned_or_applied_twice_is_one_gate() {
    let breaker = breaker();
    let layer = GateLayer::new(Arc::clone(&breaker));
    let first = layer.layer(Strict::default());
    let others = [layer.layer(Strict::default()), layer.clone().layer(Strict::default())];
    breaker.trip();
    for service in others.into_iter().chain([first.clone(), first]) {
        assert!(service.oneshot(1).await.is_err_and(|error| error.is_rejected()));
    }

    let limit = permits(1);
    let pipeline = Arc::new(Pipeline::new(TokioTimer).per_call(Arc::clone(&limit)));
    let layer = PipelineLayer::new(pipeline);
    let held = limit.permit();
    for service in [layer.layer(Strict::default()), layer.clone().layer(Strict::default())] {
        assert!(service.oneshot(1).await.is_err_and(|error| error.is_rejected()));
    }
    drop(held);
}

/// Bug 21: a permit taken in `poll_ready` stays with a connection that is idle
/// (tower-resilience#367, vector#26457, hyper-util#297).
#[test]
fn nothing_is_taken_before_the_first_poll_of_a_call() {
    let limit = permits(1);
    let layer = GateLayer::new(Arc::clone(&limit));
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(2);
    assert_ready_ok!(service.poll_ready());
    assert_eq!(limit.available(), 1, "being ready takes nothing");
    let call = service.call(1);
    assert_eq!(limit.available(), 1, "a call that is not polled takes nothing");
    assert_pending!(handle.poll_request());
    drop(call);

    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(1));
    assert_pending!(call.poll());
    assert_eq!(limit.available(), 0);
    drop(call);
    assert_eq!(limit.available(), 1, "a call that is cancelled gives back");
}

/// Bug 21, in a pipeline.
#[test]
fn nothing_is_taken_before_the_first_poll_of_a_call_in_a_pipeline() {
    let (limit, each) = (permits(1), permits(1));
    let pipeline =
        Pipeline::new(TokioTimer).per_call(Arc::clone(&limit)).per_attempt(Arc::clone(&each));
    let layer = PipelineLayer::new(Arc::new(pipeline));
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(2);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(1));
    assert_eq!((limit.available(), each.available()), (1, 1));
    assert_pending!(handle.poll_request());
    assert_pending!(call.poll());
    assert_eq!((limit.available(), each.available()), (0, 0));
    drop(call);
    assert_eq!((limit.available(), each.available()), (1, 1));
}

/// Bug 8, for layers: a probe that was never given back after a panic or an ignored result.
#[tokio::test]
async fn what_was_taken_comes_back_after_a_panic() {
    let limit = permits(1);
    let breaker = breaker();
    let gates = Arc::new((Arc::clone(&limit), Arc::clone(&breaker)));
    let in_call = GateLayer::new(Arc::clone(&gates)).layer(service_fn(|()| {
        assert!(breaker.state() == State::Open, "in `call`");
        ready(Ok::<(), ()>(()))
    }));
    let later = GateLayer::new(gates).layer(service_fn(|()| async {
        assert!(breaker.state() == State::Open, "in the future");
        Ok::<(), ()>(())
    }));
    for failures in [1, 3] {
        let poll = |call: &mut dyn FnMut()| {
            let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
            assert!(caught.is_err());
        };
        let mut cx = Context::from_waker(std::task::Waker::noop());
        poll(&mut || _ = pin!(in_call.clone().oneshot(())).poll(&mut cx));
        assert_eq!(breaker.snapshot().counts.consecutive_failures, failures);
        poll(&mut || _ = pin!(later.clone().oneshot(())).poll(&mut cx));
        assert_eq!(breaker.snapshot().counts.consecutive_failures, failures + 1);
        assert_eq!(limit.available(), 1);
    }
}

// ------------------------------------------------------------------------------------- the gate

#[tokio::test]
async fn what_a_result_means_is_the_classifiers_to_say() {
    let breaker = breaker();
    let layer = GateLayer::new(Arc::clone(&breaker));
    let harmless = layer.clone().classify(FailureIf(|error: &&str| *error != "zero"));
    assert_eq!(harmless.layer(Strict::default()).oneshot(0).await, Err(Error::Inner("zero")));
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 0);
    assert_eq!(layer.layer(Strict::default()).oneshot(0).await, Err(Error::Inner("zero")));
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 1);
}

/// Four gates, of which each request has its own.
type Gates = Arc<[Arc<Semaphore>; 4]>;

fn gates() -> Gates {
    Arc::new([permits(1), permits(1), permits(1), permits(1)])
}

fn choose(gates: &Gates, request: u32) -> Result<Arc<Semaphore>, Rejection> {
    let number = usize::try_from(request).expect("it is small");
    gates.get(number).map(Arc::clone).ok_or(Rejection::new(Reason::Overloaded))
}

#[tokio::test]
async fn each_request_has_the_gate_that_is_chosen_for_it() {
    let gates = gates();
    let shared = Arc::clone(&gates);
    let layer = GateByLayer::new(move |request: &u32| choose(&shared, *request));
    let service = layer.layer(Strict::default());
    let held = gates[1].permit().expect("it is free");
    for (request, expected) in
        [(2, None), (1, Some(Reason::BulkheadFull)), (7, Some(Reason::Overloaded))]
    {
        let answer = service.clone().oneshot(request).await;
        assert_eq!(
            answer.err().and_then(|error| error.rejection()).map(|why| why.reason()),
            expected
        );
    }
    assert_eq!(service.inner().calls.load(Relaxed), 1);
    drop(held);
    assert_eq!(service.clone().oneshot(1).await, Ok(1));
    assert!(gates.iter().all(|gate| gate.available() == 1));
}

/// Bug 21, where the gate is chosen.
#[test]
fn no_gate_is_chosen_before_the_first_poll() {
    let gates = gates();
    let shared = Arc::clone(&gates);
    let chosen = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&chosen);
    let layer = GateByLayer::new(move |request: &u32| {
        count.fetch_add(1, Relaxed);
        choose(&shared, *request)
    });
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(3));
    assert_eq!((chosen.load(Relaxed), gates[3].available()), (0, 1));
    assert_pending!(handle.poll_request());
    assert_pending!(call.poll());
    assert_eq!((chosen.load(Relaxed), gates[3].available()), (1, 0));
    drop(call);
    assert_eq!(gates[3].available(), 1);
}

#[cfg(feature = "keyed")]
#[tokio::test]
async fn each_key_has_a_limit_of_its_own() {
    use fusebox_std::{Keyed, KeyedBucket, KeyedBuckets};

    let config = BucketConfig::per_hour(1);
    let limits = Arc::new(KeyedBuckets::new(10, config).expect("a good configuration"));
    let of_key = move |request: &u32| Ok(KeyedBucket::new(Arc::clone(&limits), *request % 10));
    let service = GateByLayer::new(of_key).layer(Strict::default());
    for (request, served) in [(1, true), (2, true), (11, false), (12, false), (3, true)] {
        assert_eq!(service.clone().oneshot(request).await.is_ok(), served, "{request}");
    }

    // What refuses further on gives the token back.
    let limits = Arc::new(KeyedBuckets::new(10, config).expect("a good configuration"));
    let all = permits(1);
    let gates = (Arc::clone(&limits), Arc::clone(&all));
    let both = move |request: &u32| {
        Ok((KeyedBucket::new(Arc::clone(&gates.0), *request), Arc::clone(&gates.1)))
    };
    let service = GateByLayer::new(both).layer(Strict::default());
    let held = all.permit();
    assert!(service.clone().oneshot(1).await.is_err_and(|error| error.is_rejected()));
    drop(held);
    assert_eq!(service.oneshot(1).await, Ok(1));

    let hosts: Arc<Keyed<u32, CircuitBreaker>> =
        Arc::new(Keyed::new(10, |_| CircuitBreaker::new(BreakerConfig::standard(), StdClock)));
    let shared = Arc::clone(&hosts);
    let service =
        GateByLayer::new(move |request: &u32| shared.get(request)).layer(Strict::default());
    hosts.get(&5).expect("there is room").trip();
    assert!(service.clone().oneshot(5).await.is_err_and(|error| error.is_rejected()));
    assert_eq!(service.oneshot(6).await, Ok(6));
}

// ---------------------------------------------------------------------------------- the pipeline

/// A service that fails its first calls.
fn failing(
    times: u32,
) -> (Arc<AtomicU32>, impl Service<u32, Response = u32, Error = u32, Future: Send> + Clone) {
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |request: u32| {
        let call = counted.fetch_add(1, Relaxed) + 1;
        async move { if call <= times { Err(call) } else { Ok(request) } }
    });
    (calls, service)
}

#[tokio::test(start_paused = true)]
async fn a_request_is_sent_again_where_that_is_allowed() {
    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(10);
    let budget = Arc::new(RetryBudget::new(config, StdClock));
    let pipeline = Arc::new(Pipeline::new(TokioTimer).retry(retry().budget(Arc::clone(&budget))));
    let even = |request: &u32| (request % 2 == 0).then_some(*request);
    let layer = PipelineLayer::retrying(pipeline, even);

    let (calls, service) = failing(2);
    assert_eq!(layer.layer(service).oneshot(4).await, Ok(4));
    assert_eq!(calls.load(Relaxed), 3);

    let (calls, service) = failing(2);
    let before = budget.balance();
    assert_eq!(layer.layer(service).oneshot(5).await, Err(Error::Inner(1)));
    assert_eq!(calls.load(Relaxed), 1);
    assert!(budget.balance() >= before, "no retry was paid for");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_was_not_sent_yet() {
    let limit = permits(1);
    let pipeline = Pipeline::new(TokioTimer)
        .deadline(1000 * MS)
        .retry(retry().max_attempts(10))
        .per_attempt(Arc::clone(&limit));
    // Its permit goes with what was ready. A clone would wait for that in vain.
    let (calls, service) = failing(0);
    let service = PipelineLayer::retrying(Arc::new(pipeline), SendOnce)
        .layer(ConcurrencyLimit::new(service, 1));
    let held = limit.permit().expect("it is free");
    let later = async {
        tokio::time::sleep(3 * MS).await;
        drop(held);
    };
    let (answer, ()) = tokio::join!(service.oneshot(7), later);
    assert_eq!(answer, Ok(7));
    assert_eq!(calls.load(Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_for_the_service_within_its_timeout() {
    let pipeline = Pipeline::new(TokioTimer).retry(retry().max_attempts(2)).attempt_timeout(5 * MS);
    let layer = PipelineLayer::retrying(Arc::new(pipeline), ResendClones);
    let (service, mut handle) = mock::pair::<u32, u32>();
    handle.allow(1);
    let serve = async {
        let (_, answer) = handle.next_request().await.expect("a request");
        answer.send_error("once more");
        // And never ready again.
        pending::<()>().await;
    };
    let answer = tokio::select! {
        answer = layer.layer(service).oneshot(1) => answer,
        () = serve => unreachable!(),
    };
    assert!(answer.is_err_and(|error| error.is_timed_out()));
}

#[tokio::test(start_paused = true)]
async fn a_pipeline_cuts_off_and_waits() {
    let queue: Arc<Bulkhead<Queue<8>>> = Arc::new(Bulkhead::new(BulkheadConfig::new(1)));
    let pipeline = Pipeline::new(TokioTimer).deadline(20 * MS).per_call_waiting(Arc::clone(&queue));
    let slow = service_fn(|wait: Duration| async move {
        tokio::time::sleep(wait).await;
        Ok::<_, Infallible>(wait)
    });
    let service = PipelineLayer::new(Arc::new(pipeline)).layer(slow);
    let (first, second, third) = tokio::join!(
        service.clone().oneshot(5 * MS),
        service.clone().oneshot(50 * MS),
        service.clone().oneshot(MS),
    );
    assert_eq!(first, Ok(5 * MS));
    assert_eq!(second, Err(Error::TimedOut));
    assert_eq!(
        third.unwrap_err().rejection().map(|why| why.reason()),
        Some(Reason::DeadlineExceeded)
    );
    assert_eq!(queue.permit().map(drop), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_request_is_hedged_where_it_may_be_sent_twice() {
    let limit: Arc<Semaphore<Queue<4>>> = Arc::new(Semaphore::new(2));
    let pipeline = Pipeline::new(TokioTimer)
        .deadline(1000 * MS)
        .retry(Hedge::idempotent(5 * MS))
        .per_attempt_waiting(Arc::clone(&limit));
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let slow = service_fn(move |request: u32| {
        counted.fetch_add(1, Relaxed);
        async move {
            tokio::time::sleep(50 * MS).await;
            Ok::<_, Infallible>(request)
        }
    });
    let even = |request: &u32| (request % 2 == 0).then_some(*request);
    let service = PipelineLayer::retrying(Arc::new(pipeline), even).layer(slow);
    assert_eq!(service.clone().oneshot(4).await, Ok(4));
    assert_eq!(calls.swap(0, Relaxed), 2);
    assert_eq!(service.clone().oneshot(5).await, Ok(5));
    assert_eq!(calls.swap(0, Relaxed), 1);

    // While the first attempt waits to be let in, the only copy is its own.
    let held = (limit.try_acquire(), limit.try_acquire());
    let later = async {
        tokio::time::sleep(20 * MS).await;
        drop(held);
    };
    let (answer, ()) = tokio::join!(service.oneshot(5), later);
    assert_eq!((answer, calls.load(Relaxed)), (Ok(5), 1));
}

// --------------------------------------------------------------------------------------- errors

#[tokio::test]
async fn errors_in_a_box_are_what_they_were() {
    let inner = service_fn(|()| async { "x".parse::<u32>().map(drop).map_err(BoxError::from) });
    let limit = permits(1);
    let layer = GateLayer::new(Arc::clone(&limit));
    let service = ServiceBuilder::new().layer(BoxErrorLayer).layer(layer).service(inner);
    assert!(service.clone().oneshot(()).await.unwrap_err().is::<std::num::ParseIntError>());
    let held = limit.permit();
    let refused = service.oneshot(()).await.unwrap_err();
    assert_eq!(refused.to_string(), "rejected: all permits are out");
    assert!(refused.is::<Error<Infallible>>());
    drop(held);
}

// ------------------------------------------------------------------------------------ in tasks

type Held = Arc<Semaphore>;
type Pipe = Arc<Pipeline<TokioTimer, Immediate<Held>, Retry, Immediate<&'static CircuitBreaker>>>;

/// What a server asks of a service and its futures.
const fn served<S>()
where
    S: Service<u32, Future: Send + 'static> + Clone + Send + Sync + 'static,
{
}

const _: () = served::<GateService<Strict, Held>>();
const _: () = served::<GateService<Strict, &'static CircuitBreaker>>();
const _: () = served::<GateByService<Strict, fn(&u32) -> Result<Held, Rejection>>>();
const _: () = served::<PipelineService<Strict, Pipe, ResendClones>>();

#[test]
fn calls_are_spawned() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    let answers = runtime.block_on(async {
        let pipeline = Pipeline::new(TokioTimer)
            .deadline(1000 * MS)
            .per_call_waiting(Arc::new(Semaphore::<Queue<4>>::new(1)))
            .retry(retry())
            .per_attempt(&BREAKER);
        let slow = service_fn(|request: u32| async move {
            tokio::time::sleep(MS).await;
            Ok::<_, BoxError>(request)
        });
        let stack = ServiceBuilder::new()
            .layer(BoxErrorLayer)
            .layer(GateLayer::new(Arc::new((permits(8), &BREAKER))))
            .layer(BoxErrorLayer)
            .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendClones));
        let service = stack.service(slow);
        let mut answers = Vec::new();
        for task in [1, 2, 3].map(|request| tokio::spawn(service.clone().oneshot(request))) {
            answers.push(task.await.expect("no panic").expect("let in"));
        }
        answers
    });
    assert_eq!(answers, [1, 2, 3]);
}
