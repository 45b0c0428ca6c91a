//! A body that keeps a permit.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use ::http::header::CONTENT_LENGTH;
use ::http::{HeaderMap, Response, StatusCode};
use bytes::Buf;
use fusebox_core::{Gate, Outcome, Permit, Rejection};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::{ClassifyEnd, ClassifyHead, Head};
use crate::tower::Own;

pin_project! {
    /// The body of a response, which keeps the call's permit until it has ended; see
    /// [`BodyGateLayer`](super::BodyGateLayer).
    ///
    /// It yields what the body in it does. Dropping it before its end gives the permit back as
    /// [`Outcome::Abandoned`].
    pub struct GatedBody<B, G, K>
    where
        G: Gate,
    {
        // Dropped before the permit: what the call holds is gone before its place is free.
        #[pin]
        body: B,
        held: Option<Held<G, K>>,
    }
}

/// What a call holds from when it was let in, and what is known of how it will end.
pub(super) struct Held<G: Gate, K> {
    permit: Permit<Own<G>>,
    classify: K,
    /// Whoever asked wants no body.
    no_body: bool,
    head: Head,
    /// How many bytes of the body are to come, where that is known.
    left: Option<u64>,
}

impl<G: Gate, K> Held<G, K> {
    #[inline]
    pub(super) fn enter(gate: G, classify: K, no_body: bool) -> Result<Self, Rejection> {
        let permit = Permit::enter(Own(gate))?;
        Ok(Self { permit, classify, no_body, head: Head::Open, left: None })
    }

    /// Hears what the head says, or the error in its place.
    #[inline]
    pub(super) fn hear<B, E>(&mut self, result: &Result<Response<B>, E>)
    where
        K: ClassifyHead<B, E>,
    {
        self.head = self.classify.classify_head(result);
    }

    #[inline]
    fn finish(self, outcome: Outcome) {
        self.permit.finish(outcome);
    }
}

impl<G: Gate, K: ClassifyEnd> Held<G, K> {
    /// It has ended, with these trailers.
    #[inline]
    fn outcome(&self, trailers: Option<&HeaderMap>) -> Outcome {
        match self.head {
            Head::Ended(outcome) | Head::Provisional(outcome) => outcome,
            Head::Open => self.classify.classify_end(trailers),
        }
    }

    /// It has ended without a body.
    #[inline]
    pub(super) fn end(self) {
        let outcome = self.outcome(None);
        self.finish(outcome);
    }

    /// Goes along with the body.
    #[inline]
    pub(super) fn follow<B: Body>(mut self, response: Response<B>) -> Response<GatedBody<B, G, K>> {
        let no_body = self.no_body
            || matches!(self.head, Head::Ended(_))
            || matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
            || response.body().is_end_stream();
        // Servers write a length themselves where the body knows it, and stop there as well.
        let hint = || response.body().size_hint().exact();
        self.left = content_length(response.headers()).or_else(hint);
        if no_body || self.is_complete() {
            self.end();
            return response.map(|body| GatedBody { body, held: None });
        }
        response.map(|body| GatedBody { body, held: Some(self) })
    }

    /// How the call has ended, if that was the last frame.
    #[inline]
    fn after<D: Buf>(&mut self, frame: &Frame<D>, body_ended: bool) -> Option<Outcome> {
        if let Some(trailers) = frame.trailers_ref() {
            return Some(self.outcome(Some(trailers)));
        }
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            *left = left.saturating_sub(data.remaining() as u64);
        }
        (body_ended || self.is_complete()).then(|| self.outcome(None))
    }

    /// Whether all data has come. Where the head has left it to the trailers, those have not.
    fn is_complete(&self) -> bool {
        self.left == Some(0) && self.head != Head::Open
    }
}

/// `None` where it is not there, or not a number.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Runs `work`; should it panic, the call counts as failed.
#[inline]
pub(super) fn watched<G: Gate, K, T>(held: &mut Option<Held<G, K>>, work: impl FnOnce() -> T) -> T {
    struct Panicked<'a, G: Gate, K>(&'a mut Option<Held<G, K>>);

    impl<G: Gate, K> Drop for Panicked<'_, G, K> {
        fn drop(&mut self) {
            if let Some(held) = self.0.take() {
                held.finish(Outcome::Failure);
            }
        }
    }

    let panicked = Panicked(held);
    let result = work();
    mem::forget(panicked);
    result
}

impl<B, G, K> Body for GatedBody<B, G, K>
where
    B: Body,
    G: Gate,
    K: ClassifyEnd,
{
    type Data = B::Data;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(watched(this.held, || this.body.as_mut().poll_frame(cx)));
        let ended = this.held.as_mut().and_then(|held| match &frame {
            Some(Ok(frame)) => held.after(frame, this.body.is_end_stream()),
            Some(Err(_)) => Some(Outcome::Failure),
            None => Some(held.outcome(None)),
        });
        if let Some(outcome) = ended {
            if let Some(held) = this.held.take() {
                held.finish(outcome);
            }
        }
        Poll::Ready(frame)
    }

    #[inline]
    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    #[inline]
    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body that holds nothing: of a refusal.
impl<B: Default, G: Gate, K> Default for GatedBody<B, G, K> {
    fn default() -> Self {
        Self { body: B::default(), held: None }
    }
}

/// A body that holds nothing: of a refusal.
impl<B: From<String>, G: Gate, K> From<String> for GatedBody<B, G, K> {
    fn from(text: String) -> Self {
        Self { body: B::from(text), held: None }
    }
}

impl<B: fmt::Debug, G: Gate, K> fmt::Debug for GatedBody<B, G, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatedBody")
            .field("body", &self.body)
            .field("held", &self.held.is_some())
            .finish_non_exhaustive()
    }
}
