//! Which Host and Origin headers are this machine's.
//!
//! A rebinding page is reached under its own name, so a name that is not ours is refused. Addresses
//! cannot be rebound; one is accepted if it is this machine's as far as the settings tell. A page that
//! was served elsewhere names its origin, and only the very address that is asked is an origin of ours.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use switchboard_protocol::ErrorCode;

use super::problem::Problem;
use crate::config::LiveConfig;

/// Lets requests through that were sent to this machine by one of its own names, and not by a page from
/// elsewhere.
pub(super) async fn require_own_host(State(config): State<LiveConfig>, request: Request, next: Next) -> Response {
    let listen = config.load().server.admin_listen;
    // A request in absolute form names its host there, and that counts (RFC 9112, section 3.2.2).
    let host = request.uri().authority().cloned().or_else(|| single_host(request.headers()));
    let Some(host) = host.filter(|host| is_own(host, listen)) else {
        return Problem::new(ErrorCode::HostRefused, "the Host header does not name this machine")
            .help("use localhost, a loopback address, or the address of `server.admin_listen`")
            .into_response();
    };
    if !is_own_origin(request.headers(), &host) {
        return Problem::new(ErrorCode::OriginRefused, "the Origin header names another origin than this")
            .help("web pages may not ask here: use the command line, curl, or another client without Origin")
            .into_response();
    }
    next.run(request).await
}

/// Whether no page sent the request, or one that this listener served: `http` and the host that is asked,
/// with its port (RFC 6454, section 6.2). A sandboxed page has the origin `null`.
fn is_own_origin(headers: &HeaderMap, host: &Authority) -> bool {
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
        origin.is_some_and(|origin| origin.eq_ignore_ascii_case(host.as_str()))
    })
}

fn single_host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    host.to_str().ok()?.parse().ok()
}

fn is_own(authority: &Authority, listen: SocketAddr) -> bool {
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
        let own = single_host(&headers).is_some_and(|host| is_own(&host, listen.parse().unwrap()));
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
    fn a_page_from_elsewhere_is_told_by_its_origin() {
        let host = "localhost:9090".parse().unwrap();
        for (origins, own) in [
            (vec![], true),
            (vec!["http://localhost:9090"], true),
            (vec!["http://LOCALHOST:9090"], true),
            (vec!["http://localhost:9091"], false),
            (vec!["http://localhost"], false),
            (vec!["https://localhost:9090"], false),
            (vec!["http://127.0.0.1:9090"], false),
            (vec!["http://localhost:9090.evil.example"], false),
            (vec!["https://evil.example"], false),
            (vec!["null"], false),
            (vec![""], false),
            (vec!["http://localhost:9090", "https://evil.example"], false),
        ] {
            let mut headers = HeaderMap::new();
            for origin in &origins {
                headers.append(header::ORIGIN, origin.parse().unwrap());
            }
            assert_eq!(is_own_origin(&headers, &host), own, "{origins:?}");
        }
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
