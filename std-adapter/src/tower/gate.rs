//! A gate around a service.

use std::fmt;
use std::ops::Deref;
use std::task::{Context, Poll};

use fusebox_core::{Classify, Error, Gate, Guard, ResultClassify};
use tower_layer::Layer;
use tower_service::Service;

use super::calling::{Calling, take_ready};

/// Puts a gate around a service: each request is let in or refused when its future is first polled.
///
/// `R` is how the gate is held: `&'static G` or `Arc<G>`. Services made by one layer or by its
/// clones share the gate. Several gates are a tuple, `Arc::new((&LIMIT, &BREAKER))`. It never
/// waits; for that see [`PipelineLayer`](super::PipelineLayer).
///
/// # Examples
///
/// ```
/// use std::{io, sync::Arc};
/// use fusebox_std::{prelude::*, tower::GateLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static BREAKER: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let at_once: Arc<Bulkhead> = Arc::new(Bulkhead::new(BulkheadConfig::new(64)));
/// let gates = Arc::new((Arc::clone(&at_once), &BREAKER));
///
/// // That a file is not there says nothing about the disk.
/// let trouble = FailureIf(|error: &io::Error| error.kind() != io::ErrorKind::NotFound);
///
/// let files = ServiceBuilder::new()
///     .layer(GateLayer::new(gates).classify(trouble))
///     .service(service_fn(|path: &'static str| async move { std::fs::read(path) }));
/// assert!(matches!(files.oneshot("no such file").await, Err(Error::Inner(_))));
/// assert_eq!(BREAKER.snapshot().counts.consecutive_failures, 0);
/// # }
/// ```
///
/// As many at once as the service can take, which is found out by how long its answers take:
///
/// ```
/// use std::convert::Infallible;
/// use fusebox_std::{prelude::*, tower::GateLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static ADAPTIVE: AdaptiveLimit = AdaptiveLimit::new(LimitConfig::gradient2().min(2).initial(2), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(GateLayer::new(&ADAPTIVE))
///     .service(service_fn(|()| async { Ok::<_, Infallible>("done") }));
/// assert_eq!(service.clone().oneshot(()).await, Ok("done"));
///
/// let running = (ADAPTIVE.permit(), ADAPTIVE.permit());
/// let refused = service.oneshot(()).await.unwrap_err().rejection();
/// assert_eq!(refused.map(|why| why.reason()), Some(Reason::Overloaded));
/// # drop(running);
/// # }
/// ```
///
/// A gate by value does not compile: a copy of a layer would have a limit of its own.
///
/// ```compile_fail,E0277
/// use fusebox_std::{prelude::*, tower::GateLayer};
///
/// let limit: Semaphore = Semaphore::new(10);
/// let _layer = GateLayer::new(limit);
/// ```
#[derive(Clone, Copy)]
pub struct GateLayer<R, K = ResultClassify> {
    gate: R,
    classify: K,
}

impl<R> GateLayer<R>
where
    R: Deref<Target: Gate>,
{
    /// A layer that asks `gate` about each request. An `Err` of the service is a failure.
    pub const fn new(gate: R) -> Self {
        Self { gate, classify: ResultClassify }
    }
}

impl<R> GateLayer<R> {
    /// Says what the service's results mean to the gate.
    #[must_use]
    pub fn classify<K>(self, classify: K) -> GateLayer<R, K> {
        GateLayer { gate: self.gate, classify }
    }
}

#[cfg(feature = "http")]
impl<R, K> GateLayer<R, K> {
    pub(crate) fn into_parts(self) -> (R, K) {
        (self.gate, self.classify)
    }
}

impl<S, R: Clone, K: Clone> Layer<S> for GateLayer<R, K> {
    type Service = GateService<S, R, K>;

    fn layer(&self, inner: S) -> Self::Service {
        GateService { inner, gate: self.gate.clone(), classify: self.classify.clone() }
    }
}

impl<R, K> fmt::Debug for GateLayer<R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateLayer").finish_non_exhaustive()
    }
}

/// A service behind a gate; see [`GateLayer`].
///
/// Its error is [`Error`]: [`Error::Rejected`] where the gate refused and the inner service was not
/// called, [`Error::Inner`] where that failed. Its future is the core's [`Guard`]; dropping it
/// gives back what was taken, and before the first poll nothing is.
#[derive(Clone, Copy)]
pub struct GateService<S, R, K = ResultClassify> {
    inner: S,
    gate: R,
    classify: K,
}

impl<S, R, K> GateService<S, R, K> {
    /// The service behind the gate.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, R, K, Q> Service<Q> for GateService<S, R, K>
where
    S: Service<Q> + Clone,
    R: Deref<Target: Gate> + Clone,
    K: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Guard<R, Calling<S, Q>, K>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let ready = take_ready(&mut self.inner);
        Guard::new(self.gate.clone(), Calling::of_ready(ready, request))
            .classify(self.classify.clone())
    }
}

impl<S: fmt::Debug, R, K> fmt::Debug for GateService<S, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
