//! gRPC, between a client and a server of tonic on loopback.
#![cfg(all(feature = "grpc", feature = "tokio"))]

mod noting;
mod refusing;

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fusebox_std::grpc::*;
use fusebox_std::http::deadline::{DeadlineHeader, DeadlineLayer, Incoming, SendDeadlineLayer};
use fusebox_std::http::{BodyGateLayer, Same};
use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use fusebox_std::{current_deadline, with_deadline};
use futures_util::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Bytes, Frame};
use noting::{Notes, becomes};
use refusing::Refusing;
use tokio::runtime::{Builder, Runtime};
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use tonic::{Status, Streaming, async_trait};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tower::util::BoxCloneService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

// ------------------------------------------------------------------------------------ the server

/// Does what it is told by the name of the service that it is asked about.
#[derive(Clone, Default)]
struct Obeys {
    /// Whom it asks itself.
    next: Option<Channel>,
}

type Messages = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// `3` is `INVALID_ARGUMENT`.
fn told(text: &str) -> Result<(), Status> {
    let code = tonic::Code::from_i32(text.parse().expect("a code"));
    if code == tonic::Code::Ok { Ok(()) } else { Err(Status::new(code, "as told")) }
}

fn says(status: i32) -> HealthCheckResponse {
    HealthCheckResponse { status }
}

/// What is left of the deadline, in milliseconds; -1 where there is none.
fn left() -> i32 {
    match current_deadline() {
        never if never.is_never() => -1,
        deadline => {
            i32::try_from(deadline.remaining(&TokioTimer).as_millis()).expect("not so long")
        }
    }
}

#[async_trait]
impl Health for Obeys {
    type WatchStream = Messages;

    async fn check(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<HealthCheckResponse>, Status> {
        let status = match &*request.get_ref().service {
            "left" => left(),
            "left of the next" => {
                tokio::time::sleep(100 * MS).await;
                let next = self.next.clone().expect("there is a next one");
                let tells = SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT);
                Client::new(tells.layer(next)).check("left").await?
            }
            "sleep" => {
                tokio::time::sleep(60 * SECOND).await;
                0
            }
            code => told(code).map(|()| 1)?,
        };
        Ok(tonic::Response::new(says(status)))
    }

    /// `2 13`: two messages, then `INTERNAL`. `endless`: one each millisecond. `sleep`: one each minute.
    async fn watch(
        &self,
        request: tonic::Request<HealthCheckRequest>,
    ) -> Result<tonic::Response<Messages>, Status> {
        let order = request.into_inner().service;
        let (count, end) = order.split_once(' ').unwrap_or((&order, "0"));
        let count = count.parse().unwrap_or(u32::MAX);
        let end = told(end);
        let pause = if order == "sleep" { 60 * SECOND } else { MS };
        let messages = futures_util::stream::unfold((count, end), move |(count, end)| async move {
            tokio::time::sleep(pause).await;
            match (count, end) {
                (0, Ok(())) => None,
                (0, Err(status)) => Some((Err(status), (0, Ok(())))),
                (count, end) => Some((Ok(says(left())), (count - 1, end))),
            }
        });
        Ok(tonic::Response::new(Box::pin(messages)))
    }
}

/// A server on a runtime of its own, which is gone with it, and so are its connections.
struct Running {
    runtime: Option<Runtime>,
    channel: Channel,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A server with a layer around all of it.
fn serving<L, B>(layer: L, service: Obeys) -> Running
where
    L: Layer<Routes> + Clone + Send + 'static,
    L::Service: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    <L::Service as Service<Request<Body>>>::Future: Send,
    <L::Service as Service<Request<Body>>>::Error: Into<BoxError> + Send,
    B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let listener = {
        let _in_it = runtime.enter();
        TcpIncoming::bind(([127, 0, 0, 1], 0).into()).expect("a port")
    };
    let address = listener.local_addr().expect("an address");
    let router = Server::builder().layer(layer).add_service(HealthServer::new(service));
    runtime.spawn(async { router.serve_with_incoming(listener).await });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    Running { runtime: Some(runtime), channel: endpoint.connect_lazy() }
}

// ------------------------------------------------------------------------------------ the client

struct Client(HealthClient<BoxCloneService<Request<Body>, Response<Body>, io::Error>>);

impl Client {
    fn new<S, B>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
        S: Clone + Send + 'static,
        B: hyper::body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let plain = service.map_response(|answer| answer.map(Body::new)).map_err(io::Error::other);
        Self(HealthClient::new(BoxCloneService::new(plain)))
    }

    async fn check(&mut self, order: impl ToString) -> Result<i32, Status> {
        let request = HealthCheckRequest { service: order.to_string() };
        Ok(self.0.check(request).await?.into_inner().status)
    }

    async fn watch(&mut self, order: &str) -> Result<Streaming<HealthCheckResponse>, Status> {
        let request = HealthCheckRequest { service: order.to_owned() };
        Ok(self.0.watch(request).await?.into_inner())
    }
}

/// Reads a stream to its end: how many messages there were, and how it ended.
async fn read(mut stream: Streaming<HealthCheckResponse>) -> (u32, Code) {
    let mut count = 0;
    loop {
        match stream.message().await {
            Ok(Some(_)) => count += 1,
            Ok(None) => return (count, Code::Ok),
            Err(status) => return (count, code(&status)),
        }
    }
}

fn code(status: &Status) -> Code {
    Code::ALL[status.code() as usize]
}

/// What a server says to one that comes back when it may.
fn pushback(status: &Status) -> Option<&str> {
    status.metadata().get("grpc-retry-pushback-ms").map(|value| value.to_str().expect("text"))
}

/// A service that answers with an empty response.
fn nothing() -> impl Service<Request<()>, Response = Response<Body>, Error = Infallible> + Clone {
    service_fn(|_| async { Ok(Response::new(Body::empty())) })
}

type Noting = GrpcLayer<BodyGateLayer<Same<Arc<Notes>>, GrpcStatus>>;

fn noted() -> (Arc<Notes>, Noting) {
    let notes = Arc::<Notes>::default();
    (Arc::clone(&notes), GateLayer::new(notes).grpc())
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
            _ => Code::Unavailable,
        };
        let headers = response.headers();
        assert_eq!((response.status().as_u16(), Code::of(headers)), (200, Some(expected)));
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(headers["grpc-message"], reason.to_string(), "nothing in it is encoded");
        let never = (*reason == Reason::ExceedsBurst).then_some("-1");
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

// ----------------------------------------------------------------------------------- while it lasts

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

// -------------------------------------------------------------------------------------- deadlines

fn deadlines() -> GrpcLayer<StreamDeadlineLayer> {
    DeadlineLayer::new(Incoming::from(DeadlineHeader::GRPC_TIMEOUT).max(2 * SECOND)).grpc()
}

/// From a client to a handler, and from there to the next server.
#[tokio::test]
async fn a_deadline_travels() {
    let last = serving(deadlines(), Obeys::default());
    let first = serving(deadlines(), Obeys { next: Some(last.channel.clone()) });
    let tells = SendDeadlineLayer::new(DeadlineHeader::GRPC_TIMEOUT);
    let mut client = Client::new(tells.layer(first.channel.clone()));

    assert_eq!(client.check("left").await.expect("an answer"), -1, "it has none");
    let deadline = Deadline::after(&TokioTimer, SECOND);
    let left = with_deadline(deadline, client.check("left")).await.expect("it is in time");
    assert!((1..=1000).contains(&left), "{left} ms");
    let left = with_deadline(deadline, client.check("left of the next")).await;
    let left = left.expect("it is in time");
    assert!((1..=900).contains(&left), "{left} ms, after 100 ms elsewhere");

    // As a client of tonic says it that has none of these layers.
    let mut plain = HealthClient::new(first.channel.clone());
    let mut request = tonic::Request::new(HealthCheckRequest { service: "left".to_owned() });
    request.set_timeout(SECOND);
    let left = plain.check(request).await.expect("it is in time").into_inner().status;
    assert!((1..=1000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn what_is_too_late_is_deadline_exceeded() {
    let (notes, layer) = noted();
    let config = Incoming::from(DeadlineHeader::GRPC_TIMEOUT).or_else(300 * MS);
    let layers = ServiceBuilder::new().layer(layer).layer(DeadlineLayer::new(config).grpc());
    let running = serving(layers.into_inner(), Obeys::default());
    let mut client = Client::new(running.channel.clone());

    let late = client.check("sleep").await.expect_err("it takes a minute");
    assert_eq!((code(&late), late.message()), (Code::DeadlineExceeded, "timed out"));
    assert_eq!(notes.taken(), [Outcome::Failure]);

    // Messages know of the deadline, too, and it ends the stream.
    let mut endless = client.watch("endless").await.expect("it begins");
    let left = endless.message().await.expect("no error").expect("a message").status;
    assert!((1..=300).contains(&left), "{left} ms");
    let (count, end) = read(endless).await;
    assert!(count < 300 && end == Code::DeadlineExceeded, "{count} messages, then {end:?}");
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let hangs = client.watch("sleep").await.expect("it begins");
    assert_eq!(read(hangs).await, (0, Code::DeadlineExceeded));
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let short = client.watch("3").await.expect("it begins");
    assert_eq!(read(short).await, (3, Code::Ok));
    assert_eq!(notes.taken(), [Outcome::Success]);
}

/// Time is up before the call begins.
#[tokio::test]
async fn work_whose_time_is_up_is_refused() {
    let (notes, layer) = noted();
    let calls = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&calls);
    let service = service_fn(move |_: Request<()>| {
        counted.fetch_add(1, Relaxed);
        async { Ok::<_, Infallible>(Response::new(Body::empty())) }
    });
    let service = ServiceBuilder::new().layer(layer).layer(deadlines()).service(service);
    let late = Request::builder().header("grpc-timeout", "0n").body(()).expect("a request");
    let Ok(answer) = service.oneshot(late).await;
    assert_eq!(Code::of(answer.headers()), Some(Code::DeadlineExceeded));
    assert_eq!((calls.load(Relaxed), notes.taken()), (0, vec![Outcome::Ignored]));
}

/// A stream that always has more is cut off as well.
#[tokio::test]
async fn a_stream_that_never_rests_is_cut_off() {
    let service = service_fn(|_: Request<()>| async {
        let started = Instant::now();
        let most = move || (started.elapsed() < 5 * SECOND).then(data);
        let body = StreamBody::new(futures_util::stream::iter(std::iter::from_fn(most)));
        Ok::<_, Infallible>(Response::new(Body::new(body)))
    });
    let request = Request::builder().header("grpc-timeout", "20m").body(()).expect("a request");
    let Ok(answer) = deadlines().layer(service).oneshot(request).await;
    let mut body = Box::pin(answer.into_body());
    let end = loop {
        let frame = body.frame().await.expect("there is an end first").expect("no error");
        if let Ok(trailers) = frame.into_trailers() {
            break trailers;
        }
    };
    assert_eq!(Code::of(&end), Some(Code::DeadlineExceeded));
    assert!(body.is_end_stream() && body.frame().await.is_none());
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
