//! Which Host and Origin headers are this machine's.
//!
//! A rebinding page is reached under its own name, so a name that is not ours is refused. A page that
//! was served elsewhere names its origin, and only the very address that is asked is an origin of ours.

use axum::{
    extract::{Request, State},
    http::{HeaderMap, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use switchboard_protocol::ErrorCode;

use super::problem::Problem;
use crate::{
    admission::{host_of, is_own_host},
    config::LiveConfig,
};

/// Lets requests through that were sent to this machine by one of its own names, and not by a page from
/// elsewhere.
pub(super) async fn require_own_host(State(config): State<LiveConfig>, request: Request, next: Next) -> Response {
    let listen = config.load().server.admin_listen;
    let host = host_of(request.uri(), request.headers());
    let Some(host) = host.filter(|host| is_own_host(host, listen)) else {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
