//! The fallback layer: tower's contract, and when it goes which way. And layers of adaptive limits
//! and of hedged pipelines, which are layers like others.
#![cfg(all(feature = "tower", feature = "tokio"))]

mod strict;

use std::convert::Infallible;
use std::future::{Future, Pending, pending, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use strict::Strict;
use tokio_test::{assert_pending, assert_ready_err, assert_ready_ok, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

const MS: Duration = Duration::from_millis(1);

fn permits(most: u32) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(most))
}

type Failed = Error<&'static str>;

#[test]
fn readiness_is_the_inner_services() {
    let answer = |_: Error<BoxError>| ready(Ok::<u32, Error<BoxError>>(7));
    let layer = ServiceBuilder::new()
        .layer(FallbackLayer::new(answer).when(|_: &Error<BoxError>| true))
        .layer(GateLayer::new(permits(1)));
    let (mut service, mut handle) = mock::spawn_layer::<u32, u32, _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    handle.send_error("gone");
    let error = assert_ready_err!(service.poll_ready());
    assert_eq!(error.into_inner().expect("the service's own").to_string(), "gone");
}

#[tokio::test]
async fn the_services_that_were_ready_are_those_that_are_called() {
    let (first, other) = (Strict::default(), Strict::default());
    let calls = (Arc::clone(&first.calls), Arc::clone(&other.calls));
    let limit = permits(1);
    let mut service = ServiceBuilder::new()
        .layer(FallbackLayer::to(other, ResendClones))
        .layer(GateLayer::new(Arc::clone(&limit)))
        .service(first);
    for request in 1..4 {
        assert_eq!(service.ready().await.unwrap().call(request).await, Ok(request));
    }
    let held = limit.permit();
    for request in 1..3 {
        assert_eq!(service.ready().await.unwrap().call(request).await, Ok(request));
    }
    assert_eq!(service.ready().await.unwrap().call(0).await, Err(Error::Inner("zero")), "its own");
    assert_eq!((calls.0.load(Relaxed), calls.1.load(Relaxed)), (3, 3));
    drop(held);
}

/// Bug 21: nothing is taken by being ready or by a call that is not polled.
#[test]
fn nothing_is_taken_before_the_first_poll_and_all_is_given_back() {
    let (limit, other) = (permits(1), permits(1));
    let waits = || service_fn(|_: u32| pending::<Result<u32, &'static str>>());
    let instead = Arc::clone(&other);
    let answer = move |_: Failed| {
        let gate = Arc::clone(&instead);
        async move { Ok::<u32, Failed>(gate.guard(pending::<Result<u32, Failed>>()).await.unwrap()) }
    };
    let mut service = ServiceBuilder::new()
        .layer(FallbackLayer::new(answer))
        .layer(GateLayer::new(Arc::clone(&limit)))
        .service(waits());
    let free = || (limit.available(), other.available());

    let mut first = task::spawn(service.call(1));
    assert_eq!(free(), (1, 1));
    assert_pending!(first.poll());
    assert_eq!(free(), (0, 1));
    // Refused, so that it goes the other way.
    let mut second = task::spawn(service.call(2));
    assert_eq!(free(), (0, 1));
    assert_pending!(second.poll());
    assert_eq!(free(), (0, 0));
    drop(second);
    assert_eq!(free(), (0, 1));
    drop(first);
    assert_eq!(free(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn errors_that_are_not_for_it_pass_through() {
    let limit = permits(1);
    let hangs = service_fn(|request: u32| async move {
        tokio::time::sleep(request * MS).await;
        if request == 0 { Err("zero") } else { Ok(request) }
    });
    let pipeline = Pipeline::new(TokioTimer).deadline(10 * MS).per_call(Arc::clone(&limit));
    let piped = PipelineLayer::new(Arc::new(pipeline)).layer(hangs);
    let seven = |_: Failed| ready(Ok::<u32, Failed>(7));
    let when_refused = FallbackLayer::new(seven).layer(piped.clone());
    let when_late = FallbackLayer::new(seven).when(|error: &Failed| *error == Error::TimedOut);
    let when_late = when_late.layer(piped.clone());
    let always = FallbackLayer::new(seven).when(|_: &Failed| true).layer(piped);

    let asked = async |request| {
        (
            when_refused.clone().oneshot(request).await,
            when_late.clone().oneshot(request).await,
            always.clone().oneshot(request).await,
        )
    };
    assert_eq!(asked(5).await, (Ok(5), Ok(5), Ok(5)));
    assert_eq!(asked(0).await, (Err(Error::Inner("zero")), Err(Error::Inner("zero")), Ok(7)));
    assert_eq!(asked(50).await, (Err(Error::TimedOut), Ok(7), Ok(7)));
    let held = limit.permit();
    let (refused, late, any) = asked(5).await;
    assert_eq!((refused, any), (Ok(7), Ok(7)));
    assert!(late.is_err_and(|error| error.is_rejected()));
    drop(held);
}

#[tokio::test]
async fn what_cannot_be_sent_again_keeps_its_error() {
    let limit = permits(1);
    let even = |request: &u32| (request % 2 == 0).then_some(*request);
    let service = ServiceBuilder::new()
        .layer(FallbackLayer::to(Strict::default(), even))
        .layer(GateLayer::new(Arc::clone(&limit)))
        .service(Strict::default());
    let held = limit.permit();
    assert_eq!(service.clone().oneshot(4).await, Ok(4));
    assert!(service.oneshot(5).await.is_err_and(|error| error.is_rejected()));
    drop(held);
}

/// Fails at once, and holds on to a permit until it is dropped.
struct Holding {
    _permit: Permit<Arc<Semaphore>>,
}

impl Future for Holding {
    type Output = Result<u32, Failed>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Err(Error::TimedOut))
    }
}

/// What the first way holds is gone before the other one begins: else a fallback that comes back to
/// the same gate would find its own call there.
#[tokio::test]
async fn the_first_way_is_over_before_the_other_begins() {
    let limit = permits(1);
    let (first, again) = (Arc::clone(&limit), Arc::clone(&limit));
    let holding =
        service_fn(move |_: u32| Holding { _permit: Permit::enter(Arc::clone(&first)).unwrap() });
    let answer = move |_: Failed| ready(Ok::<u32, Failed>(again.available()));
    let layer = FallbackLayer::new(answer).when(|error: &Failed| *error == Error::TimedOut);
    assert_eq!(layer.layer(holding).oneshot(0).await, Ok(1));
}

// --------------------------------------------------------------------------------- other layers

#[tokio::test]
async fn an_adaptive_limit_is_a_gate_like_others() {
    let config = LimitConfig::aimd().initial(2).min(2).max(2);
    let limit = Arc::new(AdaptiveLimit::<StdClock, Aimd>::new(config, StdClock));
    let waits = service_fn(|_: u32| pending::<Result<u32, &'static str>>());
    let mut service = GateLayer::new(Arc::clone(&limit)).layer(waits);
    let mut calls: Vec<_> = (0..3).map(|request| task::spawn(service.call(request))).collect();
    assert_eq!(limit.in_flight(), 0, "nothing before the first poll");
    assert_pending!(calls[0].poll());
    assert_pending!(calls[1].poll());
    let refused = assert_ready_err!(calls[2].poll());
    assert_eq!(refused.rejection().map(|why| why.reason()), Some(Reason::Overloaded));
    assert_eq!(limit.in_flight(), 2);
    drop(calls);
    assert_eq!(limit.in_flight(), 0, "a call that is cancelled gives back");
    let served = GateLayer::new(Arc::clone(&limit)).layer(Strict::default()).oneshot(1).await;
    assert_eq!((served, limit.in_flight()), (Ok(1), 0));
}

/// Bug 25: the attempt that loses is left running (tower-resilience#369).
#[tokio::test(start_paused = true)]
async fn of_a_hedge_nothing_is_left() {
    let limit = permits(4);
    let hedge = Hedge::idempotent(10 * MS);
    let pipeline = Pipeline::new(TokioTimer).hedge(hedge).per_attempt(Arc::clone(&limit));
    let layer = PipelineLayer::retrying(Arc::new(pipeline), ResendClones);
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    // The first of two hangs.
    let service = layer.layer(service_fn(move |request: u32| {
        let first = counted.fetch_add(1, Relaxed) % 2 == 0;
        async move {
            tokio::time::sleep(if first { 60_000 * MS } else { MS }).await;
            Ok::<_, Infallible>(request)
        }
    }));
    let started = TokioTimer.now();
    assert_eq!(service.clone().oneshot(7).await, Ok(7));
    assert!(TokioTimer.now().saturating_since(started) < 20_000_000, "in ns");
    assert_eq!((calls.load(Relaxed), limit.available()), (2, 4));

    // And cancelled while both run.
    let mut call = task::spawn(service.oneshot(7));
    assert_pending!(call.poll());
    tokio::time::advance(10 * MS).await;
    assert_pending!(call.poll());
    assert_eq!((calls.load(Relaxed), limit.available()), (4, 2));
    drop(call);
    assert_eq!(limit.available(), 4);
}

/// What a server asks of a service and its futures.
const fn served<S>()
where
    S: Service<u32, Future: Send + 'static> + Clone + Send + Sync + 'static,
{
}

type Gated = GateService<Strict, Arc<Semaphore>>;
type Never = fn(Failed) -> Pending<Result<u32, Failed>>;

const _: () = served::<FallbackService<Gated, Answering<Never>>>();
const _: () = served::<FallbackService<Gated, Asking<Strict, ResendClones>, fn(&Failed) -> bool>>();
