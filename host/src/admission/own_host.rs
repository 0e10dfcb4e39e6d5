//! Which Host headers are this machine's.
//!
//! A page that points its own name here (DNS rebinding) is reached under that name, so a name that is not
//! ours is refused. Addresses cannot be rebound; one is accepted if it is this machine's as far as the
//! settings tell.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, Uri, header, uri::Authority};

/// The host that a request names, if it names exactly one. In absolute form it is named in the address,
/// and that counts (RFC 9112, section 3.2.2).
pub(crate) fn host_of(address: &Uri, headers: &HeaderMap) -> Option<Authority> {
    address.authority().cloned().or_else(|| single_host(headers))
}

fn single_host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    host.to_str().ok()?.parse().ok()
}

/// Whether a host is one of this machine's, as far as the address tells that it listens on.
pub(crate) fn is_own_host(authority: &Authority, listen: SocketAddr) -> bool {
    let host = authority.host();
    if authority.as_str().contains('@') {
        return false;
    }
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse::<IpAddr>() {
        // Listening on all addresses, the machine has some that the settings do not tell.
        Ok(address) => address.is_loopback() || address == listen.ip() || listen.ip().is_unspecified(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, listen: &str, expected: bool) {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        let own = single_host(&headers).is_some_and(|host| is_own_host(&host, listen.parse().unwrap()));
        assert_eq!(own, expected, "{host} at {listen}");
    }

    #[test]
    fn only_this_machines_names_and_addresses_pass() {
        for host in ["localhost", "LOCALHOST:9090", "127.0.0.1", "127.0.0.1:1", "127.9.9.9", "[::1]:9090"] {
            check(host, "127.0.0.1:9090", true);
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "evil.example:9090",
            "127.0.0.1.evil.example",
            "localhost@evil.example",
            "evil.example@localhost",
            "localhost, evil.example",
            "10.0.0.7",
            "[::2]",
        ] {
            check(host, "127.0.0.1:9090", false);
        }
    }

    #[test]
    fn the_configured_address_passes_and_any_address_when_all_are_listened_on() {
        check("10.0.0.7:9090", "10.0.0.7:9090", true);
        check("10.0.0.8:9090", "10.0.0.7:9090", false);
        check("10.0.0.8:9090", "0.0.0.0:9090", true);
        check("[2001:db8::1]:9090", "[::]:9090", true);
        check("evil.example", "0.0.0.0:9090", false);
    }

    #[test]
    fn no_host_or_two_of_them_pass_for_none() {
        let mut headers = HeaderMap::new();
        assert!(single_host(&headers).is_none());
        headers.append(header::HOST, "localhost".parse().unwrap());
        headers.append(header::HOST, "evil.example".parse().unwrap());
        assert!(single_host(&headers).is_none());
    }
}
