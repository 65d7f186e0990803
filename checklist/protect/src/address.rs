//! Where a request comes from.
//!
//! The address of the connection, unless it is that of a proxy which the operator trusts: then the right-most address of the
//! forwarding header that is none of a trusted proxy. Everything left of it was written by somebody who may lie. The header is
//! one that the operator names: a proxy that writes one of the two passes the other one on as it came.

use aplomb_core::network::{Network, Networks};
use std::net::{IpAddr, SocketAddr};

/// Most hops that are looked at. Chosen: more trusted proxies in a row than anybody has.
const HOPS_MAX: usize = 32;

/// Which header trusted proxies write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// `X-Forwarded-For`.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// An address, and the networks that it is counted with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The address.
    pub address: IpAddr,
    /// It was told by a trusted proxy.
    pub forwarded: bool,
}

impl Place {
    /// What one customer has: the IPv4 address, or the /64 of an IPv6 address.
    pub fn host(&self) -> Network {
        let length = if self.address.is_ipv4() { 32 } else { 64 };
        Network::of(self.address, length)
    }

    /// What one operator has: /24 or /48.
    pub fn subnet(&self) -> Network {
        let length = if self.address.is_ipv4() { 24 } else { 48 };
        Network::of(self.address, length)
    }

    /// Whether it is a program on this machine that speaks for itself.
    pub fn is_this_machine(&self) -> bool {
        !self.forwarded && self.address.is_loopback()
    }
}

/// Where a request comes from. `values` are those of the header, in their order.
pub fn place<'a>(
    peer: IpAddr,
    trusted: &Networks,
    header: Header,
    values: impl DoubleEndedIterator<Item = &'a str>,
) -> Place {
    let mut found = Place {
        address: peer.to_canonical(),
        forwarded: false,
    };
    if !trusted.contains(found.address) {
        return found;
    }
    let mut hops = values.rev().flat_map(|value| Elements::of(value).rev());
    for _ in 0..HOPS_MAX {
        let Some(element) = hops.next() else { break };
        let address = match header {
            Header::XForwardedFor => node(element),
            Header::Forwarded => forwarded_for(element).and_then(node),
        };
        // A proxy that does not tell an address is where the trail ends.
        let Some(address) = address else { break };
        found = Place {
            address,
            forwarded: true,
        };
        if !trusted.contains(address) {
            break;
        }
    }
    found
}

/// The elements of a list, cut at commas that are not in quotes.
struct Elements;

impl Elements {
    fn of(value: &str) -> std::vec::IntoIter<&str> {
        let mut all = Vec::new();
        let (mut from, mut quoted) = (0, false);
        for (at, byte) in value.bytes().enumerate() {
            match byte {
                b'"' => quoted = !quoted,
                b',' if !quoted => {
                    all.push(value.get(from..at).unwrap_or_default());
                    from = at + 1;
                }
                _ => {}
            }
        }
        all.push(value.get(from..).unwrap_or_default());
        all.into_iter()
    }
}

/// The value of `for` in an element of `Forwarded`.
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        let is_for = name.trim().eq_ignore_ascii_case("for");
        is_for.then(|| value.trim().trim_matches('"'))
    })
}

/// An address as proxies write it: with or without a port, IPv6 with or without brackets.
fn node(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.parse::<IpAddr>().ok();
    let with_port = || text.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    let in_brackets = || {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse::<IpAddr>().ok()
    };
    let found = bare.or_else(with_port).or_else(in_brackets);
    found.map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trusted() -> Networks {
        ["10.0.0.0/8", "2001:db8:ffff::/48"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect()
    }

    #[track_caller]
    fn check(header: Header, peer: &str, values: &[&str], expected: &str) {
        let found = place(
            peer.parse().unwrap(),
            &trusted(),
            header,
            values.iter().copied(),
        );
        assert_eq!(found.address.to_string(), expected, "{peer} {values:?}");
    }

    #[test]
    fn only_what_trusted_proxies_wrote_is_believed() {
        let x =
            |peer, values: &[&str], expected| check(Header::XForwardedFor, peer, values, expected);
        x("203.0.113.5", &["198.51.100.1"], "203.0.113.5");
        x("10.0.0.1", &[], "10.0.0.1");
        x("10.0.0.1", &["198.51.100.1"], "198.51.100.1");
        x("10.0.0.1", &["1.2.3.4, 198.51.100.1"], "198.51.100.1");
        x(
            "10.0.0.1",
            &["1.2.3.4", "198.51.100.1, 10.9.9.9"],
            "198.51.100.1",
        );
        x("10.0.0.1", &["1.2.3.4, nonsense, 10.9.9.9"], "10.9.9.9");
        x("10.0.0.1", &["1.2.3.4, , 10.9.9.9"], "10.9.9.9");
        x("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1");
        x("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1");
        x("10.0.0.1", &["2001:db8::1"], "2001:db8::1");
        x("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], "198.51.100.1");
        x("10.0.0.1", &["10.0.0.2, 10.0.0.3"], "10.0.0.2");
        let long = vec!["10.0.0.9"; 100].join(",");
        x("10.0.0.1", &["198.51.100.1", &long], "10.0.0.9");
    }

    #[test]
    fn the_standard_header_is_read_too() {
        let f = |values: &[&str], expected| check(Header::Forwarded, "10.0.0.1", values, expected);
        f(&["for=198.51.100.1"], "198.51.100.1");
        f(
            &["for=1.2.3.4, For=\"[2001:db8::17]:4711\";proto=https;by=10.0.0.1"],
            "2001:db8::17",
        );
        f(
            &["for=\"a,b\", proto=https;for=198.51.100.1"],
            "198.51.100.1",
        );
        f(&["for=198.51.100.1, for=unknown"], "10.0.0.1");
        f(&["for=_hidden"], "10.0.0.1");
        f(&["198.51.100.1"], "10.0.0.1");
    }

    #[test]
    fn customers_and_operators_are_counted_with_their_networks() {
        let of = |text: &str| {
            let place = Place {
                address: text.parse().unwrap(),
                forwarded: true,
            };
            (place.host().to_string(), place.subnet().to_string())
        };
        assert_eq!(
            of("192.0.2.77"),
            ("192.0.2.77".into(), "192.0.2.0/24".into())
        );
        assert_eq!(
            of("2001:db8:1:2:3::4"),
            ("2001:db8:1:2::/64".into(), "2001:db8:1::/48".into())
        );
    }
}
