//! Whose request it is, by address.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ::http::HeaderMap;
use ::http::header::HeaderName;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Finds the address of the client, as a key for limits.
///
/// The address of the peer is what a server sees for itself. Behind a proxy that is the proxy's, and
/// the client's is in a header, which anybody can send: so it is looked at only where the peer is one
/// of the proxies that are [trusted](Self::behind). Each proxy adds the address that it sees at the
/// end of `X-Forwarded-For`, so the list is read from the right, and the first address that is not
/// a trusted proxy's is the client's: what stands left of that is only what the client says. (RFC 7239,
/// 8.1, has the same warning.)
///
/// An IPv6 client has a whole network of addresses, so the key is a prefix: 64 bits, unless told
/// otherwise, of the 48 to 64 that a customer is given (RFC 6177). An IPv4 address that is written as
/// an IPv6 one (`::ffff:192.0.2.1`) is the same client.
///
/// # Examples
///
/// ```
/// use axum::{Router, body::Body, extract::ConnectInfo, routing::get};
/// use fusebox_std::{http::{ClientIp, ServerErrors}, prelude::*, tower::GateByLayer};
/// # #[cfg(feature = "keyed")] {
/// use fusebox_std::{KeyedBucket, KeyedBuckets};
/// use std::net::{IpAddr, SocketAddr};
/// use std::sync::Arc;
///
/// let limits = Arc::new(KeyedBuckets::<IpAddr>::new(100_000, BucketConfig::per_second(10)).unwrap());
/// let client = Arc::new(ClientIp::new().behind("10.0.0.0/8".parse().unwrap()));
///
/// let app: Router = Router::new().route("/", get(|| async { "hello" })).layer(
///     GateByLayer::new(move |request: &http::Request<Body>| {
///         let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
///         let peer = peer.map_or([0; 4].into(), |info| info.0.ip());
///         Ok(KeyedBucket::new(Arc::clone(&limits), client.key(peer, request.headers())))
///     })
///     .http(),
/// );
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientIp {
    proxies: Vec<Network>,
    header: HeaderName,
    ipv4_bits: u8,
    ipv6_bits: u8,
}

impl Default for ClientIp {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientIp {
    /// The address of the peer, whatever the headers say.
    pub const fn new() -> Self {
        Self { proxies: Vec::new(), header: FORWARDED_FOR, ipv4_bits: 32, ipv6_bits: 64 }
    }

    /// Trusts the proxies of `network`: all of its addresses, so let it hold nothing else.
    pub fn behind(mut self, network: Network) -> Self {
        self.proxies.push(network);
        self
    }

    /// The header in which proxies add the address that they see, as a list: `X-Forwarded-For` unless
    /// told otherwise.
    pub fn header(mut self, header: HeaderName) -> Self {
        self.header = header;
        self
    }

    /// How many bits of an IPv4 address are the key, at most 32: the default.
    pub const fn ipv4_prefix(mut self, bits: u8) -> Self {
        self.ipv4_bits = bits;
        self
    }

    /// How many bits of an IPv6 address are the key, at most 128. The default is 64.
    pub const fn ipv6_prefix(mut self, bits: u8) -> Self {
        self.ipv6_bits = bits;
        self
    }

    /// The client's address cut to its prefix.
    #[must_use]
    pub fn key(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        match self.address(peer, headers) {
            IpAddr::V4(address) => IpAddr::V4(cut_v4(address, self.ipv4_bits)),
            IpAddr::V6(address) => IpAddr::V6(cut_v6(address, self.ipv6_bits)),
        }
    }

    /// The client's address. Where a trusted proxy says something that is no address, it is that
    /// proxy's: nothing beyond it is known.
    ///
    /// # Examples
    ///
    /// ```
    /// use fusebox_std::http::ClientIp;
    /// use http::HeaderMap;
    ///
    /// let mut headers = HeaderMap::new();
    /// // The client has made up the first.
    /// headers.insert("x-forwarded-for", "1.1.1.1, 203.0.113.7, 10.0.0.2".parse()?);
    ///
    /// let client = ClientIp::new().behind("10.0.0.0/8".parse()?);
    /// assert_eq!(client.address("10.0.0.1".parse()?, &headers).to_string(), "203.0.113.7");
    /// // Not by way of a proxy of ours.
    /// assert_eq!(client.address("192.0.2.9".parse()?, &headers).to_string(), "192.0.2.9");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut known = peer.to_canonical();
        // Of several such fields the last is the last to have been added.
        let lines = headers.get_all(&self.header).iter().rev();
        let mut said = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.is_trusted(known) {
            match said.next().and_then(parse_address) {
                Some(address) => known = address,
                None => break,
            }
        }
        known
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }
}

/// An address, with or without the port that some proxies add.
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let with_port = || text.parse::<std::net::SocketAddr>().map(|address| address.ip());
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().or_else(|_| with_port()).ok().map(|address| address.to_canonical())
}

const fn cut_v4(address: Ipv4Addr, bits: u8) -> Ipv4Addr {
    match u32::MAX.checked_shl(32_u32.saturating_sub(bits as u32)) {
        Some(mask) => Ipv4Addr::from_bits(address.to_bits() & mask),
        None => Ipv4Addr::UNSPECIFIED,
    }
}

const fn cut_v6(address: Ipv6Addr, bits: u8) -> Ipv6Addr {
    match u128::MAX.checked_shl(128_u32.saturating_sub(bits as u32)) {
        Some(mask) => Ipv6Addr::from_bits(address.to_bits() & mask),
        None => Ipv6Addr::UNSPECIFIED,
    }
}

/// The addresses that begin with the same bits: `10.0.0.0/8`, `2001:db8::/32`, or a single one.
///
/// # Examples
///
/// ```
/// use fusebox_std::http::Network;
///
/// let proxies: Network = "2001:db8:1::/48".parse()?;
/// assert!(proxies.contains("2001:db8:1::7".parse().unwrap()));
/// assert!("10.0.0.0/33".parse::<Network>().is_err());
/// # Ok::<(), fusebox_std::http::ParseNetworkError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// The network of all addresses that have the first `bits` in common with `address`; `None` where
    /// an address has no such number of bits.
    #[must_use]
    pub const fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(address) if bits <= 32 => IpAddr::V4(cut_v4(address, bits)),
            IpAddr::V6(address) if bits <= 128 => IpAddr::V6(cut_v6(address, bits)),
            IpAddr::V4(_) | IpAddr::V6(_) => return None,
        };
        Some(Self { address, bits })
    }

    /// Whether `address` is one of them.
    #[must_use]
    pub const fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                own.to_bits() == cut_v4(other, self.bits).to_bits()
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                own.to_bits() == cut_v6(other, self.bits).to_bits()
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = ParseNetworkError;

    fn from_str(text: &str) -> Result<Self, ParseNetworkError> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| ParseNetworkError)?;
        let all = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(all), str::parse).map_err(|_| ParseNetworkError)?;
        Self::new(address, bits).ok_or(ParseNetworkError)
    }
}

/// A text that is no [`Network`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseNetworkError;

impl fmt::Display for ParseNetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a network: an address, a slash and the number of its bits")
    }
}

impl std::error::Error for ParseNetworkError {}

#[cfg(test)]
mod tests {
    use super::*;
    use ::http::HeaderValue;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn said(lines: &[&'static str]) -> HeaderMap {
        let values = lines.iter().map(|line| (FORWARDED_FOR, HeaderValue::from_static(line)));
        let mut headers = HeaderMap::new();
        values.for_each(|(name, value)| _ = headers.append(name, value));
        headers
    }

    /// Bug 27: the leftmost address of `X-Forwarded-For` was trusted (`tower_governor`), so that each
    /// request could have a limit of its own by saying so.
    #[test]
    fn what_a_client_says_of_itself_is_not_believed() {
        let client = ClientIp::new().behind(network("10.0.0.0/8")).behind(network("fd00::/8"));
        let found =
            |peer, lines: &[&'static str]| client.address(ip(peer), &said(lines)).to_string();
        assert_eq!(found("203.0.113.7", &["1.1.1.1"]), "203.0.113.7");
        for made_up in ["1.1.1.1, 203.0.113.7", "10.0.0.9, 203.0.113.7", "unknown, 203.0.113.7"] {
            assert_eq!(found("10.0.0.1", &[made_up]), "203.0.113.7");
        }
        assert_eq!(found("10.0.0.1", &["1.1.1.1", "203.0.113.7,10.0.0.3"]), "203.0.113.7");
        assert_eq!(found("::ffff:10.0.0.1", &["::ffff:203.0.113.7"]), "203.0.113.7");
        assert_eq!(found("fd00::1", &["2001:db8::7"]), "2001:db8::7");
        // With ports.
        assert_eq!(found("10.0.0.1", &["203.0.113.7:4711"]), "203.0.113.7");
        assert_eq!(found("10.0.0.1", &["[2001:db8::7]:4711, [fd00::2]"]), "2001:db8::7");
        // Nothing more is known.
        assert_eq!(found("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(found("10.0.0.1", &["1.1.1.1, , 10.0.0.2"]), "10.0.0.2");
        assert_eq!(found("10.0.0.1", &["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        let alone = ClientIp::new().address(ip("10.0.0.1"), &said(&["1.1.1.1"]));
        assert_eq!(alone, ip("10.0.0.1"), "nobody is trusted");
    }

    /// Bug 27, too: an IPv6 client has 2^64 addresses, each with a limit of its own.
    #[test]
    fn keys_are_prefixes() {
        let key =
            |client: ClientIp, address| client.key(ip(address), &HeaderMap::new()).to_string();
        assert_eq!(key(ClientIp::new(), "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(key(ClientIp::new(), "192.0.2.130"), "192.0.2.130");
        assert_eq!(key(ClientIp::new(), "::ffff:192.0.2.130"), "192.0.2.130");
        let wide = || ClientIp::new().ipv4_prefix(24).ipv6_prefix(48);
        assert_eq!(key(wide(), "2001:db8:1:2:3:4:5:6"), "2001:db8:1::");
        assert_eq!(key(wide(), "192.0.2.130"), "192.0.2.0");
        assert_eq!(key(ClientIp::new().ipv4_prefix(0), "192.0.2.130"), "0.0.0.0");
        assert_eq!(key(ClientIp::new().ipv4_prefix(99), "192.0.2.130"), "192.0.2.130");
    }

    #[test]
    fn networks() {
        assert!(network("0.0.0.0/0").contains(ip("255.255.255.255")));
        assert!(!network("0.0.0.0/0").contains(ip("::1")));
        assert!(network("192.0.2.1").contains(ip("192.0.2.1")));
        assert!(!network("192.0.2.1").contains(ip("192.0.2.2")));
        assert!(network("192.0.2.128/25").contains(ip("::ffff:192.0.2.255")));
        assert!(!network("192.0.2.128/25").contains(ip("192.0.2.127")));
        for text in ["", "10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(ParseNetworkError), "{text:?}");
        }
    }
}
