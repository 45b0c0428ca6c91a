//! The deadlines of gRPC, between a client and servers of tonic on loopback.
#![cfg(all(feature = "grpc", feature = "tokio"))]

mod noting;
mod obeying;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use fusebox_std::grpc::*;
use fusebox_std::http::deadline::{DeadlineHeader, DeadlineLayer, Incoming, SendDeadlineLayer};
use fusebox_std::prelude::*;
use fusebox_std::tower::GateLayer;
use fusebox_std::with_deadline;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Bytes, Frame};
use noting::becomes;
use obeying::*;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

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
    let end = tokio::time::timeout(10 * SECOND, read(hangs)).await.expect("it is woken by then");
    assert_eq!(end, (0, Code::DeadlineExceeded));
    assert_eq!(notes.taken(), [Outcome::Failure]);

    let short = client.watch("3").await.expect("it begins");
    assert_eq!(read(short).await, (3, Code::Ok));
    assert_eq!(notes.taken(), [Outcome::Success]);
}

#[tokio::test]
async fn what_was_cut_off_has_given_its_permit_back() {
    let at_once: Arc<Semaphore> = Arc::new(Semaphore::new(1));
    let config = Incoming::from(DeadlineHeader::GRPC_TIMEOUT).or_else(300 * MS);
    let layers = ServiceBuilder::new()
        .layer(GateLayer::new(Arc::clone(&at_once)).grpc())
        .layer(DeadlineLayer::new(config).grpc());
    let running = serving(layers.into_inner(), Obeys::default());
    let mut client = Client::new(running.channel.clone());
    for _ in 0..2 {
        // Not read: that it has ended is the server's to see.
        let _hangs = client.watch("sleep").await.expect("it is free");
        assert_eq!(at_once.available(), 0);
        becomes(|| at_once.available() == 1).await;
    }
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
        let most = move || {
            (started.elapsed() < 5 * SECOND)
                .then(|| Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"part"))))
        };
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

/// Who reads on after the trailers was told a second status: that it had been too late.
#[tokio::test]
async fn a_stream_that_has_ended_is_not_cut_off() {
    let service = service_fn(|_: Request<()>| async {
        let mut trailers = http::HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        let parts = [Frame::data(Bytes::from_static(b"part")), Frame::trailers(trailers)];
        let body = StreamBody::new(futures_util::stream::iter(parts.map(Ok::<_, Infallible>)));
        Ok::<_, Infallible>(Response::new(Body::new(body)))
    });
    let request = Request::builder().header("grpc-timeout", "20m").body(()).expect("a request");
    let Ok(answer) = deadlines().layer(service).oneshot(request).await;
    let mut body = Box::pin(answer.into_body());
    assert!(body.frame().await.is_some_and(|part| part.is_ok_and(|part| part.is_data())));
    assert!(body.frame().await.is_some_and(|end| end.is_ok_and(|end| end.is_trailers())));
    tokio::time::sleep(30 * MS).await;
    assert!(body.is_end_stream() && body.frame().await.is_none());
}
