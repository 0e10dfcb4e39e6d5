//! Settings from environment variables: `SWITCHBOARD_` and the setting's path in capitals, with `_`
//! for every dot (`SWITCHBOARD_HEARTBEAT_INTERVAL`, `SWITCHBOARD_PLUGINS_AGENT_LIMITS_DEADLINE`).
//!
//! A variable that names no setting is only worth a warning: other parties put variables under the
//! same prefix, such as Kubernetes for a service that is called `switchboard`.

use std::collections::BTreeMap;

use super::{
    fault::{Fault, Origin, nearest},
    place,
    raw::{FILE_VARIABLE, Located, Raw, Value, parse_value},
    setting::{Kind, Setting},
};

pub(crate) const PREFIX: &str = "SWITCHBOARD_";

/// Variables with our prefix that are read elsewhere than here.
const OTHERS: &[&str] = &[FILE_VARIABLE, "SWITCHBOARD_TOKEN", "SWITCHBOARD_URL"];

/// The variable for a setting's path.
pub(crate) fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace(['.', '-'], "_").to_ascii_uppercase())
}

/// The variables of this process that may concern us. One that is not UTF-8 cannot be a setting.
pub(crate) fn of_process() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// Lays the environment over what `raw` holds.
pub(crate) fn read(variables: &BTreeMap<String, String>, raw: &mut Raw, faults: &mut Vec<Fault>) {
    let known: BTreeMap<String, (String, &'static Setting)> =
        place::all().map(|(path, setting)| (variable(&path), (path, setting))).collect();
    for (name, text) in variables {
        let origin = Origin::Environment(name.clone());
        if let Some((path, setting)) = known.get(name) {
            let value = value_of(setting, text, &origin);
            raw.entries.insert(path.clone(), Located { value, origin });
        } else if let Some((plugin, rest, setting)) = plugin_setting(name, raw) {
            if let Some(problem) = place::plugin_name_fault(&plugin) {
                let help = place::PLUGIN_NAME_HELP.to_owned();
                faults.push(Fault { origin, setting: Some(format!("plugins.{plugin}")), problem, help });
                continue;
            }
            let value = value_of(setting, text, &origin);
            raw.plugins.entry(plugin.clone()).or_insert_with(|| origin.clone());
            raw.entries.insert(format!("plugins.{plugin}.{rest}"), Located { value, origin });
        } else if let Some(warning) = unknown(name, known.keys().map(String::as_str)) {
            raw.warnings.push(warning);
        }
    }
}

/// `SWITCHBOARD_PLUGINS_`, the plugin, and one of the settings that every plugin has. A plugin that the
/// file names is meant also where its name holds a `-`, which no shell allows in a variable.
fn plugin_setting(name: &str, raw: &Raw) -> Option<(String, String, &'static Setting)> {
    let rest = name.strip_prefix(PREFIX)?.strip_prefix("PLUGINS_")?;
    let (plugin, path, setting) = place::of_plugins()
        .filter_map(|(path, setting)| {
            let suffix = format!("_{}", path.replace('.', "_").to_ascii_uppercase());
            Some((rest.strip_suffix(&suffix)?, path, setting))
        })
        .min_by_key(|(plugin, ..)| plugin.len())?;
    let named = raw.plugins.keys().find(|known| known.replace('-', "_").to_ascii_uppercase() == plugin);
    Some((named.cloned().unwrap_or_else(|| plugin.to_ascii_lowercase()), path, setting))
}

fn value_of(setting: &Setting, text: &str, origin: &Origin) -> Value {
    let as_text = || Value::Text(text.to_owned());
    match setting.kind {
        Kind::Switch => text.parse().map_or_else(|_| as_text(), Value::Switch),
        Kind::Count { .. } | Kind::Bytes { .. } => text.parse().map_or_else(|_| as_text(), Value::Integer),
        Kind::List { .. } if text.trim_start().starts_with('[') => {
            parse_value(text.trim(), origin).unwrap_or_else(as_text)
        }
        Kind::List { .. } => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            let located = |item: &str| Located { value: Value::Text(item.to_owned()), origin: origin.clone() };
            Value::List(items.map(located).collect())
        }
        Kind::Object => serde_json::from_str(text).map_or_else(|_| as_text(), |json| Value::from_json(json, origin)),
        _ => as_text(),
    }
}

fn unknown<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    if OTHERS.contains(&name) {
        return None;
    }
    // Without the prefix, which all names share: with it, any of them would seem near.
    let rest = name.strip_prefix(PREFIX)?;
    if let Some(meant) = nearest(rest, known.filter_map(|known| known.strip_prefix(PREFIX))) {
        return Some(format!("the environment variable {name} names no setting; did you mean {PREFIX}{meant}?"));
    }
    let of_section = |section: &String| rest.starts_with(&format!("{}_", section.to_ascii_uppercase()));
    let ours = place::section_names().iter().any(of_section);
    ours.then(|| format!("the environment variable {name} names no setting"))
}
