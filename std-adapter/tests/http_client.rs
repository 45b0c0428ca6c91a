//! Clients of HTTP: when they come back, and what they send again.
#![cfg(all(feature = "http", feature = "tokio"))]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use axum::{Router, routing::any};
use fusebox_std::http::*;
use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, SizeHint};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio_test::{assert_pending, task};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// What a server answers: a status and headers.
type Answer = (u16, &'static [(&'static str, &'static str)]);

const GOOD: Answer = (200, &[]);
const BUSY: Answer = (503, &[]);

/// A server with a list of answers, and then good ones.
#[derive(Clone, Default)]
struct Server {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    /// The bodies that came in.
    bodies: Arc<Mutex<Vec<Bytes>>>,
}

impl Server {
    fn new(answers: &[Answer]) -> Self {
        let answers = Arc::new(Mutex::new(answers.iter().copied().collect()));
        Self { answers, bodies: Arc::default() }
    }

    fn requests(&self) -> usize {
        self.bodies.lock().expect("no panic").len()
    }

    fn answer(&self, body: Bytes) -> Response<()> {
        self.bodies.lock().expect("no panic").push(body);
        let next = self.answers.lock().expect("no panic").pop_front();
        let (status, fields) = next.unwrap_or(GOOD);
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        response.body(()).expect("a response")
    }

    /// Serves on loopback, until the runtime ends.
    async fn serve(&self) -> String {
        let server = self.clone();
        let answer = move |body: Bytes| {
            let server = server.clone();
            async move { server.answer(body).map(|()| Body::empty()) }
        };
        let app = Router::new().fallback(any(answer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async { axum::serve(listener, app).await });
        format!("http://{address}/")
    }

    /// Serves in place.
    fn service<B>(
        &self,
    ) -> impl Service<Request<B>, Response = Response<()>, Error = B::Error, Future: Send> + Clone
    where
        B: hyper::body::Body<Data = Bytes> + Send,
        B::Error: Send,
    {
        let server = self.clone();
        service_fn(move |request: Request<B>| {
            let server = server.clone();
            async move { Ok(server.answer(request.into_body().collect().await?.to_bytes())) }
        })
    }
}

type Retries = Retry<Backoff, fusebox_std::RetryAll, (), (), (), TransientStatus>;

fn retry() -> Retries {
    Retry::new(Backoff::constant(MS)).when_value(TransientStatus::within(10 * SECOND))
}

fn retrying() -> PipelineLayer<Arc<Pipeline<TokioTimer, (), Retries>>, ResendIdempotent> {
    let pipeline = Pipeline::new(TokioTimer).retry(retry());
    PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent)
}

/// What a client gets for a request, how often that was sent, and how long it took.
async fn sent(server: &Server, request: Request<Full<Bytes>>) -> (u16, usize, Duration) {
    let started = tokio::time::Instant::now();
    let response = retrying().layer(server.service()).oneshot(request).await;
    let status = response.expect("an answer").status();
    (status.as_u16(), server.requests(), started.elapsed())
}

fn request(method: &str) -> Request<Full<Bytes>> {
    Request::builder().method(method).body(Full::from("body")).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn a_client_comes_back_when_the_server_says() {
    const DATE: Answer = (
        503,
        &[
            // By a clock that is years behind.
            ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("retry-after", "Sun, 06 Nov 1994 08:49:44 GMT"),
        ],
    );
    for (answer, wait) in [
        ((503, &[("retry-after", "2")] as &_), 2 * SECOND),
        (DATE, 7 * SECOND),
        ((429, &[("ratelimit", r#""all";r=0;t=3"#)]), 3 * SECOND),
        ((503, &[("grpc-retry-pushback-ms", "30"), ("retry-after", "2")]), 30 * MS),
        ((503, &[("retry-after", "0")]), MS),
        ((503, &[("retry-after", "malformed")]), MS),
        (BUSY, MS),
    ] {
        let (status, requests, took) = sent(&Server::new(&[answer]), request("GET")).await;
        assert_eq!((status, requests), (200, 2), "{answer:?}");
        assert!(took >= wait && took <= wait + 2 * MS, "{answer:?}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_server_forbids_or_puts_off_too_long_is_not_tried_again() {
    let answers: [Answer; 7] = [
        (503, &[("retry-after", "11")]),
        (503, &[("retry-after", "Tue, 31 Dec 2999 23:59:59 GMT")]),
        (503, &[("retry-after", "99999999999999999999999")]),
        (200, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "-1")]),
        (200, &[("grpc-status", "14"), ("grpc-retry-pushback-ms", "malformed")]),
        (404, &[("retry-after", "1")]),
        (501, &[("retry-after", "1")]),
    ];
    for answer in answers {
        let (status, requests, took) = sent(&Server::new(&[answer]), request("GET")).await;
        assert_eq!((status, requests, took), (answer.0, 1, Duration::ZERO), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_hedge_does_not_take_a_fast_refusal_for_the_answer() {
    let calls = Arc::new(AtomicU32::new(0));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let call = calls.fetch_add(1, Relaxed);
        async move {
            let (wait, status) = if call == 0 { (50 * MS, 200) } else { (MS, 503) };
            tokio::time::sleep(wait).await;
            Ok::<_, Infallible>(Response::builder().status(status).body(()).expect("a response"))
        }
    });
    let hedge = Hedge::idempotent(10 * MS).when_value(TransientStatus::within(SECOND));
    let pipeline = Pipeline::new(TokioTimer).hedge(hedge);
    let service = PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent).layer(service);
    let started = tokio::time::Instant::now();
    assert_eq!(service.oneshot(request("GET")).await.expect("an answer").status(), 200);
    assert_eq!(started.elapsed(), 50 * MS);
}

/// The answer of a server that stays busy is its last one, not an error that says less.
#[tokio::test(start_paused = true)]
async fn the_last_answer_is_the_callers() {
    let busy = (503, &[("retry-after", "1")] as &_);
    let server = Server::new(&[busy, busy, (429, &[("retry-after", "7")]), GOOD]);
    assert_eq!(sent(&server, request("GET")).await, (429, 3, 2 * SECOND));
}

/// Bug 24: the sleep did not count into the deadline (temporal's sdk-rust#1411).
#[tokio::test(start_paused = true)]
async fn a_wait_that_would_end_after_the_deadline_is_not_begun() {
    let server = Server::new(&[(503, &[("retry-after", "5")])]);
    let pipeline = Pipeline::new(TokioTimer).deadline(3 * SECOND).retry(retry());
    let service = PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent);
    let started = tokio::time::Instant::now();
    let response = service.layer(server.service()).oneshot(request("GET")).await;
    assert_eq!(response.expect("an answer").status(), 503);
    assert_eq!((server.requests(), started.elapsed()), (1, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn only_what_may_be_sent_twice_is() {
    let busy = || Server::new(&[BUSY]);
    for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
        assert_eq!(sent(&busy(), request(method)).await, (200, 2, MS), "{method}");
    }
    for method in ["POST", "PATCH", "CONNECT", "PURGE"] {
        assert_eq!(sent(&busy(), request(method)).await, (503, 1, Duration::ZERO), "{method}");
        let mut marked = request(method);
        marked.extensions_mut().insert(Idempotent);
        assert_eq!(sent(&busy(), marked).await, (200, 2, MS), "{method}");
        let mut keyed = request(method);
        keyed.headers_mut().insert("idempotency-key", HeaderValue::from_static("\"7\""));
        let server = busy();
        assert_eq!(sent(&server, keyed).await, (200, 2, MS), "{method}");
        assert_eq!(*server.bodies.lock().expect("no panic"), ["body", "body"]);
    }
}

/// Bug 14: each layer that was applied and each clone of a client had a breaker of its own
/// (acton-service#44).
#[tokio::test]
async fn all_clones_of_a_client_share_its_breaker_and_budget() {
    let breaker = Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let config = BudgetConfig::new(Ratio::percent(100)).floor_per_second(0);
    let budget = Arc::new(RetryBudget::new(config, StdClock));
    let pipeline = Pipeline::new(TokioTimer)
        .retry(retry().max_attempts(2).budget(Arc::clone(&budget)))
        .per_attempt(Arc::clone(&breaker))
        .classify(ServerErrors);
    let layer = PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent);
    let server = Server::new(&[BUSY; 100]);
    let mut answers = Vec::new();
    for _ in 0..5 {
        let service = layer.clone().layer(server.service());
        answers.push(service.clone().oneshot(request("GET")).await.map(|answer| answer.status()));
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(server.requests(), 5, "as many failures as open it, of all clones together");
    assert!(matches!(answers.last(), Some(Err(Error::Rejected(_)))), "{answers:?}");
    assert!(budget.balance() <= 5, "each call has paid in, and each retry was paid for");
}

// --------------------------------------------------------------------------------------- bodies

fn buffered<S, B>(
    limit: usize,
    service: S,
) -> impl Service<Request<B>, Response = Response<()>, Error = Error<S::Error>> + Clone
where
    S: Service<Request<BufferedBody<B>>, Response = Response<()>> + Clone,
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    ServiceBuilder::new().layer(BufferBodyLayer::new(limit)).layer(retrying()).service(service)
}

type Frames = Vec<Result<Frame<Bytes>, &'static str>>;

/// A body of unknown length.
fn stream(frames: Frames) -> impl hyper::body::Body<Data = Bytes, Error = &'static str> + Unpin {
    StreamBody::new(futures_util::stream::iter(frames))
}

fn data(text: &'static str) -> Result<Frame<Bytes>, &'static str> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fits_is_sent_again_and_a_larger_one_once() {
    for (limit, requests) in [(9, 2), (10, 2), (8, 1), (5, 1), (0, 1)] {
        let server = Server::new(&[BUSY]);
        let body = stream(vec![data("four"), data(""), data("five5")]);
        let response = buffered(limit, server.service())
            .oneshot(Request::put("/").body(body).expect("a request"));
        let expected = if requests == 2 { 200 } else { 503 };
        assert_eq!(response.await.expect("an answer").status(), expected, "{limit}");
        assert_eq!(server.requests(), requests, "{limit}");
        let whole = server.bodies.lock().expect("no panic").iter().all(|body| body == "fourfive5");
        assert!(whole, "{limit}: nothing of it is lost");
    }
    // One that says how long it is.
    for (limit, requests) in [(4, 2), (3, 1)] {
        let server = Server::new(&[BUSY]);
        assert!(buffered(limit, server.service()).oneshot(request("PUT")).await.is_ok());
        assert_eq!(server.requests(), requests);
    }
    // And what may not be sent twice is not read at all.
    let server = Server::new(&[BUSY]);
    let response = buffered(100, server.service()).oneshot(request("POST")).await;
    assert_eq!(response.expect("an answer").status(), 503);
    assert_eq!(server.requests(), 1);
}

/// A body that always has another empty frame kept its thread for as long as it pleased.
#[tokio::test(start_paused = true)]
async fn a_body_without_end_lets_others_have_their_turn() {
    let frames = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&frames);
    let endless = std::iter::repeat_with(move || {
        counted.fetch_add(1, Relaxed);
        data("")
    });
    let body = StreamBody::new(futures_util::stream::iter(endless.take(1_000_000)));
    let request = Request::put("/").body(body).expect("a request");
    let server = Server::new(&[]);
    let mut call = Box::pin(buffered(9, server.service()).oneshot(request));
    assert!(futures_util::poll!(&mut call).is_pending());
    assert!(frames.load(Relaxed) <= 100, "a few at a time");
}

/// It is judged as it is sent, whatever it was when it was read.
#[tokio::test(start_paused = true)]
async fn a_request_that_becomes_another_is_judged_as_that() {
    let server = Server::new(&[BUSY]);
    let service = ServiceBuilder::new()
        .layer(BufferBodyLayer::new(100))
        .map_request(|mut request: Request<BufferedBody<Full<Bytes>>>| {
            *request.method_mut() = axum::http::Method::POST;
            request
        })
        .layer(retrying())
        .service(server.service());
    let response = service.oneshot(request("PUT")).await.expect("an answer");
    assert_eq!((response.status(), server.requests()), (StatusCode::SERVICE_UNAVAILABLE, 1));
}

#[tokio::test(start_paused = true)]
async fn trailers_are_sent_again() {
    let attempts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&attempts);
    let service = service_fn(move |request: Request<BufferedBody<_>>| {
        let attempt = counted.fetch_add(1, Relaxed);
        async move {
            let collected = request.into_body().collect().await?;
            let sum = collected.trailers().and_then(|trailers| trailers.get("sum").cloned());
            assert_eq!(sum.as_ref().map(HeaderValue::as_bytes), Some(b"7".as_slice()));
            assert_eq!(collected.to_bytes(), "seven");
            let status = if attempt == 0 { 503 } else { 200 };
            Ok::<_, &str>(Response::builder().status(status).body(()).expect("a response"))
        }
    });
    let trailers = HeaderMap::from_iter([(
        axum::http::HeaderName::from_static("sum"),
        HeaderValue::from_static("7"),
    )]);
    let body = stream(vec![data("seven"), Ok(Frame::trailers(trailers))]);
    let service =
        ServiceBuilder::new().layer(BufferBodyLayer::new(100)).layer(retrying()).service(service);
    let response = service.oneshot(Request::put("/").body(body).expect("a request")).await;
    assert_eq!(response.expect("an answer").status(), 200);
    assert_eq!(attempts.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_is_sent_once_and_fails() {
    let server = Server::new(&[]);
    let body = stream(vec![data("begun"), Err("reset")]);
    let response =
        buffered(100, server.service()).oneshot(Request::put("/").body(body).expect("a request"));
    assert_eq!(response.await.map(drop), Err(Error::Inner("reset")));
    assert_eq!(server.requests(), 0, "it was never whole");
}

/// Bug 21: a permit was held for as long as a request was not even there
/// (tower-resilience#367, vector#26457).
#[tokio::test]
async fn a_slow_body_holds_no_permit() {
    struct Slow;

    impl hyper::body::Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }

        fn size_hint(&self) -> SizeHint {
            SizeHint::with_exact(7)
        }
    }

    let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let pipeline = Pipeline::new(TokioTimer).per_call(Arc::clone(&limit)).retry(retry());
    let service = ServiceBuilder::new()
        .layer(BufferBodyLayer::new(100))
        .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent))
        .service(service_fn(|_: Request<BufferedBody<Slow>>| {
            pending::<Result<Response<()>, Infallible>>()
        }));
    let mut call =
        task::spawn(service.clone().oneshot(Request::put("/").body(Slow).expect("a request")));
    assert_pending!(call.poll());
    assert_eq!(limit.available(), 1, "it is still being read");
    let mut unread =
        task::spawn(service.oneshot(Request::post("/").body(Slow).expect("a request")));
    assert_eq!(limit.available(), 1, "nothing is taken before the first poll");
    assert_pending!(unread.poll());
    assert_eq!(limit.available(), 0, "this one is sent as it comes");
    drop(unread);
    assert_eq!(limit.available(), 1);
}

#[test]
fn a_buffered_body_says_how_long_it_is() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&sizes);
    let service = service_fn(move |request: Request<BufferedBody<Body>>| {
        let (body, whole) = (request.body(), request.body().is_whole());
        let hint = hyper::body::Body::size_hint(body);
        let end = hyper::body::Body::is_end_stream(body);
        told.lock().expect("no panic").push((whole, hint.exact(), hint.lower(), end));
        std::future::ready(Ok::<_, Infallible>(()))
    });
    let chunks = |text: &'static [&'static str]| {
        let chunks =
            text.iter().map(|text| Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())));
        Body::from_stream(futures_util::stream::iter(chunks))
    };
    let bodies = [
        Body::empty(),
        Body::from("four"),
        Body::from("eleven char"),
        chunks(&["fo", "ur"]),
        chunks(&["eleven", " char"]),
    ];
    for body in bodies {
        let request = Request::put("/").body(body).expect("a request");
        let mut call = task::spawn(BufferBodyLayer::new(6).layer(service.clone()).oneshot(request));
        assert!(call.poll().is_ready());
    }
    assert_eq!(
        *sizes.lock().expect("no panic"),
        [
            (true, Some(0), 0, true),
            (true, Some(4), 4, false),
            (false, Some(11), 11, false),
            (true, Some(4), 4, false),
            (false, None, 11, false),
        ]
    );
}

// --------------------------------------------------------------------------------- on loopback

#[tokio::test]
async fn a_client_of_hyper_comes_back_to_a_real_server() {
    let seconds = (503, &[("retry-after", "1")] as &_);
    // The server's own `Date` is that of now, so this has passed.
    let date = (429, &[("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")] as &_);
    let server = Server::new(&[seconds, date]);
    let url = server.serve().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let service = retrying().layer(client);
    let started = std::time::Instant::now();
    let put = |body: &'static str| Request::put(&url).body(Full::from(body)).expect("a request");
    let response = service.clone().oneshot(put("seven")).await.expect("an answer");
    assert_eq!((response.status(), server.requests()), (StatusCode::OK, 3));
    assert!(started.elapsed() >= SECOND && started.elapsed() < 5 * SECOND);
    assert!(server.bodies.lock().expect("no panic").iter().all(|body| body == "seven"));
}

#[tokio::test]
async fn a_stream_that_is_half_sent_is_not_sent_again() {
    let server = Server::new(&[BUSY; 3]);
    let url = server.serve().await;
    let client = Client::builder(TokioExecutor::new()).build_http::<BufferedBody<Body>>();
    let service =
        ServiceBuilder::new().layer(BufferBodyLayer::new(1024)).layer(retrying()).service(client);
    let chunks = |count: usize| {
        let chunks = (0..count).map(|_| Ok::<_, Infallible>(Bytes::from_static(&[b'x'; 512])));
        Request::put(&url).body(Body::from_stream(futures_util::stream::iter(chunks)))
    };
    let large = service.clone().oneshot(chunks(100).expect("a request")).await;
    assert_eq!(large.expect("an answer").status(), 503);
    assert_eq!(server.requests(), 1);
    let small = service.oneshot(chunks(2).expect("a request")).await;
    assert_eq!(small.expect("an answer").status(), 200);
    let lengths: Vec<_> = server.bodies.lock().expect("no panic").iter().map(Bytes::len).collect();
    assert_eq!(lengths, [51_200, 1024, 1024, 1024]);
}

#[tokio::test]
async fn a_connection_that_is_refused_is_tried_again() {
    // Nobody else gets its port.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let url = format!("http://{}/", socket.local_addr().expect("an address"));
    let breaker: Arc<CircuitBreaker> =
        Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let pipeline = Pipeline::new(TokioTimer)
        .retry(retry())
        .per_attempt(Arc::clone(&breaker))
        .classify(ServerErrors);
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let service = PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent).layer(client);
    let request = Request::get(url).body(Empty::new()).expect("a request");
    let failed = service.oneshot(request).await.expect_err("nobody listens");
    assert!(failed.inner().is_some_and(|error| error.is_connect()));
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 3);
}

// ------------------------------------------------------------------------------------ in tasks

/// What a server asks of a service and its futures.
const fn served<S: Service<Request<Body>, Future: Send + 'static> + Clone + Send + 'static>() {}

type Whole = hyper_util::client::legacy::Client<
    hyper_util::client::legacy::connect::HttpConnector,
    BufferedBody<Body>,
>;
type Layers = PipelineService<Whole, Arc<Pipeline<TokioTimer, (), Retries>>, ResendIdempotent>;

const _: () = served::<BufferBodyService<Layers>>();
