//! What a server says about when to come back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::http::HeaderMap;
use ::http::header::{DATE, RETRY_AFTER};
use fusebox_core::Decision;

/// The numbers that an `X-RateLimit-Reset` has where it is an instant, in seconds since the Unix
/// epoch: from 2001 on, and for three thousand years. As a time to wait, the least of them would be
/// 31 years.
const INSTANTS: std::ops::Range<u64> = 1_000_000_000..100_000_000_000;

/// How long a server asks the sender of a request to stay away, by the headers of its response at
/// the moment `now`; `None` where it does not say. The first of these that is there:
///
/// | field | form |
/// |---|---|
/// | `Retry-After` (RFC 9110, 10.2.3) | seconds, or a date |
/// | `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10) | `t`, in seconds, of a limit with `r=0`; of several the longest |
/// | `RateLimit-Reset` (the same draft, up to its version 06) | seconds, unless `RateLimit-Remaining` says that there is some left |
/// | `X-RateLimit-Reset` | the same; from 10^9 on it is an instant in Unix seconds, as that is what the number can only mean then |
///
/// Dates and instants are compared with the response's own `Date` where it has one, as that was
/// written by the same clock: how far this machine's clock is from it does not matter. `Date` is
/// cut to the second, so that a wait can be longer than meant by as much, and never shorter. What
/// has passed is no wait. What is malformed is as if it were not there; more seconds than a number
/// holds are for ever.
///
/// It is what the server says, and no more trustworthy than that: bound it, as
/// [`TransientStatus`](super::TransientStatus) does.
///
/// # Examples
///
/// ```
/// use fusebox_std::http::retry_after;
/// use http::Response;
/// use std::time::{Duration, SystemTime};
///
/// let response = Response::builder()
///     .header("date", "Sat, 21 Nov 2026 10:00:00 GMT")
///     .header("retry-after", "Sat, 21 Nov 2026 10:00:30 GMT")
///     .body(())
///     .unwrap();
/// let wait = retry_after(response.headers(), SystemTime::now());
/// assert_eq!(wait, Some(Duration::from_secs(30)));
/// ```
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let told = lines(headers, RETRY_AFTER.as_str());
    told.filter_map(|line| seconds(line).or_else(|| Some(until(date(line)?, headers, now))))
        .max()
        .or_else(|| {
            lines(headers, "ratelimit")
                .flat_map(|line| split(line, b','))
                .filter_map(exhausted)
                .max()
        })
        .or_else(|| seconds(reset(headers, "ratelimit-reset", "ratelimit-remaining")?))
        .or_else(|| {
            let line = reset(headers, "x-ratelimit-reset", "x-ratelimit-remaining")?;
            let told = seconds(line)?;
            match told.as_secs() {
                number if number < INSTANTS.start => Some(told),
                number if number < INSTANTS.end => Some(until(UNIX_EPOCH + told, headers, now)),
                // Milliseconds, perhaps.
                _ => None,
            }
        })
}

/// What a gRPC server says about another attempt, in `grpc-retry-pushback-ms` of its trailers, or
/// of its headers where there is no body: after so many milliseconds, or, where that is negative or
/// malformed, none (gRFC A6). `None` where it does not say.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::grpc_pushback, Decision};
/// use http::{HeaderMap, HeaderValue};
/// use std::time::Duration;
///
/// let mut trailers = HeaderMap::new();
/// assert_eq!(grpc_pushback(&trailers), None);
/// trailers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("250"));
/// assert_eq!(grpc_pushback(&trailers), Some(Decision::RetryAfter(Duration::from_millis(250))));
/// trailers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("-1"));
/// assert_eq!(grpc_pushback(&trailers), Some(Decision::Stop));
/// ```
#[must_use]
pub fn grpc_pushback(headers: &HeaderMap) -> Option<Decision> {
    let mut values = headers.get_all("grpc-retry-pushback-ms").iter();
    let value = values.next()?;
    let wait = value.to_str().ok().and_then(number).filter(|_| values.next().is_none());
    Some(wait.map_or(Decision::Stop, |millis| Decision::RetryAfter(Duration::from_millis(millis))))
}

/// The lines of a field that are text.
fn lines<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    headers.get_all(name).iter().filter_map(|line| line.to_str().ok())
}

/// The line that says when a limit is full again, unless another says that there is some left.
fn reset<'a>(headers: &'a HeaderMap, reset: &str, remaining: &str) -> Option<&'a str> {
    if lines(headers, remaining).filter_map(number).any(|left| left > 0) {
        return None;
    }
    lines(headers, reset).next()
}

/// How long to wait for a limit of a `RateLimit` field: an item of RFC 9651, such as
/// `"name";r=0;t=5`. `None` where there is some left.
fn exhausted(item: &str) -> Option<Duration> {
    let parameter = |name: &str| {
        let mut all = split(item, b';').skip(1);
        all.find_map(|part| number(part.trim().strip_prefix(name)?.strip_prefix('=')?))
    };
    (parameter("r")? == 0).then_some(Duration::from_secs(parameter("t")?))
}

/// The parts of `text` between separators that are not in a quoted string.
fn split(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character: char| {
        let escape = quoted && character == '\\' && !escaped;
        if character == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = escape;
        !quoted && character == char::from(separator)
    })
}

fn seconds(text: &str) -> Option<Duration> {
    number(text).map(Duration::from_secs)
}

/// Digits and nothing else: `parse` alone would take a sign as well. As many as there may be.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text.trim()).ok()
}

/// How long from when the response was sent until `at`.
fn until(at: SystemTime, headers: &HeaderMap, now: SystemTime) -> Duration {
    let sent = lines(headers, DATE.as_str()).find_map(date).unwrap_or(now);
    at.duration_since(sent).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;
    use ::http::header::HeaderName;

    fn wait(fields: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        // 2026-11-21T10:00:00Z.
        let now = UNIX_EPOCH + Duration::from_secs(1_795_255_200);
        retry_after(&headers, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_number_of_seconds() {
        for (text, seconds) in
            [("0", 0), ("120", 120), (" 7 ", 7), ("99999999999999999999", u64::MAX)]
        {
            assert_eq!(wait(&[("retry-after", text)]), Some(seconds), "{text:?}");
        }
        for text in ["", "-1", "+1", "1.5", "1e3", "soon", "1,2", "0x10"] {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text:?}");
        }
        assert_eq!(wait(&[("retry-after", "3"), ("retry-after", "5")]), Some(5));
        assert_eq!(wait(&[]), None);
    }

    #[test]
    fn a_date_by_the_clock_of_the_server() {
        let at = ("retry-after", "Sat, 21 Nov 2026 10:00:30 GMT");
        assert_eq!(wait(&[at]), Some(30), "by this machine's clock");
        // An hour late and an hour early: what counts is the difference.
        for date in ["Sat, 21 Nov 2026 09:00:30 GMT", "Sat, 21 Nov 2026 11:00:30 GMT"] {
            let expected = if date.contains("09:") { 3600 } else { 0 };
            assert_eq!(wait(&[at, ("date", date)]), Some(expected));
        }
        assert_eq!(wait(&[at, ("date", "Sat, 21 Nov 2026 10:00:10 GMT")]), Some(20));
        assert_eq!(wait(&[at, ("date", "yesterday")]), Some(30));
        // The two older forms that a recipient must understand.
        for text in ["Saturday, 21-Nov-26 10:00:30 GMT", "Sat Nov 21 10:00:30 2026"] {
            assert_eq!(wait(&[("retry-after", text)]), Some(30), "{text:?}");
        }
        for text in ["Sat, 21 Nov 2026 10:00:30", "Sat, 31 Feb 2026 10:00:30 GMT", "21 Nov 2026"] {
            assert_eq!(wait(&[("retry-after", text)]), None, "{text:?}");
        }
    }

    #[test]
    fn a_limit_that_is_exhausted() {
        for (text, expected) in [
            (r#""default";r=0;t=5"#, Some(5)),
            (r#""a";r=0;t=5, "b";r=0;t=50"#, Some(50)),
            (r#""a";r=0;t=5, "b";r=3;t=50"#, Some(5)),
            (r#""a;r=0;t=9";r=1;t=50"#, None),
            (r#""a,\";r=0;t=9";r=0; t=7;pk=:abc=:"#, Some(7)),
            (r#""a";t=7;r=0"#, Some(7)),
            (r#""a";r=0"#, None),
            (r#""a";r=0;t=-5"#, None),
            (r#""a";r=0;tt=5"#, None),
            (r#""a;r=0;t=5"#, None),
            ("", None),
        ] {
            assert_eq!(wait(&[("ratelimit", text)]), expected, "{text}");
        }
        let both = [("ratelimit", r#""a";r=0;t=50"#), ("retry-after", "5")];
        assert_eq!(wait(&both), Some(5), "what is meant for this request comes first");
    }

    #[test]
    fn the_older_fields() {
        assert_eq!(wait(&[("ratelimit-reset", "5")]), Some(5));
        assert_eq!(wait(&[("ratelimit-reset", "5"), ("ratelimit-remaining", "0")]), Some(5));
        assert_eq!(wait(&[("ratelimit-reset", "5"), ("ratelimit-remaining", "1")]), None);
        // It was never an instant.
        assert_eq!(wait(&[("ratelimit-reset", "1795255230")]), Some(1_795_255_230));
        for (text, expected) in [
            ("5", Some(5)),
            ("999999999", Some(999_999_999)),
            ("1795255230", Some(30)),
            ("1795255100", Some(0)),
            ("1795255230000", None),
            ("12.5", None),
        ] {
            assert_eq!(wait(&[("x-ratelimit-reset", text)]), expected, "{text}");
        }
        let by_its_clock =
            [("x-ratelimit-reset", "1795255230"), ("date", "Sat, 21 Nov 2026 10:00:25 GMT")];
        assert_eq!(wait(&by_its_clock), Some(5));
        let left = [("x-ratelimit-reset", "5"), ("x-ratelimit-remaining", "7")];
        assert_eq!(wait(&left), None);
    }

    #[test]
    fn a_pushback() {
        let told = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append("grpc-retry-pushback-ms", HeaderValue::from_static(value));
            }
            grpc_pushback(&headers)
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["0"]), Some(Decision::RetryAfter(Duration::ZERO)));
        assert_eq!(told(&["1500"]), Some(Decision::RetryAfter(Duration::from_millis(1500))));
        for malformed in ["-1", "", "+1", "1.5", "1s", "never"] {
            assert_eq!(told(&[malformed]), Some(Decision::Stop), "{malformed:?}");
        }
        assert_eq!(told(&["1", "2"]), Some(Decision::Stop));
    }
}
