//! Networks in CIDR notation, and sets of them.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// A network: `192.0.2.0/24`, `2001:db8::/32`, or one address.
///
/// An IPv4 address that is written as IPv6 (`::ffff:192.0.2.1`) is the IPv4 address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network {
    first: IpAddr,
    length: u8,
}

/// Why a text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected an address or a network such as `192.0.2.0/24` or `2001:db8::/32`")]
pub struct NoNetwork;

fn first(address: IpAddr, length: u8) -> IpAddr {
    let length = u32::from(length);
    match address {
        IpAddr::V4(v4) => {
            let kept = u32::MAX.checked_shl(32 - length.min(32)).unwrap_or(0);
            Ipv4Addr::from_bits(v4.to_bits() & kept).into()
        }
        IpAddr::V6(v6) => {
            let kept = u128::MAX.checked_shl(128 - length.min(128)).unwrap_or(0);
            Ipv6Addr::from_bits(v6.to_bits() & kept).into()
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl Network {
    /// The network of an address with a prefix of so many bits; all of them where the address has fewer.
    pub fn of(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        let length = length.min(width(address));
        Network {
            first: first(address, length),
            length,
        }
    }

    /// Its first address.
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// Bits of its prefix.
    pub fn length(self) -> u8 {
        self.length
    }

    /// Whether an address is in it.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.first.is_ipv4() && first(address, self.length) == self.first
    }
}

impl FromStr for Network {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        let text = text.trim();
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let address: IpAddr = address.parse().map_err(|_| NoNetwork)?;
        let canonical = address.to_canonical();
        let Some(length) = length else {
            return Ok(Network::of(canonical, width(canonical)));
        };
        let digits = !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit());
        let length: u8 = length
            .parse()
            .ok()
            .filter(|length| digits && *length <= width(address))
            .ok_or(NoNetwork)?;
        // A prefix of an IPv4 address in IPv6's form counts from the beginning of that form.
        if canonical.is_ipv4() && address.is_ipv6() {
            let length = length.checked_sub(96).ok_or(NoNetwork)?;
            return Ok(Network::of(canonical, length));
        }
        Ok(Network::of(address, length))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.length == width(self.first) {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}/{}", self.first, self.length)
        }
    }
}

/// A set of networks. A look-up takes one hash for each length of prefix that occurs.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    by_length: BTreeMap<(bool, u8), HashSet<IpAddr>>,
    count: usize,
}

impl Networks {
    /// Adds a network.
    pub fn add(&mut self, network: Network) {
        let at = (network.first.is_ipv4(), network.length);
        let new = self.by_length.entry(at).or_default().insert(network.first);
        self.count += usize::from(new);
    }

    /// Whether an address is in one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        if self.count == 0 {
            return false;
        }
        let address = address.to_canonical();
        let own = self
            .by_length
            .iter()
            .filter(|((v4, _), _)| *v4 == address.is_ipv4());
        own.into_iter()
            .any(|((_, length), firsts)| firsts.contains(&first(address, *length)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

impl FromIterator<Network> for Networks {
    fn from_iter<I: IntoIterator<Item = Network>>(networks: I) -> Self {
        let mut all = Networks::default();
        for network in networks {
            all.add(network);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_and_written() {
        for (text, written) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8:1::5/48", "2001:db8:1::/48"),
            ("::/0", "::/0"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ] {
            let network: Network = text.parse().unwrap();
            assert_eq!(network.to_string(), written, "{text}");
        }
        for text in [
            "",
            "example.com",
            "192.0.2.1/33",
            "192.0.2.1/",
            "192.0.2.1/+8",
            "::1/129",
            "::ffff:192.0.2.7/64",
            "192.0.2",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NoNetwork), "{text}");
        }
    }

    #[test]
    fn a_set_knows_what_is_in_it() {
        let set: Networks = ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "10.0.0.0/8"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        assert_eq!(set.len(), 3);
        for (address, expected) in [
            ("10.255.0.1", true),
            ("11.0.0.1", false),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("::ffff:10.1.2.3", true),
            ("2001:db8:ffff::1", true),
            ("2001:db9::1", false),
        ] {
            assert_eq!(
                set.contains(address.parse().unwrap()),
                expected,
                "{address}"
            );
        }
        let all: Networks = ["0.0.0.0/0".parse().unwrap()].into_iter().collect();
        assert!(all.contains("203.0.113.9".parse().unwrap()));
        assert!(!all.contains("::1".parse().unwrap()));
    }
}
