//! Reads settings one by one out of all layers, and keeps account: of everything that was wrong, and
//! of every effective value with its origin.

use super::{
    convert::FromValue,
    effective::Effective,
    fault::{Fault, Origin},
    place,
    raw::{Located, Raw, parse_value},
    setting::Setting,
    settings::PLUGIN_DEFAULTS,
};

/// One reading of one [`Raw`].
pub(crate) struct Reader<'a> {
    pub raw: &'a Raw,
    pub faults: Vec<Fault>,
    pub effective: Vec<Effective>,
    /// What is likely a mistake, but cannot be known to be one.
    pub warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub fn new(raw: &'a Raw) -> Self {
        Self { raw, faults: Vec::new(), effective: Vec::new(), warnings: Vec::new() }
    }

    /// The value of a setting; `None` after its faults were recorded.
    pub fn read<T: FromValue>(&mut self, section: &str, name: &str) -> Option<T> {
        let path = format!("{section}.{name}");
        let setting = place::find(section, name)?;
        let (written_at, located) = self.written(&path).or_else(|| {
            let value = parse_value(setting.default, &Origin::Default)?;
            Some((path.clone(), Located { value, origin: Origin::Default }))
        })?;
        self.convert(path, setting, &written_at, &located)
    }

    /// Takes the value of `setting` from a place that the caller chose, and records it under `path`.
    pub fn convert<T: FromValue>(
        &mut self,
        path: String,
        setting: &'static Setting,
        written_at: &str,
        located: &Located,
    ) -> Option<T> {
        match T::from_value(located, &setting.kind) {
            Ok(value) => {
                self.effective.push(Effective::new(path, setting, located));
                Some(value)
            }
            Err(wrongs) => {
                self.faults.extend(wrongs.into_iter().map(|wrong| Fault {
                    origin: wrong.origin,
                    setting: Some(written_at.to_owned()),
                    problem: wrong.problem,
                    help: wrong.help,
                }));
                None
            }
        }
    }

    /// Adds a fault that lies between settings, at the place of one of them.
    pub fn fault_at(&mut self, path: &str, problem: String, help: &str) {
        let origin = self.origin_of(path);
        self.faults.push(Fault { origin, setting: Some(path.to_owned()), problem, help: help.to_owned() });
    }

    pub fn origin_of(&self, path: &str) -> Origin {
        self.written(path).map_or(Origin::Default, |(_, located)| located.origin)
    }

    /// What was written for a setting, and where: a plugin's own section comes before that of all.
    fn written(&self, path: &str) -> Option<(String, Located)> {
        if let Some(located) = self.raw.entries.get(path) {
            return Some((path.to_owned(), located.clone()));
        }
        let (_, below) = path.strip_prefix("plugins.")?.split_once('.')?;
        let shared = format!("{PLUGIN_DEFAULTS}.{below}");
        let located = self.raw.entries.get(&shared)?.clone();
        Some((shared, located))
    }
}
