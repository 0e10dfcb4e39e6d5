//! What `/mcp` is called from outside: the address that tokens are meant for, its neighbours, and the
//! names under which the server may be asked.

use http::uri::Authority;

use super::{
    convert::{Converted, FromValue, each, is_loopback, quoted, wrong},
    raw::{Located, Value},
    setting::{Element, Kind},
};

/// Where the document about a protected resource is (RFC 9728, section 3).
pub(crate) const METADATA_PATH: &str = "/.well-known/oauth-protected-resource";

/// The identifier of a protected resource (RFC 9728, section 1.2): an address without a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ResourceAddress {
    text: String,
    origin: String,
    path: String,
    host: String,
}

impl ResourceAddress {
    /// What is wrong with it starts with a verb.
    pub fn parse(text: &str) -> Result<Self, String> {
        let host = service_host(text)?;
        if text.contains(['?', '#']) {
            return Err("has a query or a fragment".to_owned());
        }
        let after_scheme = text.find("://").map_or(0, |at| at + 3);
        let end = text[after_scheme..].find('/').map_or(text.len(), |at| after_scheme + at);
        let (origin, path) = text.split_at(end);
        Ok(Self { text: text.to_owned(), origin: origin.to_owned(), path: path.to_owned(), host })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Without its port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Of the address itself: empty, or with a slash before it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where the document about it is: the well-known name goes between the host and the path (RFC 9728,
    /// section 3.1).
    pub fn metadata(&self) -> String {
        let path = if self.path == "/" { "" } else { &self.path };
        format!("{}{METADATA_PATH}{path}", self.origin)
    }
}

/// The host of an address that clients may be sent to: encrypted, unless it is this machine.
fn service_host(text: &str) -> Result<String, String> {
    let unfit = || "is not an address with a scheme and a host".to_owned();
    let address: http::Uri = text.parse().map_err(|_| unfit())?;
    let (Some(scheme), Some(authority)) = (address.scheme_str(), address.authority()) else { return Err(unfit()) };
    if authority.as_str().contains('@') {
        return Err("has a user or password in it".to_owned());
    }
    match scheme {
        "https" => {}
        "http" if is_loopback(authority.host()) => {}
        "http" => return Err("is an http:// address of another machine, where tokens could be read on the way".into()),
        _ => return Err("is neither https:// nor http://".to_owned()),
    }
    Ok(authority.host().to_ascii_lowercase())
}

/// Whether clients may be sent to this address.
pub(super) fn is_service_address(text: &str) -> bool {
    service_host(text).is_ok()
}

/// RFC 6749, section 3.3. What is in here can stand in a header, within quotes.
pub(crate) fn is_scope(text: &str) -> bool {
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5B | 0x5D..=0x7E);
    !text.is_empty() && text.bytes().all(fits)
}

impl FromValue for Option<ResourceAddress> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: {}", kind.allowed());
        match &written.value {
            Value::Text(text) if text.is_empty() => Ok(None),
            Value::Text(text) => ResourceAddress::parse(text)
                .map(Some)
                .or_else(|problem| wrong(written, format!("{} {problem}", quoted(text)), help())),
            other => wrong(written, format!("is {}", other.kind()), help()),
        }
    }
}

/// A name of this server in Host headers: `mcp.example.com`, `*.example.com`, or `*` for any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostName(String);

impl HostName {
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.to_ascii_lowercase();
        let bare = name.strip_prefix("*.").unwrap_or(&name);
        let is_host =
            || bare.parse::<Authority>().is_ok_and(|authority| authority.host() == bare && !bare.contains('*'));
        (name == "*" || is_host()).then_some(Self(name))
    }

    /// Whether a host, without its port, is meant.
    pub fn matches(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => host.strip_suffix(suffix).is_some_and(|rest| !rest.is_empty()),
            None => host == self.0,
        }
    }
}

impl FromValue for Vec<HostName> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: a list of {}", Element::HostName.allowed());
        each(written, kind, |_, text| {
            HostName::parse(text).ok_or_else(|| (format!("{} is no host", quoted(text)), help()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_stands_between_the_host_and_the_path() {
        for (resource, metadata) in [
            ("https://mcp.example.com", "https://mcp.example.com/.well-known/oauth-protected-resource"),
            ("https://mcp.example.com/", "https://mcp.example.com/.well-known/oauth-protected-resource"),
            ("https://example.com:8443/mcp", "https://example.com:8443/.well-known/oauth-protected-resource/mcp"),
            ("https://example.com/a/mcp", "https://example.com/.well-known/oauth-protected-resource/a/mcp"),
            ("http://localhost:8080/mcp", "http://localhost:8080/.well-known/oauth-protected-resource/mcp"),
        ] {
            assert_eq!(ResourceAddress::parse(resource).unwrap().metadata(), metadata, "{resource}");
        }
        let ours = ResourceAddress::parse("https://MCP.example.com:8443/mcp").unwrap();
        assert_eq!((ours.host(), ours.path()), ("mcp.example.com", "/mcp"));
    }

    #[test]
    fn an_address_that_tokens_are_not_safe_with_is_refused() {
        for text in [
            "mcp.example.com",
            "/mcp",
            "http://mcp.example.com/mcp",
            "ftp://mcp.example.com",
            "https://user@mcp.example.com",
            "https://mcp.example.com/mcp#part",
            "https://mcp.example.com/mcp?q=1",
            "https://",
        ] {
            assert!(ResourceAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_compared_whole_and_in_any_case() {
        let one = HostName::parse("MCP.example.com").unwrap();
        assert!(
            one.matches("mcp.Example.com") && !one.matches("a.mcp.example.com") && !one.matches("xmcp.example.com")
        );
        let below = HostName::parse("*.example.com").unwrap();
        assert!(below.matches("a.example.com") && !below.matches("example.com") && !below.matches("aexample.com"));
        assert!(HostName::parse("*").unwrap().matches("anything"));
        for text in ["", "a b", "a:80", "user@a", "*.", "a.*", "https://a"] {
            assert_eq!(HostName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn scopes_hold_nothing_that_ends_a_quoted_string() {
        assert!(is_scope("tools:read") && is_scope("a/b!"));
        assert!(!is_scope("") && !is_scope("a b") && !is_scope("a\"b") && !is_scope("a\\b") && !is_scope("\u{e9}"));
    }
}
