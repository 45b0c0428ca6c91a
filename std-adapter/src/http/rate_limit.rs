//! The `RateLimit` and `RateLimit-Policy` fields.
//!
//! Two ways to tell a limit. [`RateLimitPolicy`] says what it is told to say. [`ByGate`] asks the
//! gate that the request went through, and so cannot say anything else than what holds: also where
//! limits are changed live, and where some keys have limits of their own.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::http::header::HeaderName;
use ::http::{HeaderMap, HeaderValue};
use fusebox_core::{Clock, Quota, Reason, Rejection, TokenBucket};

use super::problem::{retry_after, whole_seconds};
use crate::tower::AtGate;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// A limit as it is told to clients, in the fields `RateLimit-Policy` and `RateLimit` of the IETF's
/// draft-ietf-httpapi-ratelimit-headers-10.
///
/// `RateLimit-Policy: "NAME";q=QUOTA;w=SECONDS` is on each response. One that is refused by the
/// limit also has `RateLimit: "NAME";r=0;t=SECONDS`, where it is known when to come back.
///
/// For a limit that has a token bucket, [`tell_limit`](super::HttpLayer::tell_limit) says this and
/// how much is left, from the bucket itself.
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
    /// At most `quota` requests in each `window`, which is told in whole seconds, rounded up.
    /// `None` where `name` has characters other than printable ASCII.
    #[must_use]
    pub fn new(name: &str, quota: u32, window: Duration) -> Option<Self> {
        if !name.bytes().all(is_printable) {
            return None;
        }
        let (name, window) = (quoted(name), whole_seconds(window));
        let field = HeaderValue::try_from(format!("{name};q={quota};w={window}")).ok()?;
        Some(Self { name, field })
    }
}

/// A gate that can say what is left of its limit: a bucket of one's own or of a key, a pointer to
/// one, or a tuple whose first gate is one.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot say what is left of its limit",
    note = "token buckets can; of a tuple of gates the first one is asked"
)]
pub trait RateLimited {
    /// What is left, and what there is over time.
    fn quota(&self) -> Quota;
}

impl<C: Clock> RateLimited for TokenBucket<C> {
    fn quota(&self) -> Quota {
        self.quota()
    }
}

#[cfg(feature = "keyed")]
impl<R, K, C, S> RateLimited for crate::KeyedBucket<R, K>
where
    R: std::ops::Deref<Target = crate::KeyedBuckets<K, C, S>>,
    K: std::hash::Hash + Eq,
    C: Clock + Clone,
    S: std::hash::BuildHasher,
{
    fn quota(&self) -> Quota {
        self.quota()
    }
}

#[cfg(feature = "keyed")]
impl<G: RateLimited> RateLimited for crate::KeyedGate<G> {
    fn quota(&self) -> Quota {
        (**self).quota()
    }
}

macro_rules! through_pointers {
    ($($pointer:ty)*) => {$(
        impl<G: RateLimited + ?Sized> RateLimited for $pointer {
            fn quota(&self) -> Quota {
                (**self).quota()
            }
        }
    )*};
}

through_pointers! { &G Box<G> Rc<G> Arc<G> }

macro_rules! by_first {
    ($($other:ident)*) => {
        impl<G: RateLimited, $($other),*> RateLimited for (G, $($other,)*) {
            fn quota(&self) -> Quota {
                self.0.quota()
            }
        }
    };
}

by_first! {}
by_first! { B }
by_first! { B C }
by_first! { B C D }

/// What a layer tells of its limit: nothing, or as a [`RateLimitPolicy`] says, unless it is
/// [`ByGate`].
#[derive(Clone, Debug)]
pub struct AsSaid(pub(super) Option<Arc<RateLimitPolicy>>);

/// What a layer tells of its limit is what the gate says, under this name.
#[derive(Clone, Debug)]
pub struct ByGate {
    /// Quoted.
    name: Arc<str>,
}

impl ByGate {
    pub(super) fn new(name: &str) -> Self {
        let printable = name.replace(|char: char| !matches!(char, ' '..='~'), "");
        Self { name: quoted(&printable).into() }
    }
}

/// What is told about the limit with a response, after the call `F`.
pub trait TellLimit<F> {
    /// Adds fields to those of the response, which is to a refusal where there is a `rejection`.
    #[doc(hidden)]
    fn tell(&self, call: &F, rejection: Option<Rejection>, headers: &mut HeaderMap);
}

impl<F> TellLimit<F> for AsSaid {
    fn tell(&self, _call: &F, rejection: Option<Rejection>, headers: &mut HeaderMap) {
        let Some(policy) = &self.0 else { return };
        headers.append(POLICY, policy.field.clone());
        if let Some(seconds) = rejection.and_then(come_back) {
            append(headers, LIMIT, format_args!("{};r=0;t={seconds}", policy.name));
        }
    }
}

impl<F: AtGate<Gate: RateLimited>> TellLimit<F> for ByGate {
    fn tell(&self, call: &F, rejection: Option<Rejection>, headers: &mut HeaderMap) {
        // None where the request was refused before a gate was chosen: no limit has been asked.
        let Some(quota) = call.gate().map(RateLimited::quota) else { return };
        let (name, (tokens, window)) = (&self.name, quota.per_window());
        append(headers, POLICY, format_args!("{name};q={tokens};w={window}"));
        let left = quota.left();
        let seconds = match rejection.and_then(come_back) {
            _ if left > 0 => whole_seconds(quota.full_in()),
            // The very moment that `Retry-After` tells. Only where nothing is left: it may be
            // another gate that has refused.
            Some(seconds) => seconds,
            None => whole_seconds(quota.next_in()),
        };
        append(headers, LIMIT, format_args!("{name};r={left};t={seconds}"));
    }
}

/// When to come back after a refusal, where the limit is what refused.
fn come_back(rejection: Rejection) -> Option<u64> {
    retry_after(rejection).filter(|_| rejection.reason() == Reason::RateLimited)
}

fn append(headers: &mut HeaderMap, field: HeaderName, value: fmt::Arguments<'_>) {
    // Names are printable, so that it never fails.
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        headers.append(field, value);
    }
}

const fn is_printable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

/// A string of RFC 8941, 3.3.3.
fn quoted(printable: &str) -> String {
    format!("\"{}\"", printable.replace('\\', r"\\").replace('"', "\\\""))
}
