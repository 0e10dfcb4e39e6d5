//! What a setting is: its kind, its bounds, and how both are told to people.

use std::time::Duration;

use super::units;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Within its section.
    pub name: &'static str,
    pub kind: Kind,
    /// In TOML's notation; empty where there is none.
    pub default: &'static str,
    /// What it is for, and why the default is what it is.
    pub sentence: &'static str,
    /// Whether a change waits for the next start.
    pub fixed: bool,
}

/// What a setting can hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Switch,
    Count {
        min: u64,
        max: u64,
    },
    Bytes {
        min: u64,
        max: u64,
    },
    Time {
        min: Duration,
        max: Duration,
    },
    Text,
    /// In the syntax of `tracing_subscriber::EnvFilter`.
    Filter,
    Words(&'static [&'static str]),
    Address,
    Folder,
    List {
        of: Element,
        may_be_empty: bool,
    },
    Object,
    /// Where the value of a credential is.
    Secret,
    Host,
    Header,
    /// A text that may be empty.
    Prefix,
    /// May be empty.
    Resource,
}

/// What a list can hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Element {
    Text,
    Key,
    SealKey,
    Algorithm,
    Origin,
    Interface,
    Tool,
    Topic,
    Host,
    Network,
    TypeRate,
    TopicRule,
    ServiceAddress,
    Scope,
    HostName,
    ItemRule,
}

impl Kind {
    /// What is allowed, for messages and for the documentation.
    pub fn allowed(&self) -> String {
        match *self {
            Self::Switch => "`true` or `false`".to_owned(),
            Self::Count { min, max } => format!("a whole number from {min} to {max}"),
            Self::Bytes { min, max } => {
                let (min, max) = (units::format_size(min), units::format_size(max));
                format!(
                    "a size from {min} to {max}: bytes, or a string with a unit (B, KiB, MiB, GiB, kB, MB, GB) such as \"64KiB\""
                )
            }
            Self::Time { min, max } => {
                let (min, max) = (units::format_duration(min), units::format_duration(max));
                format!(
                    "a duration from {min} to {max}: a string of whole numbers with units (ms, s, m, h, d) such as \"30s\""
                )
            }
            Self::Text => "a string that is not empty".to_owned(),
            Self::Filter => "a filter such as \"info\" or \"info,switchboard::auth=debug\"".to_owned(),
            Self::Words(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or "),
            Self::Address => {
                "an IP address with a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"; port 0 takes a free one"
                    .to_owned()
            }
            Self::Folder => "a folder; a relative one in the file starts from the file's own folder".to_owned(),
            Self::List { of, may_be_empty } => {
                let empty = if may_be_empty { "" } else { "; not empty" };
                format!("a list of {}{empty}", of.allowed())
            }
            Self::Object => "a table; in an environment variable a JSON object".to_owned(),
            Self::Secret => "\"env:NAME\" or \"file:PATH\", never the value itself".to_owned(),
            Self::Host => format!("one of {}", Element::Host.allowed()),
            Self::Header => {
                "the name of a header that is not the host's own, such as \"authorization\" or \"x-api-key\"".to_owned()
            }
            Self::Prefix => {
                "a string of at most 24 visible characters, such as \"Bearer \"; it can be empty".to_owned()
            }
            Self::Resource => {
                "an https:// address (http:// only on this machine) without a query or a fragment, such as \"https://example.com/mcp\"; it can be empty".to_owned()
            }
        }
    }
}

impl Element {
    /// What each one is.
    pub fn allowed(self) -> String {
        match self {
            Self::Text => "strings that are not empty".to_owned(),
            Self::Key => "keys, each \"generated\", \"file:PATH\", \"env:NAME\" or the https:// address of a JWKS (http:// only on this machine)".to_owned(),
            Self::SealKey => "secrets, each \"generated\", \"file:PATH\" or \"env:NAME\"".to_owned(),
            Self::Algorithm => format!("algorithms: {}", ALGORITHMS.join(", ")),
            Self::Origin => "origins: scheme://host, with `:PORT` or `:*`, and `*.` before the host for all below it; `null`; `*` for any".to_owned(),
            Self::Interface => format!("interfaces: {}", INTERFACES.join(", ")),
            Self::Tool => "names of tools (1 to 64 of A-Z a-z 0-9 _ . -), or `*` for all".to_owned(),
            Self::TypeRate => {
                "rates, each `TYPE = N/s`, `N/min` or `N/h`, and `burst N` for how many may come at once (else N), such as \"user_message = 5/s burst 20\"".to_owned()
            }
            Self::TopicRule => "rules: `allow` or `deny`, then `subscribe`, `publish` or `all`, then a pattern of topics, then perhaps `if scope NAME` or `if claim NAME = VALUE`, and more of these after `and`".to_owned(),
            Self::ItemRule => "rules: a pattern, in which `*` is any text, then perhaps `scope NAME` (several times, if all are needed), `rate N/s`, `N/min` or `N/h` and `burst N`, `concurrent N`, `timeout TIME`, such as \"files__* scope files.read rate 5/s burst 20\"".to_owned(),
            Self::Host => {
                "hosts: a name, `*.` and a name for all below it, or an address; with `:PORT` if it is not the usual one, and `http://` before it if it is not https".to_owned()
            }
            Self::Network => "networks, such as \"10.0.0.0/8\" or \"fd00::/8\"".to_owned(),
            Self::ServiceAddress => "https:// addresses (http:// only on this machine)".to_owned(),
            Self::Scope => "scopes, in the characters of RFC 6749, section 3.3".to_owned(),
            Self::HostName => "hosts without ports: a name or an address, `*.` and a name for all below it, or `*` for any".to_owned(),
            Self::Topic => "topics or patterns (1 to 256 bytes; `*` is one level, `**` the rest)".to_owned(),
        }
    }
}

/// Signatures that can be verified.
pub(crate) const ALGORITHMS: &[&str] =
    &["HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

/// The imports of the plugin contract, and all of WASI as one.
pub(crate) const INTERFACES: &[&str] = &[
    "messages",
    "topics",
    "state",
    "settings",
    "logging",
    "clock",
    "random",
    "toolbox",
    "runs",
    "host-info",
    "requests",
    "seals",
    "inputs",
    "progress",
    "catalogue",
    "changes",
    "wasi",
    HTTP,
];

/// The one interface that is not granted by default, and granted by naming hosts.
pub(crate) const HTTP: &str = "http";

pub(crate) const ENVIRONMENTS: &[&str] = &["development", "staging", "production"];
