//! A pipeline around a service.

use std::fmt;
use std::ops::Deref;
use std::task::{Context, Poll};

use fusebox_core::{Call, Deadline, Error, Parts, Pipeline};
use tower_layer::Layer;
use tower_service::Service;

use super::calling::take_ready;
use super::sending::{Resend, SendOnce, Sending};

/// Puts a [`Pipeline`] around a service: deadline, gates, waits at them, retries or hedges,
/// timeouts.
///
/// `P` is how the pipeline is held: in an `Arc`, mostly. Services made by one layer or by its
/// clones share it.
///
/// # Examples
///
/// ```
/// use std::{io, sync::Arc, time::Duration};
/// use fusebox_std::{prelude::*, tower::{PipelineLayer, ResendClones}};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static QUERIES: Bulkhead<Queue<100>> = Bulkhead::new(BulkheadConfig::new(10));
/// static DATABASE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pipeline = Pipeline::new(TokioTimer)
///     .deadline(Duration::from_secs(2))
///     .per_call_waiting(&QUERIES)
///     .retry(Retry::new(Backoff::exponential(Duration::from_millis(20)).jitter(Jitter::Full, StdRng)))
///     .per_attempt(&DATABASE)
///     .attempt_timeout(Duration::from_millis(500));
///
/// let service = ServiceBuilder::new()
///     .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendClones))
///     .service(service_fn(|id: u32| async move { Ok::<_, io::Error>(format!("row {id}")) }));
/// assert_eq!(service.oneshot(7).await.ok().as_deref(), Some("row 7"));
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct PipelineLayer<P, N = SendOnce> {
    pipeline: P,
    resend: N,
    ending_by: Option<fn() -> Deadline>,
}

impl<P> PipelineLayer<P> {
    /// A layer of a pipeline without retries. One with retries does not compile here, as it must be
    /// said how a request is made again: see [`retrying`](Self::retrying).
    ///
    /// ```compile_fail,E0271
    /// use std::sync::Arc;
    /// use fusebox_std::{prelude::*, tower::PipelineLayer};
    ///
    /// let pipeline = Pipeline::new(TokioTimer).retry(Retry::new(Backoff::none()));
    /// let _layer = PipelineLayer::new(Arc::new(pipeline));
    /// ```
    pub const fn new<T, C, A, K, O, M>(pipeline: P) -> Self
    where
        P: Deref<Target = Pipeline<T, C, (), A, K, O, M>>,
    {
        Self { pipeline, resend: SendOnce, ending_by: None }
    }
}

impl<P: Deref, N> PipelineLayer<P, N> {
    /// A layer of a pipeline whose retries send again what `resend` makes of a request:
    /// [`ResendClones`](super::ResendClones), or a function for those that may be sent twice.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::Arc;
    /// use fusebox_std::{prelude::*, tower::PipelineLayer};
    ///
    /// enum Order { Look(u32), Buy(u32) }
    ///
    /// let pipeline = Pipeline::new(TokioTimer).retry(Retry::new(Backoff::none()));
    /// let layer = PipelineLayer::retrying(Arc::new(pipeline), |order: &Order| match order {
    ///     Order::Look(id) => Some(Order::Look(*id)),
    ///     Order::Buy(_) => None, // Nobody wants it twice.
    /// });
    /// # let _ = layer;
    /// ```
    ///
    /// A [`Hedge`](crate::Hedge) sends a request again before it knows how the first one ends, and
    /// the same rule says which. Each goes to a clone of the service, so to another connection
    /// or host where that chooses one:
    ///
    /// ```
    /// use std::{io, sync::Arc, time::Duration};
    /// use fusebox_std::{prelude::*, tower::{PipelineLayer, ResendClones}};
    /// use tower::{ServiceBuilder, ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let pipeline = Pipeline::new(TokioTimer)
    ///     .deadline(Duration::from_secs(1))
    ///     .hedge(Hedge::idempotent(Duration::from_millis(20)));
    /// let replicas = service_fn(|id: u32| async move {
    ///     tokio::time::sleep(Duration::from_millis(50)).await;
    ///     Ok::<_, io::Error>(id)
    /// });
    /// let service = ServiceBuilder::new()
    ///     .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendClones))
    ///     .service(replicas);
    /// assert!(matches!(service.oneshot(7).await, Ok(7)));
    /// # }
    /// ```
    pub const fn retrying(pipeline: P, resend: N) -> Self {
        Self { pipeline, resend, ending_by: None }
    }
}

impl<P, N> PipelineLayer<P, N> {
    /// Asks `deadline`, for each request, by when it must be done, beside the pipeline's own
    /// deadline: [`current_deadline`](crate::current_deadline), mostly. It must be an instant
    /// of the pipeline's timer, and that one of this crate's: to the service,
    /// [`current_deadline`] is then when its attempt will be cut off, whether by this, the
    /// pipeline's own deadline, or the timeout of an attempt. A
    /// [`SendDeadlineLayer`](crate::http::deadline::SendDeadlineLayer) inside of this one tells
    /// that to what is called.
    ///
    /// [`current_deadline`]: crate::current_deadline
    #[must_use]
    pub const fn ending_by(mut self, deadline: fn() -> Deadline) -> Self {
        self.ending_by = Some(deadline);
        self
    }
}

impl<S, P: Clone, N: Clone> Layer<S> for PipelineLayer<P, N> {
    type Service = PipelineService<S, P, N>;

    fn layer(&self, inner: S) -> Self::Service {
        PipelineService {
            inner,
            pipeline: self.pipeline.clone(),
            resend: self.resend.clone(),
            ending_by: self.ending_by,
        }
    }
}

impl<P, N> fmt::Debug for PipelineLayer<P, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineLayer").finish_non_exhaustive()
    }
}

/// A service in a pipeline; see [`PipelineLayer`].
///
/// Its error is [`Error`], its future the core's [`Call`]; dropping that gives back what was taken,
/// and before the first poll nothing is.
///
/// A retry is sent to a clone of the inner service, which is asked whether it is ready within the
/// attempt's gates and timeout.
#[derive(Clone, Copy)]
pub struct PipelineService<S, P, N = SendOnce> {
    inner: S,
    pipeline: P,
    resend: N,
    ending_by: Option<fn() -> Deadline>,
}

impl<S, P, N> PipelineService<S, P, N> {
    /// The service in the pipeline.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, P, N, Q> Service<Q> for PipelineService<S, P, N>
where
    S: Service<Q> + Clone,
    P: Deref<Target: Parts<Sending<S, Q, N>>> + Clone,
    N: Resend<Q> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Call<P, Sending<S, Q, N>>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let ready = take_ready(&mut self.inner);
        let sending = Sending::new(ready, request, self.resend.clone(), self.ending_by.is_some());
        let deadline = self.ending_by.map_or(Deadline::NEVER, |ending_by| ending_by());
        Call::new(self.pipeline.clone(), deadline, sending)
    }
}

impl<S: fmt::Debug, P, N> fmt::Debug for PipelineService<S, P, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
