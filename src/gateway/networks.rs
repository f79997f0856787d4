//! IP addresses and networks, as `clients` names them.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One address (`10.0.0.20`) or a network (`10.0.0.0/24`, `2001:db8::/64`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Bits that count, from the left.
    prefix: u8,
}

impl Network {
    /// Whether it holds `ip`. An IPv4 address that came over an IPv6 socket (`::ffff:10.0.0.20`) counts as IPv4.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => same(ours.to_bits().into(), theirs.to_bits().into(), 32 - self.prefix.min(32)),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => same(ours.to_bits(), theirs.to_bits(), 128 - self.prefix.min(128)),
            _ => false,
        }
    }
}

/// Whether two addresses agree but for the last `free` bits.
fn same(a: u128, b: u128, free: u8) -> bool {
    let shift = u32::from(free);
    a.checked_shr(shift).unwrap_or(0) == b.checked_shr(shift).unwrap_or(0)
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("not an address or network: {text:?}; write \"10.0.0.20\", \"10.0.0.0/24\" or \"2001:db8::/64\"");
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse::<IpAddr>().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => bits,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok().filter(|n| *n <= bits).ok_or_else(wrong)?,
            Some(_) => return Err(wrong()),
        };
        let network = Self { address, prefix };
        let host_bits = match address {
            IpAddr::V4(ip) => u128::from(ip.to_bits()) & !(u128::MAX.checked_shl(u32::from(32 - prefix)).unwrap_or(0)),
            IpAddr::V6(ip) => ip.to_bits() & !(u128::MAX.checked_shl(u32::from(128 - prefix)).unwrap_or(0)),
        };
        if host_bits != 0 {
            return Err(format!(
                "{text:?} has bits set behind its prefix; write the network's first address, or the one host without /{prefix}"
            ));
        }
        Ok(network)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = if self.address.is_ipv4() { 32 } else { 128 };
        match self.prefix == whole {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl Serialize for Network {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_inside() {
        let rows = [
            ("10.0.0.20", "10.0.0.20", true),
            ("10.0.0.20", "10.0.0.21", false),
            ("10.0.0.20", "::ffff:10.0.0.20", true),
            ("10.0.0.0/24", "10.0.0.255", true),
            ("10.0.0.0/24", "10.0.1.0", false),
            ("10.0.0.0/24", "::ffff:10.0.0.9", true),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("::/0", "192.0.2.1", false),
            ("2001:db8::/64", "2001:db8::ffff", true),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
            ("2001:db8::1", "2001:db8::1", true),
        ];
        for (network, ip, want) in rows {
            assert_eq!(network.parse::<Network>().unwrap().contains(ip.parse().unwrap()), want, "{ip} in {network}");
        }
    }

    #[test]
    fn texts() {
        for text in ["10.0.0.20", "10.0.0.0/24", "0.0.0.0/0", "2001:db8::/64", "2001:db8::1", "::/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.1/24",
            "2001:db8::/129",
            "2001:db8::1/64",
            "host.example",
            "10.0.0.0/24/8",
        ] {
            assert!(text.parse::<Network>().is_err(), "{text:?}");
        }
        assert!("10.0.0.1/24".parse::<Network>().unwrap_err().contains("without /24"));
    }
}
