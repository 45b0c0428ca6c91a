//! Which responses are worth another attempt.

use std::time::{Duration, SystemTime};

use ::http::{HeaderMap, Response, StatusCode};
use fusebox_core::{DecideValue, Decision};

use super::retry_after::{grpc_pushback, retry_after};

/// The codes of gRPC that may be worth another attempt.
const RESOURCE_EXHAUSTED: &[u8] = b"8";
const UNAVAILABLE: &[u8] = b"14";

/// Tries again what a server could not do now, and comes back when it says so: for
/// [`Retry::when_value`](crate::Retry::when_value) or
/// [`Hedge::when_value`](crate::Hedge::when_value) of a client.
///
/// By default these statuses are worth another attempt: 408, 425, 429, 500, 502, 503, 504. So is a
/// gRPC response without a body whose `grpc-status` is `UNAVAILABLE`, or `RESOURCE_EXHAUSTED` where
/// it says when to come back. The wait is the policy's own or what the server
/// [asks for](retry_after), whichever is longer; a [`grpc_pushback`] comes before all else, and may
/// forbid it. Where that is longer than the client will wait, no attempt is made: it would be
/// refused again, and the caller can be told at once.
///
/// It does not know what was asked. Say in a [`Resend`](crate::tower::Resend), such as
/// [`ResendIdempotent`](super::ResendIdempotent), what may be sent twice.
///
/// # Examples
///
/// ```
/// use std::{convert::Infallible, sync::Arc, time::Duration};
/// use fusebox_std::{http::{ResendIdempotent, ServerErrors, TransientStatus}, prelude::*, tower::PipelineLayer};
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let backoff = Backoff::exponential(Duration::from_millis(100)).jitter(Jitter::Full, StdRng);
/// let pipeline = Pipeline::new(TokioTimer)
///     .retry(Retry::new(backoff).when_value(TransientStatus::within(Duration::from_secs(10))))
///     .classify(ServerErrors);
///
/// let service = ServiceBuilder::new()
///     .layer(PipelineLayer::retrying(Arc::new(pipeline), ResendIdempotent))
/// #   .service(service_fn({
/// #       let started = TokioTimer.now();
/// #       move |_: Request<()>| async move {
/// #           let early = TokioTimer.now().saturating_since(started) < 2_000_000_000;
/// #           let response = Response::builder().status(if early { 503 } else { 200 });
/// #           Ok::<_, Infallible>(response.header("retry-after", "2").body(()).unwrap())
/// #       }
/// #   }));
/// #   /*
///     .service(client);
/// #   */
/// // It is busy, and says `Retry-After: 2`.
/// let response = service.oneshot(Request::get("/").body(()).unwrap()).await.unwrap();
/// assert_eq!(response.status(), 200);
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct TransientStatus {
    max_wait: Duration,
    statuses: fn(StatusCode) -> bool,
}

impl TransientStatus {
    /// Comes back when a server says so, within `max_wait`. Where it asks for more, there is no
    /// other attempt.
    pub const fn within(max_wait: Duration) -> Self {
        Self { max_wait, statuses: is_transient_status }
    }

    /// Says which statuses are worth another attempt, in place of the default ones.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::http::TransientStatus;
    /// use http::StatusCode;
    /// use std::time::Duration;
    ///
    /// let busy = TransientStatus::within(Duration::from_secs(10))
    ///     .statuses(|status| status == StatusCode::SERVICE_UNAVAILABLE);
    /// # let _ = busy;
    /// ```
    pub const fn statuses(mut self, statuses: fn(StatusCode) -> bool) -> Self {
        self.statuses = statuses;
        self
    }

    /// What to do about a response, at the moment `now`: for those that have another type.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::{http::TransientStatus, Decision};
    /// use http::{HeaderMap, HeaderValue, StatusCode};
    /// use std::time::{Duration, SystemTime};
    ///
    /// let transient = TransientStatus::within(Duration::from_secs(10));
    /// let mut headers = HeaderMap::new();
    /// let decide = |headers: &_| transient.about(StatusCode::TOO_MANY_REQUESTS, headers, SystemTime::now());
    /// assert_eq!(decide(&headers), Some(Decision::Retry));
    /// headers.insert("retry-after", HeaderValue::from_static("3"));
    /// assert_eq!(decide(&headers), Some(Decision::RetryAfter(Duration::from_secs(3))));
    /// headers.insert("retry-after", HeaderValue::from_static("3600"));
    /// assert_eq!(decide(&headers), Some(Decision::Stop));
    /// ```
    #[must_use]
    pub fn about(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        now: SystemTime,
    ) -> Option<Decision> {
        let pushback = || grpc_pushback(headers);
        let transient = match headers.get("grpc-status").map(AsRef::as_ref) {
            None => (self.statuses)(status),
            Some(UNAVAILABLE) => true,
            Some(RESOURCE_EXHAUSTED) => pushback().is_some(),
            Some(_) => false,
        };
        if !transient {
            return None;
        }
        let asked = pushback().or_else(|| retry_after(headers, now).map(Decision::RetryAfter));
        Some(match asked {
            Some(Decision::RetryAfter(wait)) if wait > self.max_wait => Decision::Stop,
            asked => asked.unwrap_or(Decision::Retry),
        })
    }
}

impl<B> DecideValue<Response<B>> for TransientStatus {
    #[inline]
    fn decide_value(&self, response: &Response<B>) -> Option<Decision> {
        self.about(response.status(), response.headers(), SystemTime::now())
    }
}

/// What may pass by itself. Not 501 and 505, which say that the server never will.
pub(crate) fn is_transient_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::{HeaderName, HeaderValue};

    const SECOND: Duration = Duration::from_secs(1);

    fn decided(status: u16, fields: &[(&'static str, &'static str)]) -> Option<Decision> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(status).expect("a status");
        for (name, value) in fields {
            let name = HeaderName::from_static(name);
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        TransientStatus::within(10 * SECOND).decide_value(&response)
    }

    #[test]
    fn by_status() {
        for status in [100, 200, 204, 301, 304, 400, 401, 403, 404, 409, 422, 501, 505, 511] {
            assert_eq!(decided(status, &[("retry-after", "1")]), None, "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert_eq!(decided(status, &[]), Some(Decision::Retry), "{status}");
            let told = decided(status, &[("retry-after", "10")]);
            assert_eq!(told, Some(Decision::RetryAfter(10 * SECOND)));
            assert_eq!(decided(status, &[("retry-after", "11")]), Some(Decision::Stop), "too long");
        }
    }

    #[test]
    fn by_what_grpc_says() {
        let pushback = |text| ("grpc-retry-pushback-ms", text);
        let code = |code| ("grpc-status", code);
        assert_eq!(decided(200, &[code("14")]), Some(Decision::Retry));
        assert_eq!(
            decided(200, &[code("14"), pushback("1000")]),
            Some(Decision::RetryAfter(SECOND))
        );
        assert_eq!(decided(200, &[code("14"), pushback("-1")]), Some(Decision::Stop));
        assert_eq!(decided(200, &[code("14"), pushback("soon")]), Some(Decision::Stop));
        assert_eq!(decided(200, &[code("14"), pushback("10001")]), Some(Decision::Stop));
        assert_eq!(decided(200, &[code("8")]), None);
        assert_eq!(
            decided(200, &[code("8"), pushback("0")]),
            Some(Decision::RetryAfter(Duration::ZERO))
        );
        assert_eq!(decided(200, &[code("5"), pushback("0")]), None);
        // Also where a proxy answered, and it comes before `Retry-After`.
        assert_eq!(decided(503, &[pushback("-1"), ("retry-after", "1")]), Some(Decision::Stop));
    }
}
