//! HTTP: refusals and timeouts as responses, and gates that judge by status (feature `http`).
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
//! The body is a problem of RFC 9457, with the member `reason` for programs. `Retry-After` (RFC 9110,
//! 10.2.3) is there where the gate knows when to come back, in whole seconds and rounded up: never
//! earlier than the truth.
//!
//! # Reasons
//!
//! *The errors of the service pass through*, so that a layer around one that cannot fail cannot fail
//! either: what axum asks for.
//!
//! *A refusal is marked.* The response carries the [`Rejection`] in its extensions, for logs; a gate
//! further out that judges by status sees it and does not take the refusal for a failure.

mod classify;
mod client;
#[cfg(feature = "tokio")]
pub mod deadline;
#[cfg(feature = "keyed")]
pub mod key;
mod problem;
mod rate_limit;
mod respond;

pub use classify::{FailureStatus, ServerErrors};
pub use client::client_address;
pub use problem::{problem, reason_name, status_of};
pub use rate_limit::{AsSaid, ByGate, RateLimitPolicy, RateLimited, TellLimit};
pub use respond::{HttpFuture, HttpLayer, HttpService};

#[cfg(doc)]
use fusebox_core::Rejection;
