//! HTTP: refusals and timeouts as responses, gates that judge by status, and clients that come back
//! when they are told to (feature `http`).
//!
//! # Servers
//!
//! One layer, with [`http`](crate::tower::GateLayer::http): a service with axum.
//!
//! ```
//! use axum::{Router, routing::get};
//! use fusebox_std::{prelude::*, tower::GateLayer};
//!
//! static LIMIT: TokenBucket = TokenBucket::new(BucketConfig::per_second(100).burst(20), StdClock);
//!
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(GateLayer::new(&LIMIT).http());
//! ```
//!
//! Whoever is over the limit is answered
//!
//! ```text
//! HTTP/1.1 429 Too Many Requests
//! content-type: application/problem+json
//! retry-after: 1
//!
//! {"type":"about:blank","title":"Too Many Requests","status":429,"detail":"the rate limit is reached","reason":"rate-limited"}
//! ```
//!
//! | what happened | status |
//! |---|---|
//! | rate limit reached, or more asked for than it ever allows | 429 |
//! | circuit open or ramping up, probes busy, bulkhead or queue full, overloaded, switched off, retry budget spent | 503 |
//! | no key, where the limit is [by key](key) and does not let those without one share one | 400 |
//! | timed out, or the deadline has passed | 504 |
//!
//! The body is a problem of RFC 9457, with the member `reason` for programs. `Retry-After` (RFC
//! 9110, 10.2.3) is there where the gate knows when to come back, in whole seconds and rounded up:
//! never earlier than the truth.
//!
//! # Clients
//!
//! A client sends again what failed, where that may be sent twice, when the server says:
//!
//! ```
//! # #[cfg(feature = "tokio")] {
//! use std::{sync::Arc, time::Duration};
//! use axum::body::Bytes;
//! use fusebox_std::{http::*, prelude::*, tower::PipelineLayer};
//! use http_body_util::Full;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::ServiceBuilder;
//!
//! let retry = Retry::new(Backoff::exponential(Duration::from_millis(50)))
//!     .when_value(TransientStatus::within(Duration::from_secs(5)));
//! let pipeline = Pipeline::new(TokioTimer)
//!     .deadline(Duration::from_secs(10))
//!     .retry(retry)
//!     .attempt_timeout(Duration::from_secs(2))
//!     .classify(ServerErrors);
//! let client = ServiceBuilder::new()
//!     .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent))
//!     .service(Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>());
//! # let _ = client;
//! # }
//! ```
//!
//! | what | which |
//! |---|---|
//! | [`TransientStatus`] | responses that are worth another attempt, and when, by what [`retry_after`] reads |
//! | [`ResendIdempotent`] | requests that may be sent twice |
//! | [`BufferBodyLayer`] | bodies that are kept for that, up to a size |
//! | [`ServerErrors`], [`FailureStatus`] | responses that a breaker takes for failures |
//!
//! The module `reqwest` (feature `reqwest`) says the same of that crate's types. A
//! [`Hedge`](crate::Hedge) with the same `when_value` does not take a fast 503 for the answer.
//!
//! # Reasons
//!
//! *The errors of the service pass through*, so that a layer around one that cannot fail cannot
//! fail either: what axum asks for.
//!
//! *A refusal is marked.* The response carries the [`Rejection`] in its extensions, for logs; a
//! gate further out that judges by status sees it and does not take the refusal for a failure.
//!
//! *A permit comes back with the head of the response*, which is early for a download or a stream:
//! [`until_body_ends`](HttpLayer::until_body_ends) keeps it until the end.
//!
//! *A response that is not good enough stays a response.* When a client gives up, its caller gets
//! the last one, with its status, headers and body, rather than an error that says less.
//!
//! *A server's wish is honoured or not at all.* To come back earlier than it says is to be refused
//! again, and to wait longer than one's caller will is to wait in vain.

mod body_gate;
mod buffer;
mod classify;
mod client;
#[cfg(feature = "tokio")]
pub mod deadline;
#[cfg(feature = "keyed")]
pub mod key;
mod problem;
mod rate_limit;
mod resend;
mod respond;
mod retry_after;
mod transient;

pub use body_gate::{
    BodyGateFuture, BodyGateLayer, BodyGateService, ByHead, ClassifyEnd, ClassifyHead, GatedBody,
    Head, Same,
};
pub use buffer::{BufferBodyFuture, BufferBodyLayer, BufferBodyService, BufferedBody};
pub use classify::{FailureStatus, JudgesResponses, ServerErrors};
pub use client::client_address;
pub use problem::{problem, reason_name, status_of};
pub use rate_limit::{AsSaid, ByGate, RateLimitPolicy, RateLimited, TellLimit};
#[cfg(feature = "reqwest")]
pub(crate) use resend::may_repeat;
pub use resend::{Idempotent, ResendIdempotent};
#[cfg(feature = "grpc")]
pub(crate) use respond::answerable;
pub use respond::{HttpFuture, HttpLayer, HttpService};
pub use retry_after::{grpc_pushback, retry_after};
pub use transient::TransientStatus;
#[cfg(feature = "reqwest")]
pub(crate) use transient::is_transient_status;

#[cfg(doc)]
use fusebox_core::Rejection;
