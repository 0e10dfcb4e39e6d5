//! What one version of a plugin offers: asked once, checked entry by entry, kept as long as it serves.
//!
//! An entry that is wrong is left out and reported; the others are offered.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, Instant},
};

use serde_json::value::RawValue;

use super::{naming, same};
use crate::plugin::{
    PluginVersion, detached, effects::CallContext, failure::CallFailure, json_object::Members, schema::Schema,
};

/// Tools of one plugin. More than a model can choose from, few enough to keep and to merge.
const MAX_TOOLS: usize = 256;

/// After a list could not be had, until it is asked for again.
const RETRY: Duration = Duration::from_secs(1);

/// A tool whose name and schema have been checked.
#[derive(Debug)]
pub(super) struct Tool {
    /// The plugin's own name for it.
    pub name: String,
    /// The entry as the plugin wrote it: a JSON object.
    pub text: String,
    /// Of the arguments.
    pub schema: Schema,
}

/// The tools of one version, in its order.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub tools: Vec<Arc<Tool>>,
}

/// The lists of the versions that serve.
#[derive(Default)]
pub(super) struct Listings {
    slots: Mutex<Vec<Slot>>,
}

struct Slot {
    version: Weak<PluginVersion>,
    /// Held while the version is asked, so that it is asked once.
    answer: Arc<tokio::sync::Mutex<Asked>>,
}

#[derive(Default)]
enum Asked {
    #[default]
    Never,
    Answered(Arc<Listing>),
    InVain {
        at: Instant,
    },
}

impl Listings {
    /// The version's tools; none if they cannot be had at the moment.
    pub async fn of(&self, version: &Arc<PluginVersion>, context: &CallContext) -> Option<Arc<Listing>> {
        let slot = self.slot(version);
        let mut asked = slot.lock().await;
        match &*asked {
            Asked::Answered(listing) => return Some(listing.clone()),
            Asked::InVain { at } if at.elapsed() < RETRY => return None,
            Asked::InVain { .. } | Asked::Never => {}
        }
        match ask(version, context).await {
            Ok(listing) => {
                let listing = Arc::new(listing);
                *asked = Asked::Answered(listing.clone());
                Some(listing)
            }
            Err(failure) => {
                tracing::warn!(
                    plugin = %version.name, plugin_version = %version.version, %failure,
                    "the plugin's tools are not offered, because it could not list them"
                );
                *asked = Asked::InVain { at: Instant::now() };
                None
            }
        }
    }

    /// Whoever wants the plugin's list next asks it.
    pub fn forget(&self, plugin: &str) {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.version.upgrade().is_some_and(|version| *version.name != *plugin));
    }

    fn slot(&self, version: &Arc<PluginVersion>) -> Arc<tokio::sync::Mutex<Asked>> {
        let mut slots: MutexGuard<'_, Vec<Slot>> = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.retain(|slot| slot.version.strong_count() > 0);
        if let Some(slot) = slots.iter().find(|slot| same(&slot.version, version)) {
            return slot.answer.clone();
        }
        let answer = Arc::default();
        slots.push(Slot { version: Arc::downgrade(version), answer: Arc::clone(&answer) });
        answer
    }
}

async fn ask(version: &Arc<PluginVersion>, context: &CallContext) -> Result<Listing, CallFailure> {
    let mut internal = detached::context(context.deadline);
    // It waits within the call that asked, and takes a place at that depth.
    internal.chain.clone_from(&context.chain);
    let text = version.list_tools(internal).await?;
    let (listing, problems) = read(&text).map_err(CallFailure::AnswerInvalid)?;
    for problem in problems {
        tracing::warn!(
            plugin = %version.name, plugin_version = %version.version, problem, "a tool is not offered"
        );
    }
    Ok(listing)
}

/// The entries that are right, and what is wrong with the others.
fn read(text: &str) -> Result<(Listing, Vec<String>), String> {
    let entries: Vec<&RawValue> =
        serde_json::from_str(text).map_err(|fault| format!("the list of tools is not a JSON array: {fault}"))?;
    let mut problems = Vec::new();
    if entries.len() > MAX_TOOLS {
        problems.push(format!("{} tools are listed, and the first {MAX_TOOLS} are offered", entries.len()));
    }
    let mut listing = Listing::default();
    let mut names = HashSet::new();
    for (index, entry) in entries.into_iter().take(MAX_TOOLS).enumerate() {
        match tool(entry) {
            Ok(tool) if names.insert(tool.name.clone()) => listing.tools.push(Arc::new(tool)),
            Ok(tool) => problems.push(format!("[{index}]: the name {:?} is there twice", tool.name)),
            Err(problem) => problems.push(format!("[{index}]: {problem}")),
        }
    }
    Ok((listing, problems))
}

fn tool(entry: &RawValue) -> Result<Tool, String> {
    let members = Members::parse(entry.get())?;
    let name = members.text("name").ok_or("`name` is missing, or not a string")?;
    if !naming::is_valid(&name) {
        return Err("`name` is not 1 to 64 characters of A-Z a-z 0-9 _ . -".into());
    }
    let schema = members.get("inputSchema").ok_or_else(|| format!("{name}: `inputSchema` is missing"))?;
    let schema: serde_json::Value =
        serde_json::from_str(schema.get()).map_err(|fault| format!("{name}: `inputSchema`: {fault}"))?;
    if !schema.is_object() {
        return Err(format!("{name}: `inputSchema` is not an object"));
    }
    let schema = Schema::compile(schema).map_err(|fault| format!("{name}: `inputSchema`: {fault}"))?;
    Ok(Tool { name, text: entry.get().to_owned(), schema })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_are_right_are_offered_and_the_others_are_named() {
        let (listing, problems) = read(
            r#"[
                {"name":"add","inputSchema":{"type":"object"},"x":1.0},
                {"name":"add","inputSchema":{}},
                {"name":"no schema"},
                {"name":"b"},
                {"name":"c","inputSchema":{"type":"nonsense"}},
                3
            ]"#,
        )
        .unwrap();
        assert_eq!(listing.tools.len(), 1);
        assert!(listing.tools[0].text.contains("\"x\":1.0"));
        assert_eq!(problems.len(), 5, "{problems:?}");
        assert!(problems[0].contains("twice") && problems[3].contains("inputSchema"), "{problems:?}");
    }

    #[test]
    fn a_list_is_an_array_of_bounded_length() {
        assert!(read("{}").is_err());
        let entry = |i: usize| format!(r#"{{"name":"t{i}","inputSchema":{{}}}}"#);
        let many: Vec<String> = (0..=MAX_TOOLS).map(entry).collect();
        let (listing, problems) = read(&format!("[{}]", many.join(","))).unwrap();
        assert_eq!((listing.tools.len(), problems.len()), (MAX_TOOLS, 1));
    }
}
