//! Refusals and timeouts as HTTP responses, up to a server on loopback.
#![cfg(all(feature = "http", feature = "tokio"))]

#[path = "../examples/axum.rs"]
#[allow(dead_code, reason = "its `main` never ends")]
mod example;
mod refusing;

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::{Router, routing::get};
use fusebox_std::http::*;
use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use refusing::Refusing;
use tower::{Layer, Service, ServiceExt, service_fn};

/// The answer of a service behind a layer.
async fn answer<L>(layer: &L) -> Response<String>
where
    L: Layer<Status>,
    L::Service: Service<u16, Response = Response<String>, Error = Infallible>,
{
    let Ok(response) = layer.layer(Status).oneshot(200).await;
    response
}

/// Answers with the status that it is asked for.
#[derive(Clone)]
struct Status;

impl Service<u16> for Status {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = std::future::Ready<Result<Response<String>, Infallible>>;

    fn poll_ready(
        &mut self,
        _cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, status: u16) -> Self::Future {
        let response = Response::builder().status(status).body("served".to_owned());
        std::future::ready(Ok(response.expect("a status")))
    }
}

fn refusing(rejection: Rejection) -> HttpLayer<GateLayer<Arc<Refusing>, ServerErrors>> {
    GateLayer::new(Arc::new(Refusing(rejection))).http()
}

fn header<'a, B>(response: &'a Response<B>, name: &str) -> Option<&'a str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}

#[tokio::test]
async fn each_reason_has_its_status_and_a_problem() {
    for reason in Reason::ALL {
        let response = answer(&refusing(Rejection::new(*reason))).await;
        let expected = match reason {
            Reason::RateLimited | Reason::ExceedsBurst => 429,
            Reason::DeadlineExceeded => 504,
            Reason::NoKey => 400,
            _ => 503,
        };
        assert_eq!(response.status(), expected, "{reason:?}");
        assert_eq!(header(&response, "content-type"), Some("application/problem+json"));
        assert_eq!(header(&response, "retry-after"), None, "it is not known");
        assert_ne!(reason_name(*reason), "rejected", "{reason:?} has a name of its own");
        assert_eq!(response.extensions().get::<Rejection>().map(Rejection::reason), Some(*reason));
        // Five members, and in their texts nothing that would have to be escaped.
        let body = response.body();
        assert_eq!(body.matches('"').count(), 2 * 9, "{body}");
        assert!(!body.contains(['\\', '\n']) && body.is_ascii(), "{body}");
        assert!(body.contains(&format!(r#""status":{expected},"#)), "{body}");
    }
    let limited = answer(&refusing(Rejection::new(Reason::RateLimited))).await;
    assert_eq!(
        limited.body(),
        r#"{"type":"about:blank","title":"Too Many Requests","status":429,"detail":"the rate limit is reached","reason":"rate-limited"}"#
    );
}

/// Bug 6: a wait under a second became `Retry-After: 0` (`tower_governor`), and clients came back
/// at once, to be refused again.
#[tokio::test]
async fn the_time_to_come_back_is_rounded_up() {
    for (millis, seconds) in
        [(0, "0"), (1, "1"), (999, "1"), (1000, "1"), (1001, "2"), (59_500, "60")]
    {
        let rejection = Rejection::after_ticks(Reason::RateLimited, millis, 1000);
        let response = answer(&refusing(rejection)).await;
        assert_eq!(header(&response, "retry-after"), Some(seconds), "{millis} ms");
    }
    let nanosecond = Rejection::after_ticks(Reason::CircuitOpen, 1, 1_000_000_000);
    assert_eq!(header(&answer(&refusing(nanosecond)).await, "retry-after"), Some("1"));
}

/// Bug 29: `per_second(4000)` that meant one per 4000 s. The field says which number is which.
#[tokio::test]
async fn a_rate_limit_is_told() {
    let policy = RateLimitPolicy::new(r#"a "b" \c"#, 4000, Duration::from_millis(1500));
    let policy = policy.expect("a good name");
    let told = Some(r#""a \"b\" \\c";q=4000;w=2"#);
    let layer = |rejection| refusing(rejection).rate_limit(policy.clone());

    let response = answer(&layer(Rejection::after_ticks(Reason::RateLimited, 7, 2))).await;
    assert_eq!(header(&response, "ratelimit-policy"), told);
    assert_eq!(header(&response, "ratelimit"), Some(r#""a \"b\" \\c";r=0;t=4"#));
    assert_eq!(header(&response, "retry-after"), Some("4"), "the same moment");

    // Not the limit's doing, or not known.
    for rejection in
        [Rejection::after_ticks(Reason::CircuitOpen, 7, 2), Rejection::new(Reason::RateLimited)]
    {
        let response = answer(&layer(rejection)).await;
        assert_eq!(
            (header(&response, "ratelimit-policy"), header(&response, "ratelimit")),
            (told, None)
        );
    }
    let served = answer(&GateLayer::new(Arc::new(())).http().rate_limit(policy.clone())).await;
    assert_eq!((served.status(), header(&served, "ratelimit-policy")), (StatusCode::OK, told));
    assert!(RateLimitPolicy::new("tab\t", 1, Duration::from_secs(1)).is_none());
}

#[tokio::test]
async fn gates_judge_by_status() {
    let breaker: Arc<CircuitBreaker> =
        Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let failures = || breaker.snapshot().counts.consecutive_failures;
    let service = GateLayer::new(Arc::clone(&breaker)).http().layer(Status);
    for (status, expected) in [(500, 1), (503, 2), (404, 0), (500, 1), (429, 0), (599, 1), (302, 0)]
    {
        let Ok(response) = service.clone().oneshot(status).await;
        assert_eq!((response.status().as_u16(), failures()), (status, expected));
    }
    let busy = FailureStatus(|status: StatusCode| status == StatusCode::TOO_MANY_REQUESTS);
    let service = GateLayer::new(Arc::clone(&breaker)).classify(busy).layer(Status);
    for (status, expected) in [(429, 1), (503, 0)] {
        assert!(service.clone().oneshot(status).await.is_ok());
        assert_eq!(failures(), expected);
    }
    // The refusal of a gate further in says nothing about the service.
    let inner = refusing(Rejection::new(Reason::BulkheadFull)).layer(Status);
    let outer = GateLayer::new(Arc::clone(&breaker)).http().layer(inner);
    for _ in 0..100 {
        let Ok(response) = outer.clone().oneshot(200).await;
        assert_eq!(response.status(), 503);
    }
    assert_eq!((breaker.state(), failures()), (State::Closed, 0));
}

#[tokio::test]
async fn errors_of_the_service_pass_through() {
    let failing = service_fn(|()| async { Err::<Response<String>, _>("broken") });
    let service = GateLayer::new(Arc::new(())).http().layer(failing);
    assert_eq!(service.oneshot(()).await.map(drop), Err("broken"));
}

#[tokio::test(start_paused = true)]
async fn what_takes_too_long_is_answered() {
    let pipeline = || {
        let pipeline = Pipeline::new(TokioTimer).deadline(Duration::from_secs(1));
        PipelineLayer::new(Arc::new(pipeline.classify(ServerErrors))).http()
    };
    let hangs = service_fn(|()| pending::<Result<Response<String>, Infallible>>());
    let Ok(late) = pipeline().layer(hangs).oneshot(()).await;
    assert_eq!(late.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(late.body().contains(r#""reason":"timed-out""#));
    assert!(late.extensions().get::<Rejection>().is_none(), "it ran, and failed");
    let choice = pipeline().status(|_| StatusCode::REQUEST_TIMEOUT);
    let Ok(late) = choice.layer(hangs).oneshot(()).await;
    assert_eq!(late.status(), StatusCode::REQUEST_TIMEOUT);
}

// --------------------------------------------------------------------------------- on loopback

/// Serves `app`, and asks it `times` at once.
async fn asked(app: Router, times: usize) -> Vec<(u16, Option<String>, String)> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let asks = (0..times).map(|_| {
        let request = Request::get(format!("http://{address}/")).body(Body::empty());
        let response = client.request(request.expect("a request"));
        tokio::spawn(async {
            let response = response.await.expect("an answer");
            let wait = header(&response, "retry-after").map(str::to_owned);
            let status = response.status().as_u16();
            let body = response.into_body().collect().await.expect("a body").to_bytes();
            (status, wait, String::from_utf8(body.to_vec()).expect("text"))
        })
    });
    let mut answers = Vec::new();
    for ask in asks.collect::<Vec<_>>() {
        answers.push(ask.await.expect("no panic"));
    }
    server.abort();
    answers
}

#[tokio::test]
async fn the_example_serves_and_refuses() {
    let answers = asked(example::app(), 100).await;
    let served = answers.iter().filter(|(status, ..)| *status == 200).count();
    assert!((20..100).contains(&served), "{served} served");
    for (status, wait, body) in answers {
        match status {
            200 => assert_eq!((wait, &*body), (None, "hello")),
            429 => assert!(wait.as_deref() == Some("1") && body.contains("rate-limited")),
            other => panic!("{other}: {body}"),
        }
    }
}

#[tokio::test]
async fn a_breaker_in_front_of_handlers_that_fail() {
    let breaker: Arc<CircuitBreaker> =
        Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let app = Router::new()
        .route("/", get(|| async { StatusCode::INTERNAL_SERVER_ERROR }))
        .layer(GateLayer::new(Arc::clone(&breaker)).http());
    let answers = asked(app, 100).await;
    assert_eq!(breaker.state(), State::Open);
    assert!(answers.iter().any(|(status, wait, _)| *status == 503 && wait.is_some()));
    assert!(answers.iter().all(|(status, ..)| matches!(status, 500 | 503)));
}
