//! Layers for tower: a gate or a whole pipeline around a service (feature `tower`).
//!
//! ```
//! use std::{convert::Infallible, time::Duration};
//! use fusebox_std::{prelude::*, tower::GateLayer};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! static DATABASE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let service = ServiceBuilder::new()
//!     .layer(GateLayer::new(&DATABASE))
//!     .service(service_fn(|id: u32| async move { Ok::<_, Infallible>(format!("row {id}")) }));
//! assert_eq!(service.clone().oneshot(7).await, Ok("row 7".to_owned()));
//!
//! DATABASE.trip();
//! assert!(matches!(service.oneshot(7).await, Err(Error::Rejected(_))));
//! # }
//! ```
//!
//! | layer | what it puts around each request |
//! |---|---|
//! | [`GateLayer`] | a gate, or a tuple of them: breaker, limit, bulkhead, switch, .. |
//! | [`GateByLayer`] | a gate that may be another for each request: each user's limit, each host's breaker |
//! | [`PipelineLayer`] | a whole [`Pipeline`](crate::Pipeline): deadline, waits at gates, retries or hedges, timeouts |
//! | [`FallbackLayer`] | another way to answer what was refused |
//! | [`BoxErrorLayer`] | nothing: it turns errors into boxes, for stacks that want those |
//!
//! With the features `http` and `grpc`, each of the first three becomes a layer whose refusals are
//! responses of HTTP or gRPC.
//!
//! # Reasons
//!
//! *State is shared, never copied.* A layer holds a pointer to its gate (`&'static G`, `Arc<G>`),
//! and its type allows nothing else: a layer that is cloned or applied to many routes is one
//! breaker and one limit.
//!
//! *A request is let in when its future is first polled*, not when the service is asked whether it
//! is ready: a connection that is idle, or a client that asked and went away, holds no permit and
//! no probe. [`poll_ready`](tower_service::Service::poll_ready) is the inner service's. The inner
//! service is not called before the gate has let the request in, because many services send in
//! `call` already. So the future takes the service that is ready along, and leaves a clone in its
//! place, as tower asks those to do that call a service later.
//!
//! *Several gates around a service are one layer with a tuple of them*: where a later one refuses,
//! the earlier ones take that for what it is and count nothing. Of two layers the outer takes the
//! refusal of the inner for a failed call, and its errors nest; see [`Error::flatten`].
//!
//! *Nothing is allocated for a request*, and no future is boxed: they are the core's own, which
//! have names.
//!
//! [`Error::flatten`]: crate::Error::flatten

mod boxed;
#[cfg(feature = "keyed")]
mod by_key;
mod calling;
mod fallback;
mod gate;
mod gate_by;
mod pipeline;
mod sending;

pub use boxed::{BoxError, BoxErrorFuture, BoxErrorLayer, BoxErrorService};
#[cfg(feature = "keyed")]
pub use by_key::{ByKey, KeyOf, KeyedGates};
pub use calling::Calling;
#[cfg(feature = "http")]
pub(crate) use calling::take_ready;
pub use fallback::{
    Answering, Asked, Asking, FallbackCall, FallbackLayer, FallbackService, Instead, WhenError,
    WhenRejected,
};
pub use gate::{GateLayer, GateService};
#[cfg(feature = "http")]
pub(crate) use gate_by::Own;
pub use gate_by::{AtGate, ChooseGate, GateByFuture, GateByLayer, GateByService};
pub use pipeline::{PipelineLayer, PipelineService};
pub use sending::{Attempting, Resend, ResendClones, SendOnce, Sending};
