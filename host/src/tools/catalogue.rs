//! All that one set of versions offers of a kind, under the names that it is offered by. Immutable.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    entry::{Entry, What},
    listing::Listing,
    naming::{self, Key},
    rights, same,
};
use crate::{
    auth::Principal,
    config::item_rule::{ItemRule, ItemRules},
    plugin::{
        PluginVersion,
        json_object::Members,
        offers::{Kind, Listed},
    },
};

/// Bytes of the digest that names a list. As many as keep two lists apart by chance, and no cursor long.
const GENERATION_BYTES: usize = 12;

/// Holds no version alive: a replaced one is dropped when its last call ends, list or no list.
pub(super) struct Catalogue {
    pub kind: Kind,
    /// In the order of their names.
    made_of: Vec<(Weak<PluginVersion>, Arc<Listing>)>,
    rules: Arc<ItemRules>,
    /// By the name, URI or template that it is offered as.
    items: BTreeMap<String, Offered>,
    /// Templates, the most particular first.
    templates: Vec<String>,
    /// What everybody sees who lacks nothing.
    whole: Listed,
}

#[derive(Clone)]
pub(super) struct Offered {
    pub version: Weak<PluginVersion>,
    pub plugin: Arc<str>,
    pub entry: Arc<Entry>,
    /// What decides who may use it.
    pub rule: Option<Arc<ItemRule>>,
    /// The entry as it is shown.
    text: Arc<str>,
    digest: [u8; 32],
}

impl Catalogue {
    /// From versions in the order of their names.
    pub fn new(kind: Kind, listed: &[(&Arc<PluginVersion>, Arc<Listing>)], rules: &Arc<ItemRules>) -> Self {
        let all: Vec<(&Arc<PluginVersion>, &Arc<Entry>)> = listed
            .iter()
            .flat_map(|(version, listing)| listing.entries.iter().map(move |entry| (*version, entry)))
            .collect();
        let names = match kind {
            Kind::Tools | Kind::Prompts => {
                let keys: Vec<_> =
                    all.iter().map(|(version, entry)| Key { plugin: &version.name, name: &entry.name }).collect();
                naming::names(&keys)
            }
            Kind::Resources | Kind::ResourceTemplates => {
                all.iter().map(|(_, entry)| Some(entry.name.clone())).collect()
            }
        };
        let mut items = BTreeMap::new();
        for ((version, entry), name) in all.into_iter().zip(names) {
            // The same URI again belongs to whoever comes first.
            let Some(name) = name.filter(|name| !items.contains_key(name)) else {
                tracing::warn!(
                    plugin = %version.name, ?kind, name = entry.name,
                    "something is not offered: another plugin offers the same, or with the plugin's name in front its name is too long"
                );
                continue;
            };
            let offered = Offered::new(kind, version, entry, &name, rules);
            items.insert(name, offered);
        }
        let mut templates: Vec<String> =
            if kind == Kind::ResourceTemplates { items.keys().cloned().collect() } else { Vec::new() };
        templates.sort_by_key(|name| std::cmp::Reverse(items.get(name).map_or(0, Offered::literal_bytes)));
        let whole = joined(items.values());
        let made_of = listed.iter().map(|(version, listing)| (Arc::downgrade(version), listing.clone())).collect();
        Self { kind, made_of, rules: rules.clone(), items, templates, whole }
    }

    /// Whether it was made of exactly these lists, in this order, under these rules.
    pub fn is_of(&self, kind: Kind, listed: &[(&Arc<PluginVersion>, Arc<Listing>)], rules: &Arc<ItemRules>) -> bool {
        let mut both = self.made_of.iter().zip(listed);
        self.kind == kind
            && self.made_of.len() == listed.len()
            && both.all(|((own, list), (other, theirs))| same(own, other) && Arc::ptr_eq(list, theirs))
            && (Arc::ptr_eq(&self.rules, rules) || self.rules == *rules)
    }

    pub fn get(&self, name: &str) -> Option<&Offered> {
        self.items.get(name)
    }

    /// The template that a URI is read by.
    pub fn template_for(&self, uri: &str) -> Option<&Offered> {
        let offered = self.templates.iter().filter_map(|name| self.items.get(name));
        offered.into_iter().find(|offered| match &offered.entry.what {
            What::Template(template) => template.matches(uri),
            _ => false,
        })
    }

    /// What somebody may use. `differs` says that others see other versions.
    pub fn seen_by(&self, principal: &Principal, differs: bool) -> Listed {
        let needs_scopes = |offered: &&Offered| offered.rule.as_ref().is_some_and(|rule| !rule.scopes.is_empty());
        let private = differs || self.items.values().any(|offered| needs_scopes(&offered));
        let may_use = |offered: &&Offered| rights::missing(offered.rule.as_deref(), principal).is_empty();
        if self.items.values().all(|offered| may_use(&offered)) {
            return Listed { private, ..self.whole.clone() };
        }
        Listed { private, ..joined(self.items.values().filter(may_use)) }
    }
}

impl Offered {
    fn new(kind: Kind, version: &Arc<PluginVersion>, entry: &Arc<Entry>, name: &str, rules: &Arc<ItemRules>) -> Self {
        let rule = match kind {
            Kind::Tools | Kind::Prompts => rules.of_name(&version.name, &entry.name),
            Kind::Resources | Kind::ResourceTemplates => rules.of_uri(&entry.name),
        };
        let renamed = matches!(kind, Kind::Tools | Kind::Prompts).then_some(name);
        let text = shown(&entry.text, renamed, &version.name);
        Self {
            version: Arc::downgrade(version),
            plugin: version.name.clone(),
            entry: entry.clone(),
            rule: rule.cloned(),
            digest: Sha256::digest(text.as_bytes()).into(),
            text: text.into(),
        }
    }

    fn literal_bytes(&self) -> usize {
        match &self.entry.what {
            What::Template(template) => template.literal_bytes(),
            _ => 0,
        }
    }
}

/// A list of these, in their order.
fn joined<'a>(offered: impl Iterator<Item = &'a Offered>) -> Listed {
    let mut hasher = Sha256::new();
    let mut items = String::from("[");
    for (index, offered) in offered.enumerate() {
        if index > 0 {
            items.push(',');
        }
        items.push_str(&offered.text);
        hasher.update(offered.digest);
    }
    items.push(']');
    let digest = hasher.finalize();
    let generation: String = digest.iter().take(GENERATION_BYTES).map(|byte| format!("{byte:02x}")).collect();
    Listed { items: items.into(), generation: generation.into(), private: false }
}

/// The entry as the plugin wrote it, but for its name and where it comes from.
fn shown(text: &str, name: Option<&str>, plugin: &str) -> String {
    let mut stamped = vec![("x-plugin", json!(plugin))];
    if let Some(name) = name {
        stamped.insert(0, ("name", json!(name)));
    }
    // It has been parsed before, when it was listed.
    Members::parse(text).map(|members| members.with(&stamped)).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_every_member_but_its_name() {
        let text = r#"{"title":"T","name":"t","inputSchema":{"x":1.0}}"#;
        assert_eq!(
            shown(text, Some("p__t"), "p"),
            r#"{"name":"p__t","x-plugin":"p","title":"T","inputSchema":{"x":1.0}}"#
        );
        assert_eq!(
            shown(r#"{"uri":"a:b","name":"A","x-plugin":"mine"}"#, None, "p"),
            r#"{"x-plugin":"p","uri":"a:b","name":"A"}"#
        );
    }
}
