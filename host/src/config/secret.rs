//! `[plugins.NAME.secrets.SECRET]`: credentials that the host adds to a plugin's outbound requests, on their way
//! out. The plugin never has them.
//!
//! The configuration holds references alone, so that nothing of what is in it has to be kept from logs and pages;
//! the values are read when the plugin is loaded.

use std::{collections::BTreeMap, fs, path::PathBuf};

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};

use super::{
    Grants, HostPattern,
    convert::{Converted, FromValue, from_folder_of, is_variable_name, unfit, wrong},
    fault::{Fault, Origin},
    place,
    raw::{Located, Value},
    reader::Reader,
    setting::Kind,
};

/// A credential is a line. What is longer than all the header lines that servers take is another file.
const MAX_BYTES: u64 = 8 << 10;

/// A scheme of RFC 9110, section 11.4, and the blank after it; too short for what someone could put here by
/// mistake, since it is shown.
const MAX_PREFIX: usize = 24;

/// Headers that nobody sets but the host itself: those of the connection (RFC 9110, section 7.6.1) and of the
/// message's length, with which one request could pass for two, and `host`, which has to be the one that was granted.
pub(crate) const HOST_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What goes before a value in `authorization` if nothing is written (RFC 6750, section 2.1).
const BEARER: &str = "Bearer ";

/// A credential, where it belongs, and where its value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Secret {
    pub value: SecretSource,
    pub host: HostPattern,
    pub header: HeaderName,
    pub prefix: String,
}

/// Where a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretSource {
    File(PathBuf),
    Environment(String),
}

/// Why there is no value. Holds nothing of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretFault {
    #[error("the environment variable {0} is not set")]
    NotSet(String),
    #[error("the file {} cannot be read: {problem}", path.display())]
    Unreadable { path: PathBuf, problem: String },
    #[error("{0} is empty")]
    Empty(String),
    #[error("{0} holds what a header cannot: it is one line of visible characters")]
    NoHeader(String),
}

impl Secret {
    /// Reads the value as it is now, behind its prefix. It is marked so that it is not shown by `Debug`.
    pub fn read(&self) -> Result<HeaderValue, SecretFault> {
        let line = [self.prefix.as_bytes(), &self.value.read()?].concat();
        let mut header = HeaderValue::from_bytes(&line).map_err(|_| SecretFault::NoHeader(self.value.to_string()))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl SecretSource {
    /// The value as it is now, which is not empty.
    pub fn read(&self) -> Result<Vec<u8>, SecretFault> {
        let value = match self {
            Self::Environment(name) => {
                std::env::var_os(name).ok_or_else(|| SecretFault::NotSet(name.clone()))?.into_encoded_bytes()
            }
            Self::File(path) => read_file(path)?,
        };
        // Editors and `echo` end files with a newline that nobody means.
        match value.trim_ascii() {
            [] => Err(SecretFault::Empty(self.to_string())),
            value => Ok(value.to_vec()),
        }
    }
}

impl std::fmt::Display for SecretSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "the environment variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
        }
    }
}

fn read_file(path: &PathBuf) -> Result<Vec<u8>, SecretFault> {
    let unreadable = |problem: String| SecretFault::Unreadable { path: path.clone(), problem };
    let length = fs::metadata(path).map_err(|problem| unreadable(problem.to_string()))?.len();
    if length > MAX_BYTES {
        return Err(unreadable(format!("it has {length} bytes, and {MAX_BYTES} are allowed")));
    }
    fs::read(path).map_err(|problem| unreadable(problem.to_string()))
}

/// Reads the secrets of a plugin's section. `None` if anything was wrong; all of it is with the reader then.
pub(super) fn read_secrets(
    reader: &mut Reader<'_>,
    plugin_section: &str,
    grants: Option<&Grants>,
) -> Option<BTreeMap<String, Secret>> {
    let prefix = format!("{plugin_section}.secrets.");
    let sections = reader.raw.secrets.keys().filter_map(|path| Some((path.strip_prefix(&prefix)?, path)));
    let mut secrets = BTreeMap::new();
    let mut complete = true;
    for (name, section) in sections {
        match read_secret(reader, section) {
            Some(secret) => {
                check_rivals(reader, section, &secret, &secrets);
                warn_if_never_sent(reader, section, &secret, grants);
                secrets.insert(name.to_owned(), secret);
            }
            None => complete = false,
        }
    }
    complete.then_some(secrets)
}

fn read_secret(reader: &mut Reader<'_>, section: &str) -> Option<Secret> {
    let value = required(reader, section, "value");
    let host = required(reader, section, "host");
    let header = reader.read::<HeaderName>(section, "header");
    let written = reader.raw.entries.contains_key(&format!("{section}.prefix"));
    let prefix = reader.read::<Prefix>(section, "prefix");
    let header = header?;
    let prefix = match prefix {
        Some(Prefix(text)) => text,
        None if written => return None,
        None if header == AUTHORIZATION => BEARER.to_owned(),
        None => String::new(),
    };
    Some(Secret { value: value?, host: host?, header, prefix })
}

fn required<T: FromValue>(reader: &mut Reader<'_>, section: &str, name: &str) -> Option<T> {
    if !reader.raw.entries.contains_key(&format!("{section}.{name}")) {
        let origin = reader.raw.secrets.get(section).cloned().unwrap_or(Origin::Default);
        let allowed = place::find(section, name).map(|setting| setting.kind.allowed()).unwrap_or_default();
        let problem = format!("has no `{name}`");
        let help = format!("write {name} = ...; allowed: {allowed}");
        reader.faults.push(Fault { origin, setting: Some(section.to_owned()), problem, help });
        return None;
    }
    reader.read(section, name)
}

/// Two credentials for one header of one request cannot both be sent.
fn check_rivals(reader: &mut Reader<'_>, section: &str, secret: &Secret, others: &BTreeMap<String, Secret>) {
    let rival = others.iter().find(|(_, other)| other.header == secret.header && other.host.overlaps(&secret.host));
    if let Some((name, _)) = rival {
        let header = &secret.header;
        let problem = format!("the secret `{name}` sets `{header}` for the same hosts");
        reader.fault_at(&format!("{section}.host"), problem, "give each a host of its own, or another header");
    }
}

/// A secret grants nothing.
fn warn_if_never_sent(reader: &mut Reader<'_>, section: &str, secret: &Secret, grants: Option<&Grants>) {
    let Some(grants) = grants else { return };
    if !grants.hosts.iter().any(|granted| granted.overlaps(&secret.host)) {
        let host = &secret.host;
        reader
            .warnings
            .push(format!("{section} is never sent: `hosts` in the plugin's grants does not include {host}"));
    }
}

impl FromValue for SecretSource {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        // What is wrong is not quoted: it may be the secret itself.
        let refused = |problem: &str| wrong(written, problem.to_owned(), format!("allowed: {}", kind.allowed()));
        let Value::Text(text) = &written.value else { return refused(&format!("is {}", written.value.kind())) };
        match text.split_once(':') {
            Some(("env", name)) if is_variable_name(name) => Ok(Self::Environment(name.to_owned())),
            Some(("env", _)) => refused("is `env:` without the name of a variable"),
            Some(("file", path)) => {
                let path = path.strip_prefix("//").unwrap_or(path);
                if path.is_empty() {
                    return refused("is `file:` without a path");
                }
                Ok(Self::File(from_folder_of(&written.origin, path)))
            }
            _ => refused("is no reference to a value"),
        }
    }
}

impl FromValue for HeaderName {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let name = match &written.value {
            Value::Text(text) => text.parse::<Self>().ok(),
            _ => None,
        };
        name.filter(|name| !HOST_HEADERS.contains(&name.as_str())).map_or_else(|| unfit(written, kind), Ok)
    }
}

/// A text that may be empty.
struct Prefix(String);

impl FromValue for Prefix {
    fn from_value(written: &Located, kind: &Kind) -> Converted<Self> {
        let visible = |text: &str| text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        match &written.value {
            Value::Text(text) if text.len() <= MAX_PREFIX && visible(text) => Ok(Self(text.clone())),
            // Not quoted: it may be the secret itself.
            _ => wrong(written, "does not fit".to_owned(), format!("allowed: {}", kind.allowed())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        check::{self, Checked},
        raw::Sources,
    };

    fn secret(value: SecretSource, prefix: &str) -> Secret {
        let host = HostPattern::parse("api.example.com").unwrap();
        Secret { value, host, header: AUTHORIZATION, prefix: prefix.to_owned() }
    }

    #[test]
    fn a_value_comes_from_its_file_without_the_newline_and_is_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        fs::write(&file, "s3cret\n").unwrap();
        let header = secret(SecretSource::File(file), "Bearer ").read().unwrap();
        assert_eq!(header.as_bytes(), b"Bearer s3cret");
        assert!(!format!("{header:?}").contains("s3cret"));
    }

    #[test]
    fn what_cannot_be_a_credential_is_refused_and_never_quoted() {
        let folder = tempfile::tempdir().unwrap();
        for (content, expected) in [
            (&b""[..], "is empty"),
            (b" \n\t", "is empty"),
            (b"s3cret\nX-Other: 1", "what a header cannot"),
            (b"s3cret\0", "what a header cannot"),
            (&[b's'; 9_000], "8192 are allowed"),
        ] {
            let file = folder.path().join("key");
            fs::write(&file, content).unwrap();
            let told = secret(SecretSource::File(file), "").read().unwrap_err().to_string();
            assert!(told.contains(expected) && told.contains("key") && !told.contains("s3cret"), "{told}");
        }
        let told = secret(SecretSource::File(folder.path().join("none")), "").read().unwrap_err().to_string();
        assert!(told.contains("cannot be read"), "{told}");
        let told = secret(SecretSource::Environment("NO_SUCH_VARIABLE_IS_SET".into()), "").read().unwrap_err();
        assert_eq!(told.to_string(), "the environment variable NO_SUCH_VARIABLE_IS_SET is not set");
    }

    const HOSTS: &str = "[plugins.a.grants]\nhosts = [\"api.example.com\", \"*.example.net\"]\n";

    fn checked(text: &str) -> Result<Checked, Vec<String>> {
        let text = format!("{HOSTS}{text}");
        check::check(&Sources::default(), Some(text.as_bytes()))
            .map_err(|faults| faults.0.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_secret_is_a_reference_a_host_and_a_header_with_bearer_as_the_usual_prefix() {
        let text = r#"
            [plugins.a.secrets.one]
            value = "env:KEY"
            host = "api.example.com"
            [plugins.a.secrets.two]
            value = "file:keys/two"
            host = "*.example.net"
            header = "X-Api-Key"
            [plugins.a.secrets.three]
            value = "env:KEY"
            host = "api.example.com"
            header = "x-other"
            prefix = "key="
        "#;
        let checked = checked(text).unwrap();
        let secrets = &checked.config.plugin("a").secrets;
        let shown = |name: &str| (secrets[name].header.as_str().to_owned(), secrets[name].prefix.clone());
        assert_eq!(shown("one"), ("authorization".to_owned(), "Bearer ".to_owned()));
        assert_eq!(shown("two"), ("x-api-key".to_owned(), String::new()));
        assert_eq!(shown("three"), ("x-other".to_owned(), "key=".to_owned()));
        assert_eq!(secrets["two"].value, SecretSource::File("keys/two".into()));
        assert!(checked.warnings.is_empty() && checked.config.plugin("b").secrets.is_empty());
        let value = checked.effective.iter().find(|shown| shown.path == "plugins.a.secrets.one.value").unwrap();
        assert_eq!(
            (value.value.as_str(), value.origin.to_string().as_str()),
            (Some("env:KEY"), "switchboard.toml:5:21")
        );
    }

    #[test]
    fn what_is_wrong_with_a_secret_is_told_at_its_place_and_a_value_is_never_quoted() {
        let good = "value = \"env:KEY\"\nhost = \"api.example.com\"\n";
        let section = "[plugins.a.secrets.one]\n";
        for (text, expected) in [
            (
                format!("{section}value = \"s3cret\"\nhost = \"a.example\"\n"),
                "4:9: plugins.a.secrets.one.value: is no reference",
            ),
            (
                format!("{section}value = \"env:s3cret-1\"\nhost = \"a.example\"\n"),
                "`env:` without the name of a variable",
            ),
            (format!("{section}value = [\"s3cret\"]\nhost = \"a.example\"\n"), "one.value: is a list"),
            (format!("{section}host = \"a.example\"\n"), "3:20: plugins.a.secrets.one: has no `value`; write value = "),
            (format!("{section}value = \"env:KEY\"\n"), "one: has no `host`"),
            (format!("{section}{good}header = \"host\"\n"), "6:10: plugins.a.secrets.one.header: is \"host\""),
            (format!("{section}{good}header = \"a b\"\n"), "one.header: is \"a b\""),
            (format!("{section}{good}prefix = \"Bearer s3cret s3cret s3cret\"\n"), "one.prefix: does not fit"),
            (format!("{section}{good}hosts = []\n"), "hosts: no such setting; did you mean `host`?"),
            (format!("{section}value = \"env:KEY\"\nhost = \"*\"\n"), "one.host: \"*\" has no valid host"),
            (
                "[plugins.a.secrets]\none = \"s3cret\"\n".to_owned(),
                "plugins.a.secrets.one: is a string, and is to be a section",
            ),
            ("[plugins.a.secrets.One]\n".to_owned(), "the name of the secret holds 'O'"),
            (format!("[plugin_defaults.secrets.one]\n{good}"), "plugin_defaults.secrets: no such setting"),
            (
                format!("{section}{good}[plugins.a.secrets.two]\n{good}"),
                "8:8: plugins.a.secrets.two.host: the secret `one` sets",
            ),
        ] {
            let told = checked(&text).unwrap_err();
            assert_eq!(told.len(), 1, "{text}: {told:#?}");
            assert!(told[0].contains(expected) && !told[0].contains("s3cret"), "{expected:?} is not in {}", told[0]);
        }
    }

    #[test]
    fn a_secret_for_a_host_that_is_not_granted_is_a_warning() {
        let text = "[plugins.a.secrets.one]\nvalue = \"env:KEY\"\nhost = \"http://api.example.com\"\n";
        let warnings = checked(text).unwrap().warnings;
        assert!(warnings[0].contains("plugins.a.secrets.one is never sent") && warnings.len() == 1, "{warnings:?}");
    }

    #[test]
    fn hosts_and_networks_are_checked_where_they_stand() {
        let fault = |text: &str, expected: &str| {
            let told = check::check(&Sources::default(), Some(text.as_bytes())).unwrap_err().to_string();
            assert!(told.contains(expected), "{expected:?} is not in {told}");
        };
        fault(
            "[plugins.a.grants]\nhosts = [\"a.example\", \"*\"]\n",
            ":2:23: plugins.a.grants.hosts: \"*\" has no valid host",
        );
        fault("[plugins.a.grants]\nhosts = \"a.example\"\n", "is a string");
        fault("[plugins.a.grants]\nnetworks = [\"10.0.0.1/8\"]\n", "write 10.0.0.0/8");
        let grants = checked("").unwrap().config.plugin("a").grants.clone();
        assert!(grants.allows("http") && grants.allows("clock"), "naming hosts grants `http`, and takes nothing away");
        assert!(!checked("").unwrap().config.plugin("b").grants.allows("http"));
    }
}
