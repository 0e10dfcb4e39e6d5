//! Who may ask `/mcp` at all, before anything of the body is read: draining - host - origin - token.

use std::{net::IpAddr, sync::Arc};

use axum::http::request::Parts;
use http::{header::WWW_AUTHENTICATE, uri::Authority};
use switchboard_protocol::ErrorCode;

use super::{fault::Fault, resource};
use crate::{
    admission::{host_of, is_own_host},
    auth::{Door, Principal},
    config::Config,
    transport::{Edge, refusal::Refusal, seat::Seat, upgrade},
};

/// Whoever passed.
pub(super) struct Guest {
    pub principal: Principal,
    pub connection_id: Arc<str>,
    pub peer: IpAddr,
    /// As the client names the server.
    pub host: Authority,
    /// The connection that the request came in on.
    pub seat: Arc<Seat>,
}

pub(super) async fn admit(edge: &Edge, connection_id: &str, parts: &Parts) -> Result<Guest, Fault> {
    upgrade::check_draining(edge)?;
    let config = edge.config.load();
    let host = check_host(&config, parts)?;
    edge.admission.check_origin(&parts.headers).map_err(Refusal::from)?;
    let peer = upgrade::peer(parts)?.ip();
    let seat = parts.extensions.get::<Arc<Seat>>().cloned();
    let seat = seat.ok_or_else(|| Refusal::new(ErrorCode::InternalError, "the connection is not known"))?;
    match edge.auth.authenticate_request(Door::Mcp, connection_id, peer, &parts.headers).await {
        Ok(authenticated) => {
            seat.renew();
            Ok(Guest { principal: authenticated.principal, connection_id: connection_id.into(), peer, host, seat })
        }
        Err(failure) => {
            // Whoever guesses is slowed down as at the door for sockets; whoever brings a good token is not
            // counted, because there are as many requests as there are calls.
            edge.admission.reserve(peer).map_err(Refusal::from)?;
            let challenge = resource::challenge(&config, &host, failure.code);
            let fault = Fault::from(Refusal::from(failure));
            Err(match challenge.filter(|_| fault.status == http::StatusCode::UNAUTHORIZED) {
                Some(challenge) => fault.with_header(WWW_AUTHENTICATE, challenge),
                None => fault,
            })
        }
    }
}

/// Whether the request names this server as one of its own names; returns that name.
pub(super) fn check_host(config: &Config, parts: &Parts) -> Result<Authority, Refusal> {
    let named = host_of(&parts.uri, &parts.headers);
    named.filter(|host| is_ours(config, host)).ok_or_else(|| {
        let detail =
            "the Host header does not name this server: add the name to `mcp.allowed_hosts`, or set `mcp.resource`";
        Refusal::new(ErrorCode::HostRefused, detail)
    })
}

fn is_ours(config: &Config, authority: &Authority) -> bool {
    let host = authority.host();
    let is_resource =
        || config.mcp.resource.as_ref().is_some_and(|resource| resource.host().eq_ignore_ascii_case(host));
    let is_allowed = || config.mcp.allowed_hosts.iter().any(|name| name.matches(host));
    let plain = !authority.as_str().contains('@');
    is_own_host(authority, config.server.listen) || (plain && (is_resource() || is_allowed()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::mcp::{HostName, ResourceAddress};

    #[test]
    fn the_server_is_known_by_its_own_names_that_of_the_resource_and_those_that_are_listed() {
        let mut config = Config::for_tests("/nowhere");
        config.mcp.resource = Some(ResourceAddress::parse("https://mcp.example.com/mcp").unwrap());
        config.mcp.allowed_hosts = vec![HostName::parse("*.internal").unwrap()];
        for (host, ours) in [
            ("localhost:8080", true),
            ("127.0.0.1", true),
            ("[::1]:8080", true),
            ("MCP.example.com", true),
            ("mcp.example.com:443", true),
            ("a.internal:1", true),
            ("internal", false),
            ("example.com", false),
            ("evil.example", false),
            ("mcp.example.com.evil.example", false),
            ("mcp.example.com@evil.example", false),
            ("evil@mcp.example.com", false),
        ] {
            assert_eq!(is_ours(&config, &host.parse().unwrap()), ours, "{host}");
        }
    }
}
