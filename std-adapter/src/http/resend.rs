//! Which requests may be sent again.

use ::http::header::HeaderName;
use ::http::{Extensions, HeaderMap, Method, Request};
use http_body::Body;

use super::buffer::BufferedBody;
use crate::tower::Resend;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Sends again those requests for which it does not matter whether they arrive once or twice:
/// `GET`, `HEAD`, `OPTIONS`, `TRACE`, `PUT` and `DELETE` (RFC 9110, 9.2.2), those with an
/// `Idempotency-Key` header, and those that have [`Idempotent`] in their extensions; no others. For
/// [`PipelineLayer::retrying`](crate::tower::PipelineLayer::retrying).
///
/// An attempt that failed may have been carried out: the answer was lost, or came too late. So
/// another `POST` is sent once, and its first error or response is the answer, also where it got no
/// connection: an error does not say that for sure. What the pipeline's own gates refused was not
/// sent, and is tried again whatever it is.
///
/// All requests of gRPC are `POST`s: those that may be sent twice have to be marked.
///
/// The body must be one that can be cloned, such as `Full<Bytes>` or `Empty`. One that is read
/// while it is sent, such as axum's or a stream, is gone by then: a
/// [`BufferBodyLayer`](super::BufferBodyLayer) holds back those that are small enough.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::{Idempotent, ResendIdempotent}, tower::Resend};
/// use http::Request;
///
/// let again = |request: &Request<&'static str>| ResendIdempotent.again(request).is_some();
///
/// let mut request = Request::post("/orders").body("one book").unwrap();
/// assert!(!again(&request));
/// request.extensions_mut().insert(Idempotent); // The server knows it by its number.
/// assert!(again(&request));
///
/// assert!(again(&Request::put("/orders/7").body("one book").unwrap()));
/// let keyed = Request::post("/orders").header("idempotency-key", "\"8e03978e\"");
/// assert!(again(&keyed.body("one book").unwrap()));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResendIdempotent;

/// In the extensions of a request: it may be sent twice, whatever its method says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Idempotent;

impl<B: Clone> Resend<Request<B>> for ResendIdempotent {
    #[inline]
    fn again(&self, request: &Request<B>) -> Option<Request<B>> {
        is_idempotent(request).then(|| request.clone())
    }
}

/// Where the body is all there.
impl<B: Body> Resend<Request<BufferedBody<B>>> for ResendIdempotent {
    #[inline]
    fn again(&self, request: &Request<BufferedBody<B>>) -> Option<Request<BufferedBody<B>>> {
        if !is_idempotent(request) {
            return None;
        }
        let mut again = Request::new(request.body().again()?);
        *again.method_mut() = request.method().clone();
        *again.uri_mut() = request.uri().clone();
        *again.version_mut() = request.version();
        *again.headers_mut() = request.headers().clone();
        *again.extensions_mut() = request.extensions().clone();
        Some(again)
    }
}

pub(super) fn is_idempotent<B>(request: &Request<B>) -> bool {
    may_repeat(request.method(), request.headers(), Some(request.extensions()))
}

pub(crate) fn may_repeat(
    method: &Method,
    headers: &HeaderMap,
    extensions: Option<&Extensions>,
) -> bool {
    method.is_idempotent()
        || headers.contains_key(IDEMPOTENCY_KEY)
        || extensions.is_some_and(|extensions| extensions.get::<Idempotent>().is_some())
}
