//! Another answer, where a service has none.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fusebox_core::Error;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::calling::Calling;
use super::sending::Resend;

/// Answers in another way what a gate or pipeline further in has refused: from a cache, from
/// another service, with less.
///
/// It is to be placed right outside of the layer whose refusals it answers. What is refused here is
/// what is [rejected](Error::is_rejected): the request was not sent, or not once more. For timeouts
/// and errors of the service too, say [`when`](Self::when).
///
/// What the other way does is not asked of anything further in: a breaker that is open stays so.
///
/// # Examples
///
/// A price from the database, or else the list price:
///
/// ```
/// use std::io;
/// use fusebox_std::{prelude::*, tower::{FallbackLayer, GateLayer}};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static DATABASE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let price = ServiceBuilder::new()
///     .layer(FallbackLayer::new(|_why: Error<io::Error>| async { Ok(100) }))
///     .layer(GateLayer::new(&DATABASE))
///     .service(service_fn(|_id: u32| async { Ok::<_, io::Error>(90) }));
/// assert!(matches!(price.clone().oneshot(7).await, Ok(90)));
///
/// DATABASE.trip();
/// assert!(matches!(price.oneshot(7).await, Ok(100)));
/// # }
/// ```
///
/// From another service, which needs the request, whatever went wrong:
///
/// ```
/// use std::io;
/// use fusebox_std::{prelude::*, tower::{FallbackLayer, GateLayer, ResendClones}};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// static PRIMARY: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let replica = service_fn(|id: u32| async move { Ok::<_, io::Error>(format!("an old row {id}")) });
/// let rows = ServiceBuilder::new()
///     .layer(FallbackLayer::to(replica, ResendClones).when(|_: &Error<io::Error>| true))
///     .layer(GateLayer::new(&PRIMARY))
///     .service(service_fn(|_: u32| async { Err::<String, _>(io::Error::other("down")) }));
/// assert_eq!(rows.oneshot(7).await.ok().as_deref(), Some("an old row 7"));
/// # }
/// ```
#[derive(Clone, Copy)]
pub struct FallbackLayer<T, P = WhenRejected> {
    instead: T,
    applies: P,
}

impl<C> FallbackLayer<Answering<C>> {
    /// Answers with what the future ends in that `answer` makes of the error.
    pub const fn new<T, E, G>(answer: C) -> Self
    where
        C: Fn(Error<E>) -> G,
        G: Future<Output = Result<T, Error<E>>>,
    {
        Self { instead: Answering(answer), applies: WhenRejected }
    }
}

impl<S, N> FallbackLayer<Asking<S, N>> {
    /// Answers with what `service` says to what `resend` makes of the request. Where that makes
    /// nothing of it, the error stays.
    ///
    /// The service is asked whether it is ready when it is needed.
    pub const fn to(service: S, resend: N) -> Self {
        Self { instead: Asking { service, resend }, applies: WhenRejected }
    }
}

impl<T, P> FallbackLayer<T, P> {
    /// Answers the errors for which `applies` holds, and passes on the others.
    #[must_use]
    pub fn when<P2>(self, applies: P2) -> FallbackLayer<T, P2> {
        FallbackLayer { instead: self.instead, applies }
    }
}

impl<S, T: Clone, P: Clone> Layer<S> for FallbackLayer<T, P> {
    type Service = FallbackService<S, T, P>;

    fn layer(&self, inner: S) -> Self::Service {
        FallbackService { inner, instead: self.instead.clone(), applies: self.applies.clone() }
    }
}

impl<T, P> fmt::Debug for FallbackLayer<T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackLayer").finish_non_exhaustive()
    }
}

/// Which errors are answered in another way: those that a predicate on `&Error<E>` says, or
/// [`WhenRejected`].
pub trait WhenError<E> {
    /// Whether `error` is one.
    fn applies(&self, error: &Error<E>) -> bool;
}

/// Refusals, and nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WhenRejected;

impl<E> WhenError<E> for WhenRejected {
    #[inline]
    fn applies(&self, error: &Error<E>) -> bool {
        error.is_rejected()
    }
}

impl<E, F: Fn(&Error<E>) -> bool> WhenError<E> for F {
    #[inline]
    fn applies(&self, error: &Error<E>) -> bool {
        self(error)
    }
}

/// The other way to answer requests `Q` that ended in `Error<E>`: [`Answering`] or [`Asking`].
pub trait Instead<Q, E> {
    /// What is kept of a request until its fate is known.
    type Kept;

    /// The answer.
    type Response;

    /// What ends in the answer.
    type Future: Future<Output = Result<Self::Response, Error<E>>>;

    /// Keeps what is needed of `request`; `None` where there is no other way for it.
    fn keep(&self, request: &Q) -> Option<Self::Kept>;

    /// Goes the other way.
    fn answer(self, kept: Self::Kept, error: Error<E>) -> Self::Future;
}

/// An answer that is made of the error alone; see [`FallbackLayer::new`].
#[derive(Clone, Copy)]
pub struct Answering<C>(C);

impl<Q, T, E, C, G> Instead<Q, E> for Answering<C>
where
    C: Fn(Error<E>) -> G,
    G: Future<Output = Result<T, Error<E>>>,
{
    type Kept = ();
    type Response = T;
    type Future = G;

    #[inline]
    fn keep(&self, _request: &Q) -> Option<()> {
        Some(())
    }

    #[inline]
    fn answer(self, (): (), error: Error<E>) -> G {
        self.0(error)
    }
}

impl<C> fmt::Debug for Answering<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answering").finish_non_exhaustive()
    }
}

/// Another service; see [`FallbackLayer::to`].
#[derive(Clone, Copy, Debug)]
pub struct Asking<S, N> {
    service: S,
    resend: N,
}

impl<S, N, Q, E> Instead<Q, E> for Asking<S, N>
where
    S: Service<Q, Error = E>,
    N: Resend<Q>,
{
    type Kept = Q;
    type Response = S::Response;
    type Future = Asked<S, Q>;

    #[inline]
    fn keep(&self, request: &Q) -> Option<Q> {
        self.resend.again(request)
    }

    #[inline]
    fn answer(self, request: Q, _error: Error<E>) -> Asked<S, Q> {
        Asked { calling: Calling::when_ready(self.service, request) }
    }
}

pin_project! {
    /// A call of the other service; see [`FallbackLayer::to`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Asked<S, Q>
    where
        S: Service<Q>,
    {
        #[pin]
        calling: Calling<S, Q>,
    }
}

impl<S: Service<Q>, Q> Future for Asked<S, Q> {
    type Output = Result<S::Response, Error<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().calling.poll(cx).map_err(Error::Inner)
    }
}

impl<S: Service<Q>, Q> fmt::Debug for Asked<S, Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asked").field("calling", &self.calling).finish()
    }
}

/// A service with another way to answer; see [`FallbackLayer`].
#[derive(Clone, Copy)]
pub struct FallbackService<S, T, P = WhenRejected> {
    inner: S,
    instead: T,
    applies: P,
}

impl<S, T, P> FallbackService<S, T, P> {
    /// The service that is asked first.
    #[must_use]
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S, T, P, Q, E> Service<Q> for FallbackService<S, T, P>
where
    S: Service<Q, Error = Error<E>>,
    T: Instead<Q, E, Response = S::Response> + Clone,
    P: WhenError<E> + Clone,
{
    type Response = S::Response;
    type Error = Error<E>;
    type Future = FallbackCall<S::Future, T, P, Q, E>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error<E>>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Q) -> Self::Future {
        let kept = self.instead.keep(&request);
        let plan = kept.map(|kept| (self.instead.clone(), kept, self.applies.clone()));
        FallbackCall { stage: Stage::First { future: self.inner.call(request) }, plan }
    }
}

impl<S: fmt::Debug, T, P> fmt::Debug for FallbackService<S, T, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

pin_project! {
    /// A call with another way to answer; see [`FallbackLayer`].
    ///
    /// What the first way holds is gone before the other one begins.
    #[must_use = "futures do nothing unless polled"]
    pub struct FallbackCall<F, T, P, Q, E>
    where
        T: Instead<Q, E>,
    {
        #[pin]
        stage: Stage<F, T::Future>,
        // Taken when the first way has come to its end.
        plan: Option<(T, T::Kept, P)>,
    }
}

pin_project! {
    #[project = StageProjection]
    enum Stage<F, G> {
        First { #[pin] future: F },
        Instead { #[pin] future: G },
        Done,
    }
}

impl<F, T, P, Q, E> Future for FallbackCall<F, T, P, Q, E>
where
    F: Future<Output = Result<T::Response, Error<E>>>,
    T: Instead<Q, E>,
    P: WhenError<E>,
{
    type Output = Result<T::Response, Error<E>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.stage.as_mut().project() {
                StageProjection::First { future } => ready!(future.poll(cx)),
                StageProjection::Instead { future } => ready!(future.poll(cx)),
                // Polled again after it was done: there is no further answer.
                StageProjection::Done => return Poll::Pending,
            };
            this.stage.set(Stage::Done);
            match (result, this.plan.take()) {
                (Err(error), Some((instead, kept, applies))) if applies.applies(&error) => {
                    this.stage.set(Stage::Instead { future: instead.answer(kept, error) });
                }
                (result, _) => return Poll::Ready(result),
            }
        }
    }
}

impl<F, T, P, Q, E> fmt::Debug for FallbackCall<F, T, P, Q, E>
where
    T: Instead<Q, E>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FallbackCall").finish_non_exhaustive()
    }
}
