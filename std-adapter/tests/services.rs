//! Calls as futures whose types have names, and which own what they need without a box: what the
//! `Future` of a tower service has to be.
#![cfg(feature = "tokio")]

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fusebox_std::prelude::*;
use fusebox_std::{Call, Entering, Guard, Operation};
use pin_project_lite::pin_project;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug, PartialEq)]
struct Failure;

/// Tower's trait, but for readiness: the future cannot borrow the service.
trait Service<Request> {
    type Response;
    type Error;
    type Future: Future<Output = Result<Self::Response, Self::Error>>;

    fn call(&mut self, request: Request) -> Self::Future;
}

/// Fails every second time.
#[derive(Clone)]
struct Flaky(Arc<AtomicU32>);

impl Service<u32> for Flaky {
    type Response = u32;
    type Error = Failure;
    type Future = std::future::Ready<Result<u32, Failure>>;

    fn call(&mut self, request: u32) -> Self::Future {
        let even = self.0.fetch_add(1, Relaxed) % 2 == 0;
        std::future::ready(if even { Err(Failure) } else { Ok(request) })
    }
}

fn flaky() -> Flaky {
    Flaky(Arc::default())
}

/// The answers to eight requests, each of which is a task of its own.
fn served<S, T, E>(mut service: S) -> Vec<Result<T, E>>
where
    S: Service<u32, Response = T, Error = E>,
    S::Future: Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut answers = Vec::new();
        for task in [(); 8].map(|()| tokio::spawn(service.call(7))) {
            answers.push(task.await.expect("no panic"));
        }
        answers
    })
}

/// A breaker around a service.
struct Guarded<S> {
    inner: S,
    breaker: Arc<CircuitBreaker>,
}

impl<S: Service<Request>, Request> Service<Request> for Guarded<S> {
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Guard<Arc<CircuitBreaker>, S::Future>;

    fn call(&mut self, request: Request) -> Self::Future {
        Guard::new(Arc::clone(&self.breaker), self.inner.call(request))
    }
}

#[test]
fn a_breaker_around_a_service() {
    let breaker = Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let answers = served(Guarded { inner: flaky(), breaker });
    assert!(answers.iter().all(|answer| matches!(answer, Ok(7) | Err(Error::Inner(Failure)))));
}

/// A service behind a gate at which requests wait.
struct Queueing<S, R> {
    inner: S,
    gate: R,
}

pin_project! {
    struct Admitted<R, F>
    where
        R: Deref,
        R::Target: WaitGate<TokioTimer>,
    {
        #[pin]
        entering: Entering<R, TokioTimer>,
        gate: R,
        #[pin]
        future: F,
        permit: Option<Permit<R>>,
    }
}

impl<S, R, Request> Service<Request> for Queueing<S, R>
where
    S: Service<Request>,
    R: Deref + Clone,
    R::Target: WaitGate<TokioTimer>,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Admitted<R, S::Future>;

    fn call(&mut self, request: Request) -> Self::Future {
        let until = Deadline::after(&TokioTimer, SECOND);
        Admitted {
            entering: Entering::new(self.gate.clone(), TokioTimer, until),
            gate: self.gate.clone(),
            future: self.inner.call(request),
            permit: None,
        }
    }
}

impl<R, F, T, E> Future for Admitted<R, F>
where
    R: Deref + Clone,
    R::Target: WaitGate<TokioTimer>,
    F: Future<Output = Result<T, E>>,
{
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.permit.is_none() {
            let token = ready!(this.entering.poll(cx))?;
            *this.permit = Some(Permit::adopt(this.gate.clone(), token));
        }
        let result = ready!(this.future.poll(cx));
        if let Some(permit) = this.permit.take() {
            permit.success();
        }
        Poll::Ready(result.map_err(Error::Inner))
    }
}

#[test]
fn a_service_behind_a_semaphore() {
    let gate = Arc::new(Semaphore::<Queue<8>>::new(1));
    let answers = served(Queueing { inner: flaky(), gate: Arc::clone(&gate) });
    assert!(answers.iter().all(|answer| matches!(answer, Ok(7) | Err(Error::Inner(Failure)))));
    assert_eq!(gate.available(), 1);
}

#[test]
fn a_service_behind_a_bucket() {
    static BUCKET: TokenBucket =
        TokenBucket::new(BucketConfig::per_second(1000).max_wait(SECOND), StdClock);
    let answers = served(Queueing { inner: flaky(), gate: &BUCKET });
    assert!(answers.iter().all(|answer| matches!(answer, Ok(7) | Err(Error::Inner(Failure)))));
}

/// All patterns around a service.
struct Protected<S, C, A> {
    inner: S,
    pipeline: Arc<Pipeline<TokioTimer, C, Retry, A>>,
}

/// Sends a request, as often as it takes.
struct Resend<S, Request> {
    to: S,
    request: Request,
}

impl<S: Service<Request>, Request: Clone> Operation for Resend<S, Request> {
    type Value = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn attempt(&mut self, _attempt: Attempt) -> S::Future {
        self.to.call(self.request.clone())
    }
}

impl<S, C, A, Request> Service<Request> for Protected<S, C, A>
where
    S: Service<Request> + Clone,
    C: WaitGate<TokioTimer>,
    A: WaitGate<TokioTimer>,
    Request: Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Call<Arc<Pipeline<TokioTimer, C, Retry, A>>, Resend<S, Request>>;

    fn call(&mut self, request: Request) -> Self::Future {
        let operation = Resend { to: self.inner.clone(), request };
        Call::new(Arc::clone(&self.pipeline), Deadline::NEVER, operation)
    }
}

#[test]
fn a_pipeline_around_a_service() {
    static BULKHEAD: Bulkhead<Queue<8>> = Bulkhead::new(BulkheadConfig::new(1));
    let breaker = Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let pipeline = Pipeline::new(TokioTimer)
        .deadline(SECOND)
        .per_call_waiting(&BULKHEAD)
        .retry(Retry::new(Backoff::constant(Duration::from_millis(1))))
        .per_attempt(Arc::clone(&breaker));
    let answers = served(Protected { inner: flaky(), pipeline: Arc::new(pipeline) });
    assert_eq!(answers, [(); 8].map(|()| Ok(7)));
    assert_eq!(BULKHEAD.snapshot().available(), 1);
    assert_eq!(Arc::strong_count(&breaker), 1, "the pipeline is gone with its calls");
}
