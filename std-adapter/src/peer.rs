//! Who is at the other end: the key of a limit by address.
//!
//! Two mistakes are common. An `X-Forwarded-For` is what the client wrote and what each proxy added
//! at the right, so its leftmost address is whatever the client likes: it gets a fresh limit for
//! each request, or somebody else's. [`TrustedProxies`] goes from right to left, and no further
//! than to the first address that is not of a proxy of one's own. And an IPv6 address is one of the
//! 2^64 or more that each client has to choose from, so that its limit is by its network:
//! [`PeerNetwork`].

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The network of a client: an IPv4 address, or the first 64 bits of an IPv6 address. It is what a
/// limit by address has as its key.
///
/// # Examples
///
/// ```
/// use fusebox_std::PeerNetwork;
///
/// let one = PeerNetwork::of("2001:db8:7:7::1".parse()?);
/// let other = PeerNetwork::of("2001:db8:7:7:ffff::2".parse()?);
/// assert_eq!(one, other);
/// assert_eq!(one.to_string(), "2001:db8:7:7::/64");
///
/// // An IPv4 address, however the socket spells it.
/// assert_eq!(PeerNetwork::of("::ffff:192.0.2.1".parse()?).to_string(), "192.0.2.1/32");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerNetwork {
    /// Its bits after the prefix are 0.
    first: IpAddr,
    prefix: u8,
}

impl PeerNetwork {
    /// The network of `address`: all of an IPv4 address, the first 64 bits of an IPv6 address.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        Self::with_prefix(address, 32, 64)
    }

    /// The network of `address`, of so many bits: at most 32 for IPv4, at most 128 for IPv6, and
    /// all of them where it is more. Providers that give their clients shorter networks (/56, /48)
    /// want fewer than 64.
    ///
    /// An IPv4 address mapped into IPv6 (`::ffff:192.0.2.1`) counts as the IPv4 address.
    #[must_use]
    pub const fn with_prefix(address: IpAddr, v4: u8, v6: u8) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => {
                let prefix = if v4 < 32 { v4 } else { 32 };
                let host = match u32::MAX.checked_shr(prefix as u32) {
                    Some(host) => host,
                    None => 0,
                };
                let first = Ipv4Addr::from_bits(address.to_bits() & !host);
                Self { first: IpAddr::V4(first), prefix }
            }
            IpAddr::V6(address) => {
                let prefix = if v6 < 128 { v6 } else { 128 };
                let host = match u128::MAX.checked_shr(prefix as u32) {
                    Some(host) => host,
                    None => 0,
                };
                let first = Ipv6Addr::from_bits(address.to_bits() & !host);
                Self { first: IpAddr::V6(first), prefix }
            }
        }
    }

    /// Its first address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// How many bits of an address say that it is in this network.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `address` is in it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        Self::with_prefix(address, self.prefix, self.prefix).first == self.first
    }
}

impl fmt::Display for PeerNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// As `10.0.0.0/8`, `2001:db8::/32`, or a single address.
impl FromStr for PeerNetwork {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.into());
        let (address, prefix) = match text.split_once('/') {
            // Digits only: `parse` would take a sign.
            Some((_, prefix)) if !prefix.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(wrong());
            }
            Some((address, prefix)) => (address, Some(prefix.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.unwrap_or(longest);
        let network = Self::with_prefix(address, prefix, prefix);
        // A mapped address would be taken for the other kind, whose prefixes are shorter; and bits
        // after the prefix are a slip of whoever wrote them.
        if prefix <= longest && network.first == address { Ok(network) } else { Err(wrong()) }
    }
}

/// This is neither an address nor a network of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotANetwork(Box<str>);

impl NotANetwork {
    /// What was read.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for NotANetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is no network such as `10.0.0.0/8` or `2001:db8::/32`", self.0)
    }
}

impl StdError for NotANetwork {}

/// The proxies whose word is taken for where a request came from.
///
/// # Examples
///
/// ```
/// use fusebox_std::{PeerNetwork, TrustedProxies};
///
/// let proxies = TrustedProxies::new(["10.0.0.0/8".parse()?, "fd00::/8".parse()?]);
///
/// // The load balancer at 10.0.0.2 was called by 198.51.100.7, which claims to be 127.0.0.1.
/// let forwarded_for = "127.0.0.1, 198.51.100.7";
/// let client = proxies.client("10.0.0.2".parse()?, [forwarded_for]);
/// assert_eq!(client.to_string(), "198.51.100.7");
///
/// // Whoever does not come through a proxy has no say.
/// let client = proxies.client("203.0.113.9".parse()?, [forwarded_for]);
/// assert_eq!(client.to_string(), "203.0.113.9");
///
/// let key = PeerNetwork::of(client);
/// # let _ = key;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies(Box<[PeerNetwork]>);

impl TrustedProxies {
    /// No proxy: a request comes from whoever sent it.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Proxies at any address of these networks.
    #[must_use]
    pub fn new(networks: impl IntoIterator<Item = PeerNetwork>) -> Self {
        Self(networks.into_iter().collect())
    }

    /// Whether there is a proxy at `address` whose word is taken.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }

    /// The client's address: the rightmost one that is not of a trusted proxy.
    ///
    /// `peer` is at the other end of the connection, and `forwarded_for` are the values of the
    /// `X-Forwarded-For` lines in the order of the request, each with any number of addresses
    /// between commas, with or without ports. Where all of them are of proxies, it is the first of
    /// them. What is no address ends the search: it is then the proxy that wrote it.
    #[must_use]
    pub fn client<'a, I>(&self, peer: IpAddr, forwarded_for: I) -> IpAddr
    where
        I: IntoIterator<Item = &'a str, IntoIter: DoubleEndedIterator>,
    {
        let mut client = peer.to_canonical();
        let mut hops = forwarded_for.into_iter().rev().flat_map(|line| line.rsplit(','));
        while self.contains(client) {
            let Some(hop) = hops.next().and_then(address) else { break };
            client = hop;
        }
        client
    }
}

/// An address, with or without a port: `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`,
/// `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parsed = bare.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip()))?;
    Some(IpAddr::to_canonical(&parsed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn proxies() -> TrustedProxies {
        TrustedProxies::new(["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()))
    }

    /// Bug 27: the leftmost address was taken, which the client chooses (`tower_governor`).
    #[test]
    fn nobody_chooses_the_address_it_is_limited_by() {
        let seen = |peer, lines: &[&str]| proxies().client(ip(peer), lines.iter().copied());
        assert_eq!(seen("203.0.113.9", &["198.51.100.7"]), ip("203.0.113.9"), "not from a proxy");
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.7"]), ip("198.51.100.7"));
        assert_eq!(seen("10.0.0.1", &["1.1.1.1, 198.51.100.7, 10.9.9.9"]), ip("198.51.100.7"));
        assert_eq!(seen("fd00::1", &["1.1.1.1", "2001:db8::5,10.0.0.3"]), ip("2001:db8::5"));
        assert_eq!(
            seen("10.0.0.1", &["10.0.0.4, 10.0.0.3"]),
            ip("10.0.0.4"),
            "all of them proxies"
        );
        assert_eq!(seen("10.0.0.1", &[]), ip("10.0.0.1"));
        assert_eq!(TrustedProxies::none().client(ip("10.0.0.1"), ["1.1.1.1"]), ip("10.0.0.1"));
    }

    #[test]
    fn what_is_no_address_is_laid_at_the_door_of_who_wrote_it() {
        let seen = |line| proxies().client(ip("10.0.0.1"), [line]);
        assert_eq!(seen("198.51.100.7, unknown, 10.0.0.2"), ip("10.0.0.2"));
        assert_eq!(seen("198.51.100.7,"), ip("10.0.0.1"));
        assert_eq!(seen(""), ip("10.0.0.1"));
    }

    #[test]
    fn addresses_come_with_ports_and_mapped() {
        let seen = |line| proxies().client(ip("::ffff:10.0.0.1"), [line]);
        assert_eq!(seen("192.0.2.1:4711"), ip("192.0.2.1"));
        assert_eq!(seen(" [2001:db8::1]:80 "), ip("2001:db8::1"));
        assert_eq!(seen("[2001:db8::1]"), ip("2001:db8::1"));
        assert_eq!(seen("192.0.2.1, ::ffff:10.0.0.2"), ip("192.0.2.1"));
    }

    #[test]
    fn a_network_is_its_prefix() {
        let of = |text, v4, v6| PeerNetwork::with_prefix(ip(text), v4, v6).to_string();
        assert_eq!(of("192.0.2.129", 24, 64), "192.0.2.0/24");
        assert_eq!(of("192.0.2.129", 0, 0), "0.0.0.0/0");
        assert_eq!(of("192.0.2.129", 99, 0), "192.0.2.129/32");
        assert_eq!(of("2001:db8:1:2:3::4", 0, 48), "2001:db8:1::/48");
        assert_eq!(of("2001:db8:1:2:3::4", 0, 255), "2001:db8:1:2:3::4/128");
        let network: PeerNetwork = "10.0.0.0/8".parse().unwrap();
        assert!(network.contains(ip("10.1.2.3")) && network.contains(ip("::ffff:10.1.2.3")));
        assert!(!network.contains(ip("11.0.0.0")) && !network.contains(ip("a00::1")));
        let one: PeerNetwork = "::1".parse().unwrap();
        assert_eq!((one.first(), one.prefix()), (ip("::1"), 128));
    }

    #[test]
    fn what_is_no_network_is_said() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.1/8",
            "::1/129",
            "a/8",
            "1.1.1.1/",
            "::ffff:1.1.1.1",
        ] {
            let error = text.parse::<PeerNetwork>().unwrap_err();
            assert_eq!(error.text(), text);
            assert!(error.to_string().starts_with(&format!("`{text}` is no network")));
        }
    }
}
