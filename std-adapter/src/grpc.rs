//! gRPC: refusals and timeouts as statuses, and gates that judge by status, trailers included
//! (feature `grpc`).
//!
//! One layer, with [`grpc`](crate::tower::GateLayer::grpc): around a server of tonic, a service in
//! it, or, on the other side, a client's channel.
//!
//! ```
//! use fusebox_std::{prelude::*, tower::GateLayer};
//! use tonic::transport::{Endpoint, Server};
//! use tonic_health::pb::health_client::HealthClient;
//! use tower::ServiceBuilder;
//!
//! static LIMIT: TokenBucket = TokenBucket::new(BucketConfig::per_second(100).burst(20), StdClock);
//! static STREAMS: Bulkhead = Bulkhead::new(BulkheadConfig::new(64));
//! static UPSTREAM: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = Server::builder()
//!     .layer(GateLayer::new(&LIMIT).grpc())
//!     .layer(GateLayer::new(&STREAMS).grpc());
//!
//! let channel = Endpoint::from_static("http://[::1]:50051").connect_lazy();
//! let channel = ServiceBuilder::new().layer(GateLayer::new(&UPSTREAM).grpc()).service(channel);
//! let client = HealthClient::new(channel);
//! # let _ = (server, client);
//! # }
//! ```
//!
//! Whoever is over the limit is answered with a status in place of any message ("Trailers-Only"):
//!
//! ```text
//! HTTP/2 200
//! content-type: application/grpc
//! grpc-status: 8
//! grpc-message: the rate limit is reached
//! grpc-retry-pushback-ms: 190
//! ```
//!
//! | what happened | status |
//! |---|---|
//! | rate limit reached, or more asked for than it ever allows | `RESOURCE_EXHAUSTED` (8) |
//! | circuit open or ramping up, probes busy, bulkhead or queue full, overloaded, switched off, retry budget spent | `UNAVAILABLE` (14) |
//! | no key, where the limit is by key and does not let those without one share one | `INVALID_ARGUMENT` (3) |
//! | timed out, or the deadline has passed | `DEADLINE_EXCEEDED` (4) |
//!
//! `grpc-retry-pushback-ms` (gRFC A6, "Pushback") is there where the gate knows when to come back,
//! in milliseconds and rounded up; -1, "do not retry", where waiting is of no use. The
//! response carries the [`Rejection`] in its extensions, as those of [HTTP](crate::http) do.
//!
//! # What a status means to a gate
//!
//! By default; a [`GrpcStatus`] with a predicate says it otherwise.
//!
//! | status | outcome | why |
//! |---|---|---|
//! | `UNKNOWN` (2), `INTERNAL` (13), `DATA_LOSS` (15) | failure | the server is broken: 5xx in HTTP |
//! | `DEADLINE_EXCEEDED` (4) | failure | the server is slow |
//! | `UNAVAILABLE` (14) | failure | the server is not there, or has too much to do |
//! | no status at all, an error of the transport | failure | the stream broke off |
//! | `CANCELLED` (1) | ignored | the caller has gone: it says nothing about the server |
//! | `RESOURCE_EXHAUSTED` (8) | success | as 429: this caller asks too much, others may not. Say otherwise where it is the server that is short |
//! | `UNIMPLEMENTED` (12) | success | an older server lacks a method, and does well what it has |
//! | all else | success | the server has understood, and answered |
//!
//! A refusal by a gate further in, which has been turned into a status, is ignored, whichever it
//! is.
//!
//! The layers belong around services of gRPC, not around other routes beside them: a page for
//! health checks has no status of gRPC, and counts as a stream that broke off.
//!
//! # Clients
//!
//! A client sends again what a server could not do now, when that says, where it may be sent twice:
//! a request that has [`Idempotent`](crate::http::Idempotent) in its extensions, and is small
//! enough to be held back. A stream of requests is sent once.
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use std::{sync::Arc, time::Duration};
//! use fusebox_std::{grpc::GrpcStatus, http::*, prelude::*, tower::PipelineLayer};
//! use http::Request;
//! use tonic::{body::Body, transport::Endpoint};
//! use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
//! use tower::ServiceBuilder;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let pipeline = Pipeline::new(TokioTimer)
//!     .deadline(Duration::from_secs(10))
//!     .retry(
//!         Retry::new(Backoff::exponential(Duration::from_millis(50)))
//!             .when_value(TransientStatus::within(Duration::from_secs(5))),
//!     )
//!     .classify(GrpcStatus::new());
//! let channel = ServiceBuilder::new()
//!     .layer(BufferBodyLayer::new(64 * 1024))
//!     .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent).grpc())
//!     .map_request(|request: Request<BufferedBody<Body>>| request.map(Body::new))
//!     .service(Endpoint::from_static("http://[::1]:50051").connect_lazy());
//! let client = HealthClient::new(channel);
//!
//! let mut request = tonic::Request::new(HealthCheckRequest::default());
//! request.extensions_mut().insert(Idempotent);
//! // client.check(request).await
//! # let _ = (client, request);
//! # }
//! # main();
//! # }
//! ```
//!
//! # Streams
//!
//! *A call lasts until its stream has ended*, and so does its permit: see
//! [`BodyGateLayer`](crate::http::BodyGateLayer), which also says where not to. How it went is told
//! by the trailers at its end, unless the head has a status already. [`GrpcLayer::new`] shows a
//! breaker that does not wait.
//!
//! *A deadline is that of the stream as well*: see
//! [`DeadlineLayer::grpc`](crate::http::deadline::DeadlineLayer::grpc).
//!
//! *A pipeline is done with the head*: a [`PipelineLayer`](crate::tower::PipelineLayer) judges by
//! that, and so does whatever else uses [`GrpcStatus`] as a [`Classify`](crate::Classify). Servers
//! tell nearly all errors of unary calls in the head; what fails later is for a gate in a layer of
//! its own, inside of the pipeline's.
//!
//! *With gRPC-Web* the trailers are in the data, where they are not looked for. Put these layers
//! inside of the one that translates.

mod classify;
mod code;
#[cfg(feature = "tokio")]
mod deadline;
mod respond;
mod status;

pub use classify::GrpcStatus;
pub use code::{Code, code_of};
#[cfg(feature = "tokio")]
pub use deadline::{
    DeadlineBody, StreamDeadlineFuture, StreamDeadlineLayer, StreamDeadlineService,
};
pub use respond::{GrpcFuture, GrpcLayer, GrpcService};

#[cfg(doc)]
use fusebox_core::Rejection;
