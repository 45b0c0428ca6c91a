//! Where the key of a request is: for limits by user, by address, by path (features `http` and
//! `keyed`).
//!
//! ```
//! use axum::{Router, routing::get};
//! use fusebox_std::{http::key, prelude::*, tower::GateByLayer};
//! use std::sync::LazyLock;
//!
//! /// Ten requests a second for each user, and as many for all together who do not say who they are.
//! static USERS: LazyLock<KeyedBuckets<String>> = LazyLock::new(|| {
//!     KeyedBuckets::new(100_000, BucketConfig::per_second(10)).expect("a rate that fits")
//! });
//!
//! let app: Router = Router::new()
//!     .route("/", get(|| async { "hello" }))
//!     .layer(GateByLayer::keyed(&*USERS, key::header("x-api-key").or("nobody")).http());
//! ```
//!
//! | key | where it is |
//! |---|---|
//! | [`header`], [`header_named`] | in a header |
//! | [`path_segment`] | in one segment of the path: `ada` of `/users/ada/orders` |
//! | [`path_prefix`] | in the first segments of the path: `/users/ada` of `/users/ada/orders` |
//! | [`peer`] | in the address of the peer, or of the client behind trusted proxies |
//! | a closure | wherever it looks: axum's `MatchedPath`, a session, a token |
//!
//! A key becomes whatever the limits have as their keys: those of text a `String`, a `Box<str>` or
//! any type made [`From`] a `&str`, those of addresses a [`PeerNetwork`].
//!
//! # Requests without a key
//!
//! They are refused with [`Reason::NoKey`], which is status 400; or they share the limit of the key
//! that [`or`](Text::or) says, together with whoever sends just that.
//!
//! # What a stranger can do
//!
//! Whoever can invent keys has a fresh limit for each request. So a limit by a header or a path
//! stands behind what checks them, or beside a limit by address; what comes unchecked is at most a
//! way to be fair to those who mean well.
//!
//! # Examples
//!
//! By axum's route, so that `/users/1` and `/users/2` share a limit; every route has a limit of its
//! own:
//!
//! ```
//! use axum::{Router, body::Body, extract::MatchedPath, routing::get};
//! use fusebox_std::{prelude::*, tower::GateByLayer};
//! use http::Request;
//! use std::sync::Arc;
//!
//! let each = BulkheadConfig::new(10);
//! let routes = Arc::new(Keyed::new(100, move |_: &String| Bulkhead::<Queue<0>>::new(each)));
//! let route = |request: &Request<Body>| {
//!     let route = request.extensions().get::<MatchedPath>();
//!     route.map(|route| route.as_str().to_owned()).ok_or(Rejection::new(Reason::NoKey))
//! };
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(|| async { "hello" }))
//!     .layer(GateByLayer::keyed(routes, route).http());
//! ```

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use ::http::header::HeaderName;
use ::http::{Extensions, Request};
use fusebox_core::{Reason, Rejection};

use super::client_address;
use crate::peer::{PeerNetwork, TrustedProxies};
use crate::tower::KeyOf;

/// The longest text that is taken for a key, in bytes, unless told otherwise.
const MAX_LEN: usize = 128;

/// A key that is text in a request: [`header`], [`path_segment`], [`path_prefix`].
#[derive(Clone, Debug)]
#[must_use]
pub struct Text {
    place: Place,
    max_len: usize,
    shared: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
enum Place {
    Header(HeaderName),
    Segment(usize),
    Prefix(usize),
}

/// The value of the header `name`, which is in lower case.
///
/// A request has no key where the header is missing; where it is there more than once, as nobody
/// knows then which of its values was checked; and where its value is empty, longer than
/// [`max_len`](Text::max_len), or has other than visible ASCII characters, spaces and tabs.
///
/// # Panics
///
/// Where `name` is no name of a header, or not in lower case; in a `const`, that is a compile
/// error.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::key, tower::KeyOf};
/// use http::Request;
///
/// let key = key::header("x-api-key");
/// let request = Request::get("/").header("X-Api-Key", "k-7").body(()).unwrap();
/// assert_eq!(key.key_of(&request), Ok("k-7".to_owned()));
/// ```
pub const fn header(name: &'static str) -> Text {
    header_named(HeaderName::from_static(name))
}

/// As [`header`], of a name that is known only at run time.
pub const fn header_named(name: HeaderName) -> Text {
    Text::at(Place::Header(name))
}

/// The segment of the path with that number, from 0: of `/users/ada/orders`, 1 is `ada`.
///
/// What is escaped in it counts as what it stands for (RFC 3986, 2.1), so that nobody has a second
/// limit by writing `%61da`. A request has no key where its path has no such segment, or an empty
/// one, or one longer than [`max_len`](Text::max_len), or is escaped wrongly.
///
/// The path is as the service sees it: axum takes away what a nested router stands at.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::key, tower::KeyOf};
/// use http::Request;
///
/// let request = Request::get("/users/%61da/orders?page=2").body(()).unwrap();
/// assert_eq!(key::path_segment(1).key_of(&request), Ok("ada".to_owned()));
/// ```
pub const fn path_segment(number: usize) -> Text {
    Text::at(Place::Segment(number))
}

/// The first so many segments of the path: two of `/users/ada/orders` are `/users/ada`, and of a
/// path that has fewer, it is all of it.
///
/// As [`path_segment`] otherwise.
///
/// # Examples
///
/// ```
/// use fusebox_std::{http::key, tower::KeyOf};
/// use http::Request;
///
/// let request = Request::get("/users/ada/orders").body(()).unwrap();
/// assert_eq!(key::path_prefix(1).key_of(&request), Ok("/users".to_owned()));
/// ```
pub const fn path_prefix(segments: usize) -> Text {
    Text::at(Place::Prefix(segments))
}

impl Text {
    const fn at(place: Place) -> Self {
        Self { place, max_len: MAX_LEN, shared: None }
    }

    /// Requests without a key share the limit of the key `shared`, instead of being refused.
    pub fn or(mut self, shared: &str) -> Self {
        self.shared = Some(shared.into());
        self
    }

    /// A text of more bytes than this is no key: 128 unless told otherwise. The limits keep the
    /// keys, so that this times their number bounds the memory.
    pub const fn max_len(mut self, bytes: usize) -> Self {
        self.max_len = bytes;
        self
    }

    fn find<'a, B>(&self, request: &'a Request<B>) -> Option<Cow<'a, str>> {
        let path = request.uri().path();
        let text = match &self.place {
            Place::Header(name) => {
                let mut values = request.headers().get_all(name).into_iter();
                let (value, None) = (values.next()?, values.next()) else { return None };
                Cow::Borrowed(value.to_str().ok()?)
            }
            Place::Segment(number) => {
                unescaped(path.split('/').nth(number.checked_add(1)?)?, false)?
            }
            Place::Prefix(segments) => unescaped(prefix(path, *segments), true)?,
        };
        (1..=self.max_len).contains(&text.len()).then_some(text)
    }
}

impl<B, K: for<'a> From<&'a str>> KeyOf<Request<B>, K> for Text {
    fn key_of(&self, request: &Request<B>) -> Result<K, Rejection> {
        match (self.find(request), &self.shared) {
            (Some(text), _) => Ok(K::from(&text)),
            (None, Some(shared)) => Ok(K::from(shared)),
            (None, None) => Err(Rejection::new(Reason::NoKey)),
        }
    }
}

/// A path up to the slash that ends so many segments.
fn prefix(path: &str, segments: usize) -> &str {
    // The first slash begins the path; that of `*` (a request for the whole server) has none.
    let end = path.match_indices('/').map(|(at, _)| at).nth(segments);
    end.map_or(path, |end| &path[..end])
}

/// What a text with escapes stands for; `None` where it is escaped wrongly, or is no text. Of a
/// path of several segments slashes stay escaped, and so do percent signs: two paths are never the
/// same text.
fn unescaped(text: &str, is_path: bool) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        // Digits only: `from_str_radix` would take a sign.
        let are_digits = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        match u8::from_str_radix(digits, 16).ok().filter(|_| are_digits)? {
            b'/' if is_path => bytes.extend_from_slice(b"%2F"),
            b'%' if is_path => bytes.extend_from_slice(b"%25"),
            byte => bytes.push(byte),
        }
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A key that is the network of the client's address: [`peer`].
#[derive(Clone)]
#[must_use]
pub struct Peer<F> {
    find: F,
    proxies: Arc<TrustedProxies>,
    prefixes: (u8, u8),
    shared: Option<IpAddr>,
}

/// The network of the address that a request comes from. `find` says what the server has put into
/// the extensions of the request as the address of the peer.
///
/// The network is an IPv4 address or 64 bits of an IPv6 address, see [`PeerNetwork`]. A request has
/// no key where `find` finds no address.
///
/// # Examples
///
/// A service with axum, served with `into_make_service_with_connect_info::<SocketAddr>()`, behind
/// load balancers at `10.0.0.0/8`:
///
/// ```
/// use axum::{Router, extract::ConnectInfo, routing::get};
/// use fusebox_std::{http::key, prelude::*, tower::GateByLayer};
/// use http::Extensions;
/// use std::{net::SocketAddr, sync::Arc};
///
/// let limits = KeyedBuckets::<PeerNetwork>::new(100_000, BucketConfig::per_second(10)).unwrap();
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
/// let client = key::peer(|seen: &Extensions| Some(seen.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
///     .behind(proxies);
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(GateByLayer::keyed(Arc::new(limits), client).http());
/// ```
pub fn peer<F>(find: F) -> Peer<F>
where
    F: Fn(&Extensions) -> Option<IpAddr>,
{
    Peer { find, proxies: Arc::default(), prefixes: (32, 64), shared: None }
}

impl<F> Peer<F> {
    /// Behind `proxies`, whose `X-Forwarded-For` is believed: see [`client_address`].
    pub fn behind(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Arc::new(proxies);
        self
    }

    /// Networks of so many bits: see [`PeerNetwork::with_prefix`].
    pub const fn prefixes(mut self, v4: u8, v6: u8) -> Self {
        self.prefixes = (v4, v6);
        self
    }

    /// Requests without a key share the limit of the address `shared`, instead of being refused.
    pub const fn or(mut self, shared: IpAddr) -> Self {
        self.shared = Some(shared);
        self
    }
}

impl<B, F: Fn(&Extensions) -> Option<IpAddr>> KeyOf<Request<B>, PeerNetwork> for Peer<F> {
    fn key_of(&self, request: &Request<B>) -> Result<PeerNetwork, Rejection> {
        let found = (self.find)(request.extensions());
        let client = found.map(|peer| client_address(&self.proxies, peer, request.headers()));
        let client = client.or(self.shared).ok_or(Rejection::new(Reason::NoKey))?;
        Ok(PeerNetwork::with_prefix(client, self.prefixes.0, self.prefixes.1))
    }
}

impl<F> std::fmt::Debug for Peer<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Peer")
            .field("proxies", &self.proxies)
            .field("prefixes", &self.prefixes)
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, keys: &[&'static str]) -> Request<()> {
        let request = Request::get(path);
        let add = |request: ::http::request::Builder, key: &&str| request.header("x-api-key", *key);
        keys.iter().fold(request, add).body(()).expect("a request")
    }

    fn key(of: &Text, request: &Request<()>) -> Option<String> {
        of.key_of(request).ok()
    }

    #[test]
    fn a_header_is_a_key_where_there_is_one_of_it() {
        let of = |keys: &[&'static str]| key(&header("x-api-key"), &request("/", keys));
        assert_eq!(of(&["k 7"]).as_deref(), Some("k 7"));
        for none in [&[][..], &[""], &["a", "b"], &["a", "a"], &["\u{e9}"]] {
            assert_eq!(of(none), None, "{none:?}");
        }
        let short = header("x-api-key").max_len(3).or("nobody");
        for (value, expected) in [("abc", "abc"), ("abcd", "nobody"), ("", "nobody")] {
            let found: Result<Box<str>, _> = short.key_of(&request("/", &[value]));
            assert_eq!(found.as_deref(), Ok(expected));
        }
        let refused: Result<String, _> = header("x-api-key").key_of(&request("/", &[]));
        assert_eq!(refused, Err(Rejection::new(Reason::NoKey)));
    }

    #[test]
    fn a_segment_is_a_key_however_it_is_written() {
        let of = |path, number| key(&path_segment(number), &request(path, &[]));
        for path in ["/users/ada", "/users/ada/", "/users/ada/x", "/users/ada?b", "/users/%61d%61"]
        {
            assert_eq!(of(path, 1).as_deref(), Some("ada"), "{path}");
        }
        assert_eq!(of("/users/%C3%A9", 1).as_deref(), Some("\u{e9}"));
        for path in [
            "/",
            "/users",
            "/users/",
            "/users//ada",
            "/users/%",
            "/users/%6",
            "/users/%+1",
            "/users/%ff",
        ] {
            assert_eq!(of(path, 1), None, "{path}");
        }
        assert_eq!(of("/users/ada", usize::MAX), None);
        let long = format!("/users/{}", "a".repeat(MAX_LEN + 1));
        assert_eq!(key(&path_segment(1), &request(&long, &[])), None);
    }

    #[test]
    fn a_prefix_is_a_key() {
        let of = |path, segments| key(&path_prefix(segments), &request(path, &[]));
        for (path, segments, expected) in [
            ("/users/ada/orders", 1, "/users"),
            ("/users/%61da/orders", 2, "/users/ada"),
            ("/users/ada", 2, "/users/ada"),
            ("/users", 2, "/users"),
            ("/", 1, "/"),
            ("/users/ada", usize::MAX, "/users/ada"),
            // Not the same as without the escape, nor as each other.
            ("/users%2fada", 2, "/users%2Fada"),
            ("/users%252Fada", 2, "/users%252Fada"),
        ] {
            assert_eq!(of(path, segments).as_deref(), Some(expected), "{path}");
        }
    }

    #[test]
    fn a_peer_is_known_by_its_network() {
        let peer = peer(|seen: &Extensions| seen.get::<IpAddr>().copied()).prefixes(24, 48);
        let mut request = request("/", &[]);
        assert_eq!(peer.key_of(&request), Err(Rejection::new(Reason::NoKey)));
        let shared = peer.clone().or([0; 4].into()).key_of(&request);
        assert_eq!(shared.map(|network| network.to_string()).as_deref(), Ok("0.0.0.0/24"));

        request.extensions_mut().insert(IpAddr::from([10, 0, 0, 1]));
        request.headers_mut().append("x-forwarded-for", "192.0.2.9".parse().expect("a value"));
        let seen = |peer: &Peer<_>| peer.key_of(&request).map(|network| network.to_string());
        assert_eq!(seen(&peer).as_deref(), Ok("10.0.0.0/24"));
        let proxies = TrustedProxies::new(["10.0.0.0/8".parse().expect("a network")]);
        assert_eq!(seen(&peer.behind(proxies)).as_deref(), Ok("192.0.2.0/24"));
    }
}
