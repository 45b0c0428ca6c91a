//! Permits that last until the body of the response has ended, up to a server on loopback.
#![cfg(all(feature = "http", feature = "tokio"))]

mod noting;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::{Body as AxumBody, Bytes};
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::{Router, routing::get};
use fusebox_std::http::*;
use fusebox_std::prelude::*;
use fusebox_std::tower::*;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use noting::{Notes, becomes};
use tokio_test::{assert_pending, assert_ready, assert_ready_ok, task};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_test::mock;

#[derive(Clone, Copy, Debug)]
enum Part {
    Data(&'static [u8]),
    Trailers,
    Wait,
    Error,
    Panic,
}

/// A body that does what it is told, one part after the other.
#[derive(Debug, Default)]
struct Script {
    parts: VecDeque<Part>,
    /// Whether it knows of its end when it is there.
    is_aware: bool,
    /// How long it says that it is.
    says: Option<u64>,
}

impl From<String> for Script {
    fn from(_: String) -> Self {
        Self::default()
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(match self.parts.pop_front() {
            None => None,
            Some(Part::Data(bytes)) => Some(Ok(Frame::data(Bytes::from_static(bytes)))),
            Some(Part::Trailers) => Some(Ok(Frame::trailers(HeaderMap::new()))),
            Some(Part::Wait) => return Poll::Pending,
            Some(Part::Error) => Some(Err("broken")),
            Some(Part::Panic) => panic!("as told"),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.is_aware && self.parts.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.says.map_or(SizeHint::default(), SizeHint::with_exact)
    }
}

/// Answers with a response, once.
#[derive(Clone)]
struct Answer(Arc<Mutex<Option<Response<Script>>>>);

impl Service<Request<()>> for Answer {
    type Response = Response<Script>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Script>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: Request<()>) -> Self::Future {
        let answer = self.0.lock().expect("no panic").take();
        ready(Ok(answer.expect("it is asked once")))
    }
}

type Noted = GatedBody<Script, Arc<Notes>, ByHead<ServerErrors>>;

/// A gate, and the response of a service behind it.
fn answered(method: Method, response: Response<Script>) -> (Arc<Notes>, Response<Noted>) {
    let notes = Arc::<Notes>::default();
    let layer = GateLayer::new(Arc::clone(&notes)).http().until_body_ends();
    let service = layer.layer(Answer(Arc::new(Mutex::new(Some(response)))));
    let request = Request::builder().method(method).body(()).expect("a request");
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(service.oneshot(request)).poll(&mut cx) {
        Poll::Ready(Ok(response)) => (notes, response),
        other => panic!("{other:?}"),
    }
}

fn script(parts: &[Part], is_aware: bool) -> Response<Script> {
    Response::new(Script { parts: parts.iter().copied().collect(), is_aware, says: None })
}

/// A gate, and the body behind it.
fn streaming(response: Response<Script>) -> (Arc<Notes>, Pin<Box<Noted>>) {
    let (notes, response) = answered(Method::GET, response);
    (notes, Box::pin(response.into_body()))
}

fn polled(body: &mut Pin<Box<Noted>>) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
    body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_permit_is_held_until_the_body_has_ended() {
    let parts = [Part::Data(b"one"), Part::Wait, Part::Data(b"two")];
    let (notes, mut body) = streaming(script(&parts, false));
    for _ in 0..3 {
        let _ = polled(&mut body);
        assert_eq!(notes.taken(), [], "there may be more");
    }
    assert!(matches!(polled(&mut body), Poll::Ready(None)));
    assert_eq!(notes.taken(), [Outcome::Success]);
    drop(body);
    assert_eq!(notes.taken(), [], "once");
}

#[test]
fn the_end_is_known_by_the_body_its_trailers_or_its_length() {
    let (notes, mut body) = streaming(script(&[Part::Data(b"one"), Part::Data(b"two")], true));
    let _ = polled(&mut body);
    assert_eq!(notes.taken(), []);
    let _ = polled(&mut body);
    assert!(body.is_end_stream(), "who reads it stops here");
    assert_eq!(notes.taken(), [Outcome::Success]);

    let (notes, mut body) = streaming(script(&[Part::Data(b"one"), Part::Trailers], false));
    let _ = (polled(&mut body), polled(&mut body));
    assert_eq!(notes.taken(), [Outcome::Success]);

    let mut response = script(&[Part::Data(b"one"), Part::Data(b"two")], false);
    response.headers_mut().insert("content-length", 6.into());
    let (notes, mut body) = streaming(response);
    let _ = polled(&mut body);
    assert_eq!(notes.taken(), []);
    let _ = polled(&mut body);
    assert_eq!(notes.taken(), [Outcome::Success]);
}

/// Servers write the length of a body that knows it into the head, and stop there; one of no length
/// is never begun. Both were taken for abandoned.
#[test]
fn a_body_that_says_how_long_it_is_ends_there() {
    let mut response = script(&[Part::Data(b"one"), Part::Data(b"two")], false);
    response.body_mut().says = Some(6);
    let (notes, mut body) = streaming(response);
    let _ = polled(&mut body);
    assert_eq!(notes.taken(), []);
    let _ = polled(&mut body);
    assert_eq!(notes.taken(), [Outcome::Success]);

    let mut empty = script(&[], false);
    empty.headers_mut().insert("content-length", 0.into());
    assert_eq!(answered(Method::GET, empty).0.taken(), [Outcome::Success]);
}

/// As the calls of other layers do, and an `async` block would panic.
#[test]
fn a_call_that_is_polled_after_its_end_stays_pending() {
    let layer = GateLayer::new(Arc::<Notes>::default()).http().until_body_ends();
    let mut service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(script(&[Part::Data(b"one")], false))
    }));
    let mut call = pin!(service.call(Request::new(())));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(call.as_mut().poll(&mut cx).is_ready());
    assert!(call.as_mut().poll(&mut cx).is_pending());
}

#[test]
fn a_body_that_nobody_reads_has_ended() {
    let (notes, _response) = answered(Method::HEAD, script(&[Part::Data(b"one")], false));
    assert_eq!(notes.taken(), [Outcome::Success]);
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
        let mut response = script(&[Part::Data(b"one")], false);
        *response.status_mut() = status;
        assert_eq!(answered(Method::GET, response).0.taken(), [Outcome::Success]);
    }
    let (notes, response) = answered(Method::GET, script(&[], true));
    assert_eq!(notes.taken(), [Outcome::Success]);
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), None, "what the body says");
}

#[test]
fn how_it_ended_is_told() {
    let mut response = script(&[Part::Data(b"one")], true);
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    let (notes, mut body) = streaming(response);
    assert_eq!(notes.taken(), [], "an error page takes its time as well");
    let _ = polled(&mut body);
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let (notes, mut body) = streaming(script(&[Part::Data(b"one"), Part::Error], false));
    let _ = polled(&mut body);
    assert!(matches!(polled(&mut body), Poll::Ready(Some(Err("broken")))));
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let (notes, mut body) = streaming(script(&[Part::Data(b"one"), Part::Wait], false));
    let _ = (polled(&mut body), polled(&mut body));
    drop(body);
    assert_eq!(notes.taken(), [Outcome::Abandoned], "the client went away");

    let (notes, mut body) = streaming(script(&[Part::Panic], false));
    assert!(catch_unwind(AssertUnwindSafe(|| polled(&mut body))).is_err());
    assert_eq!(notes.taken(), [Outcome::Failure]);
}

#[tokio::test]
async fn what_has_no_body_ends_with_the_call() {
    let notes = Arc::<Notes>::default();
    let layer = GateLayer::new(Arc::clone(&notes)).http().until_body_ends();
    let failing =
        layer.layer(service_fn(|_: Request<()>| async { Err::<Response<Script>, _>("refused") }));
    assert_eq!(failing.oneshot(Request::new(())).await.err(), Some("refused"));
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let panics = layer.layer(service_fn(|_: Request<()>| async {
        assert!(std::env::args().count() == 0, "as told");
        Err::<Response<Script>, _>("refused")
    }));
    let mut cx = Context::from_waker(Waker::noop());
    let mut call = Box::pin(panics.oneshot(Request::new(())));
    assert!(catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut cx))).is_err());
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let hangs = layer.layer(service_fn(|_: Request<()>| {
        std::future::pending::<Result<Response<Script>, Infallible>>()
    }));
    let mut call = Box::pin(hangs.oneshot(Request::new(())));
    assert!(call.as_mut().poll(&mut cx).is_pending());
    drop(call);
    assert_eq!(notes.taken(), [Outcome::Abandoned]);
}

/// Bug 21: being ready, or a call that is not polled, takes nothing.
#[test]
fn nothing_is_taken_before_the_first_poll_of_a_call() {
    let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let layer = GateLayer::new(Arc::clone(&limit)).http().until_body_ends();
    let (mut service, mut handle) = mock::spawn_layer::<Request<()>, Response<Script>, _>(layer);
    handle.allow(0);
    assert_pending!(service.poll_ready());
    handle.allow(1);
    assert_ready_ok!(service.poll_ready());
    let mut call = task::spawn(service.call(Request::new(())));
    assert_eq!(limit.available(), 1);
    assert_pending!(handle.poll_request());
    assert_pending!(call.poll());
    assert_eq!(limit.available(), 0);
    let (_, answer) = assert_ready!(handle.poll_request()).expect("the one that was ready");
    answer.send_response(script(&[Part::Wait], false));
    let response = assert_ready_ok!(call.poll());
    drop(call);
    assert_eq!(limit.available(), 0, "the body has it");
    drop(response);
    assert_eq!(limit.available(), 1);
}

/// Bug 21, for streams: a permit that came back with the head, while the body was still being made.
#[test]
fn a_refused_request_does_not_reach_the_service() {
    let limit: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let shared = Arc::clone(&limit);
    let layer = GateByLayer::new(move |_: &Request<()>| Ok(Arc::clone(&shared)));
    let layer = layer.http().until_body_ends();
    let response = script(&[Part::Data(b"one")], true);
    let service = layer.layer(Answer(Arc::new(Mutex::new(Some(response)))));
    let mut cx = Context::from_waker(Waker::noop());

    let first = pin!(service.clone().oneshot(Request::new(()))).poll(&mut cx);
    let Poll::Ready(Ok(first)) = first else { panic!("it is free") };
    assert_eq!((first.status(), limit.available()), (StatusCode::OK, 0));
    let second = pin!(service.clone().oneshot(Request::new(()))).poll(&mut cx);
    let Poll::Ready(Ok(second)) = second else { panic!("it is refused at once") };
    assert_eq!((second.status(), limit.available()), (StatusCode::SERVICE_UNAVAILABLE, 0));
    drop(second);
    assert_eq!(limit.available(), 0, "a refusal holds nothing");
    drop(first);
    assert_eq!(limit.available(), 1);
}

// --------------------------------------------------------------------------------- on loopback

/// A body of so many parts, one each millisecond.
fn slow(parts: u32) -> AxumBody {
    let stream = futures_util::stream::unfold(parts, |left| async move {
        tokio::time::sleep(Duration::from_millis(1)).await;
        let part = Bytes::from_static(b"part");
        (left > 0).then(|| (Ok::<_, Infallible>(part), left - 1))
    });
    AxumBody::from_stream(stream)
}

#[tokio::test]
async fn a_download_holds_its_permit_on_a_real_server() {
    static DOWNLOADS: Bulkhead = Bulkhead::new(BulkheadConfig::new(1));
    let free = || DOWNLOADS.snapshot().available() == 1;
    let app = Router::new()
        .route("/short", get(|| async { slow(3) }))
        .route("/endless", get(|| async { slow(u32::MAX) }))
        .route("/sized", get(|| async { ([("content-length", "8")], slow(u32::MAX)) }))
        .layer(GateLayer::new(&DOWNLOADS).http().until_body_ends());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = tokio::spawn(async { axum::serve(listener, app).await });
    let client = Client::builder(TokioExecutor::new()).build_http::<AxumBody>();
    let ask = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(format!("http://{address}{path}"));
        let request = request.body(AxumBody::empty()).expect("a request");
        client.request(request).await.expect("an answer")
    };

    let mut endless = ask(Method::GET, "/endless").await;
    assert_eq!(
        endless.frame().await.expect("a part").expect("no error").into_data().unwrap(),
        "part"
    );
    assert!(!free());
    assert_eq!(ask(Method::GET, "/short").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(endless);
    becomes(free).await;
    for (method, path, length) in
        [(Method::GET, "/short", 12), (Method::GET, "/sized", 8), (Method::HEAD, "/endless", 0)]
    {
        let response = ask(method, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        let body = response.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(body.len(), length, "{path}");
        becomes(free).await;
    }
    server.abort();
}
