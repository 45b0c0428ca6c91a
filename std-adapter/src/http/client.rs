//! Whose request it is, by address.

use std::net::IpAddr;

use ::http::HeaderMap;

use crate::peer::TrustedProxies;

/// The address of the client whose request came from `peer`: by its `X-Forwarded-For`, as far as
/// `proxies` are believed; see [`TrustedProxies::client`]. What is no text ends the search.
///
/// # Examples
///
/// A limit for each client of a service with axum, served with
/// `into_make_service_with_connect_info::<SocketAddr>()`:
///
/// ```
/// # #[cfg(feature = "keyed")] {
/// use axum::{Router, body::Body, extract::ConnectInfo, routing::get};
/// use fusebox_std::{http::client_address, prelude::*, tower::GateByLayer};
/// use fusebox_std::{KeyedBucket, KeyedBuckets, PeerNetwork, TrustedProxies};
/// use http::Request;
/// use std::{net::{IpAddr, SocketAddr}, sync::Arc};
///
/// let limits = KeyedBuckets::<PeerNetwork>::new(100_000, BucketConfig::per_second(10)).unwrap();
/// let limits = Arc::new(limits);
/// let proxies = Arc::new(TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]));
///
/// let by_client = GateByLayer::new(move |request: &Request<Body>| {
///     let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
///     // Those whose address nobody knows share a limit.
///     let peer = peer.map_or(IpAddr::from([0; 4]), |info| info.0.ip());
///     let client = client_address(&proxies, peer, request.headers());
///     Ok(KeyedBucket::new(Arc::clone(&limits), PeerNetwork::of(client)))
/// });
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(by_client.http());
/// # }
/// ```
#[must_use]
pub fn client_address(proxies: &TrustedProxies, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").into_iter();
    // One by one: what a client writes before them takes nothing from the addresses of the proxies.
    let hops = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    proxies.client(peer, hops.map(|hop| std::str::from_utf8(hop).unwrap_or("")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// Bug 27: the leftmost address of `X-Forwarded-For` was trusted (`tower_governor`), so that
    /// each request could have a limit of its own by saying so.
    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        let proxies = TrustedProxies::new(["10.0.0.0/8".parse().expect("a network")]);
        let mut headers = HeaderMap::new();
        assert_eq!(client_address(&proxies, ip("10.0.0.1"), &headers), ip("10.0.0.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("1.1.1.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("203.0.113.7, 10.0.0.2"));
        assert_eq!(client_address(&proxies, ip("10.0.0.1"), &headers), ip("203.0.113.7"));
        assert_eq!(client_address(&proxies, ip("192.0.2.9"), &headers), ip("192.0.2.9"));

        // Nor does what it writes hide the address that a proxy has added.
        let mut spoiled = HeaderMap::new();
        let line = HeaderValue::from_bytes(b"\xff, 203.0.113.7, 10.0.0.2").expect("a value");
        spoiled.append("x-forwarded-for", line);
        assert_eq!(client_address(&proxies, ip("10.0.0.1"), &spoiled), ip("203.0.113.7"));

        let unreadable = HeaderValue::from_bytes(b"203.0.113.7\xff").expect("a value");
        headers.append("x-forwarded-for", unreadable);
        assert_eq!(client_address(&proxies, ip("10.0.0.1"), &headers), ip("10.0.0.1"));
    }
}
