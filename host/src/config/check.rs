//! From what was written to what running code may rely on, or to all that is wrong with it.
//!
//! `switchboard config check`, the start and every reload come through here, so that none of them can
//! accept what another refuses.

use std::{collections::BTreeMap, fs, io, path::Path};

use sha2::{Digest as _, Sha256};
use switchboard_protocol::MessageType;

use super::{
    Config, Grants, HeartbeatConfig, Isolation, LimitConfig, OriginConfig, OriginPattern, PluginConfig, ServerConfig,
    convert::FromValue,
    effective::Effective,
    fault::{Fault, Faults, Origin},
    place,
    raw::{Located, Raw, Sources, Value, parse_value},
    reader::Reader,
    secret,
    setting::ENVIRONMENTS,
    settings::{self, PLUGIN_DEFAULTS},
    units,
};

/// No settings file is nearly as long; what is, is another file.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A configuration, and how it came about.
#[derive(Debug)]
pub(crate) struct Checked {
    pub config: Config,
    /// Every setting in force, with its origin.
    pub effective: Vec<Effective>,
    /// What is likely a mistake, but cannot be known to be one.
    pub warnings: Vec<String>,
    /// Identifies the content that was read; `None` if there was no file.
    pub digest: Option<FileDigest>,
}

/// SHA-256 of a file's content.
pub(crate) type FileDigest = [u8; 32];

pub(crate) fn digest_of(content: &[u8]) -> FileDigest {
    Sha256::digest(content).into()
}

/// Reads all sources and checks them.
///
/// # Errors
///
/// Everything that is wrong. A file that someone named has to be there; the default one need not be.
pub(crate) fn load(sources: &Sources) -> Result<Checked, Faults> {
    let (path, named) = sources.path();
    match read_bounded(&path) {
        Ok(content) => check(sources, Some(&content)),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound && !named => check(sources, None),
        Err(problem) => Err(unreadable(&path, &problem)),
    }
}

/// Checks sources whose file was read already.
///
/// # Errors
///
/// Everything that is wrong.
pub(crate) fn check(sources: &Sources, content: Option<&[u8]>) -> Result<Checked, Faults> {
    let (path, _) = sources.path();
    let text = match content.map(std::str::from_utf8).transpose() {
        Ok(text) => text,
        Err(problem) => return Err(not_utf8(&path, content.unwrap_or_default(), problem.valid_up_to())),
    };
    let mut faults = Vec::new();
    let raw = Raw::read(sources, text.map(|text| (path.as_path(), text)), &mut faults);
    let mut reader = Reader::new(&raw);
    let config = read_config(&mut reader);
    faults.append(&mut reader.faults);
    let warnings = raw.warnings.iter().cloned().chain(reader.warnings).collect();
    match config {
        Some(config) if faults.is_empty() => {
            Ok(Checked { config, effective: reader.effective, warnings, digest: content.map(digest_of) })
        }
        _ => Err(Faults::new(faults)),
    }
}

/// A file's content, unless there is more of it than any settings file has.
pub(crate) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has {length} bytes, and {MAX_FILE_BYTES} are allowed")));
    }
    fs::read(path)
}

pub(crate) fn unreadable(path: &Path, problem: &io::Error) -> Faults {
    let help = match problem.kind() {
        io::ErrorKind::NotFound => "name a file that is there, or none to start with the defaults",
        _ => "",
    };
    whole_file(path, format!("cannot be read: {problem}"), help)
}

fn not_utf8(path: &Path, content: &[u8], at: usize) -> Faults {
    let line = content[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    whole_file(path, format!("is not UTF-8 in line {line}"), "save it as UTF-8")
}

fn whole_file(path: &Path, problem: String, help: &str) -> Faults {
    let origin = Origin::WholeFile(path.into());
    Faults::new(vec![Fault { origin, setting: None, problem, help: help.to_owned() }])
}

/// Reads everything before giving up on anything, so that all faults are found.
fn read_config(reader: &mut Reader<'_>) -> Option<Config> {
    let server = settings::server(reader, "server");
    let auth = settings::auth(reader, "auth");
    let origins = read_origins(reader);
    let limits = settings::limits(reader, "limits");
    let sessions = settings::sessions(reader, "sessions");
    let topics = settings::topics(reader, "topics");
    let tools = settings::tools(reader, "tools");
    let resources = settings::resources(reader, "resources");
    let prompts = settings::prompts(reader, "prompts");
    let state = settings::state(reader, "state");
    let heartbeat = settings::heartbeat(reader, "heartbeat");
    let mcp = settings::mcp(reader, "mcp");
    let logging = settings::logging(reader, "logging");
    let plugin_defaults = read_plugin(reader, PLUGIN_DEFAULTS);
    let names: Vec<String> = reader.raw.plugins.keys().cloned().collect();
    let plugins: Vec<_> =
        names.into_iter().map(|name| (read_plugin(reader, &format!("plugins.{name}")), name)).collect();
    let type_owners = read_type_owners(reader);
    // Bounds between two settings: for each section that could be read, whatever the others are like.
    server.iter().for_each(|server| check_addresses(server, reader));
    limits.iter().for_each(|limits| check_frame(limits, reader));
    heartbeat.iter().for_each(|heartbeat| check_heartbeat(heartbeat, reader));
    Some(Config {
        server: server?,
        auth: auth?,
        origins: origins?,
        limits: limits?,
        sessions: sessions?,
        topics: topics?,
        tools: tools?,
        resources: resources?,
        prompts: prompts?,
        state: state?,
        heartbeat: heartbeat?,
        mcp: mcp?,
        logging: logging?,
        plugin_defaults: plugin_defaults?,
        plugins: plugins.into_iter().map(|(plugin, name)| Some((name, plugin?))).collect::<Option<_>>()?,
        type_owners,
    })
}

/// An environment's own table comes before `[origins]`, and that before the environment's default.
fn read_origins(reader: &mut Reader<'_>) -> Option<OriginConfig> {
    // The tables of other environments are checked, too: they will be in force elsewhere.
    let environment = reader.read::<String>("origins", "environment");
    for other in ENVIRONMENTS {
        for name in ["allow", "allow_missing"] {
            check_origins_of(reader, other, name, environment.as_deref() == Some(*other));
        }
    }
    let environment = environment?;
    let allow = origin_setting::<Vec<OriginPattern>>(reader, &environment, "allow");
    let allow_missing = origin_setting::<bool>(reader, &environment, "allow_missing");
    Some(OriginConfig { allow: allow?, allow_missing: allow_missing? })
}

/// Finds what is wrong with the table of an environment that is not in force.
fn check_origins_of(reader: &mut Reader<'_>, environment: &str, name: &str, in_force: bool) {
    let path = format!("origins.{environment}.{name}");
    if in_force || !reader.raw.entries.contains_key(&path) {
        return;
    }
    let section = format!("origins.{environment}");
    let _: Option<()> = match name {
        "allow" => reader.read::<Vec<OriginPattern>>(&section, name).map(|_| ()),
        _ => reader.read::<bool>(&section, name).map(|_| ()),
    };
}

fn origin_setting<T: FromValue>(reader: &mut Reader<'_>, environment: &str, name: &str) -> Option<T> {
    let setting = place::find("origins", name)?;
    let path = format!("origins.{name}");
    let own = format!("origins.{environment}.{name}");
    let raw = reader.raw;
    for place in [&own, &path] {
        if let Some(located) = raw.entries.get(place) {
            return reader.convert(path.clone(), setting, place, located);
        }
    }
    let value = match (name, environment) {
        ("allow", "staging" | "production") => Value::List(Vec::new()),
        _ => parse_value(setting.default, &Origin::Default)?,
    };
    reader.convert(path.clone(), setting, &path, &Located { value, origin: Origin::Default })
}

fn read_plugin(reader: &mut Reader<'_>, section: &str) -> Option<PluginConfig> {
    let enabled = reader.read(section, "enabled");
    let required = reader.read(section, "required");
    let kept_versions = reader.read(section, "kept_versions");
    let isolation = reader.read::<Option<Isolation>>(section, "isolation");
    let settings = reader.read(section, "settings");
    let limits = settings::plugin_limits(reader, &format!("{section}.limits"));
    let instances = settings::plugin_instances(reader, &format!("{section}.instances"));
    let health = settings::plugin_health(reader, &format!("{section}.health"));
    let canary = settings::plugin_canary(reader, &format!("{section}.canary"));
    let grants: Option<Grants> = settings::plugin_grants(reader, &format!("{section}.grants"));
    let secrets = secret::read_secrets(reader, section, grants.as_ref());
    Some(PluginConfig {
        enabled: enabled?,
        required: required?,
        kept_versions: kept_versions?,
        isolation: isolation?,
        limits: limits?,
        instances: instances?,
        health: health?,
        canary: canary?,
        grants: grants?,
        secrets: secrets?,
        settings: settings?,
    })
}

fn read_type_owners(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut owners = BTreeMap::new();
    for (message_type, located) in &reader.raw.type_owners {
        let path = format!("type_owners.{message_type:?}");
        let mut fault = |problem: String, help: &str| {
            let origin = located.origin.clone();
            reader.faults.push(Fault { origin, setting: Some(path.clone()), problem, help: help.to_owned() });
        };
        // A prefix is written as plugins are told to: with a `*` behind it.
        match MessageType::parse(message_type.strip_suffix('*').unwrap_or(message_type)) {
            Err(problem) => fault(format!("is not a message type: {problem}"), ""),
            Ok(name) if name.is_reserved() => fault("the type belongs to the host".to_owned(), "no plugin can own it"),
            Ok(_) => {}
        }
        let Value::Text(owner) = &located.value else {
            fault(format!("is {}", located.value.kind()), "write the name of a plugin as a string");
            continue;
        };
        if let Some(problem) = place::plugin_name_fault(owner) {
            fault(problem, place::PLUGIN_NAME_HELP);
            continue;
        }
        owners.insert(message_type.clone(), owner.clone());
        let effective = Effective { path, value: owner.as_str().into(), origin: located.origin.clone(), fixed: false };
        reader.effective.push(effective);
    }
    owners
}

/// Two listeners cannot have one address.
fn check_addresses(server: &ServerConfig, reader: &mut Reader<'_>) {
    if server.listen == server.admin_listen && server.listen.port() != 0 {
        let problem = format!("is {}, which is server.listen, too", server.admin_listen);
        reader.fault_at(written_of(reader, "server.admin_listen", "server.listen"), problem, "give each its own port");
    }
}

fn check_frame(limits: &LimitConfig, reader: &mut Reader<'_>) {
    let (frame, message) = (limits.max_frame_bytes, limits.max_message_bytes);
    if frame < message {
        let problem = format!("limits.max_frame_bytes is {frame} and limits.max_message_bytes is {message}");
        let at = written_of(reader, "limits.max_frame_bytes", "limits.max_message_bytes");
        reader.fault_at(at, problem, "a frame has to hold the largest message: raise the one or lower the other");
    }
}

fn check_heartbeat(heartbeat: &HeartbeatConfig, reader: &mut Reader<'_>) {
    if heartbeat.grace <= heartbeat.interval {
        let (grace, interval) = (units::format_duration(heartbeat.grace), units::format_duration(heartbeat.interval));
        let problem = format!("heartbeat.grace is {grace} and heartbeat.interval is {interval}");
        let at = written_of(reader, "heartbeat.grace", "heartbeat.interval");
        reader.fault_at(at, problem, "the grace has to be longer than the interval, or every idle socket is closed");
    }
}

/// Of two settings that do not go together, the one that somebody wrote.
fn written_of<'p>(reader: &Reader<'_>, first: &'p str, second: &'p str) -> &'p str {
    if reader.origin_of(first) == Origin::Default { second } else { first }
}

#[cfg(test)]
mod tests;
