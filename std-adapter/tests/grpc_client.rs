//! Clients of tonic that come back when the server says, in paused time.
#![cfg(all(feature = "grpc", feature = "tokio"))]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use fusebox_std::http::{
    BufferBodyLayer, BufferedBody, Idempotent, ResendIdempotent, TransientStatus,
};
use fusebox_std::prelude::*;
use fusebox_std::tower::PipelineLayer;
use http::{Request, Response};
use tonic::Code;
use tonic::body::Body;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::{Service, ServiceBuilder, service_fn};

const MS: Duration = Duration::from_millis(1);

/// Asks a server that refuses the first request with this code and pushback: how it ended, how
/// often it was asked, and how long it took.
async fn asked(
    code: &'static str,
    pushback: Option<&'static str>,
    idempotent: bool,
) -> (Code, u32, Duration) {
    let (_, health) = tonic_health::server::health_reporter();
    let requests = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&requests);
    let server = service_fn(move |request: Request<Body>| {
        let refused = counted.fetch_add(1, Relaxed) == 0;
        let mut health = health.clone();
        async move {
            if !refused {
                return health.call(request).await;
            }
            let mut response = Response::builder().header("content-type", "application/grpc");
            response = response.header("grpc-status", code);
            if let Some(pushback) = pushback {
                response = response.header("grpc-retry-pushback-ms", pushback);
            }
            Ok(response.body(Body::empty()).expect("a response"))
        }
    });

    let retry = Retry::new(Backoff::constant(MS)).when_value(TransientStatus::within(100 * MS));
    let pipeline = Pipeline::new(TokioTimer).retry(retry);
    let client = ServiceBuilder::new()
        // All requests of gRPC are `POST`s, so it must be said which ones may be sent twice.
        .map_request(move |mut request: Request<Body>| {
            if idempotent {
                request.extensions_mut().insert(Idempotent);
            }
            request
        })
        .layer(BufferBodyLayer::new(64 * 1024))
        .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent))
        .map_request(|request: Request<BufferedBody<Body>>| request.map(Body::new))
        .service(server);
    let mut client = HealthClient::new(client);
    let started = tokio::time::Instant::now();
    let answer = client.check(HealthCheckRequest { service: String::new() }).await;
    let code = answer.map_or_else(|status| status.code(), |_| Code::Ok);
    (code, requests.load(Relaxed), started.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_pushback_is_honoured() {
    assert_eq!(asked("14", None, true).await, (Code::Ok, 2, MS));
    assert_eq!(asked("14", Some("40"), true).await, (Code::Ok, 2, 40 * MS));
    assert_eq!(asked("8", Some("40"), true).await, (Code::Ok, 2, 40 * MS));
    let unavailable = (Code::Unavailable, 1, Duration::ZERO);
    for forbidden in ["-1", "soon", "101"] {
        assert_eq!(asked("14", Some(forbidden), true).await, unavailable, "{forbidden}");
    }
    assert_eq!(asked("8", None, true).await.0, Code::ResourceExhausted);
    assert_eq!(asked("5", Some("1"), true).await.0, Code::NotFound);
    assert_eq!(asked("14", Some("40"), false).await, unavailable, "it is not marked");
}
