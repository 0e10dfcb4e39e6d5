//! All tools of one set of versions, under the names that they are offered by. Immutable.

use std::{
    collections::BTreeMap,
    sync::{Arc, Weak},
};

use serde_json::json;

use super::{
    listing::{Listing, Tool},
    naming::{self, Key},
    same,
};
use crate::plugin::{PluginVersion, json_object::Members};

/// Holds no version alive: a replaced one is dropped when its last call ends, list or no list.
pub(super) struct Catalogue {
    /// In the order of their names.
    versions: Vec<Weak<PluginVersion>>,
    tools: BTreeMap<String, Offered>,
    json: String,
}

#[derive(Clone)]
pub(super) struct Offered {
    pub version: Weak<PluginVersion>,
    pub tool: Arc<Tool>,
}

impl Catalogue {
    /// From versions in the order of their names.
    pub fn new(listed: &[(&Arc<PluginVersion>, Arc<Listing>)]) -> Self {
        let all: Vec<(&Arc<PluginVersion>, &Arc<Tool>)> = listed
            .iter()
            .flat_map(|(version, listing)| listing.tools.iter().map(move |tool| (*version, tool)))
            .collect();
        let keys: Vec<Key<'_>> =
            all.iter().map(|(version, tool)| Key { plugin: &version.name, tool: &tool.name }).collect();
        let mut tools = BTreeMap::new();
        let mut texts = BTreeMap::new();
        for ((version, tool), name) in all.iter().zip(naming::names(&keys)) {
            let Some(name) = name else {
                tracing::warn!(
                    plugin = %version.name, tool = tool.name,
                    "a tool is not offered: with the plugin's name in front its name is too long, or taken"
                );
                continue;
            };
            texts.insert(name.clone(), entry(&tool.text, &name, &version.name));
            tools.insert(name, Offered { version: Arc::downgrade(version), tool: Arc::clone(tool) });
        }
        let json = format!("[{}]", texts.into_values().collect::<Vec<_>>().join(","));
        Self { versions: listed.iter().map(|(version, _)| Arc::downgrade(version)).collect(), tools, json }
    }

    /// Whether it was made of exactly these versions, in this order.
    pub fn is_of(&self, versions: &[&Arc<PluginVersion>]) -> bool {
        self.versions.len() == versions.len() && self.versions.iter().zip(versions).all(|(own, other)| same(own, other))
    }

    pub fn get(&self, name: &str) -> Option<Offered> {
        self.tools.get(name).cloned()
    }

    pub fn json(&self) -> &str {
        &self.json
    }
}

/// The entry as the plugin wrote it, but for its name and where it comes from.
fn entry(text: &str, name: &str, plugin: &str) -> String {
    // It has been parsed before, when it was listed.
    Members::parse(text)
        .map(|members| members.with(&[("name", json!(name)), ("x-plugin", json!(plugin))]))
        .unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_keeps_every_member_but_its_name() {
        assert_eq!(
            entry(r#"{"title":"T","name":"t","inputSchema":{"x":1.0}}"#, "p__t", "p"),
            r#"{"name":"p__t","x-plugin":"p","title":"T","inputSchema":{"x":1.0}}"#
        );
    }
}
