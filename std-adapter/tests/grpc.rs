//! gRPC, between a client and a server of tonic on loopback.
#![cfg(all(feature = "grpc", feature = "tokio"))]

mod noting;
mod obeying;
mod refusing;

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fusebox_std::grpc::*;
use fusebox_std::http::{
    BufferBodyLayer, BufferedBody, Idempotent, ResendIdempotent, TransientStatus,
};
use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use noting::{Notes, becomes};
use obeying::*;
use refusing::Refusing;
use tonic::Status;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// What a server says to one that comes back when it may.
fn pushback(status: &Status) -> Option<&str> {
    status.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().expect("text"))
}

/// A service that answers with an empty response.
fn nothing() -> impl Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone {
    service_fn(|_| async { Ok(Response::new(Body::empty())) })
}

// --------------------------------------------------------------------------------- what is refused

#[tokio::test]
async fn each_reason_has_its_status() {
    for reason in Reason::ALL {
        let gate = Arc::new(Refusing(Rejection::new(*reason)));
        let service = GateLayer::new(gate).grpc().layer(nothing());
        let Ok(response) = service.oneshot(Request::new(())).await;
        let expected = match reason {
            Reason::RateLimited | Reason::ExceedsBurst => Code::ResourceExhausted,
            Reason::DeadlineExceeded => Code::DeadlineExceeded,
            Reason::NoKey => Code::InvalidArgument,
            _ => Code::Unavailable,
        };
        let headers = response.headers();
        assert_eq!((response.status().as_u16(), Code::of(headers)), (200, Some(expected)));
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-message"], reason.to_string(), "nothing in it is encoded");
        let never = matches!(reason, Reason::ExceedsBurst | Reason::NoKey).then_some("-1");
        assert_eq!(
            headers.get("grpc-retry-pushback-ms").map(|value| value.to_str().unwrap()),
            never
        );
        assert_eq!(response.extensions().get::<Rejection>().map(Rejection::reason), Some(*reason));
    }
}

#[tokio::test]
async fn a_client_is_told_when_to_come_back() {
    for (micros, millis) in [(0, "0"), (1, "1"), (1_000, "1"), (1_001, "2"), (2_500_000, "2500")] {
        let rejection = Rejection::after_ticks(Reason::RateLimited, micros, 1_000_000);
        let running =
            serving(GateLayer::new(Arc::new(Refusing(rejection))).grpc(), Obeys::default());
        let mut client = Client::new(running.channel.clone());
        for refused in [client.check(0).await.err(), client.watch("1").await.err()] {
            let status = refused.expect("it is refused");
            assert_eq!(code(&status), Code::ResourceExhausted);
            assert_eq!(status.message(), "the rate limit is reached");
            assert_eq!(pushback(&status), Some(millis), "{micros} us");
        }
    }
}

/// On the client's side nothing is sent.
#[tokio::test]
async fn an_open_circuit_is_unavailable() {
    let (notes, layer) = noted();
    let running = serving(layer, Obeys::default());
    let breaker = Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let layer = GateLayer::new(Arc::clone(&breaker)).grpc();
    let mut client = Client::new(layer.layer(running.channel.clone()));
    for _ in 0..5 {
        assert_eq!(client.check(13).await.map_err(|status| code(&status)), Err(Code::Internal));
    }
    assert_eq!(breaker.state(), State::Open);
    assert_eq!(notes.taken().len(), 5);
    let status = client.check(0).await.expect_err("the circuit is open");
    assert_eq!((code(&status), status.message()), (Code::Unavailable, "the circuit is open"));
    let wait: u64 = pushback(&status).expect("it is known").parse().expect("a number");
    assert!((29_000..=30_000).contains(&wait), "{wait} ms");
    assert_eq!(notes.taken(), []);
}

// ---------------------------------------------------------------------------------- what is judged

/// By both sides alike: unary calls have their errors in the head, streams at their end.
#[tokio::test]
async fn each_status_has_its_meaning() {
    let (server, layer) = noted();
    let running = serving(layer, Obeys::default());
    let (client, layer) = noted();
    let mut asks = Client::new(layer.layer(running.channel.clone()));
    for status in Code::ALL {
        let expected = match status {
            Code::Cancelled => Outcome::Ignored,
            failure if failure.is_failure() => Outcome::Failure,
            _ => Outcome::Success,
        };
        let answer = asks.check(status as u8).await.map_err(|status| code(&status));
        assert_eq!(answer, if status == Code::Ok { Ok(1) } else { Err(status) });
        assert_eq!(
            (server.taken(), client.taken()),
            (vec![expected], vec![expected]),
            "{status:?}"
        );

        let stream = asks.watch(&format!("2 {}", status as u8)).await.expect("it begins well");
        assert_eq!(read(stream).await, (2, status));
        assert_eq!(
            (server.taken(), client.taken()),
            (vec![expected], vec![expected]),
            "{status:?}"
        );
    }
}

#[tokio::test]
async fn a_predicate_may_say_otherwise() {
    let notes = Arc::<Notes>::default();
    let judge = GrpcStatus::failing_if(|code| code == Code::ResourceExhausted);
    let layer = GateLayer::new(Arc::clone(&notes)).grpc().classify(judge);
    let running = serving(layer, Obeys::default());
    let mut client = Client::new(running.channel.clone());
    for (status, expected) in [(8, Outcome::Failure), (13, Outcome::Success)] {
        assert!(client.check(status).await.is_err());
        assert_eq!(notes.taken(), [expected]);
    }
}

/// What a gate makes of a response whose body is read to its end.
async fn judged<const N: usize>(
    head: http::response::Builder,
    frames: [Result<Frame<Bytes>, BoxError>; N],
) -> Vec<Outcome> {
    let body = Body::new(StreamBody::new(futures_util::stream::iter(frames)));
    let answer = Arc::new(Mutex::new(Some(head.body(body).expect("a response"))));
    let service = service_fn(move |_: Request<()>| {
        let answer = answer.lock().expect("no panic").take();
        async { Ok::<_, Infallible>(answer.expect("it is asked once")) }
    });
    let (notes, layer) = noted();
    let Ok(answer) = layer.layer(service).oneshot(Request::new(())).await;
    let _ = answer.into_body().collect().await;
    notes.taken()
}

fn data() -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(Bytes::from_static(b"part")))
}

fn trailers(name: &'static str, value: &'static str) -> Result<Frame<Bytes>, BoxError> {
    let value = HeaderValue::from_static(value);
    Ok(Frame::trailers(HeaderMap::from_iter([(HeaderName::from_static(name), value)])))
}

#[tokio::test]
async fn a_stream_that_breaks_off_has_failed() {
    let head = Response::builder;
    assert_eq!(judged(head(), [data(), trailers("grpc-status", "0")]).await, [Outcome::Success]);
    assert_eq!(judged(head(), [data()]).await, [Outcome::Failure], "no trailers");
    assert_eq!(judged(head(), []).await, [Outcome::Failure], "nothing at all");
    assert_eq!(judged(head(), [data(), trailers("x-cost", "0")]).await, [Outcome::Failure]);
    assert_eq!(judged(head(), [data(), Err("reset".into())]).await, [Outcome::Failure]);
    assert_eq!(judged(head(), [data(), trailers("grpc-status", "17")]).await, [Outcome::Failure]);
    // Its length is no end: the trailers are still to come.
    let sized = || head().header("content-length", 4);
    assert_eq!(judged(sized(), [data(), trailers("grpc-status", "0")]).await, [Outcome::Success]);
    assert_eq!(judged(sized(), [data(), trailers("grpc-status", "13")]).await, [Outcome::Failure]);
}

#[tokio::test]
async fn a_head_that_says_the_end_is_the_end() {
    let head = Response::builder;
    for (status, expected) in
        [(502, Outcome::Failure), (500, Outcome::Failure), (404, Outcome::Success)]
    {
        assert_eq!(judged(head().status(status), [data()]).await, [expected], "of a proxy");
    }
    let ended = |status| head().header("grpc-status", status);
    assert_eq!(judged(ended("0"), []).await, [Outcome::Success], "no message, but a status");
    assert_eq!(judged(ended("14"), [data()]).await, [Outcome::Failure]);
    // Clients do not read a body that is no message.
    let (notes, layer) = noted();
    let service = layer.layer(service_fn(|_: Request<()>| async {
        let page = Body::new(StreamBody::new(futures_util::stream::iter([data()])));
        Ok::<_, Infallible>(Response::builder().status(502).body(page).expect("a response"))
    }));
    let Ok(unread) = service.oneshot(Request::new(())).await;
    drop(unread);
    assert_eq!(notes.taken(), [Outcome::Failure]);
    let web = head().header("content-type", "application/grpc-web+proto");
    assert_eq!(judged(web, [data()]).await, [Outcome::Success], "its trailers are in the data");
}

/// Of a gate further in, or of another server: that makes the difference.
#[tokio::test]
async fn a_refusal_says_nothing_about_who_was_not_asked() {
    let (notes, outer) = noted();
    for reason in [Reason::BulkheadFull, Reason::RateLimited, Reason::DeadlineExceeded] {
        let inner = GateLayer::new(Arc::new(Refusing(Rejection::new(reason)))).grpc();
        let layers = ServiceBuilder::new().layer(outer.clone()).layer(inner.clone());
        let Ok(_) = layers.service(nothing()).oneshot(Request::new(())).await;
        assert_eq!(notes.taken(), [Outcome::Ignored]);

        let running = serving(inner, Obeys::default());
        let mut client = Client::new(outer.layer(running.channel.clone()));
        let told = client.check(0).await.map_err(|status| code(&status)).expect_err("refused");
        let expected = if told.is_failure() { Outcome::Failure } else { Outcome::Success };
        assert_eq!(notes.taken(), [expected], "{told:?}");
    }
}

// ----------------------------------------------------------------------------------- while it
// lasts

/// Bug 21, for streams: a permit that comes back with the head is free while the stream goes on.
#[tokio::test]
async fn a_stream_holds_its_permit_until_its_end() {
    let at_once: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let free = || at_once.available() == 1;
    let running = serving(GateLayer::new(Arc::clone(&at_once)).grpc(), Obeys::default());
    let mut client = Client::new(running.channel.clone());

    let mut endless = client.watch("endless").await.expect("it is free");
    for _ in 0..3 {
        assert!(endless.message().await.expect("no error").is_some());
        assert!(!free());
        assert_eq!(client.check(0).await.map_err(|status| code(&status)), Err(Code::Unavailable));
    }
    drop(endless);
    becomes(free).await;
    for order in ["3", "3 13", "0 5"] {
        let _ = read(client.watch(order).await.expect("it is free")).await;
        becomes(free).await;
    }
    assert_eq!(client.check(0).await.expect("it is free"), 1);
    becomes(free).await;
}

#[tokio::test]
async fn how_a_stream_ends_is_noted_on_both_sides() {
    let (server, layer) = noted();
    let running = serving(layer, Obeys::default());
    let (client, layer) = noted();
    let mut asks = Client::new(layer.layer(running.channel.clone()));

    let mut endless = asks.watch("endless").await.expect("it begins");
    assert!(endless.message().await.expect("no error").is_some());
    assert_eq!((server.taken(), client.taken()), (vec![], vec![]), "it goes on");
    drop(endless);
    assert_eq!(client.taken(), [Outcome::Abandoned]);
    becomes(|| server.taken() == [Outcome::Abandoned]).await;

    let mut endless = asks.watch("endless").await.expect("it begins");
    assert!(endless.message().await.expect("no error").is_some());
    drop(running);
    assert_ne!(read(endless).await.1, Code::Ok);
    assert_eq!(client.taken(), [Outcome::Failure], "the server went away");
    assert!(asks.check(0).await.is_err());
    assert_eq!(client.taken(), [Outcome::Failure], "and is not there");
}

// -------------------------------------------------------------------------------------- pipelines

#[tokio::test]
async fn a_pipeline_around_a_channel() {
    let running = serving(noted().1, Obeys::default());
    let breaker = Arc::new(CircuitBreaker::new(BreakerConfig::standard(), StdClock));
    let pipeline = Pipeline::new(TokioTimer)
        .deadline(300 * MS)
        .per_attempt(Arc::clone(&breaker))
        .classify(GrpcStatus::new());
    let layer = PipelineLayer::new(Arc::new(pipeline)).grpc();
    let mut client = Client::new(layer.layer(running.channel.clone()));
    assert_eq!(client.check(0).await.expect("an answer"), 1);
    let late = client.check("sleep").await.expect_err("it takes a minute");
    assert_eq!(code(&late), Code::DeadlineExceeded);
    for expected in [Code::Internal, Code::NotFound, Code::Unavailable] {
        let failed = client.check(expected as u8).await.expect_err("as told");
        assert_eq!(code(&failed), expected);
    }
    assert_eq!(breaker.snapshot().counts.consecutive_failures, 1, "errors are in the head");
    breaker.trip();
    let refused = client.check(0).await.expect_err("the circuit is open");
    assert_eq!(code(&refused), Code::Unavailable);
    assert!(pushback(&refused).is_some());
}

/// What may be sent twice is, when the server says; nothing else.
#[tokio::test]
async fn a_client_comes_back_when_it_is_told() {
    let limit = TokenBucket::new(BucketConfig::per_second(2).burst(1), StdClock);
    let running = serving(GateLayer::new(Arc::new(limit)).grpc(), Obeys::default());
    let retry = Retry::new(Backoff::none()).max_attempts(2);
    let pipeline = Pipeline::new(TokioTimer)
        .retry(retry.when_value(TransientStatus::within(5 * SECOND)))
        .classify(GrpcStatus::new());
    let channel = ServiceBuilder::new()
        .layer(BufferBodyLayer::new(1024))
        .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent).grpc())
        .map_request(|request: Request<BufferedBody<Body>>| request.map(Body::new))
        .service(running.channel.clone());
    let mut client = HealthClient::new(channel);
    let order = || tonic::Request::new(HealthCheckRequest { service: "0".to_owned() });

    assert!(client.check(order()).await.is_ok());
    let refused = client.check(order()).await.expect_err("the limit is reached");
    assert_eq!(code(&refused), Code::ResourceExhausted);
    let mut twice = order();
    twice.extensions_mut().insert(Idempotent);
    assert!(client.check(twice).await.is_ok(), "after 500 ms");
}

#[tokio::test]
async fn each_caller_has_a_limit_of_its_own() {
    let [ada, bob]: [Arc<Semaphore>; 2] = [1, 1].map(|most| Arc::new(Semaphore::new(most)));
    let held = ada.permit().expect("it is free");
    let gates = (Arc::clone(&ada), Arc::clone(&bob));
    let by_caller = GateByLayer::new(move |request: &Request<Body>| {
        let is_ada = request.headers().get("x-caller").is_some_and(|caller| caller == "ada");
        Ok(Arc::clone(if is_ada { &gates.0 } else { &gates.1 }))
    });
    let running = serving(by_caller.grpc(), Obeys::default());
    let mut client = HealthClient::new(running.channel.clone());
    for (caller, expected) in [("ada", Code::Unavailable), ("bob", Code::Ok)] {
        let mut request = tonic::Request::new(HealthCheckRequest { service: "0".to_owned() });
        request.metadata_mut().insert("x-caller", caller.parse().expect("text"));
        let told = client.check(request).await.map_or_else(|status| code(&status), |_| Code::Ok);
        assert_eq!(told, expected, "{caller}");
    }
    drop(held);
    becomes(|| bob.available() == 1).await;
}
