//! A network in CIDR notation (RFC 4632, section 3.1; RFC 4291, section 2.3): `10.0.0.0/8`, `fd00::/8`, or one
//! address alone.

use std::{fmt, net::IpAddr};

use super::{
    convert::{Converted, FromValue, each, quoted},
    raw::Located,
    setting::{Element, Kind},
};

/// An address and how many of its leading bits count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    /// For tables in the code.
    pub const fn of(address: IpAddr, bits: u8) -> Self {
        Self { address, bits }
    }

    /// What is wrong with it starts with a verb.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| "has no valid address".to_owned())?;
        let width = width(address);
        let bits = match bits {
            None => width,
            Some(bits) => {
                let digits = bits.bytes().all(|digit| digit.is_ascii_digit());
                let number = bits.parse().ok().filter(|bits| digits && *bits <= width);
                number.ok_or_else(|| format!("has no number from 0 to {width} after its `/`"))?
            }
        };
        let network = Self { address, bits };
        // `10.1.2.3/8` may be meant as the one address or as all: nobody should have to guess.
        let first = network.first();
        if first != address {
            return Err(format!("has bits behind its first {bits}; write {first}/{bits}"));
        }
        Ok(network)
    }

    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(own), IpAddr::V4(other)) => (own.to_bits() ^ other.to_bits()) & mask4(self.bits) == 0,
            (IpAddr::V6(own), IpAddr::V6(other)) => (own.to_bits() ^ other.to_bits()) & mask6(self.bits) == 0,
            _ => false,
        }
    }

    /// Whether it contains all of another.
    pub fn covers(&self, other: &Self) -> bool {
        self.bits <= other.bits && self.contains(other.address)
    }

    fn first(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(own) => IpAddr::V4((own.to_bits() & mask4(self.bits)).into()),
            IpAddr::V6(own) => IpAddr::V6((own.to_bits() & mask6(self.bits)).into()),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask4(bits: u8) -> u32 {
    u32::MAX.checked_shl(32_u32.saturating_sub(bits.into())).unwrap_or(0)
}

fn mask6(bits: u8) -> u128 {
    u128::MAX.checked_shl(128_u32.saturating_sub(bits.into())).unwrap_or(0)
}

impl FromValue for Vec<Network> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: a list of {}", Element::Network.allowed());
        each(written, kind, |_, text| {
            Network::parse(text).map_err(|problem| (format!("{} {problem}", quoted(text)), help()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let parsed = Network::parse(network).unwrap_or_else(|problem| panic!("{network} {problem}"));
        for (addresses, expected) in [(inside, true), (outside, false)] {
            for address in addresses {
                assert_eq!(parsed.contains(address.parse().unwrap()), expected, "{network} {address}");
            }
        }
    }

    #[test]
    fn a_network_contains_what_begins_like_it() {
        check("10.0.0.0/8", &["10.0.0.0", "10.255.255.255"], &["11.0.0.0", "9.255.255.255", "::ffff:10.0.0.1"]);
        check("192.168.1.7", &["192.168.1.7"], &["192.168.1.6", "192.168.1.8"]);
        check("172.16.0.0/12", &["172.31.255.255"], &["172.32.0.0"]);
        check("0.0.0.0/0", &["0.0.0.0", "255.255.255.255"], &["::"]);
        check("fd00::/8", &["fd12:3456::1"], &["fe80::1", "fc00::1"]);
        check("::/0", &["::1", "2001:db8::1"], &["127.0.0.1"]);
        check("::1/128", &["::1"], &["::2"]);
    }

    #[test]
    fn a_network_covers_itself_and_what_is_within_it() {
        let covers = |a: &str, b: &str| Network::parse(a).unwrap().covers(&Network::parse(b).unwrap());
        assert!(
            covers("10.0.0.0/8", "10.0.0.0/8") && covers("10.0.0.0/8", "10.1.0.0/16") && covers("::/0", "fd00::/8")
        );
        assert!(
            !covers("10.1.0.0/16", "10.0.0.0/8") && !covers("10.0.0.0/8", "11.0.0.1") && !covers("0.0.0.0/0", "::1")
        );
    }

    #[test]
    fn what_is_no_network_is_refused_with_what_to_write() {
        for text in
            ["", "10", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/+8", "fd00::/129", "a/8", "10.0.0.0/8/8"]
        {
            assert!(Network::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(Network::parse("10.1.2.3/8").unwrap_err(), "has bits behind its first 8; write 10.0.0.0/8");
    }
}
