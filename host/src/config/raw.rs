//! What was written, before it means anything: every known setting's value from the file, the
//! environment and the flags, each with its place.
//!
//! Later layers replace earlier ones setting by setting. Unknown names are found here, because only
//! here are there names; whether a value is in bounds is `check`'s business. There are no serde
//! structs, because serde stops at the first fault, and all are to be told at once.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value as Json;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    environment,
    fault::{Fault, Origin, nearest},
    place::{self, Place},
};

/// Looked for in the working directory when no file is named.
pub(crate) const DEFAULT_FILE: &str = "switchboard.toml";

/// Names the file where no flag does.
pub(crate) const FILE_VARIABLE: &str = "SWITCHBOARD_CONFIG";

/// Where to look for settings, beside the built-in defaults.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    /// From `--config`.
    pub file: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub data_dir: Option<PathBuf>,
    pub plugin_dir: Option<PathBuf>,
    /// Variables whose names start with `SWITCHBOARD_`.
    pub environment: BTreeMap<String, String>,
}

impl Sources {
    /// The process's environment and no flags.
    pub fn from_environment() -> Self {
        Self { environment: environment::of_process(), ..Self::default() }
    }

    /// The file, and whether someone named it.
    pub fn path(&self) -> (PathBuf, bool) {
        let named = self.file.clone().or_else(|| self.environment.get(FILE_VARIABLE).map(PathBuf::from));
        match named {
            Some(path) => (path, true),
            None => (PathBuf::from(DEFAULT_FILE), false),
        }
    }

    fn flags(&self) -> Vec<(&'static str, &'static str, Option<String>)> {
        let address = |address: &Option<SocketAddr>| address.map(|address| address.to_string());
        let folder = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        vec![
            ("--listen", "server.listen", address(&self.listen)),
            ("--admin-listen", "server.admin_listen", address(&self.admin_listen)),
            ("--data-dir", "server.data_dir", folder(&self.data_dir)),
            ("--plugin-dir", "server.plugin_dir", folder(&self.plugin_dir)),
        ]
    }
}

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Switch(bool),
    List(Vec<Located>),
    Table(BTreeMap<String, Located>),
    /// A date, or a number that is too large: nothing that any setting wants.
    Other(&'static str),
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Located {
    pub value: Value,
    pub origin: Origin,
}

impl Value {
    /// With its article, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Switch(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }

    /// `None` for what JSON cannot hold.
    pub fn to_json(&self) -> Option<Json> {
        match self {
            Self::Text(text) => Some(Json::from(text.as_str())),
            Self::Integer(number) => Some(Json::from(*number)),
            Self::Float(number) => serde_json::Number::from_f64(*number).map(Json::Number),
            Self::Switch(on) => Some(Json::from(*on)),
            Self::List(items) => {
                items.iter().map(|item| item.value.to_json()).collect::<Option<Vec<_>>>().map(Json::Array)
            }
            Self::Table(entries) => entries
                .iter()
                .map(|(name, entry)| Some((name.clone(), entry.value.to_json()?)))
                .collect::<Option<serde_json::Map<_, _>>>()
                .map(Json::Object),
            Self::Other(_) => None,
        }
    }

    /// Everything within comes from the same place.
    pub fn from_json(json: Json, origin: &Origin) -> Self {
        let located = |json| Located { value: Self::from_json(json, origin), origin: origin.clone() };
        match json {
            Json::String(text) => Self::Text(text),
            Json::Bool(on) => Self::Switch(on),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(integer), _) => Self::Integer(integer),
                (None, Some(float)) => Self::Float(float),
                (None, None) => Self::Other("a number out of range"),
            },
            Json::Array(items) => Self::List(items.into_iter().map(located).collect()),
            Json::Object(entries) => {
                Self::Table(entries.into_iter().map(|(name, json)| (name, located(json))).collect())
            }
            Json::Null => Self::Other("null"),
        }
    }
}

/// All layers, one upon the other.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    /// By the path of the setting: `server.listen`, `plugins.agent.limits.deadline` ...
    pub entries: BTreeMap<String, Located>,
    /// Plugins that have a section, and where it was first met.
    pub plugins: BTreeMap<String, Origin>,
    /// Sections of secrets by path, and where each was first met.
    pub secrets: BTreeMap<String, Origin>,
    /// By message type.
    pub type_owners: BTreeMap<String, Located>,
    /// What is likely a mistake, but cannot be known to be one.
    pub warnings: Vec<String>,
}

impl Raw {
    /// Reads all layers. `file` is the path and the text, if there is a file.
    pub fn read(sources: &Sources, file: Option<(&Path, &str)>, faults: &mut Vec<Fault>) -> Self {
        let mut raw = Self::default();
        if let Some((path, text)) = file {
            read_file(path, text, &mut raw, faults);
        }
        environment::read(&sources.environment, &mut raw, faults);
        for (flag, path, value) in sources.flags() {
            if let Some(value) = value {
                raw.entries.insert(path.into(), Located { value: Value::Text(value), origin: Origin::Flag(flag) });
            }
        }
        raw
    }
}

/// A value in TOML's notation that comes from outside a file.
pub(crate) fn parse_value(text: &str, origin: &Origin) -> Option<Value> {
    let value = DeValue::parse(text).ok()?;
    Some(plain(value.get_ref(), &|_| origin.clone()))
}

fn read_file(path: &Path, text: &str, raw: &mut Raw, faults: &mut Vec<Fault>) {
    let path: Arc<Path> = path.into();
    let locate = |offset: usize| position(&path, text, offset);
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        Walk { locate: &locate, raw, faults }.table("", document.get_ref());
        return;
    }
    // After a fault of syntax the rest of a document means something else than it says (keys slip into
    // other sections), so its settings are not judged. Only the parser's message is used: its
    // rendering quotes the line, which may hold a secret.
    for error in errors {
        faults.push(Fault {
            origin: locate(error.span().map_or(0, |span| span.start)),
            setting: None,
            problem: format!("not TOML: {}", error.message()),
            help: String::new(),
        });
    }
}

fn position(path: &Arc<Path>, text: &str, offset: usize) -> Origin {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Origin::File {
        path: Arc::clone(path),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    }
}

/// Goes through a document's tables along the table of settings.
struct Walk<'a> {
    locate: &'a dyn Fn(usize) -> Origin,
    raw: &'a mut Raw,
    faults: &'a mut Vec<Fault>,
}

impl Walk<'_> {
    fn table(&mut self, section: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
            match place::place(section, name) {
                Place::Setting => {
                    let located = self.located(value);
                    self.raw.entries.insert(path, located);
                }
                Place::TypeOwner => {
                    let located = self.located(value);
                    self.raw.type_owners.insert(name.to_owned(), located);
                }
                Place::Section => self.section(&path, value),
                Place::Plugin => {
                    let origin = (self.locate)(key.span().start);
                    if self.is_name(place::plugin_name_fault(name), place::PLUGIN_NAME_HELP, &path, &origin) {
                        self.raw.plugins.insert(name.to_owned(), origin);
                        self.section(&path, value);
                    }
                }
                Place::Secret => {
                    let origin = (self.locate)(key.span().start);
                    if self.is_name(place::secret_name_fault(name), place::SECRET_NAME_HELP, &path, &origin) {
                        if matches!(value.get_ref(), DeValue::Table(_)) {
                            self.raw.secrets.insert(path.clone(), origin);
                        }
                        self.section(&path, value);
                    }
                }
                Place::Unknown => self.unknown(section, name, path, (self.locate)(key.span().start)),
            }
        }
    }

    /// Whether a name of the user's own is one; otherwise there is a fault.
    fn is_name(&mut self, fault: Option<String>, help: &str, path: &str, origin: &Origin) -> bool {
        let Some(problem) = fault else { return true };
        let (setting, help) = (Some(path.to_owned()), help.to_owned());
        self.faults.push(Fault { origin: origin.clone(), setting, problem, help });
        false
    }

    fn section(&mut self, path: &str, value: &Spanned<DeValue<'_>>) {
        if let DeValue::Table(table) = value.get_ref() {
            self.table(path, table);
            return;
        }
        let located = self.located(value);
        self.faults.push(Fault {
            origin: located.origin,
            setting: Some(path.to_owned()),
            problem: format!("is {}, and is to be a section", located.value.kind()),
            help: format!("write [{path}] and its settings below"),
        });
    }

    fn unknown(&mut self, section: &str, name: &str, path: String, origin: Origin) {
        let siblings = place::names_in(section);
        let help = if let Some(meant) = nearest(name, siblings.iter().map(String::as_str)) {
            format!("did you mean `{meant}`?")
        } else if let Some(elsewhere) = place::sections_with(name).first() {
            format!("`{name}` belongs into [{elsewhere}]")
        } else {
            format!("known here: {}", siblings.join(", "))
        };
        self.faults.push(Fault { origin, setting: Some(path), problem: "no such setting".to_owned(), help });
    }

    fn located(&self, value: &Spanned<DeValue<'_>>) -> Located {
        let start = value.span().start;
        Located { value: plain(value.get_ref(), self.locate), origin: (self.locate)(start) }
    }
}

fn plain(value: &DeValue<'_>, locate: &dyn Fn(usize) -> Origin) -> Value {
    let located = |value: &Spanned<DeValue<'_>>| Located {
        value: plain(value.get_ref(), locate),
        origin: locate(value.span().start),
    };
    match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Value::Other("an integer out of range"), Value::Integer),
        DeValue::Float(number) => number.as_str().parse().map_or(Value::Other("a float out of range"), Value::Float),
        DeValue::Boolean(on) => Value::Switch(*on),
        DeValue::Datetime(_) => Value::Other("a date or time"),
        DeValue::Array(items) => Value::List(items.iter().map(located).collect()),
        DeValue::Table(entries) => {
            Value::Table(entries.iter().map(|(name, entry)| (name.get_ref().to_string(), located(entry))).collect())
        }
    }
}
