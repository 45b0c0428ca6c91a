//! Clients of reqwest, against a server on loopback.
#![cfg(feature = "reqwest")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{any, get};
use fusebox_std::http::deadline::{DeadlineHeader, SendDeadlineLayer};
use fusebox_std::http::{ResendIdempotent, ServerErrors, TransientStatus};
use fusebox_std::prelude::*;
use fusebox_std::reqwest::is_transient;
use fusebox_std::tower::{PipelineLayer, PipelineService, Resend};
use fusebox_std::{current_deadline, with_deadline};
use reqwest::{Client, Method, Request, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tower::{Service, ServiceBuilder, ServiceExt};

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Serves on loopback, until the runtime ends.
async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async { axum::serve(listener, app).await });
    url
}

/// A server whose first answers are of this status, and how often it was asked.
async fn failing(times: u32, status: u16) -> (Arc<AtomicU32>, String) {
    let asked = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&asked);
    let answer = move || {
        let early = counted.fetch_add(1, Relaxed) < times;
        let status = if early { status } else { 200 };
        async move { StatusCode::from_u16(status).expect("a status") }
    };
    (asked, serve(Router::new().fallback(any(answer))).await)
}

/// Answers every connection with these bytes, and closes it.
async fn raw(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    url
}

type Retries = Retry<Backoff, RetryIf<fn(&reqwest::Error) -> bool>, (), (), (), TransientStatus>;

fn retry() -> Retries {
    Retry::new(Backoff::constant(MS))
        .when(RetryIf(is_transient as fn(&reqwest::Error) -> bool))
        .when_value(TransientStatus::within(SECOND))
}

fn client<P>(pipeline: P) -> PipelineService<Client, Arc<P>, ResendIdempotent> {
    let layer = PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent);
    ServiceBuilder::new().layer(layer).service(Client::new())
}

fn request(method: Method, url: &str) -> Request {
    Request::new(method, url.parse().expect("an address"))
}

#[tokio::test]
async fn what_passes_is_tried_again_where_it_may_be() {
    for (method, key, times) in [
        (Method::GET, false, 2),
        (Method::PUT, false, 2),
        (Method::POST, false, 1),
        (Method::POST, true, 2),
    ] {
        let (asked, url) = failing(1, 503).await;
        let mut request = request(method.clone(), &url);
        *request.body_mut() = Some("a body".into());
        if key {
            request.headers_mut().insert("idempotency-key", "\"7\"".parse().expect("a value"));
        }
        let response = client(Pipeline::new(TokioTimer).retry(retry())).oneshot(request).await;
        let expected = if times == 2 { 200 } else { 503 };
        assert_eq!(response.expect("an answer").status(), expected, "{method}");
        assert_eq!(asked.load(Relaxed), times, "{method}");
    }
}

#[tokio::test]
async fn a_body_that_is_a_stream_is_not_sent_again() {
    let body = http_body_util::Empty::<axum::body::Bytes>::new();
    let mut put = request(Method::PUT, "http://localhost/");
    *put.body_mut() = Some(reqwest::Body::wrap(body));
    assert!(ResendIdempotent.again(&put).is_none());
    *put.body_mut() = Some("all there".into());
    assert!(ResendIdempotent.again(&put).is_some());
}

#[tokio::test]
async fn a_pipeline_alone_retries_as_well() {
    let (asked, url) = failing(2, 429).await;
    let client = Client::new();
    let answer = Pipeline::new(TokioTimer).retry(retry()).call(|_| client.get(&url).send()).await;
    assert_eq!(answer.map(|response| response.status()).ok(), Some(StatusCode::OK));
    assert_eq!(asked.load(Relaxed), 3);
}

#[tokio::test]
async fn errors_that_pass_are_told_from_those_that_do_not() {
    let client = Client::new();
    let hangs = serve(Router::new().route("/", get(std::future::pending::<()>))).await;
    let error = async |url: &str| {
        let patience = if url == hangs { 20 * MS } else { 60 * SECOND };
        let response = client.get(url).timeout(patience).send().await?.error_for_status()?;
        response.text().await
    };
    // Nobody else gets its port.
    let unused = tokio::net::TcpSocket::new_v4().expect("a socket");
    unused.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let refused = format!("http://{}/", unused.local_addr().expect("an address"));
    let (_, busy) = failing(9, 503).await;
    let (_, missing) = failing(9, 404).await;
    let closed = raw(b"").await;
    let cut = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    let nonsense = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx").await;
    let elsewhere = raw(b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n").await;
    for (url, transient) in [
        (&*refused, true),
        (&busy, true),
        (&hangs, true),
        (&closed, true),
        (&cut, true),
        (&missing, false),
        (&elsewhere, false),
        ("not an address", false),
    ] {
        let error = error(url).await.expect_err(url);
        assert_eq!(is_transient(&error), transient, "{url}: {error:?}");
    }
    assert_eq!(error(&nonsense).await.ok().as_deref(), Some("x"));
}

#[tokio::test]
async fn a_breaker_judges_by_status() {
    let breaker: Arc<CircuitBreaker> =
        Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let failures = || breaker.snapshot().counts.consecutive_failures;
    let pipeline =
        Pipeline::new(TokioTimer).per_attempt(Arc::clone(&breaker)).classify(ServerErrors);
    let client = Client::new();
    let ask = async |url: &str| pipeline.call(|_| client.get(url).send()).await;
    let (_, broken) = failing(9, 500).await;
    let (_, missing) = failing(9, 404).await;
    for (url, expected) in [(&*broken, 1), ("not an address", 1), (&broken, 2), (&missing, 0)] {
        let _ = ask(url).await;
        assert_eq!(failures(), expected, "{url}");
    }
    // Also where the status was made an error.
    for (url, expected) in [(&broken, 1), (&missing, 0)] {
        let send = async |url: &str| client.get(url).send().await?.error_for_status();
        assert!(pipeline.call(|_| send(url)).await.is_err());
        assert_eq!(failures(), expected, "{url}");
    }
}

#[tokio::test]
async fn the_server_is_told_the_deadline() {
    let echo = async |headers: HeaderMap| headers["x-deadline"].to_str().expect("text").to_owned();
    let url = serve(Router::new().route("/", get(echo))).await;
    let layer = PipelineLayer::new(Arc::new(Pipeline::new(TokioTimer)));
    let client = ServiceBuilder::new()
        .layer(layer.ending_by(current_deadline))
        .layer(SendDeadlineLayer::new(DeadlineHeader::UNIX_NANOS))
        .service(Client::new());
    let deadline = Deadline::after(&TokioTimer, 5 * SECOND);
    let response = with_deadline(deadline, async {
        client.clone().oneshot(request(Method::GET, &url)).await.expect("an answer")
    });
    let told = response.await.text().await.expect("a body").parse().expect("a number");
    let left = (UNIX_EPOCH + Duration::from_nanos(told)).duration_since(SystemTime::now());
    let left = left.expect("it is in the future");
    assert!(left <= 5 * SECOND && left > 2 * SECOND, "{left:?}");

    // And what is too late is not sent.
    let passed = Deadline::after(&TokioTimer, Duration::ZERO);
    let refused = with_deadline(passed, async { client.oneshot(request(Method::GET, &url)).await });
    assert!(refused.await.is_err_and(|error| error.is_rejected()));
}

/// What a server asks of a service and its futures.
const fn served<S>()
where
    S: Service<Request, Response = Response, Future: Send + 'static> + Clone + Send + 'static,
{
}

const _: () =
    served::<PipelineService<Client, Arc<Pipeline<TokioTimer, (), Retries>>, ResendIdempotent>>();
