//! A gate that is chosen for each request.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll};

use fusebox_core::{Classify, Error, Gate, Guard, Rejection, ResultClassify};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::calling::{Calling, take_ready};

/// Puts a gate around a service that may be another for each request: each user's limit, each
/// host's breaker.
///
/// For limits by key, say where the key is: [`keyed`](Self::keyed). For anything else,
/// [`new`](Self::new) takes a function from a request to a gate, asked when the call's future is
/// first polled: a reference or `Arc` of one, what [`Keyed::get`](crate::Keyed::get) finds (feature
/// `keyed`), a [`KeyedBucket`](crate::KeyedBucket), or a tuple of these. Where it refuses, so is
/// the request.
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "keyed")] {
/// use std::{convert::Infallible, sync::LazyLock};
/// use fusebox_std::{Keyed, prelude::*, tower::GateByLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// struct Order { user: String }
///
/// /// At most two at once for each user, and a thousand users at a time.
/// static USERS: LazyLock<Keyed<String, Bulkhead>> =
///     LazyLock::new(|| Keyed::new(1_000, |_| Bulkhead::new(BulkheadConfig::new(2))));
/// static ALL: TokenBucket = TokenBucket::new(BucketConfig::per_second(1_000), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(GateByLayer::new(|order: &Order| Ok((USERS.get(&order.user)?, &ALL))))
///     .service(service_fn(|order: Order| async move { Ok::<_, Infallible>(order.user) }));
/// assert_eq!(service.oneshot(Order { user: "ada".to_owned() }).await, Ok("ada".to_owned()));
/// # }
/// # main();
/// # }
/// ```
///
/// Priorities: below, what costs most is shed first.
///
/// ```
/// use std::convert::Infallible;
/// use fusebox_std::{prelude::*, tower::GateByLayer};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// enum Request { Pay, Browse, Report }
///
/// /// At most 100 at once; those of low priority only while there are fewer than 50.
/// static LOAD: LoadShedder = LoadShedder::new(ShedderConfig::new(100));
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let service = ServiceBuilder::new()
///     .layer(GateByLayer::new(|request: &Request| {
///         Ok(LOAD.at(match request {
///             Request::Pay => Priority::Critical,
///             Request::Browse => Priority::Normal,
///             Request::Report => Priority::Low,
///         }))
///     }))
///     .service(service_fn(|_: Request| async { Ok::<_, Infallible>("done") }));
///
/// let busy: Vec<_> = (0..60).map(|_| LOAD.permit()).collect();
/// assert!(service.clone().oneshot(Request::Report).await.is_err_and(|error| error.is_rejected()));
/// assert_eq!(service.clone().oneshot(Request::Browse).await, Ok("done"));
/// assert_eq!(service.oneshot(Request::Pay).await, Ok("done"));
/// # drop(busy);
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct GateByLayer<F, K = ResultClassify> {
    pub(super) choose: F,
    pub(super) classify: K,
}

/// Chooses the gate that a request is let in by: any `Fn(&Q) -> Result<G, Rejection>`, or
/// [`ByKey`](super::ByKey) (feature `keyed`).
pub trait ChooseGate<Q> {
    /// The gate.
    type Gate: Gate;

    /// The gate of `request`.
    ///
    /// # Errors
    ///
    /// Where the request is refused without a gate being asked.
    fn choose(&self, request: &Q) -> Result<Self::Gate, Rejection>;
}

impl<Q, G: Gate, F: Fn(&Q) -> Result<G, Rejection>> ChooseGate<Q> for F {
    type Gate = G;

    #[inline]
    fn choose(&self, request: &Q) -> Result<G, Rejection> {
        self(request)
    }
}

impl<F> GateByLayer<F> {
    /// A layer that asks the gate which `choose` finds for a request. An `Err` of the service is a
    /// failure.
    pub const fn new<Q, G>(choose: F) -> Self
    where
        F: Fn(&Q) -> Result<G, Rejection>,
        G: Gate,
    {
        Self { choose, classify: ResultClassify }
    }

    /// Says what the service's results mean to the gates.
    #[must_use]
    pub fn classify<K>(self, classify: K) -> GateByLayer<F, K> {
        GateByLayer { choose: self.choose, classify }
    }
}

#[cfg(feature = "http")]
impl<F, K> GateByLayer<F, K> {
    pub(crate) fn into_parts(self) -> (F, K) {
        (self.choose, self.classify)
    }
}

impl<S, F: Clone, K: Clone> Layer<S> for GateByLayer<F, K> {
    type Service = GateByService<S, F, K>;

    fn layer(&self, inner: S) -> Self::Service {
        GateByService { inner, choose: self.choose.clone(), classify: self.classify.clone() }
    }
}

impl<F, K> fmt::Debug for GateByLayer<F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateByLayer").finish_non_exhaustive()
    }
}

/// A service with a gate for each request; see [`GateByLayer`].
///
/// It is as [`GateService`](super::GateService) otherwise.
#[derive(Clone, Copy)]
pub struct GateByService<S, F, K = ResultClassify> {
    inner: S,
    choose: F,
    classify: K,
}

impl<S, F, K> GateByService<S, F, K> {
    /// The service behind the gates.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, F, K, Q> Service<Q> for GateByService<S, F, K>
where
    S: Service<Q> + Clone,
    F: ChooseGate<Q> + Clone,
    K: Classify<S::Response, S::Error> + Clone,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = GateByFuture<S, Q, F, F::Gate, K>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx).map_err(Error::Inner)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let service = take_ready(&mut self.inner);
        let (choose, classify) = (self.choose.clone(), self.classify.clone());
        GateByFuture { guard: None, waiting: Some(Waiting { service, request, choose, classify }) }
    }
}

impl<S: fmt::Debug, F, K> fmt::Debug for GateByService<S, F, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateByService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

/// A gate by value, where a pointer to one is asked for.
pub(crate) struct Own<G>(pub(crate) G);

impl<G> Deref for Own<G> {
    type Target = G;

    #[inline]
    fn deref(&self) -> &G {
        &self.0
    }
}

/// A call that has not been polled.
struct Waiting<S, Q, F, K> {
    service: S,
    request: Q,
    choose: F,
    classify: K,
}

pin_project! {
    /// A call at a gate of its own; see [`GateByLayer`].
    #[must_use = "futures do nothing unless polled"]
    pub struct GateByFuture<S, Q, F, G, K>
    where
        S: Service<Q>,
        G: Gate,
    {
        #[pin]
        guard: Option<Guard<Own<G>, Calling<S, Q>, K>>,
        waiting: Option<Waiting<S, Q, F, K>>,
    }
}

/// A call that knows the gate it is at: what a [`GateLayer`](super::GateLayer) or a [`GateByLayer`]
/// makes of a request.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not know its gate when it has answered",
    note = "where permits go on with bodies (`until_body_ends`), a limit that is told is a layer of its \
            own, outside of that one"
)]
pub trait AtGate {
    /// The gate.
    type Gate: Gate + ?Sized;

    /// The gate; `None` where it is chosen when the call begins, and that has not been.
    fn gate(&self) -> Option<&Self::Gate>;
}

impl<R: Deref<Target: Gate>, F, K> AtGate for Guard<R, F, K> {
    type Gate = R::Target;

    #[inline]
    fn gate(&self) -> Option<&R::Target> {
        Some(Guard::gate(self))
    }
}

impl<S: Service<Q>, Q, F, G: Gate, K> AtGate for GateByFuture<S, Q, F, G, K> {
    type Gate = G;

    #[inline]
    fn gate(&self) -> Option<&G> {
        self.guard.as_ref().map(Guard::gate)
    }
}

impl<S, Q, F, G, K> Future for GateByFuture<S, Q, F, G, K>
where
    S: Service<Q>,
    F: ChooseGate<Q, Gate = G>,
    G: Gate,
    K: Classify<S::Response, S::Error>,
{
    type Output = Result<S::Response, Error<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(Waiting { service, request, choose, classify }) = this.waiting.take() {
            let gate = choose.choose(&request)?;
            let calling = Calling::of_ready(service, request);
            this.guard.set(Some(Guard::new(Own(gate), calling).classify(classify)));
        }
        // None where it was refused: there is no further answer.
        this.guard.as_pin_mut().map_or(Poll::Pending, |guard| guard.poll(cx))
    }
}

impl<S, Q, F, G, K> fmt::Debug for GateByFuture<S, Q, F, G, K>
where
    S: Service<Q>,
    G: Gate,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GateByFuture").field("guard", &self.guard).finish_non_exhaustive()
    }
}
