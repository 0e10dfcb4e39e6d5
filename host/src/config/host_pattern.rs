//! Which hosts a plugin may send requests to: `api.example.com`, `*.example.com`, `api.example.com:8443`,
//! `http://localhost:3000`, `192.0.2.7`, `[2001:db8::7]`.
//!
//! Without a scheme it is https; plain http is only meant where it is written. Without a port it is the
//! scheme's own. An address is only meant where it is written as one, and is compared as an address, so that no
//! other spelling of it passes for something else. What is compared with a pattern is what a WHATWG URL parser
//! made of a request's URL: lower case, international names in Punycode, numbers as addresses.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use super::{
    convert::{Converted, FromValue, each, quoted, wrong},
    raw::{Located, Value},
    setting::{Element, Kind},
};

/// RFC 1035, section 2.3.4.
const MAX_NAME: usize = 253;

/// A pattern of hosts, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPattern {
    text: String,
    secure: bool,
    host: Hosts,
    port: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Exactly(String),
    /// The suffix with its dot.
    Below(String),
    Address(IpAddr),
}

impl HostPattern {
    /// What is wrong with it starts with a verb.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lower = text.to_ascii_lowercase();
        let (secure, authority) = match lower.split_once("://") {
            None => (true, lower.as_str()),
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err("has a scheme that is neither https:// nor http://".to_owned()),
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err("is more than a host; leave out the path, the query and the user".to_owned());
        }
        let (host, port) = split_port(authority).ok_or("has a port that is not 1 to 65535")?;
        let host = parse_hosts(host).ok_or(HOST_HELP)?;
        Ok(Self { text: text.to_owned(), secure, host, port: port.unwrap_or(default_port(secure)) })
    }

    /// Whether it includes what a URL names. The host is in the form in which URLs are serialised.
    pub fn includes(&self, secure: bool, host: &str, port: u16) -> bool {
        let host_fits = match (&self.host, address_of(host)) {
            (Hosts::Address(wanted), Some(address)) => *wanted == address,
            (Hosts::Exactly(wanted), None) => wanted == host,
            // Parsed URLs hold whole labels, so what precedes the suffix is some. An empty one is none.
            (Hosts::Below(suffix), None) => {
                host.strip_suffix(suffix.as_str()).is_some_and(|rest| !rest.is_empty() && !rest.ends_with('.'))
            }
            _ => false,
        };
        host_fits && self.secure == secure && self.port == port
    }

    /// Whether there is a host that both include.
    pub fn overlaps(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Hosts::Below(a), Hosts::Below(b)) => a.ends_with(b.as_str()) || b.ends_with(a.as_str()),
            (Hosts::Below(suffix), Hosts::Exactly(name)) | (Hosts::Exactly(name), Hosts::Below(suffix)) => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            (a, b) => a == b,
        };
        hosts && self.secure == other.secure && self.port == other.port
    }

    /// Whether it includes all that another does.
    pub fn covers(&self, other: &Self) -> bool {
        let hosts = match (&self.host, &other.host) {
            (Hosts::Below(a), Hosts::Below(b)) => b.ends_with(a.as_str()),
            (Hosts::Exactly(_), Hosts::Below(_)) => false,
            _ => self.overlaps(other),
        };
        hosts && self.secure == other.secure && self.port == other.port
    }

    /// Whether what is sent there is encrypted.
    pub fn is_secure(&self) -> bool {
        self.secure
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const HOST_HELP: &str = "has no valid host; write a name (an international one as `xn--...`), an address \
                         (`192.0.2.7`, `[2001:db8::7]`), or `*.` and a name for everything below that name";

/// The address that a URL's host is, if it is one: a parsed URL has them in one spelling each.
pub(crate) fn address_of(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

fn split_port(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an IPv6 address stand within brackets.
    let after_brackets = authority.rfind(']').map_or(0, |end| end + 1);
    let Some(colon) = authority[after_brackets..].find(':') else { return Some((authority, None)) };
    let (host, port) = authority.split_at(after_brackets + colon);
    let digits = &port[1..];
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let port: u16 = digits.parse().ok()?;
    (port > 0).then_some((host, Some(port)))
}

fn parse_hosts(host: &str) -> Option<Hosts> {
    if let Some(address) = address_of(host) {
        return Some(Hosts::Address(address));
    }
    match host.strip_prefix("*.") {
        Some(parent) => is_name(parent).then(|| Hosts::Below(format!(".{parent}"))),
        None => is_name(host).then(|| Hosts::Exactly(host.to_owned())),
    }
}

/// Names whose last label is a number are none: URL parsers take them for addresses, or refuse them.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        let edges = !label.starts_with('-') && !label.ends_with('-');
        let letters = label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
        (1..=63).contains(&label.len()) && edges && letters
    };
    let last = name.rsplit('.').next().unwrap_or(name);
    let hexadecimal = |label: &str| {
        label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
    };
    let is_number = last.bytes().all(|digit| digit.is_ascii_digit()) || hexadecimal(last);
    name.len() <= MAX_NAME && name.split('.').all(is_label) && !is_number
}

impl FromValue for HostPattern {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: {}", kind.allowed());
        let Value::Text(text) = &written.value else {
            return wrong(written, format!("is {}", written.value.kind()), help());
        };
        Self::parse(text).or_else(|problem| wrong(written, format!("{} {problem}", quoted(text)), help()))
    }
}

impl FromValue for Vec<HostPattern> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: a list of {}", Element::Host.allowed());
        each(written, kind, |_, text| {
            HostPattern::parse(text).map_err(|problem| (format!("{} {problem}", quoted(text)), help()))
        })
    }
}

#[cfg(test)]
mod tests {
    use reqwest::Url;

    use super::*;

    /// As a request is taken apart: by the parser of the client that sends it.
    fn includes(pattern: &HostPattern, url: &str) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return false };
        pattern.includes(url.scheme() == "https", host, port)
    }

    fn check(pattern: &str, granted: &[&str], refused: &[&str]) {
        let parsed = HostPattern::parse(pattern).unwrap_or_else(|problem| panic!("{pattern} {problem}"));
        for url in granted {
            assert!(includes(&parsed, url), "{pattern} should include {url}");
        }
        for url in refused {
            assert!(!includes(&parsed, url), "{pattern} should not include {url}");
        }
    }

    #[test]
    fn a_name_includes_itself_in_every_spelling_and_nothing_that_resembles_it() {
        check(
            "api.example.com",
            &[
                "https://api.example.com",
                "https://API.Example.COM:443/v1?q=1",
                "https://api%2Eexample%2ecom/",
                "https:\\\\api.example.com\\v1",
                "https://api\u{3002}example.com/",
                "https://\u{ff41}pi.example.com/",
            ],
            &[
                "http://api.example.com",
                "https://api.example.com:8443",
                "https://example.com",
                "https://a.api.example.com",
                "https://api.example.com.evil.example",
                "https://api.example.com@evil.example/",
                "https://evil.example/@api.example.com",
                "https://evil.example/?https://api.example.com",
                "https://evil.example#api.example.com",
                "https://evil.example\\@api.example.com",
                "https://api.example.com.",
                "https://xapi.example.com",
                "https://api-example.com",
                "https://\u{430}pi.example.com",
                "ftp://api.example.com",
                "file:///api.example.com",
                "//api.example.com",
            ],
        );
    }

    #[test]
    fn a_star_includes_whatever_is_below_and_not_the_name_itself() {
        check(
            "*.example.com",
            &["https://a.example.com", "https://a.b.example.com"],
            &[
                "https://example.com",
                "https://aexample.com",
                "https://.example.com",
                "https://a.example.com.",
                "https://a..example.com",
            ],
        );
    }

    #[test]
    fn scheme_and_port_are_exactly_those_that_are_written() {
        check("http://localhost:3000", &["http://localhost:3000/x"], &["https://localhost:3000", "http://localhost"]);
        check("http://localhost", &["http://localhost:80"], &["https://localhost", "http://localhost:8080"]);
        check("https://a.example:8443", &["https://a.example:8443"], &["https://a.example", "http://a.example:8443"]);
    }

    #[test]
    fn an_address_is_included_in_every_spelling_only_where_an_address_is_written() {
        let spellings = [
            "https://127.0.0.1",
            "https://0x7f.1",
            "https://0x7f000001",
            "https://2130706433",
            "https://0177.0.0.1",
            "https://127.1",
            "https://127.0.0.1.",
            "https://\u{2460}\u{2461}\u{2466}.0.0.1",
        ];
        check("127.0.0.1", &spellings[..7], &["https://127.0.0.2", "https://[::ffff:127.0.0.1]", "https://localhost"]);
        check("localhost", &["https://localhost"], &spellings);
        check("*.0.0.1.example", &[], &spellings);
        check("[::1]", &["https://[::1]", "https://[0:0:0:0:0:0:0:1]"], &["https://127.0.0.1", "https://[::2]"]);
        check("[::ffff:127.0.0.1]", &["https://[::ffff:7f00:1]"], &["https://127.0.0.1"]);
    }

    #[test]
    fn an_international_name_is_written_in_punycode() {
        check(
            "xn--bcher-kva.example",
            &["https://b\u{fc}cher.example", "https://B\u{dc}CHER.example"],
            &["https://bucher.example"],
        );
        assert!(HostPattern::parse("b\u{fc}cher.example").unwrap_err().contains("xn--"));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.*",
            "a.*",
            "*a.example",
            "a..b",
            ".a",
            "a.",
            "a b",
            "-a.example",
            "ftp://a.example",
            "https://",
            "a.example/",
            "a.example/v1",
            "user@a.example",
            "a.example:",
            "a.example:0",
            "a.example:65536",
            "a.example:*",
            "127.1",
            "0x7f.1",
            "1.2.3.4.5",
            "256.1.1.1",
            "[::1",
            "::1",
            "*.127.0.0.1",
            "*.1",
            "[1.2.3.4]",
            "a%2eb",
            "a\n",
            "https://https://a.example",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text:?}");
        }
        assert!(HostPattern::parse(&format!("{}.example", "a".repeat(64))).is_err());
    }

    #[test]
    fn patterns_overlap_if_one_host_is_in_both() {
        let overlap = |a: &str, b: &str| {
            let (a, b) = (HostPattern::parse(a).unwrap(), HostPattern::parse(b).unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a));
            a.overlaps(&b)
        };
        assert!(overlap("a.example", "A.example") && overlap("*.example", "a.example"));
        assert!(overlap("*.b.example", "*.example") && overlap("a.example:443", "https://a.example"));
        assert!(!overlap("a.example", "b.example") && !overlap("a.example", "http://a.example"));
        assert!(!overlap("*.example", "example") && !overlap("a.example", "a.example:8443"));
        assert!(!overlap("*.example", "127.0.0.1"));
    }

    #[test]
    fn a_pattern_covers_itself_and_what_is_below_it() {
        let covers = |a: &str, b: &str| HostPattern::parse(a).unwrap().covers(&HostPattern::parse(b).unwrap());
        assert!(
            covers("a.example", "A.example") && covers("*.example", "a.example") && covers("127.0.0.1", "127.0.0.1")
        );
        assert!(covers("*.example", "*.b.example") && covers("*.example", "*.example"));
        assert!(
            !covers("*.b.example", "*.example") && !covers("a.example", "*.example") && !covers("*.example", "example")
        );
        assert!(!covers("a.example", "http://a.example") && !covers("*.example", "a.example:8443"));
    }
}
