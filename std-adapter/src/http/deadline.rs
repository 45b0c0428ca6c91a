//! Deadlines that travel from service to service, in headers (features `http` and `tokio`).
//!
//! A server reads the deadline of a request ([`DeadlineLayer`]), handlers and what they call find
//! it in [`current_deadline`], and requests that they send carry what is left of it
//! ([`SendDeadlineLayer`]).
//!
//! ```
//! use axum::{Router, routing::get};
//! use fusebox_std::{current_deadline, http::deadline::*, prelude::*};
//! use std::time::Duration;
//!
//! let incoming = Incoming::from(DeadlineHeader::UNIX_NANOS).max(Duration::from_secs(30));
//! let app: Router = Router::new()
//!     .route("/", get(|| async { format!("{:?} left", current_deadline().remaining(&TokioTimer)) }))
//!     .layer(DeadlineLayer::new(incoming).http());
//! ```
//!
//! # Clocks that differ
//!
//! A header with an *instant* (`X-Deadline`) is worth as much as two machines agree on what time it
//! is. Where the receiver's clock is ahead by a second, each request has a second less; by more
//! than the whole, and each would be refused. So a deadline that lies in the past by more than a
//! tolerance is taken for a sign of that and ignored, and one that lies far in the future is cut to
//! a maximum. A header with a *duration* (`grpc-timeout`, milliseconds) needs no common clock, and
//! does not know of the time that the request spent on its way and in queues. Between machines
//! whose clocks are kept within some milliseconds, the instant is the better one.
//!
//! # What a stranger can do
//!
//! With such a header he makes the answer to his own request come sooner or fail, or, up to the
//! maximum, later. But what is cut off because he gave it no time also counts where all requests
//! are counted: to a breaker or an adaptive limit it is a failed call. So say with
//! [`min`](Incoming::min) what a request takes at least; less than that is refused before it
//! starts, and counts nowhere. Where even that is too much, say who is
//! [trusted](Incoming::trusted_if).

mod format;
mod receive;
mod send;

pub use format::DeadlineHeader;
pub use receive::{DeadlineFuture, DeadlineLayer, DeadlineService, Incoming};
pub use send::{SendDeadlineLayer, SendDeadlineService};

#[cfg(doc)]
use crate::current_deadline;
