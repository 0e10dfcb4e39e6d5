//! Which setting, section or free name a path of the file means, and which names stand beside it.

use super::{
    setting::Setting,
    settings::{PLUGIN_DEFAULTS, SECTIONS},
};

/// Sections whose names are the user's own.
const FREE_SECTIONS: &[&str] = &["plugins", "type_owners"];

pub(crate) const PLUGIN_NAME_HELP: &str = "use 1 to 64 characters of a-z 0-9 _ -: the name of the file without `.wasm`";

/// The longest plugin name: it is a label of metrics and part of file names.
const MAX_PLUGIN_NAME: usize = 64;

/// Where a name stands.
#[derive(Debug)]
pub(crate) enum Place {
    Setting,
    Section,
    Plugin,
    TypeOwner,
    Unknown,
}

/// What `name` is in a section; the section `""` is the top of the file.
pub(crate) fn place(section: &str, name: &str) -> Place {
    match section {
        "plugins" => return Place::Plugin,
        "type_owners" => return Place::TypeOwner,
        "" if FREE_SECTIONS.contains(&name) => return Place::Section,
        // A quoted key with a dot would otherwise pass for a path.
        _ if name.contains('.') => return Place::Unknown,
        _ => {}
    }
    if find(section, name).is_some() {
        return Place::Setting;
    }
    let names = names_of_subsections(&with_defaults(section));
    if names.iter().any(|known| known == name) { Place::Section } else { Place::Unknown }
}

/// A setting by section and name.
pub(crate) fn find(section: &str, name: &str) -> Option<&'static Setting> {
    let section = with_defaults(section);
    let section = SECTIONS.iter().find(|known| known.path == section)?;
    section.settings.iter().find(|setting| setting.name == name)
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
    let settings = SECTIONS.iter().filter(|known| known.path == path).flat_map(|known| known.settings);
    let mut names: Vec<String> = settings.map(|setting| setting.name.to_owned()).collect();
    names.extend(names_of_subsections(&path));
    if section.is_empty() {
        names.extend(FREE_SECTIONS.iter().map(ToString::to_string));
    }
    names.sort();
    names.dedup();
    names
}

/// Sections that have a setting of this name.
pub(crate) fn sections_with(name: &str) -> Vec<&'static str> {
    let has = |section: &&super::settings::Section| section.settings.iter().any(|setting| setting.name == name);
    SECTIONS.iter().filter(has).map(|section| section.path).collect()
}

/// The sections at the top of the file.
pub(crate) fn section_names() -> Vec<String> {
    names_in("")
}

/// Why a name cannot be a plugin's.
pub(crate) fn plugin_name_fault(name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("the name of the plugin is empty".to_owned());
    }
    if name.len() > MAX_PLUGIN_NAME {
        return Some(format!("the name of the plugin has {} bytes, and {MAX_PLUGIN_NAME} are allowed", name.len()));
    }
    let culprit = name.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-'))?;
    Some(format!("the name of the plugin holds {culprit:?}"))
}

/// A plugin's section has the rows of the defaults for all.
fn with_defaults(section: &str) -> String {
    let Some(rest) = section.strip_prefix("plugins.") else { return section.to_owned() };
    match rest.split_once('.') {
        Some((_, below)) => format!("{PLUGIN_DEFAULTS}.{below}"),
        None => PLUGIN_DEFAULTS.to_owned(),
    }
}

/// The next step of the paths of all sections below this one.
fn names_of_subsections(path: &str) -> Vec<String> {
    let below = |section: &super::settings::Section| {
        let rest =
            if path.is_empty() { Some(section.path) } else { section.path.strip_prefix(path)?.strip_prefix('.') };
        Some(rest?.split('.').next()?.to_owned())
    };
    SECTIONS.iter().filter_map(below).collect()
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
