//! Which setting, section or free name a path of the file means, and which names stand beside it.

use super::{
    setting::Setting,
    settings::{PLUGIN_DEFAULTS, SECRET, SECTIONS, Section},
};

/// Sections whose names are the user's own.
const FREE_SECTIONS: &[&str] = &["plugins", "type_owners"];

/// The section of a plugin that has its credentials, each in a section with a name of the user's own.
const SECRETS: &str = "secrets";

pub(crate) const SECRET_NAME_HELP: &str = "use 1 to 64 characters of a-z 0-9 _ -";

pub(crate) const PLUGIN_NAME_HELP: &str = "use 1 to 64 characters of a-z 0-9 _ -: the name of the file without `.wasm`";

/// The longest name of a plugin, which is a label of metrics and part of file names, or of a secret.
const MAX_NAME: usize = 64;

/// Where a name stands.
#[derive(Debug)]
pub(crate) enum Place {
    Setting,
    Section,
    Plugin,
    Secret,
    TypeOwner,
    Unknown,
}

/// What `name` is in a section; the section `""` is the top of the file.
pub(crate) fn place(section: &str, name: &str) -> Place {
    match section {
        "plugins" => return Place::Plugin,
        "type_owners" => return Place::TypeOwner,
        _ if is_secrets(section) => return Place::Secret,
        "" if FREE_SECTIONS.contains(&name) => return Place::Section,
        // A quoted key with a dot would otherwise pass for a path.
        _ if name.contains('.') => return Place::Unknown,
        _ => {}
    }
    if find(section, name).is_some() {
        return Place::Setting;
    }
    if names_of_subsections(section).iter().any(|known| known == name) { Place::Section } else { Place::Unknown }
}

/// Whether the names in a section are those of a plugin's secrets.
fn is_secrets(section: &str) -> bool {
    let below = section.strip_prefix("plugins.").and_then(|rest| rest.split_once('.'));
    below.is_some_and(|(_, below)| below == SECRETS)
}

/// A setting by section and name.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Setting> {
    let path = with_defaults(section);
    let section = sections().find(|known| known.path == path)?;
    section.settings.iter().find(|setting| setting.name == name)
}

fn sections() -> impl Iterator<Item = &'static Section> {
    SECTIONS.iter().chain(std::iter::once(&SECRET))
}

/// Every setting that is not a single plugin's, by path.
pub(crate) fn all() -> impl Iterator<Item = (String, &'static Setting)> {
    SECTIONS.iter().flat_map(|section| {
        section.settings.iter().map(|setting| (format!("{}.{}", section.path, setting.name), setting))
    })
}

/// Every setting of a plugin, by the path below the plugin's name.
pub(crate) fn of_plugins() -> impl Iterator<Item = (String, &'static Setting)> {
    all().filter_map(|(path, setting)| {
        Some((path.strip_prefix(PLUGIN_DEFAULTS)?.strip_prefix('.')?.to_owned(), setting))
    })
}

/// What can stand in a section, sorted.
pub(crate) fn names_in(section: &str) -> Vec<String> {
    let path = with_defaults(section);
    let settings = sections().filter(|known| known.path == path).flat_map(|known| known.settings);
    let mut names: Vec<String> = settings.map(|setting| setting.name.to_owned()).collect();
    names.extend(names_of_subsections(section));
    if section.is_empty() {
        names.extend(FREE_SECTIONS.iter().map(ToString::to_string));
    }
    names.sort();
    names.dedup();
    names
}

/// Sections that have a setting of this name.
pub(crate) fn sections_with(name: &str) -> Vec<&'static str> {
    let has = |section: &&Section| section.settings.iter().any(|setting| setting.name == name);
    sections().filter(has).map(|section| section.path).collect()
}

/// The sections at the top of the file.
pub(crate) fn section_names() -> Vec<String> {
    names_in("")
}

/// Why a name cannot be a plugin's.
pub(crate) fn plugin_name_fault(name: &str) -> Option<String> {
    name_fault("plugin", name)
}

/// Why a name cannot be a secret's.
pub(crate) fn secret_name_fault(name: &str) -> Option<String> {
    name_fault("secret", name)
}

fn name_fault(noun: &str, name: &str) -> Option<String> {
    if name.is_empty() {
        return Some(format!("the name of the {noun} is empty"));
    }
    if name.len() > MAX_NAME {
        return Some(format!("the name of the {noun} has {} bytes, and {MAX_NAME} are allowed", name.len()));
    }
    let culprit = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))?;
    Some(format!("the name of the {noun} holds {culprit:?}"))
}

/// A plugin's section has the rows of the defaults for all, and a secret's those of all secrets.
fn with_defaults(section: &str) -> String {
    let Some(rest) = section.strip_prefix("plugins.") else { return section.to_owned() };
    match rest.split_once('.') {
        Some((_, below)) if below.split_once('.').is_some_and(|(name, _)| name == SECRETS) => SECRET.path.to_owned(),
        Some((_, below)) => format!("{PLUGIN_DEFAULTS}.{below}"),
        None => PLUGIN_DEFAULTS.to_owned(),
    }
}

/// The next step of the paths of all sections below this one.
fn names_of_subsections(section: &str) -> Vec<String> {
    let path = with_defaults(section);
    let path = path.as_str();
    let below = |section: &Section| {
        let rest =
            if path.is_empty() { Some(section.path) } else { section.path.strip_prefix(path)?.strip_prefix('.') };
        Some(rest?.split('.').next()?.to_owned())
    };
    let mut names: Vec<String> = SECTIONS.iter().filter_map(below).collect();
    // There are none for all plugins: who could have them would not be known.
    if section.strip_prefix("plugins.").is_some_and(|plugin| !plugin.contains('.')) {
        names.push(SECRETS.to_owned());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_where_they_belong_and_nowhere_else() {
        let is_setting = |section, name| matches!(place(section, name), Place::Setting);
        assert!(is_setting("server", "listen"));
        assert!(is_setting("plugins.agent", "enabled"));
        assert!(is_setting("plugins.agent.limits", "deadline"));
        assert!(is_setting("origins.production", "allow"));
        assert!(!is_setting("server", "deadline"));
        assert!(!is_setting("plugins.agent", "deadline"));
        assert!(matches!(place("", "server"), Place::Section));
        assert!(matches!(place("", "plugins"), Place::Section));
        assert!(matches!(place("plugins", "agent"), Place::Plugin));
        assert!(matches!(place("plugins.agent", "grants"), Place::Section));
        assert!(is_setting("plugins.agent.secrets.key", "value") && !is_setting("plugins.agent.secrets", "value"));
        assert!(matches!(place("plugins.agent", "secrets"), Place::Section));
        assert!(matches!(place("plugins.agent.secrets", "key"), Place::Secret));
        assert!(matches!(place("plugin_defaults", "secrets"), Place::Unknown));
        assert!(matches!(place("type_owners", "chat.message"), Place::TypeOwner));
        assert!(matches!(place("", "server.listen"), Place::Unknown));
        assert!(matches!(place("", "listen"), Place::Unknown));
    }

    #[test]
    fn plugin_names_are_bounded_in_length_and_alphabet() {
        for name in ["a", "my-plugin_2", &"x".repeat(64)] {
            assert_eq!(plugin_name_fault(name), None, "{name}");
        }
        for name in ["", "Agent", "a.b", "a b", "../a", "é", &"x".repeat(65)] {
            assert!(plugin_name_fault(name).is_some(), "{name}");
        }
    }
}
