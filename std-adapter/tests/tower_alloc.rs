//! The layers for tower allocate nothing for a request: not when it is let in, not when it is
//! refused.
#![cfg(all(feature = "tower", feature = "tokio"))]

#[path = "../../core/tests/counting/mod.rs"]
mod counting;

use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use counting::{ALLOCATIONS, audit};
use fusebox_std::prelude::*;
use fusebox_std::tower::{FallbackLayer, GateLayer, PipelineLayer, ResendClones};
use tower::{Layer, Service};

#[derive(Clone)]
struct NoOp;

impl Service<u32> for NoOp {
    type Response = u32;
    type Error = u32;
    type Future = Ready<Result<u32, u32>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), u32>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

/// Asks a service and polls its answer once.
fn served<S: Service<Q>, Q>(service: &mut S, request: Q) -> Poll<Result<S::Response, S::Error>> {
    let mut cx = Context::from_waker(Waker::noop());
    let _ = service.poll_ready(&mut cx);
    pin!(service.call(request)).poll(&mut cx)
}

#[test]
fn an_allocation_is_counted() {
    let before = ALLOCATIONS.get();
    drop(std::hint::black_box(Box::new(7)));
    assert_eq!(ALLOCATIONS.get() - before, 1);
}

#[test]
fn a_gate_around_a_service() {
    static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
    let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let mut outer = GateLayer::new(&BREAKER).layer(NoOp);
    let mut shared = GateLayer::new(Arc::clone(&limit)).layer(NoOp);
    audit(|number| {
        assert_eq!(served(&mut outer, number), Poll::Ready(Ok(number)));
        assert_eq!(served(&mut shared, number), Poll::Ready(Ok(number)));
    });
    let _held = limit.permit();
    BREAKER.trip();
    audit(|number| {
        assert!(matches!(served(&mut outer, number), Poll::Ready(Err(Error::Rejected(_)))));
        assert!(matches!(served(&mut shared, number), Poll::Ready(Err(Error::Rejected(_)))));
    });
}

#[test]
fn a_pipeline_around_a_service() {
    let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let pipeline = Pipeline::new(TokioTimer)
        .per_call(Arc::clone(&limit))
        .retry(Retry::new(Backoff::constant(Duration::from_millis(1))));
    let mut service = PipelineLayer::retrying(Arc::new(pipeline), ResendClones).layer(NoOp);
    audit(|number| assert_eq!(served(&mut service, number), Poll::Ready(Ok(number))));
    let _held = limit.permit();
    audit(|number| {
        assert!(matches!(served(&mut service, number), Poll::Ready(Err(Error::Rejected(_)))));
    });
}

/// Responses whose bodies take their permits along.
#[cfg(feature = "http")]
mod bodies {
    use super::*;
    use http::{Request, Response};
    use http_body_util::Full;
    use hyper::body::{Body, Bytes};
    use std::convert::Infallible;

    #[derive(Clone)]
    struct Hello;

    impl Service<Request<()>> for Hello {
        type Response = Response<Full<Bytes>>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _request: Request<()>) -> Self::Future {
            ready(Ok(Response::new(Full::new(Bytes::from_static(b"hello")))))
        }
    }

    /// Asks for a response, and reads it to its end.
    fn read<S, B>(service: &mut S, limit: &Semaphore)
    where
        S: Service<Request<()>, Response = Response<B>, Error = Infallible>,
        B: Body<Data = Bytes, Error = Infallible>,
    {
        let Poll::Ready(Ok(response)) = served(service, Request::new(())) else { panic!() };
        let mut body = pin!(response.into_body());
        assert_eq!(limit.available(), 0);
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(Ok(_))) = body.as_mut().poll_frame(&mut cx) {}
        assert_eq!(limit.available(), 1);
    }

    #[test]
    fn a_body_that_holds_a_permit() {
        let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
        let layer = GateLayer::new(Arc::clone(&limit));
        let mut http = layer.clone().http().until_body_ends().layer(Hello);
        audit(|_| read(&mut http, &limit));
        #[cfg(feature = "grpc")]
        {
            let mut grpc = layer.grpc().layer(Hello);
            audit(|_| read(&mut grpc, &limit));
        }
    }
}

#[test]
fn another_way_to_answer() {
    let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let gated = GateLayer::new(Arc::clone(&limit)).layer(NoOp);
    let nought = |_: Error<u32>| ready(Ok::<u32, Error<u32>>(0));
    let mut answering = FallbackLayer::new(nought).layer(gated.clone());
    let mut asking = FallbackLayer::to(NoOp, ResendClones).layer(gated);
    audit(|number| {
        assert_eq!(served(&mut answering, number), Poll::Ready(Ok(number)));
        assert_eq!(served(&mut asking, number), Poll::Ready(Ok(number)));
    });
    let _held = limit.permit();
    audit(|number| {
        assert_eq!(served(&mut answering, number), Poll::Ready(Ok(0)));
        assert_eq!(served(&mut asking, number), Poll::Ready(Ok(number)));
    });
}
