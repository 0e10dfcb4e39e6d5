//! Whether a connection may be made to an address: to the public internet, and to networks that the operator
//! granted.
//!
//! What is not public follows IANA's registries of special-purpose addresses (RFC 6890, as updated by RFC 8190).
//! An IPv6 address that carries an IPv4 address is judged by that one, since that is where packets end. Of IPv6,
//! only what is allocated as global unicast (2000::/3; RFC 4291, section 2.4) is public at all.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::config::Network;

/// Networks that are not public, what they are, and where it says so.
const SPECIAL_V4: &[(Network, &str)] = &[
    (v4(0, 0, 0, 0, 8), "of this network (RFC 791)"),
    (v4(10, 0, 0, 0, 8), "private (RFC 1918)"),
    (v4(100, 64, 0, 0, 10), "shared behind a provider's NAT (RFC 6598)"),
    (v4(127, 0, 0, 0, 8), "loopback (RFC 1122)"),
    // Also where clouds keep the metadata, and credentials, of a machine: 169.254.169.254.
    (v4(169, 254, 0, 0, 16), "link-local (RFC 3927)"),
    (v4(172, 16, 0, 0, 12), "private (RFC 1918)"),
    (v4(192, 0, 0, 0, 24), "for protocols (RFC 6890)"),
    (v4(192, 0, 2, 0, 24), "for documentation (RFC 5737)"),
    (v4(192, 88, 99, 0, 24), "of 6to4 relays (RFC 7526)"),
    (v4(192, 168, 0, 0, 16), "private (RFC 1918)"),
    (v4(198, 18, 0, 0, 15), "for benchmarks (RFC 2544)"),
    (v4(198, 51, 100, 0, 24), "for documentation (RFC 5737)"),
    (v4(203, 0, 113, 0, 24), "for documentation (RFC 5737)"),
    (v4(224, 0, 0, 0, 4), "multicast (RFC 5771)"),
    (v4(240, 0, 0, 0, 4), "reserved or broadcast (RFC 1112, RFC 919)"),
];

const SPECIAL_V6: &[(Network, &str)] = &[
    (v6([0, 0, 0, 0, 0, 0, 0, 0], 128), "unspecified (RFC 4291)"),
    (v6([0, 0, 0, 0, 0, 0, 0, 1], 128), "loopback (RFC 4291)"),
    (v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48), "of a local NAT64 (RFC 8215)"),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23), "for protocols, Teredo among them (RFC 2928, RFC 4380)"),
    (v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32), "for documentation (RFC 3849)"),
    (v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20), "for documentation (RFC 9637)"),
    (v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7), "private (RFC 4193)"),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local (RFC 4291)"),
    (v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10), "site-local (RFC 3879)"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast (RFC 4291)"),
];

const GLOBAL_UNICAST: Network = v6([0x2000, 0, 0, 0, 0, 0, 0, 0], 3);

/// Carry an IPv4 address in bits 16 to 47 (RFC 3056), and in the last 32 (RFC 6052).
const SIX_TO_FOUR: Network = v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16);
const NAT64: Network = v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96);

const fn v4(a: u8, b: u8, c: u8, d: u8, bits: u8) -> Network {
    Network::of(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), bits)
}

const fn v6(s: [u16; 8], bits: u8) -> Network {
    Network::of(IpAddr::V6(Ipv6Addr::new(s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7])), bits)
}

/// An address that no connection may be made to, and what kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the address is {kind}")]
pub(crate) struct AddressRefused {
    pub address: IpAddr,
    pub kind: &'static str,
}

/// Whether a connection may be made.
pub(super) fn check(address: IpAddr, granted: &[Network]) -> Result<(), AddressRefused> {
    // `::ffff:127.0.0.1` (RFC 4291, section 2.5.5.2) is another way to write 127.0.0.1.
    let address = address.to_canonical();
    if granted.iter().any(|network| network.contains(address)) {
        return Ok(());
    }
    special(address).map_or(Ok(()), |kind| Err(AddressRefused { address, kind }))
}

/// What an address is that is not public.
fn special(address: IpAddr) -> Option<&'static str> {
    let within = |table: &[(Network, &'static str)]| {
        table.iter().find(|(network, _)| network.contains(address)).map(|(_, kind)| *kind)
    };
    match address {
        IpAddr::V4(_) => within(SPECIAL_V4),
        IpAddr::V6(v6) => match carried(v6) {
            Some(v4) => special(IpAddr::V4(v4)),
            None => within(SPECIAL_V6)
                .or_else(|| (!GLOBAL_UNICAST.contains(address)).then_some("not of the public internet (RFC 4291)")),
        },
    }
}

/// The IPv4 address that packets to this one are translated or tunnelled to.
fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [_, high, low, .., last_high, last_low] = address.segments();
    let joined = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    if SIX_TO_FOUR.contains(address.into()) {
        Some(joined(high, low))
    } else if NAT64.contains(address.into()) {
        Some(joined(last_high, last_low))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_all(granted: &[&str], open: &[&str], refused: &[(&str, &str)]) {
        let granted: Vec<Network> = granted.iter().map(|network| Network::parse(network).unwrap()).collect();
        for address in open {
            assert_eq!(check(address.parse().unwrap(), &granted), Ok(()), "{address}");
        }
        for (address, kind) in refused {
            let found = check(address.parse().unwrap(), &granted);
            assert!(found.is_err_and(|refused| refused.kind.contains(kind)), "{address}: {found:?}");
        }
    }

    #[test]
    fn the_public_internet_is_open() {
        check_all(
            &[],
            &[
                "1.1.1.1",
                "9.255.255.255",
                "11.0.0.0",
                "100.63.255.255",
                "100.128.0.0",
                "126.255.255.255",
                "128.0.0.0",
                "169.253.255.255",
                "169.255.0.0",
                "172.15.255.255",
                "172.32.0.0",
                "192.0.1.0",
                "192.167.255.255",
                "192.169.0.0",
                "198.17.255.255",
                "198.20.0.0",
                "223.255.255.255",
                "2606:4700:4700::1111",
                "2a00:1450:4001::8a",
                "::ffff:1.1.1.1",
                "64:ff9b::101:101",
                "2002:101:101::1",
            ],
            &[],
        );
    }

    #[test]
    fn no_other_address_is_at_either_end_of_its_range() {
        check_all(
            &[],
            &[],
            &[
                ("0.0.0.0", "this network"),
                ("0.255.255.255", "this network"),
                ("10.0.0.0", "private"),
                ("10.255.255.255", "private"),
                ("100.64.0.0", "NAT"),
                ("100.127.255.255", "NAT"),
                ("127.0.0.1", "loopback"),
                ("127.255.255.255", "loopback"),
                ("169.254.169.254", "link-local"),
                ("172.16.0.0", "private"),
                ("172.31.255.255", "private"),
                ("192.0.0.8", "protocols"),
                ("192.0.2.1", "documentation"),
                ("192.88.99.1", "6to4"),
                ("192.168.0.1", "private"),
                ("198.18.0.0", "benchmarks"),
                ("198.19.255.255", "benchmarks"),
                ("198.51.100.1", "documentation"),
                ("203.0.113.1", "documentation"),
                ("224.0.0.1", "multicast"),
                ("239.255.255.255", "multicast"),
                ("240.0.0.1", "reserved"),
                ("255.255.255.255", "broadcast"),
                ("::", "unspecified"),
                ("::1", "loopback"),
                ("fe80::1", "link-local"),
                ("febf::1", "link-local"),
                ("fc00::1", "private"),
                ("fdff::1", "private"),
                ("fec0::1", "site-local"),
                ("ff02::1", "multicast"),
                ("2001:db8::1", "documentation"),
                ("3fff:fff::1", "documentation"),
                ("2001:0:1::1", "Teredo"),
                ("100::1", "not of the public"),
                ("4000::1", "not of the public"),
                ("5f00::1", "not of the public"),
                ("64:ff9b:1::7f00:1", "NAT64"),
            ],
        );
    }

    #[test]
    fn an_address_within_another_is_the_one_that_counts() {
        check_all(
            &[],
            &[],
            &[
                ("::ffff:127.0.0.1", "loopback"),
                ("::ffff:169.254.169.254", "link-local"),
                ("::ffff:10.0.0.1", "private"),
                ("64:ff9b::7f00:1", "loopback"),
                ("64:ff9b::a9fe:a9fe", "link-local"),
                ("2002:7f00:1::", "loopback"),
                ("2002:a9fe:a9fe::1", "link-local"),
                ("2002:c0a8:1::1", "private"),
                ("::127.0.0.1", "not of the public"),
            ],
        );
    }

    #[test]
    fn what_is_granted_is_open_and_nothing_beside_it() {
        check_all(
            &["127.0.0.0/8", "fd00::/8"],
            &["127.0.0.1", "::ffff:127.0.0.1", "fd12::1"],
            &[("::1", "loopback"), ("10.0.0.1", "private"), ("fc00::1", "private"), ("64:ff9b::7f00:1", "loopback")],
        );
        check_all(&["::1"], &["::1"], &[("127.0.0.1", "loopback")]);
    }
}
