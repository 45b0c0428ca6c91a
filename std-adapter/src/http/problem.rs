//! The response to a call that was refused or timed out.

use std::convert::Infallible;
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, RETRY_AFTER};
use ::http::{HeaderValue, Response, StatusCode};
use fusebox_core::{Error, Reason, Rejection};

/// The status that tells a client what happened: see the [table](crate::http).
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::status_of, Error, Reason, Rejection};
/// use http::StatusCode;
///
/// let refused = Rejection::new(Reason::CircuitOpen).into();
/// assert_eq!(status_of(&refused), StatusCode::SERVICE_UNAVAILABLE);
/// assert_eq!(status_of(&Error::TimedOut), StatusCode::GATEWAY_TIMEOUT);
/// ```
#[must_use]
pub fn status_of(error: &Error<Infallible>) -> StatusCode {
    match error {
        Error::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        Error::Rejected(rejection) => match rejection.reason() {
            Reason::RateLimited | Reason::ExceedsBurst => StatusCode::TOO_MANY_REQUESTS,
            Reason::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Reason::NoKey => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        },
        Error::Inner(never) => match *never {},
    }
}

/// The name of a reason in the member `reason` of a problem.
#[must_use]
pub const fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::CircuitOpen => "circuit-open",
        Reason::ProbesBusy => "probes-busy",
        Reason::RateLimited => "rate-limited",
        Reason::ExceedsBurst => "exceeds-burst",
        Reason::BulkheadFull => "bulkhead-full",
        Reason::QueueFull => "queue-full",
        Reason::QueueTimeout => "queue-timeout",
        Reason::Overloaded => "overloaded",
        Reason::BudgetExhausted => "budget-exhausted",
        Reason::DeadlineExceeded => "deadline-exceeded",
        Reason::SwitchedOff => "switched-off",
        Reason::RampingUp => "ramping-up",
        Reason::NoKey => "no-key",
        // The core may come to know more.
        _ => "rejected",
    }
}

/// The response to a call that was refused or timed out, with the status that [`status_of`] says:
/// for handlers that call through gates themselves.
///
/// # Examples
///
/// ```
/// use axum::{Router, http::StatusCode, response::{IntoResponse, Response}, routing::get};
/// use fusebox_std::{http::problem, prelude::*};
///
/// static DATABASE: CircuitBreaker = CircuitBreaker::new(BreakerConfig::standard(), StdClock);
///
/// # async fn query() -> std::io::Result<String> { Ok("7 rows".to_owned()) }
/// async fn rows() -> Response {
///     let rows = DATABASE.guard(query()).await.map(IntoResponse::into_response);
///     let failed = |_: std::io::Error| StatusCode::BAD_GATEWAY.into_response();
///     rows.unwrap_or_else(|error| error.map_inner(failed).into_inner_or_else(|own| problem(&own)))
/// }
/// let app: Router = Router::new().route("/", get(rows));
/// ```
#[must_use]
pub fn problem<B: From<String>>(error: &Error<Infallible>) -> Response<B> {
    response(error, status_of(error))
}

/// The whole response.
pub(super) fn response<B: From<String>>(
    error: &Error<Infallible>,
    status: StatusCode,
) -> Response<B> {
    let (rejection, reason) = match error {
        Error::Rejected(rejection) => (Some(*rejection), reason_name(rejection.reason())),
        Error::TimedOut => (None, "timed-out"),
        Error::Inner(never) => match *never {},
    };
    let detail = rejection.map_or("timed out".to_owned(), |why| why.reason().to_string());
    let mut response = Response::new(B::from(body(status, &detail, reason)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if let Some(rejection) = rejection {
        if let Some(seconds) = retry_after(rejection) {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(rejection);
    }
    response
}

/// RFC 9457, 3. None of what is put in has a character that JSON would need escaped.
fn body(status: StatusCode, detail: &str, reason: &str) -> String {
    let (code, title) = (status.as_u16(), status.canonical_reason().unwrap_or("Refused"));
    format!(
        r#"{{"type":"about:blank","title":"{title}","status":{code},"detail":"{detail}","reason":"{reason}"}}"#
    )
}

/// When to come back, in whole seconds.
pub(super) fn retry_after(rejection: Rejection) -> Option<u64> {
    rejection.retry_after().map(whole_seconds)
}

/// Rounded up: a client that comes back a moment too early is refused again.
pub(super) const fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add((wait.subsec_nanos() > 0) as u64)
}
