//! From a value as written to a value of the right type within its bounds, or to what is wrong with it.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, sync::Arc, time::Duration};

use switchboard_protocol::MessageType;

use super::{
    HandoverRule, Isolation, KeySource, LogFormat, OnUserLimit, OriginPattern, Rate, SealKey, SecretSource,
    fault::{Origin, nearest},
    item_rule::{ItemRule, ItemRules},
    mcp,
    rate::parse_type_rate,
    raw::{Located, Value},
    setting::{ALGORITHMS, Element, INTERFACES, Kind},
    topic_rule::{Effect, TopicRule, TopicRules},
    units,
};

/// Something wrong with a value or a part of it.
#[derive(Debug)]
pub(crate) struct Wrong {
    pub origin: Origin,
    pub problem: String,
    pub help: String,
}

pub(super) type Converted<T> = Result<T, Vec<Wrong>>;

/// What a setting can be read as.
pub(crate) trait FromValue: Sized {
    /// All that is wrong, if anything is.
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self>;
}

pub(super) fn wrong<T>(written: &Located, problem: String, help: String) -> Converted<T> {
    Err(vec![Wrong { origin: written.origin.clone(), problem, help }])
}

/// The value is not of the kind, or out of bounds.
pub(super) fn unfit<T>(written: &Located, kind: &Kind) -> Converted<T> {
    let found = match &written.value {
        Value::Text(text) => format!("is {}", quoted(text)),
        Value::Integer(number) => format!("is {number}"),
        other => format!("is {}", other.kind()),
    };
    wrong(written, found, format!("allowed: {}", kind.allowed()))
}

/// Enough of a text to recognise it by.
pub(super) fn quoted(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

impl FromValue for bool {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        match written.value {
            Value::Switch(on) => Ok(on),
            _ => unfit(written, kind),
        }
    }
}

impl FromValue for u64 {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let (number, min, max) = match (kind, &written.value) {
            (Kind::Count { min, max } | Kind::Bytes { min, max }, Value::Integer(number)) => {
                (Self::try_from(*number).ok(), min, max)
            }
            (Kind::Bytes { min, max }, Value::Text(text)) => (units::parse_size(text), min, max),
            _ => return unfit(written, kind),
        };
        number.filter(|number| (min..=max).contains(&number)).map_or_else(|| unfit(written, kind), Ok)
    }
}

impl FromValue for u32 {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        Self::try_from(u64::from_value(written, kind)?).or_else(|_| unfit(written, kind))
    }
}

impl FromValue for usize {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        Self::try_from(u64::from_value(written, kind)?).or_else(|_| unfit(written, kind))
    }
}

impl FromValue for Duration {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let (Value::Text(text), Kind::Time { min, max }) = (&written.value, kind) else { return unfit(written, kind) };
        units::parse_duration(text)
            .filter(|duration| (min..=max).contains(&duration))
            .map_or_else(|| unfit(written, kind), Ok)
    }
}

impl FromValue for String {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let Value::Text(text) = &written.value else { return unfit(written, kind) };
        let fits = match kind {
            Kind::Words(words) => words.contains(&text.as_str()),
            Kind::Filter => tracing_subscriber::EnvFilter::try_new(text).is_ok(),
            _ => !text.is_empty(),
        };
        if fits { Ok(text.clone()) } else { unfit(written, kind) }
    }
}

impl FromValue for Effect {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        match String::from_value(written, kind)?.as_str() {
            "allow" => Ok(Self::Allow),
            _ => Ok(Self::Deny),
        }
    }
}

impl FromValue for OnUserLimit {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        match String::from_value(written, kind)?.as_str() {
            "evict_oldest" => Ok(Self::EvictOldest),
            "refuse" => Ok(Self::Refuse),
            _ => unfit(written, kind),
        }
    }
}

impl FromValue for Option<Isolation> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        match String::from_value(written, kind)?.as_str() {
            "requested" => Ok(None),
            "message" => Ok(Some(Isolation::Message)),
            "session" => Ok(Some(Isolation::Session)),
            "shared" => Ok(Some(Isolation::Shared)),
            _ => unfit(written, kind),
        }
    }
}

impl FromValue for HandoverRule {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        match String::from_value(written, kind)?.as_str() {
            "required" => Ok(Self::Required),
            "best_effort" => Ok(Self::BestEffort),
            _ => unfit(written, kind),
        }
    }
}

impl FromValue for LogFormat {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        match String::from_value(written, kind)?.as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => unfit(written, kind),
        }
    }
}

impl FromValue for std::net::SocketAddr {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        String::from_value(written, kind)?.parse().or_else(|_| unfit(written, kind))
    }
}

impl FromValue for PathBuf {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        Ok(from_folder_of(&written.origin, &String::from_value(written, kind)?))
    }
}

impl FromValue for Arc<serde_json::Map<String, serde_json::Value>> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        if !matches!(written.value, Value::Table(_)) {
            // Not quoted: settings of plugins can hold anything.
            return wrong(written, format!("is {}", written.value.kind()), format!("allowed: {}", kind.allowed()));
        }
        match written.value.to_json() {
            Some(serde_json::Value::Object(object)) => Ok(Self::new(object)),
            _ => {
                let mut culprits = Vec::new();
                find_unfit_for_json(written, &mut culprits);
                Err(culprits)
            }
        }
    }
}

fn find_unfit_for_json(written: &Located, culprits: &mut Vec<Wrong>) {
    match &written.value {
        Value::List(items) => items.iter().for_each(|item| find_unfit_for_json(item, culprits)),
        Value::Table(entries) => entries.values().for_each(|entry| find_unfit_for_json(entry, culprits)),
        value if value.to_json().is_none() => culprits.push(Wrong {
            origin: written.origin.clone(),
            problem: format!("holds {}, which JSON cannot", value.kind()),
            help: "plugins get their settings as JSON; write it as a string".to_owned(),
        }),
        _ => {}
    }
}

/// Reads a list, and tells of all elements that are wrong.
pub(super) fn each<T>(
    written: &Located,
    kind: &Kind,
    read: impl Fn(&Located, &str) -> Result<T, (String, String)>,
) -> Converted<Vec<T>> {
    let (Value::List(items), Kind::List { of, may_be_empty }) = (&written.value, kind) else {
        // The kind, not the text: it may be a key that someone wrote here instead of its place.
        return wrong(written, format!("is {}", written.value.kind()), format!("allowed: {}", kind.allowed()));
    };
    if items.is_empty() && !may_be_empty {
        return wrong(written, "is empty".to_owned(), format!("allowed: {}", kind.allowed()));
    }
    let (mut values, mut faults) = (Vec::new(), Vec::new());
    for item in items {
        let value = match &item.value {
            Value::Text(text) => read(item, text),
            other => Err((format!("holds {}", other.kind()), format!("allowed: a list of {}", of.allowed()))),
        };
        match value {
            Ok(value) => values.push(value),
            Err((problem, help)) => faults.push(Wrong { origin: item.origin.clone(), problem, help }),
        }
    }
    if faults.is_empty() { Ok(values) } else { Err(faults) }
}

impl FromValue for Vec<String> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let Kind::List { of, .. } = kind else { return unfit(written, kind) };
        each(written, kind, |_, text| {
            let fits = match of {
                Element::Interface => INTERFACES.contains(&text),
                Element::Tool => text == "*" || is_tool_name(text),
                Element::Topic => (1..=256).contains(&text.len()),
                Element::ServiceAddress => mcp::is_service_address(text),
                Element::Scope => mcp::is_scope(text),
                _ => !text.is_empty(),
            };
            if fits { Ok(text.to_owned()) } else { Err((format!("holds {}", quoted(text)), help_for(*of, text))) }
        })
    }
}

fn help_for(of: Element, text: &str) -> String {
    let known = match of {
        Element::Interface => INTERFACES,
        Element::Algorithm => ALGORITHMS,
        _ => &[],
    };
    match nearest(text, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("allowed: {}", of.allowed()),
    }
}

fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

impl FromValue for Vec<jsonwebtoken::Algorithm> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        each(written, kind, |_, text| {
            text.parse().map_err(|_| (format!("holds {}", quoted(text)), help_for(Element::Algorithm, text)))
        })
    }
}

impl FromValue for Vec<OriginPattern> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        each(written, kind, |_, text| {
            let help = || format!("allowed: a list of {}", Element::Origin.allowed());
            OriginPattern::parse(text).map_err(|problem| (format!("{} {problem}", quoted(text)), help()))
        })
    }
}

impl FromValue for BTreeMap<MessageType, Rate> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let rates = each(written, kind, |item, text| {
            let told = |(problem, help)| (format!("{} {problem}", quoted(text)), help);
            parse_type_rate(text).map(|rate| (item.origin.clone(), rate)).map_err(told)
        })?;
        let (mut by_type, mut faults) = (Self::new(), Vec::new());
        for (origin, (name, rate)) in rates {
            if let Some(earlier) = by_type.insert(name.clone(), rate) {
                let problem = format!("gives {name:?} a second rate, {rate}, after {earlier}");
                faults.push(Wrong { origin, problem, help: "keep one of them".to_owned() });
            }
        }
        if faults.is_empty() { Ok(by_type) } else { Err(faults) }
    }
}

impl FromValue for Arc<TopicRules> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: a list of {}", Element::TopicRule.allowed());
        let list = each(written, kind, |_, text| {
            TopicRule::parse(text).map_err(|problem| (format!("the rule {} {problem}", quoted(text)), help()))
        })?;
        TopicRules::new(list).map(Self::new).or_else(|problem| wrong(written, problem, help()))
    }
}

impl FromValue for Arc<ItemRules> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let help = || format!("allowed: a list of {}", Element::ItemRule.allowed());
        let list = each(written, kind, |_, text| {
            ItemRule::parse(text).map_err(|problem| (format!("the rule {} {problem}", quoted(text)), help()))
        })?;
        ItemRules::new(list).map(Self::new).or_else(|problem| wrong(written, problem, help()))
    }
}

impl FromValue for Vec<KeySource> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        // What is wrong is not quoted: it may be a key itself.
        let help = || format!("allowed: a list of {}", Element::Key.allowed());
        each(written, kind, |item, text| key_source(item, text).map_err(|problem| (problem.to_owned(), help())))
    }
}

fn key_source(item: &Located, text: &str) -> Result<KeySource, &'static str> {
    if text == "generated" {
        return Ok(KeySource::Generated);
    }
    if let Some(path) = text.strip_prefix("file:") {
        // `file:///etc/key.pem` is meant as well.
        let path = path.strip_prefix("//").unwrap_or(path);
        return if path.is_empty() {
            Err("holds `file:` without a path")
        } else {
            Ok(KeySource::File(from_folder_of(&item.origin, path)))
        };
    }
    if let Some(name) = text.strip_prefix("env:") {
        return if is_variable_name(name) {
            Ok(KeySource::Environment(name.to_owned()))
        } else {
            Err("holds `env:` without the name of a variable")
        };
    }
    jwks_url(text)
}

impl FromValue for Vec<SealKey> {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        // What is wrong is not quoted: it may be a key itself.
        let help = || format!("allowed: a list of {}", Element::SealKey.allowed());
        let unfit = |problem: &str| (problem.to_owned(), help());
        each(written, kind, |item, text| match key_source(item, text) {
            Ok(KeySource::Generated) => Ok(SealKey::Generated),
            Ok(KeySource::File(path)) => Ok(SealKey::Secret(SecretSource::File(path))),
            Ok(KeySource::Environment(name)) => Ok(SealKey::Secret(SecretSource::Environment(name))),
            Ok(KeySource::JwksUrl(_)) => Err(unfit("holds an entry that is none of the allowed forms")),
            Err(problem) => Err(unfit(problem)),
        })
    }
}

/// As shells let variables be called.
pub(super) fn is_variable_name(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    starts && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn jwks_url(text: &str) -> Result<KeySource, &'static str> {
    let Ok(address) = text.parse::<http::Uri>() else { return Err("holds an entry that is none of the allowed forms") };
    let (Some(scheme), Some(authority)) = (address.scheme_str(), address.authority()) else {
        return Err("holds an entry that is none of the allowed forms");
    };
    if authority.as_str().contains('@') {
        return Err("holds an address with a user or password in it");
    }
    match scheme {
        "https" => Ok(KeySource::JwksUrl(text.to_owned())),
        // Whoever is on the path could put their own key into an answer that is not encrypted.
        "http" if is_loopback(authority.host()) => Ok(KeySource::JwksUrl(text.to_owned())),
        "http" => Err("holds an http:// address of another machine, where anyone on the way could replace the keys"),
        _ => Err("holds an address that is neither https:// nor http://"),
    }
}

pub(super) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A relative path in a file means the same wherever the process was started.
pub(super) fn from_folder_of(origin: &Origin, path: &str) -> PathBuf {
    match origin {
        Origin::File { path: file, .. } => {
            file.parent().map_or_else(|| PathBuf::from(path), |folder| folder.join(path))
        }
        _ => PathBuf::from(path),
    }
}
