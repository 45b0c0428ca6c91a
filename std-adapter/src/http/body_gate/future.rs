//! A call whose permit goes on to the body of its response.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::{Method, Request, Response};
use fusebox_core::Error;
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::ClassifyHead;
use super::body::{GatedBody, Held, watched};
use crate::tower::{Calling, ChooseGate};

/// A call that has not been polled.
struct Waiting<S, Q, C, K> {
    service: S,
    request: Request<Q>,
    choose: C,
    classify: K,
}

pin_project! {
    /// A call at a gate, whose permit goes on to the body of the response; see
    /// [`BodyGateLayer`](super::BodyGateLayer).
    #[must_use = "futures do nothing unless polled"]
    pub struct BodyGateFuture<S, Q, C, K>
    where
        S: Service<Request<Q>>,
        C: ChooseGate<Request<Q>>,
    {
        // Dropped before the permit: what the call holds is gone before its place is free.
        #[pin]
        calling: Option<Calling<S, Request<Q>>>,
        held: Option<Held<C::Gate, K>>,
        waiting: Option<Waiting<S, Q, C, K>>,
    }
}

impl<S, Q, C, K> BodyGateFuture<S, Q, C, K>
where
    S: Service<Request<Q>>,
    C: ChooseGate<Request<Q>>,
{
    #[inline]
    pub(super) const fn new(service: S, request: Request<Q>, choose: C, classify: K) -> Self {
        let waiting = Waiting { service, request, choose, classify };
        Self { calling: None, held: None, waiting: Some(waiting) }
    }
}

impl<S, Q, C, K, B> Future for BodyGateFuture<S, Q, C, K>
where
    S: Service<Request<Q>, Response = Response<B>>,
    C: ChooseGate<Request<Q>>,
    K: ClassifyHead<B, S::Error>,
    B: Body,
{
    type Output = Result<Response<GatedBody<B, C::Gate, K>>, Error<S::Error>>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(Waiting { service, request, choose, classify }) = this.waiting.take() {
            let gate = choose.choose(&request)?;
            let no_body = request.method() == Method::HEAD;
            *this.held = Some(Held::enter(gate, classify, no_body)?);
            this.calling.set(Some(Calling::of_ready(service, request)));
        }
        // It was refused, or has ended: there is no further answer.
        if this.held.is_none() {
            return Poll::Pending;
        }
        let calling = &mut this.calling;
        let result = ready!(watched(this.held, || {
            let Some(running) = calling.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let result = ready!(running.poll(cx));
            calling.set(None);
            Poll::Ready(result)
        }));
        let Some(mut held) = this.held.take() else {
            return Poll::Pending;
        };
        held.hear(&result);
        Poll::Ready(match result {
            Ok(response) => Ok(held.follow(response)),
            Err(error) => {
                held.end();
                Err(Error::Inner(error))
            }
        })
    }
}

impl<S, Q, C, K> fmt::Debug for BodyGateFuture<S, Q, C, K>
where
    S: Service<Request<Q>>,
    C: ChooseGate<Request<Q>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyGateFuture")
            .field("begun", &self.waiting.is_none())
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}
