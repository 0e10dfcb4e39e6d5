//! Where a request carries its token, and which subprotocol the server may echo.
//!
//! A token travels in exactly one place: the `Authorization` header, a WebSocket subprotocol, or the
//! query. Two are refused even if they are equal, because whoever checks one may not have checked the
//! other. What is found here is unverified text; nothing of it is ever part of an error.

use std::fmt;

use http::{
    HeaderMap,
    header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
};
use switchboard_protocol::{ErrorCode, SUBPROTOCOL, SUBPROTOCOL_MCP};

mod encoding;

use encoding::{percent_decoded, unwrapped};

/// Longest text that is looked at as a token: twice the longest token, since base64 adds a third.
const MAX_CARRIED_BYTES: usize = 2 * super::verifier::MAX_TOKEN_BYTES;

/// Marks, before a token, that the next subprotocol is one.
const MARKERS: [&str; 2] = ["jwt-auth", "jwt"];

/// The same marks, as a prefix of the token itself.
const PREFIXES: [&str; 2] = ["jwt-auth.", "jwt."];

/// Subprotocols that say how frames are to be read. One of them is echoed before any marker.
const PROTOCOLS: [&str; 2] = [SUBPROTOCOL, SUBPROTOCOL_MCP];

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// `Authorization: Bearer`.
    Header,
    /// `Sec-WebSocket-Protocol`.
    Subprotocol,
    /// `?token=`.
    Query,
    /// `?ticket=`.
    Ticket,
    /// A `refresh_token` message on an open connection.
    Message,
}

impl Carrier {
    /// The word in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Subprotocol => "subprotocol",
            Self::Query => "query",
            Self::Ticket => "ticket",
            Self::Message => "message",
        }
    }

    /// The words in errors.
    fn place(self) -> &'static str {
        match self {
            Self::Header => "the Authorization header",
            Self::Subprotocol => "Sec-WebSocket-Protocol",
            Self::Query => "`?token=`",
            Self::Ticket => "`?ticket=`",
            Self::Message => "a message",
        }
    }
}

/// What a request brought. `carrier` says whether it is a ticket or a token.
#[derive(PartialEq, Eq)]
pub(super) struct Credential {
    pub carrier: Carrier,
    pub secret: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("carrier", &self.carrier).finish_non_exhaustive()
    }
}

/// Why a request brought nothing that can be checked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum CarrierFault {
    #[error("{0}")]
    Missing(String),
    #[error("tokens came in {0}; exactly one is wanted")]
    Conflict(String),
    #[error("the token in {} {problem}", .carrier.place())]
    Unreadable { carrier: Carrier, problem: &'static str },
}

impl CarrierFault {
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Missing(_) => ErrorCode::JwtTokenMissing,
            Self::Conflict(_) => ErrorCode::AuthCarrierConflict,
            Self::Unreadable { .. } => ErrorCode::JwtFormatInvalid,
        }
    }

    pub fn carrier(&self) -> Option<Carrier> {
        match self {
            Self::Unreadable { carrier, .. } => Some(*carrier),
            _ => None,
        }
    }
}

/// Finds the one credential of an upgrade request.
pub(super) fn of_upgrade(
    headers: &HeaderMap,
    query: Option<&str>,
    token_in_query: bool,
) -> Result<Credential, CarrierFault> {
    let mut search = Search::default();
    search.in_header(headers)?;
    search.in_subprotocols(headers)?;
    search.in_query(query.unwrap_or_default());
    search.one(token_in_query)
}

/// Finds the token of an HTTP request, which is only looked for in its header.
pub(super) fn of_request(headers: &HeaderMap) -> Result<Credential, CarrierFault> {
    let mut search = Search::default();
    search.in_header(headers)?;
    search.one(false)
}

/// What to echo in the 101: of the offered subprotocols, one that names how frames are read, else a
/// marker, each in the order of the client's preference. Never a token.
pub(super) fn subprotocol_to_echo(headers: &HeaderMap) -> Option<&'static str> {
    let offered: Vec<&str> = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().flat_map(items).collect();
    let first_of =
        |names: [&'static str; 2]| offered.iter().find_map(|offer| names.iter().copied().find(|name| name == offer));
    first_of(PROTOCOLS).or_else(|| first_of(MARKERS))
}

/// All that was found, before it is known whether it is one.
#[derive(Default)]
struct Search {
    found: Vec<Found>,
    /// What explains best why there is nothing.
    hint: Option<&'static str>,
}

struct Found {
    carrier: Carrier,
    text: String,
}

impl Search {
    fn in_header(&mut self, headers: &HeaderMap) -> Result<(), CarrierFault> {
        for value in headers.get_all(AUTHORIZATION) {
            let value = value.to_str().map_err(|_| unreadable(Carrier::Header, "is not ASCII"))?.trim();
            let (scheme, token) = value.split_once([' ', '\t']).unwrap_or((value, ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                self.add(Carrier::Header, token.trim(), "the Authorization header has no token after `Bearer`");
            } else {
                self.hint.get_or_insert("the Authorization header has another scheme than Bearer");
            }
        }
        Ok(())
    }

    fn in_subprotocols(&mut self, headers: &HeaderMap) -> Result<(), CarrierFault> {
        let mut marked = false;
        for value in headers.get_all(SEC_WEBSOCKET_PROTOCOL) {
            value.to_str().map_err(|_| unreadable(Carrier::Subprotocol, "is not ASCII"))?;
            for item in items(value) {
                if MARKERS.contains(&item) {
                    marked = true;
                } else if let Some(token) = PREFIXES.iter().find_map(|prefix| item.strip_prefix(prefix)) {
                    marked = false;
                    self.add(Carrier::Subprotocol, token, "the subprotocol has no token after its prefix");
                } else if marked && !PROTOCOLS.contains(&item) {
                    marked = false;
                    self.add(Carrier::Subprotocol, item, "");
                }
            }
        }
        if marked {
            self.hint.get_or_insert("no token follows the subprotocol that announces one");
        }
        Ok(())
    }

    fn in_query(&mut self, query: &str) {
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Names are decoded, too: `%74oken` must not slip past the rule that there is one carrier.
            let (carrier, empty) = match percent_decoded(name).as_deref() {
                Some("ticket") => (Carrier::Ticket, "`?ticket=` is empty"),
                Some("token") => (Carrier::Query, "`?token=` is empty"),
                _ => continue,
            };
            // Text with broken escapes stands as it is, and is refused when it is checked.
            self.add(carrier, &percent_decoded(value).unwrap_or_else(|| value.to_owned()), empty);
        }
    }

    fn add(&mut self, carrier: Carrier, text: &str, if_empty: &'static str) {
        if text.is_empty() {
            self.hint.get_or_insert(if_empty);
        } else {
            self.found.push(Found { carrier, text: text.to_owned() });
        }
    }

    fn one(mut self, token_in_query: bool) -> Result<Credential, CarrierFault> {
        if self.found.len() > 1 {
            let places: Vec<_> = self.found.iter().map(|found| found.carrier.place()).collect();
            return Err(CarrierFault::Conflict(places.join(" and ")));
        }
        let Some(Found { carrier, text }) = self.found.pop() else {
            return Err(CarrierFault::Missing(self.hint.unwrap_or("the request carries no token").to_owned()));
        };
        if carrier == Carrier::Query && !token_in_query {
            let why = "this server takes no token from the query, because it would end in access logs \
                       (`auth.token_in_query`): use a header, a subprotocol or a ticket";
            return Err(CarrierFault::Missing(why.to_owned()));
        }
        if text.len() > MAX_CARRIED_BYTES {
            return Err(unreadable(carrier, "is too long"));
        }
        let secret = match carrier {
            Carrier::Subprotocol => unwrapped(text).map_err(|problem| unreadable(carrier, problem))?,
            _ => text,
        };
        Ok(Credential { carrier, secret })
    }
}

fn unreadable(carrier: Carrier, problem: &'static str) -> CarrierFault {
    CarrierFault::Unreadable { carrier, problem }
}

/// The entries of one header line.
fn items(value: &http::HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use base64::{
        Engine as _,
        prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD},
    };
    use http::HeaderValue;

    use super::*;

    /// Its base64 has `+`, `/` and padding, so that the alphabets and paddings differ.
    const TOKEN: &str = "eyJ?>~.c2~?>.c2ln~?";

    fn headers(lines: &[(http::HeaderName, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn find(lines: &[(http::HeaderName, &str)], query: &str) -> Result<(Carrier, String), ErrorCode> {
        of_upgrade(&headers(lines), Some(query), true)
            .map(|found| (found.carrier, found.secret))
            .map_err(|fault| fault.code())
    }

    #[test]
    fn the_scheme_of_the_header_is_read_in_any_case_and_with_any_space() {
        for value in ["Bearer T.T.T", "bearer T.T.T", "BEARER   T.T.T", "bEaReR\tT.T.T", " Bearer T.T.T "] {
            let found = find(&[(AUTHORIZATION, value)], "");
            assert_eq!(found, Ok((Carrier::Header, "T.T.T".to_owned())), "{value:?}");
        }
    }

    #[test]
    fn every_spelling_of_a_subprotocol_is_read_in_every_encoding() {
        assert!(BASE64_STANDARD.encode(TOKEN).contains(['+', '/']) && BASE64_STANDARD.encode(TOKEN).ends_with('='));
        let encodings = [
            TOKEN.to_owned(),
            BASE64_STANDARD.encode(TOKEN),
            BASE64_STANDARD_NO_PAD.encode(TOKEN),
            BASE64_URL_SAFE.encode(TOKEN),
            BASE64_URL_SAFE_NO_PAD.encode(TOKEN),
        ];
        for token in encodings {
            for (spelling, echo) in [
                (format!("jwt.{token}"), None),
                (format!("jwt-auth.{token}"), None),
                (format!("jwt, {token}"), Some("jwt")),
                (format!("jwt,{token}"), Some("jwt")),
                (format!("jwt-auth, jwt.{token}"), Some("jwt-auth")),
                (format!("jwt-auth, jwt-auth.{token}"), Some("jwt-auth")),
                (format!("jwt.{token}, jwt-auth"), Some("jwt-auth")),
                (format!("mcp, jwt.{token}"), Some("mcp")),
                (format!("jwt, {token}, mcp"), Some("mcp")),
                (format!("jwt, mcp, {token}"), Some("mcp")),
                (format!("jwt-auth, jwt.{token}, switchboard.v1"), Some("switchboard.v1")),
                (format!("mcp, switchboard.v1, jwt.{token}"), Some("mcp")),
                (format!("switchboard.v1, mcp, jwt.{token}"), Some("switchboard.v1")),
                (format!("chat, jwt.{token}, soap"), None),
            ] {
                let lines = [(SEC_WEBSOCKET_PROTOCOL, spelling.as_str())];
                assert_eq!(find(&lines, ""), Ok((Carrier::Subprotocol, TOKEN.to_owned())), "{spelling}");
                assert_eq!(subprotocol_to_echo(&headers(&lines)), echo, "{spelling}");
            }
        }
    }

    #[test]
    fn subprotocols_may_be_spread_over_header_lines() {
        let lines = [(SEC_WEBSOCKET_PROTOCOL, "jwt"), (SEC_WEBSOCKET_PROTOCOL, TOKEN)];
        assert_eq!(find(&lines, ""), Ok((Carrier::Subprotocol, TOKEN.to_owned())));
    }

    #[test]
    fn the_query_carries_a_ticket_or_a_token_with_escapes() {
        for (query, carrier, secret) in [
            ("ticket=abc", Carrier::Ticket, "abc"),
            ("x=1&ticket=a%62c&y", Carrier::Ticket, "abc"),
            ("token=T.T.T", Carrier::Query, "T.T.T"),
            ("%74oken=T%2eT%2ET", Carrier::Query, "T.T.T"),
            ("ticket=100%", Carrier::Ticket, "100%"),
            ("ticket=%ff", Carrier::Ticket, "%ff"),
        ] {
            assert_eq!(find(&[], query), Ok((carrier, secret.to_owned())), "{query}");
        }
    }

    #[test]
    fn a_token_in_the_query_is_refused_unless_it_is_allowed_and_the_error_says_how() {
        let fault = of_upgrade(&HeaderMap::new(), Some("token=T.T.T"), false).unwrap_err();
        assert_eq!(fault.code(), ErrorCode::JwtTokenMissing);
        assert!(fault.to_string().contains("auth.token_in_query"), "{fault}");
    }

    #[test]
    fn nothing_and_nearly_nothing_are_a_missing_token_with_a_reason() {
        for (lines, query, reason) in [
            (vec![], "", "carries no token"),
            (vec![], "a=b&&=", "carries no token"),
            (vec![(AUTHORIZATION, "Basic dTpw")], "", "another scheme"),
            (vec![(AUTHORIZATION, "Bearer")], "", "after `Bearer`"),
            (vec![(AUTHORIZATION, "Bearer  ")], "", "after `Bearer`"),
            (vec![(SEC_WEBSOCKET_PROTOCOL, "jwt")], "", "no token follows"),
            (vec![(SEC_WEBSOCKET_PROTOCOL, "jwt, mcp")], "", "no token follows"),
            (vec![(SEC_WEBSOCKET_PROTOCOL, "jwt.")], "", "after its prefix"),
            (vec![(SEC_WEBSOCKET_PROTOCOL, "mcp, chat")], "", "carries no token"),
            (vec![], "ticket=", "`?ticket=` is empty"),
            (vec![], "token", "`?token=` is empty"),
        ] {
            let fault = of_upgrade(&headers(&lines), Some(query), true).unwrap_err();
            assert_eq!(fault.code(), ErrorCode::JwtTokenMissing, "{lines:?} {query}");
            assert!(fault.to_string().contains(reason), "{lines:?} {query}: {fault}");
        }
    }

    #[test]
    fn two_carriers_at_once_are_refused_whatever_they_are() {
        let carriers = [
            (Some((AUTHORIZATION, "Bearer T.T.T")), ""),
            (Some((SEC_WEBSOCKET_PROTOCOL, "jwt.T.T.T")), ""),
            (None, "ticket=abc"),
            (None, "token=T.T.T"),
        ];
        for (first_header, first_query) in &carriers {
            for (second_header, second_query) in &carriers {
                let lines: Vec<_> = first_header.iter().chain(second_header).cloned().collect();
                let query = format!("{first_query}&{second_query}");
                let found = of_upgrade(&headers(&lines), Some(&query), false).unwrap_err();
                assert_eq!(found.code(), ErrorCode::AuthCarrierConflict, "{lines:?} {query}");
            }
        }
        let lines = [(SEC_WEBSOCKET_PROTOCOL, "jwt.T.T.T, jwt-auth.T.T.T")];
        assert_eq!(find(&lines, ""), Err(ErrorCode::AuthCarrierConflict));
    }

    #[test]
    fn another_scheme_and_a_bare_marker_are_no_carriers_beside_a_real_one() {
        let lines = [(AUTHORIZATION, "Basic dTpw"), (SEC_WEBSOCKET_PROTOCOL, "jwt")];
        assert_eq!(find(&lines, "ticket=abc"), Ok((Carrier::Ticket, "abc".to_owned())));
    }

    #[test]
    fn what_cannot_be_a_token_is_a_format_fault_that_does_not_echo_it() {
        let long = format!("Bearer {}", "x".repeat(MAX_CARRIED_BYTES + 1));
        for line in [
            (SEC_WEBSOCKET_PROTOCOL, "jwt.s3cret!"),
            (SEC_WEBSOCKET_PROTOCOL, "jwt.czNjcmV0"),
            (SEC_WEBSOCKET_PROTOCOL, "jwt, s3cret!"),
            (AUTHORIZATION, long.as_str()),
        ] {
            let fault = of_upgrade(&headers(std::slice::from_ref(&line)), None, false).unwrap_err();
            assert_eq!(fault.code(), ErrorCode::JwtFormatInvalid, "{line:?}");
            assert!(!format!("{fault} {fault:?}").contains("s3cret"), "{fault}");
        }
    }

    #[test]
    fn a_request_is_only_looked_at_in_its_header() {
        let lines = headers(&[(AUTHORIZATION, "Bearer T.T.T"), (SEC_WEBSOCKET_PROTOCOL, "jwt.T.T.T")]);
        assert_eq!(of_request(&lines).unwrap().secret, "T.T.T");
    }
}
