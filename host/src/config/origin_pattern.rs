//! Which web origins (RFC 6454) are meant: `https://app.example.com`, `https://*.example.com`,
//! `http://localhost:*`, `null`, `*`.
//!
//! A header is taken apart into scheme, host and port before anything is compared, so that no
//! prefix, suffix or look-alike of an allowed origin passes for it. What cannot be taken apart
//! matches nothing, not even `*`.

use std::{fmt, net::Ipv6Addr};

/// A pattern of origins, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OriginPattern {
    text: String,
    meaning: Meaning,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Meaning {
    /// Every origin that names a site: not `null`, which sandboxed frames and local files share.
    Any,
    Null,
    Site {
        scheme: String,
        host: Host,
        port: Port,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Exactly(String),
    /// One or more labels before this, the dot included.
    Below(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Port {
    Any,
    /// The scheme's own port is written as none, as browsers do.
    Exactly(Option<u16>),
}

impl OriginPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as a clause that follows the pattern.
    pub fn parse(pattern: &str) -> Result<Self, String> {
        let text = pattern.to_ascii_lowercase();
        let meaning = match text.as_str() {
            "*" => Meaning::Any,
            "null" => Meaning::Null,
            site => parse_site(site)?,
        };
        Ok(Self { text, meaning })
    }

    /// Whether the value of an Origin header is meant.
    pub fn matches(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        if origin == "null" {
            return self.meaning == Meaning::Null;
        }
        let Some((scheme, host, port)) = parse_origin(&origin) else { return false };
        match &self.meaning {
            Meaning::Any => true,
            Meaning::Null => false,
            Meaning::Site { scheme: wanted, host: hosts, port: ports } => {
                *wanted == scheme && hosts.include(&host) && ports.include(port)
            }
        }
    }
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Host {
    fn include(&self, host: &str) -> bool {
        match self {
            Self::Exactly(name) => name == host,
            // The host has been checked label by label, so whatever precedes the suffix is whole labels.
            Self::Below(suffix) => host.len() > suffix.len() && host.ends_with(suffix.as_str()),
        }
    }
}

impl Port {
    fn include(&self, port: Option<u16>) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => *wanted == port,
        }
    }
}

fn parse_site(site: &str) -> Result<Meaning, String> {
    let (scheme, authority) = site
        .split_once("://")
        .filter(|(scheme, _)| is_scheme(scheme))
        .ok_or("has no scheme; write scheme://host, scheme://host:port, `null` or `*`")?;
    if authority.contains(['/', '?', '#', '@']) {
        return Err("is more than an origin; leave out the path, the query and the user".to_owned());
    }
    let (host, port) = match authority.strip_suffix(":*") {
        Some(host) => (host, Port::Any),
        None => {
            let (host, port) = split_port(authority).ok_or("has a port that is neither 1 to 65535 nor `*`")?;
            (host, Port::Exactly(without_default(scheme, port)))
        }
    };
    let host = match host.strip_prefix("*.") {
        Some(parent) => match checked_host(parent) {
            Some(parent) if !is_address(&parent) => Host::Below(format!(".{parent}")),
            _ => return Err(HOST_HELP.to_owned()),
        },
        None => Host::Exactly(checked_host(host).ok_or(HOST_HELP)?),
    };
    Ok(Meaning::Site { scheme: scheme.to_owned(), host, port })
}

const HOST_HELP: &str = "has no valid host; write a name (an international one as `xn--...`), an address, \
                         or `*.` and a name for everything below that name";

/// An Origin header's value, in lower case, as scheme, host and port.
fn parse_origin(origin: &str) -> Option<(&str, String, Option<u16>)> {
    let (scheme, authority) = origin.split_once("://")?;
    if !is_scheme(scheme) {
        return None;
    }
    let (host, port) = split_port(authority)?;
    Some((scheme, checked_host(host)?, without_default(scheme, port)))
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '+' | '-' | '.'))
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address stand within brackets.
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_brackets..].find(':') else { return Some((authority, None)) };
    let (host, port) = authority.split_at(after_brackets + colon);
    let digits = &port[1..];
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port: u16 = digits.parse().ok()?;
    (port > 0).then_some((host, Some(port)))
}

fn without_default(scheme: &str, port: Option<u16>) -> Option<u16> {
    let default = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    if port == default { None } else { port }
}

/// The host in the one form in which it is compared, if it is one at all.
fn checked_host(host: &str) -> Option<String> {
    if let Some(address) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return Some(format!("[{}]", address.parse::<Ipv6Addr>().ok()?));
    }
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '-' | '_'));
    host.split('.').all(is_label).then(|| host.to_owned())
}

/// Nothing is below an address.
fn is_address(host: &str) -> bool {
    host.starts_with('[') || host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, allowed: &[&str], refused: &[&str]) {
        let parsed = OriginPattern::parse(pattern).unwrap_or_else(|problem| panic!("{pattern} {problem}"));
        for origin in allowed {
            assert!(parsed.matches(origin), "{pattern} should allow {origin}");
        }
        for origin in refused {
            assert!(!parsed.matches(origin), "{pattern} should refuse {origin:?}");
        }
    }

    #[test]
    fn an_exact_origin_matches_itself_in_any_case_and_nothing_that_resembles_it() {
        check(
            "https://app.example.com",
            &["https://app.example.com", "HTTPS://App.Example.COM", "https://app.example.com:443"],
            &[
                "http://app.example.com",
                "https://app.example.com:8443",
                "https://app.example.com.evil.com",
                "https://evil-app.example.com",
                "https://app.example.com.",
                "https://app.example.com@evil.com",
                "https://evil.com#https://app.example.com",
                "https://evil.com/https://app.example.com",
                "https://app.example.com/",
                "https://app.example.com https://evil.com",
                "https://app.example.com, https://evil.com",
                "https://app.example.com:443:443",
                "https://app.example.com:",
                "https://app.example.com:0443x",
                "https:app.example.com",
                "//app.example.com",
                " https://app.example.com",
                "https://app.example.com\0",
                "https://app\u{ff0e}example.com",
                "null",
                "",
            ],
        );
    }

    #[test]
    fn a_wildcard_stands_for_one_or_more_labels_and_never_for_none() {
        check(
            "https://*.example.com",
            &["https://a.example.com", "https://a.b.example.com", "https://A.EXAMPLE.com"],
            &[
                "https://example.com",
                "https://.example.com",
                "https://a..example.com",
                "https://evilexample.com",
                "https://evil.com/.example.com",
                "https://evil.com?.example.com",
                "https://evil.com\\.example.com",
                "https://evil.com:1.example.com",
                "https://a.example.com.evil.com",
                "https://a.example.com:8443",
                "http://a.example.com",
                "https://*.example.com",
                "null",
            ],
        );
    }

    #[test]
    fn a_starred_port_is_any_port_or_none() {
        check(
            "http://localhost:*",
            &["http://localhost", "http://localhost:80", "http://localhost:5173", "http://LOCALHOST:1"],
            &[
                "https://localhost:5173",
                "http://localhost.evil.com:5173",
                "http://localhost:0",
                "http://localhost:65536",
                "http://localhost:*",
            ],
        );
        check("http://[::1]:*", &["http://[::1]:3000", "http://[0:0::1]"], &["http://[::2]:3000", "http://::1:3000"]);
        check("https://*.example.com:*", &["https://a.example.com:8443"], &["https://example.com:8443"]);
    }

    #[test]
    fn a_port_has_to_be_the_same_and_the_schemes_own_may_be_left_out() {
        check("https://a.example:8443", &["https://a.example:8443"], &["https://a.example", "https://a.example:84430"]);
        check("http://a.example:80", &["http://a.example", "http://a.example:80"], &["http://a.example:443"]);
        check("tauri://localhost", &["tauri://localhost"], &["tauri://localhost:80", "http://localhost"]);
    }

    #[test]
    fn a_star_is_any_site_but_null_has_to_be_listed() {
        check("*", &["https://anything.example", "http://127.0.0.1:1"], &["null", "", "garbage", "https://"]);
        check("null", &["null", "NULL"], &["https://null", "nullx"]);
    }

    #[test]
    fn what_is_not_a_pattern_is_refused_with_a_reason() {
        for pattern in [
            "",
            "example.com",
            "localhost:3000",
            "https://",
            "https://*",
            "https://*example.com",
            "https://a.*.com",
            "https://*.*.com",
            "https://*.127.0.0.1",
            "https://example.com/",
            "https://example.com/path",
            "https://user@example.com",
            "https://example.com:0",
            "https://example.com:99999",
            "https://example..com",
            "https://bücher.example",
            "https://[::zz]",
            "://example.com",
            "**",
        ] {
            assert!(OriginPattern::parse(pattern).is_err(), "{pattern:?}");
        }
    }
}
