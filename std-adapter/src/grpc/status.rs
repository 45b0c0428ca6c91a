//! The response to a call that was refused or timed out: "Trailers-Only" of gRPC's
//! "PROTOCOL-HTTP2".

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, HeaderName};
use ::http::{HeaderMap, HeaderValue, Response};
use fusebox_core::{Error, Reason, Rejection};

use super::code::{Code, STATUS};

const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The whole response. Out of line, so that calls that are let in do not pay for it.
#[cold]
pub(super) fn response<B: Default>(error: &Error<Infallible>, code: Code) -> Response<B> {
    let mut response = Response::new(B::default());
    let message = match error {
        Error::Rejected(rejection) => rejection.reason().to_string(),
        Error::TimedOut => "timed out".to_owned(),
        Error::Inner(never) => match *never {},
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    tell(headers, code, &message);
    if let Some(rejection) = error.rejection() {
        if let Some(pushback) = pushback(rejection) {
            headers.insert(PUSHBACK, pushback);
        }
        response.extensions_mut().insert(rejection);
    }
    response
}

/// The status, as it is in the head or the trailers.
pub(super) fn tell(headers: &mut HeaderMap, code: Code, message: &str) {
    headers.insert(STATUS, code.header());
    if let Ok(message) = HeaderValue::try_from(percent_encoded(message)) {
        headers.insert(MESSAGE, message);
    }
}

/// When to come back; "do not" is anything but a number from 0.
fn pushback(rejection: Rejection) -> Option<HeaderValue> {
    match (rejection.reason(), rejection.retry_after()) {
        (Reason::ExceedsBurst | Reason::NoKey, _) => Some(HeaderValue::from_static("-1")),
        // More than the 32 bits that it may have is "do not" to a client that reads it as told.
        (_, Some(wait)) => Some(match i32::try_from(whole_millis(wait)) {
            Ok(millis) => HeaderValue::from(millis),
            Err(_) => HeaderValue::from_static("-1"),
        }),
        (_, None) => None,
    }
}

/// Rounded up: a client that comes back a moment too early is refused again.
const fn whole_millis(wait: Duration) -> u128 {
    wait.as_nanos().div_ceil(1_000_000)
}

/// As `grpc-message` must be: all but the printable characters of ASCII, and `%` itself, by the
/// bytes of their UTF-8.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' | ..b' ' | 0x7f.. => {
                let _ = write!(encoded, "%{byte:02X}");
            }
            plain => encoded.push(char::from(plain)),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_encoded() {
        assert_eq!(percent_encoded("99 % ~\u{7f}\r\né"), "99 %25 ~%7F%0D%0A%C3%A9");
    }

    /// Bug 6, in milliseconds: a wait that is rounded down is one refusal more.
    #[test]
    fn the_time_to_come_back_is_rounded_up() {
        for (nanos, millis) in [(0, 0), (1, 1), (1_000_000, 1), (1_000_001, 2)] {
            assert_eq!(whole_millis(Duration::from_nanos(nanos)), millis);
        }
        let told = |millis| {
            let refusal = Rejection::after_ticks(Reason::CircuitOpen, millis, 1000);
            pushback(refusal).and_then(|value| value.to_str().map(str::to_owned).ok())
        };
        assert_eq!(told(i32::MAX as u64).as_deref(), Some("2147483647"));
        assert_eq!(told(i32::MAX as u64 + 1).as_deref(), Some("-1"), "it has 32 bits");
        assert_eq!(told(u64::MAX).as_deref(), Some("-1"));
    }
}
