//! From what a plugin asks for to a request that can be sent, or to the reason why not.
//!
//! A URL is taken apart once, by the parser of the client that sends it, and only what came of that is compared with
//! grants and sent: a spelling that two parsers read differently has no second parser to meet.

use std::{net::IpAddr, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reqwest::Url;

use super::{address, fault::EgressFault};
use crate::config::{HostPattern, Network, host_pattern::address_of, secret::HOST_HEADERS};

/// Longer than what servers take (RFC 9110, section 4.1, asks them for 8,000 octets).
const MAX_URL_BYTES: usize = 8 << 10;

/// More than any interface asks for, and what servers take at most.
const MAX_HEADERS: usize = 100;
const MAX_HEADER_BYTES: usize = 32 << 10;

/// What a plugin asks for.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// For the whole answer.
    pub timeout: Option<Duration>,
}

/// Where a request goes.
#[derive(Debug)]
pub(super) struct Target {
    pub url: Url,
    pub secure: bool,
    /// As URLs are serialised: lower case, Punycode, one spelling of each address.
    pub host: String,
    pub port: u16,
}

impl Target {
    pub fn parse(text: &str) -> Result<Self, EgressFault> {
        let invalid = |problem: &str| EgressFault::Invalid(format!("the URL {problem}"));
        if text.len() > MAX_URL_BYTES {
            return Err(invalid(&format!("has {} bytes, and {MAX_URL_BYTES} are allowed", text.len())));
        }
        let url = Url::parse(text).map_err(|fault| invalid(&format!("is none: {fault}")))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(invalid("is neither https: nor http:")),
        };
        // It would be sent as an `authorization` of the plugin's.
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("has a user or password in it; send them in a header"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| invalid("has no host"))?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port > 0).ok_or_else(|| invalid("has no port"))?;
        Ok(Self { url, secure, host, port })
    }

    /// Whether the operator has granted it. The addresses of a name are looked at when it is resolved, those that
    /// stand in the URL itself here.
    pub fn check(&self, hosts: &[HostPattern], networks: &[Network]) -> Result<(), EgressFault> {
        if !hosts.iter().any(|granted| self.is_in(granted)) {
            return Err(EgressFault::HostNotGranted(self.shown()));
        }
        let literal: Option<IpAddr> = address_of(&self.host);
        literal.map_or(Ok(()), |literal| {
            let refuse = |refused| EgressFault::AddressNotGranted { host: self.shown(), refused };
            address::check(literal, networks).map_err(refuse)
        })
    }

    pub fn is_in(&self, pattern: &HostPattern) -> bool {
        pattern.includes(self.secure, &self.host, self.port)
    }

    /// As it would be granted, which is also all that is logged of a URL.
    pub fn shown(&self) -> String {
        match (self.secure, self.port) {
            (true, 443) => self.host.clone(),
            (true, port) => format!("{}:{port}", self.host),
            (false, 80) => format!("http://{}", self.host),
            (false, port) => format!("http://{}:{port}", self.host),
        }
    }
}

/// Methods that a plugin may use.
pub(super) fn method(text: &str) -> Result<Method, EgressFault> {
    match Method::from_bytes(text.as_bytes()) {
        // The one opens a tunnel to somewhere else; the other has the server send back all headers, secrets among them.
        Ok(Method::CONNECT | Method::TRACE) => {
            Err(EgressFault::Invalid("`CONNECT` and `TRACE` are not sent".to_owned()))
        }
        Ok(method) => Ok(method),
        Err(_) => Err(EgressFault::Invalid("the method is not one that HTTP can have".to_owned())),
    }
}

/// Headers that a plugin may set.
pub(super) fn headers(pairs: Vec<(String, Vec<u8>)>) -> Result<HeaderMap, EgressFault> {
    let invalid = |problem: String| Err(EgressFault::Invalid(problem));
    let bytes: usize = pairs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if pairs.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES {
        return invalid(format!("there are more than {MAX_HEADERS} headers, or than {MAX_HEADER_BYTES} bytes of them"));
    }
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (index, (name, value)) in pairs.into_iter().enumerate() {
        let Ok(name) = name.parse::<HeaderName>() else {
            return invalid(format!("header number {} has no valid name", index + 1));
        };
        if HOST_HEADERS.contains(&name.as_str()) {
            return invalid(format!("the header `{name}` is set by the host alone"));
        }
        let Ok(value) = HeaderValue::from_bytes(&value) else {
            return invalid(format!("the value of the header `{name}` is not one that HTTP can have"));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(url: &str, hosts: &[&str], networks: &[&str]) -> Result<(), String> {
        let hosts: Vec<_> = hosts.iter().map(|host| HostPattern::parse(host).unwrap()).collect();
        let networks: Vec<_> = networks.iter().map(|network| Network::parse(network).unwrap()).collect();
        let checked = Target::parse(url).and_then(|target| target.check(&hosts, &networks));
        checked.map_err(|fault| format!("{} {fault}", fault.outcome()))
    }

    #[test]
    fn only_what_is_granted_is_sent_and_a_refusal_names_the_host_and_nothing_else_of_the_url() {
        let hosts = ["api.example.com", "http://localhost:3000"];
        assert_eq!(verdict("https://api.example.com/v1?key=1", &hosts, &[]), Ok(()));
        assert_eq!(verdict("http://localhost:3000/", &hosts, &[]), Ok(()));
        for (url, shown) in [
            ("https://evil.example/s3cret?s3cret#s3cret", "include evil.example"),
            ("http://api.example.com/s3cret", "include http://api.example.com"),
            ("https://api.example.com:8443/s3cret", "include api.example.com:8443"),
            ("https://0x7f.1/s3cret", "include 127.0.0.1"),
            ("https://[::FFFF:127.0.0.1]/s3cret", "include [::ffff:7f00:1]"),
        ] {
            let told = verdict(url, &hosts, &[]).unwrap_err();
            assert!(told.starts_with("not_granted ") && told.ends_with(shown) && !told.contains("s3cret"), "{told}");
        }
    }

    #[test]
    fn an_address_in_a_url_has_to_be_granted_as_host_and_as_network() {
        let hosts = ["127.0.0.1", "[::ffff:127.0.0.1]", "1.1.1.1"];
        for url in ["https://127.0.0.1", "https://2130706433/", "https://[::ffff:127.0.0.1]/"] {
            assert!(verdict(url, &hosts, &[]).unwrap_err().contains("its address is loopback"), "{url}");
            assert_eq!(verdict(url, &hosts, &["127.0.0.0/8"]), Ok(()), "{url}");
        }
        assert_eq!(verdict("https://1.1.1.1/", &hosts, &[]), Ok(()));
        assert!(verdict("https://127.0.0.2/", &hosts, &["127.0.0.0/8"]).is_err());
    }

    #[test]
    fn what_is_no_url_of_a_server_is_invalid_and_not_quoted() {
        for url in [
            "",
            "s3cret",
            "/s3cret",
            "//a.example",
            "ftp://a.example",
            "file:///s3cret",
            "data:,s3cret",
            "https://",
            "https:///",
            "https://user:s3cret@a.example/",
            "https://s3cret@a.example/",
            "https://a.example:0/",
            "https://a.example:99999/",
            "https://a b.example/",
            "https://[::1/",
            "https://1.2.3.4.5/",
            "https://a%00.example/",
            "javascript:s3cret",
            &format!("https://a.example/{}", "s3cret".repeat(2_000)),
        ] {
            let told = verdict(url, &["a.example"], &[]).unwrap_err();
            assert!(told.starts_with("invalid ") && !told.contains("s3cret"), "{url}: {told}");
        }
    }

    #[test]
    fn headers_of_the_connection_and_forged_ones_are_invalid() {
        let check = |name: &str, value: &str| headers(vec![(name.to_owned(), value.as_bytes().to_vec())]);
        assert_eq!(check("X-Api-Key", "k").unwrap()["x-api-key"], "k");
        for (name, value) in [
            ("Host", "evil.example"),
            ("content-length", "3"),
            ("Transfer-Encoding", "chunked"),
            ("connection", "close"),
            ("te", "x"),
            ("upgrade", "h2c"),
            ("a b", "c"),
            ("", "c"),
            ("a", "b\r\nHost: evil.example"),
            ("a\r\nb", "c"),
        ] {
            assert!(check(name, value).is_err(), "{name}: {value}");
        }
        assert!(headers(vec![("a".to_owned(), vec![b'x'; MAX_HEADER_BYTES])]).is_err());
        assert!(headers(vec![("a".to_owned(), vec![]); MAX_HEADERS + 1]).is_err());
        assert_eq!(headers(vec![("a".to_owned(), vec![b'x']); 2]).unwrap().get_all("a").iter().count(), 2);
    }

    #[test]
    fn methods_are_those_that_neither_tunnel_nor_reflect() {
        for text in ["GET", "POST", "DELETE", "PROPFIND"] {
            assert_eq!(method(text).unwrap(), text);
        }
        for text in ["CONNECT", "TRACE", "", "G ET", "GET\r\n"] {
            assert!(method(text).is_err(), "{text:?}");
        }
    }
}
