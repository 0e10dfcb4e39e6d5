//! The tools that plugins offer: one list of all, and calls by name.
//!
//! Each version of a plugin is asked once for its tools, by the host itself, so a list does not depend
//! on who asks; what a caller may not use is filtered further out. The list of all is rebuilt when
//! another set of versions serves, which is noticed by looking, not by being told.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use futures_util::future::join_all;
use tokio::time::timeout_at;

use self::{
    catalogue::{Catalogue, Offered},
    listing::{Listing, Listings},
};
use crate::plugin::{
    PluginVersion, Registry,
    effects::{CallContext, ToolError},
    json_object::{self, Members},
    offers::{CatalogueError, Kind},
};

mod catalogue;
mod failure;
mod listing;
mod naming;

/// Lists that are kept ready: with and without the canary of three plugins at one time. Another set of versions
/// asks nobody anew, and only puts its list together again.
const MAX_CATALOGUES: usize = 8;

/// One per host.
#[derive(Default)]
pub(crate) struct Toolbox {
    listings: Listings,
    /// The newest last. Users of canaries have others than most.
    catalogues: Mutex<VecDeque<Arc<Catalogue>>>,
}

impl Toolbox {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// A JSON array of MCP `Tool` objects in the order of their names, each with a member `x-plugin`.
    pub async fn list(&self, registry: &Registry, context: &CallContext) -> Result<String, ToolError> {
        Ok(self.catalogue(registry, context).await?.json().to_owned())
    }

    /// Calls a tool by the name that the list has for it. The result is a JSON object with `content`.
    pub async fn call(
        &self,
        registry: &Registry,
        context: &CallContext,
        name: &str,
        arguments: String,
    ) -> Result<String, ToolError> {
        let catalogue = self.catalogue(registry, context).await?;
        let offered = catalogue.get(name).ok_or_else(|| ToolError::UnknownTool(name.to_owned()))?;
        let version = offered.version.upgrade().ok_or_else(|| ToolError::UnknownTool(name.to_owned()))?;
        refuse_circle(&context.chain, &version.name)?;
        check_arguments(&offered, &arguments)?;
        let result = version
            .call_tool(context.clone(), &offered.tool.name, arguments)
            .await
            .map_err(|fault| failure::in_words(name, &fault))?;
        check_result(name, &result)?;
        Ok(result)
    }

    /// A plugin's list is another, it says: whoever wants it next asks for it.
    pub fn forget_listing(&self, plugin: &str, of: Kind) {
        if of == Kind::Tools {
            self.listings.forget(plugin);
            self.known().clear();
        }
    }

    /// The version that a caller is offered a resource by.
    pub async fn offers_resource(
        &self,
        _: &Registry,
        _: &CallContext,
        uri: &str,
    ) -> Result<Option<Arc<PluginVersion>>, CatalogueError> {
        Err(CatalogueError::Unknown(uri.to_owned()))
    }

    async fn catalogue(&self, registry: &Registry, context: &CallContext) -> Result<Arc<Catalogue>, ToolError> {
        let mut versions: Vec<&Arc<PluginVersion>> = registry
            .versions_for(context.caller.who())
            .filter(|version| version.exports.has_tools() && version.manifest.tools)
            .collect();
        versions.sort_by(|a, b| a.name.cmp(&b.name));
        if let Some(known) = self.known().iter().rev().find(|known| known.is_of(&versions)) {
            return Ok(known.clone());
        }
        let asked = join_all(versions.iter().map(|version| self.listings.of(version, context)));
        let listings = timeout_at(context.deadline.into(), asked).await.map_err(|_| ToolError::Timeout)?;
        Ok(self.assembled(&versions, listings))
    }

    /// A plugin that cannot list its tools now is left out, and asked again when the list is next used.
    fn assembled(&self, versions: &[&Arc<PluginVersion>], listings: Vec<Option<Arc<Listing>>>) -> Arc<Catalogue> {
        let complete = listings.iter().all(Option::is_some);
        let listed: Vec<(&Arc<PluginVersion>, Arc<Listing>)> =
            versions.iter().zip(listings).filter_map(|(version, listing)| Some((*version, listing?))).collect();
        let catalogue = Arc::new(Catalogue::new(&listed));
        if complete {
            let mut known = self.known();
            if known.len() >= MAX_CATALOGUES {
                known.pop_front();
            }
            known.push_back(catalogue.clone());
        }
        catalogue
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Arc<Catalogue>>> {
        self.catalogues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether two handles are of one version. A weak handle keeps the address from being used again.
fn same(weak: &Weak<PluginVersion>, version: &Arc<PluginVersion>) -> bool {
    std::ptr::eq(weak.as_ptr(), Arc::as_ptr(version))
}

fn refuse_circle(chain: &[Arc<str>], plugin: &Arc<str>) -> Result<(), ToolError> {
    if !chain.contains(plugin) {
        return Ok(());
    }
    Err(ToolError::Cycle(format!("calls go in a circle: {} > {plugin}", chain.join(" > "))))
}

fn check_arguments(offered: &Offered, arguments: &str) -> Result<(), ToolError> {
    json_object::check(arguments)
        .map_err(|problem| ToolError::InvalidArguments(format!("the arguments: {problem}")))?;
    let fits = offered.tool.schema.check_text(arguments);
    fits.map_err(|fault| ToolError::InvalidArguments(format!("the arguments do not fit the inputSchema at {fault}")))
}

fn check_result(name: &str, result: &str) -> Result<(), ToolError> {
    let wrong =
        |problem: &str| ToolError::Failed(format!("the answer of tool {name:?} is not a tool result: {problem}"));
    let members = Members::parse(result).map_err(|problem| wrong(&problem))?;
    match members.get("content") {
        Some(content) if content.get().starts_with('[') => Ok(()),
        _ => Err(wrong("it has no array `content`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_calls_is_refused_and_named() {
        let chain: Vec<Arc<str>> = ["agent", "notes"].map(Into::into).to_vec();
        assert!(refuse_circle(&chain, &"tools".into()).is_ok());
        let fault = refuse_circle(&chain, &"agent".into()).unwrap_err();
        assert_eq!(fault.to_string(), "calls go in a circle: agent > notes > agent");
    }

    #[test]
    fn a_result_is_an_object_with_an_array_of_content() {
        assert!(check_result("t", r#"{"content":[]}"#).is_ok());
        for wrong in ["", "[]", "{}", r#"{"content":{}}"#] {
            assert!(matches!(check_result("t", wrong), Err(ToolError::Failed(_))), "{wrong}");
        }
    }
}
