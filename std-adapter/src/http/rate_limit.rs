//! The `RateLimit` and `RateLimit-Policy` fields.

use std::fmt::Write;
use std::time::Duration;

use ::http::header::HeaderName;
use ::http::{HeaderMap, HeaderValue};
use fusebox_core::{Reason, Rejection};

use super::problem::{retry_after, whole_seconds};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A limit as it is told to clients, in the fields `RateLimit-Policy` and `RateLimit` of the IETF's
/// draft-ietf-httpapi-ratelimit-headers-10.
///
/// `RateLimit-Policy: "NAME";q=QUOTA;w=SECONDS` is on each response. One that is refused by the limit
/// also has `RateLimit: "NAME";r=0;t=SECONDS`, where it is known when to come back. How much is left
/// is not told while there is some, which the draft allows: by the time a client reads it, others
/// have taken theirs.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::RateLimitPolicy, prelude::*, tower::GateLayer};
/// use std::time::Duration;
///
/// static LIMIT: TokenBucket = TokenBucket::new(BucketConfig::per_minute(600).burst(100), StdClock);
///
/// // 600 requests in 60 seconds.
/// let policy = RateLimitPolicy::new("requests", 600, Duration::from_secs(60)).unwrap();
/// let layer = GateLayer::new(&LIMIT).http().rate_limit(policy);
/// # let _ = layer;
/// ```
#[derive(Clone, Debug)]
pub struct RateLimitPolicy {
    /// The quoted name.
    name: String,
    field: HeaderValue,
}

impl RateLimitPolicy {
    /// At most `quota` requests in each `window`, which is told in whole seconds, rounded up. `None`
    /// where `name` has characters other than printable ASCII.
    #[must_use]
    pub fn new(name: &str, quota: u32, window: Duration) -> Option<Self> {
        if !name.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return None;
        }
        // A string of RFC 8941, 3.3.3.
        let name = format!("\"{}\"", name.replace('\\', r"\\").replace('"', "\\\""));
        let window = whole_seconds(window);
        let field = HeaderValue::try_from(format!("{name};q={quota};w={window}")).ok()?;
        Some(Self { name, field })
    }

    /// Adds what is to be told with any response.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        headers.append(POLICY, self.field.clone());
    }

    /// Adds what is to be told with a refusal, where the limit is what refused.
    pub(super) fn tell_refused(&self, headers: &mut HeaderMap, rejection: Rejection) {
        let (Reason::RateLimited, Some(seconds)) = (rejection.reason(), retry_after(rejection))
        else {
            return;
        };
        let mut value = self.name.clone();
        let _ = write!(value, ";r=0;t={seconds}");
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.append(LIMIT, value);
        }
    }
}
