//! What plugins offer: tools, resources, templates of these, and prompts. One list of each for all plugins, and
//! their use by name, under the operator's rules.
//!
//! Each version of a plugin is asked once for each of its lists, by the host itself, so a list does not depend
//! on who asks; what a caller may not use is left out when the list is shown. The list of all is put together anew
//! when another set of versions serves, or a plugin's own list is another; that is noticed by looking, not by being
//! told.
//!
//! Reading order: `listing` with `entry` (what one version offers), `catalogue` with `naming` (all of it), `rights`
//! and `usage` (who may use it, and how much), `call` (one use), `result` (what comes back), `record`.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Instant,
};

use futures_util::future::join_all;
use tokio::time::timeout_at;
use tokio_util::task::TaskTracker;

use self::{
    catalogue::{Catalogue, Offered},
    entry::What,
    listing::Listings,
    record::Records,
    usage::Usage,
};
use crate::{
    config::{LiveConfig, item_rule::ItemRules},
    plugin::{
        PluginVersion, Registry,
        effects::CallContext,
        offers::{CatalogueError, Item, Kind, Listed},
    },
    telemetry::Metrics,
};

mod call;
mod catalogue;
mod completion;
mod entry;
mod failure;
mod listing;
mod naming;
mod record;
mod result;
mod rights;
mod template;
mod uri;
mod usage;

pub(crate) use entry::header::HeaderParameter;

/// Lists of each kind that are kept ready: with and without the canary of three plugins at one time. Another set of
/// versions asks nobody anew, and only puts its list together again.
const MAX_CATALOGUES: usize = 4 * 8;

/// One per host.
pub(crate) struct Toolbox {
    config: LiveConfig,
    listings: Listings,
    /// The newest last. Users of canaries have others than most.
    catalogues: Mutex<VecDeque<Arc<Catalogue>>>,
    usage: Arc<Usage>,
    records: Records,
}

impl Toolbox {
    pub fn new(config: LiveConfig, metrics: Arc<Metrics>, tasks: TaskTracker) -> Arc<Self> {
        Arc::new(Self {
            config,
            listings: Listings::new(tasks),
            catalogues: Mutex::default(),
            usage: Usage::new(),
            records: Records::new(metrics),
        })
    }

    /// What the caller may use: a JSON array in the order of names, each entry with a member `x-plugin`.
    pub async fn list(&self, registry: &Registry, context: &CallContext, of: Kind) -> Result<Listed, CatalogueError> {
        let catalogue = self.catalogue(registry, context, of).await?;
        let differs = registry.differs_by_user(|version| offers(version, of));
        Ok(catalogue.seen_by(&context.caller.principal, differs))
    }

    /// A plugin's own list has changed: it is asked for again when somebody next wants it.
    pub fn forget_listing(&self, plugin: &str, of: Kind) {
        self.listings.forget(plugin, of);
    }

    /// When a list can be asked for again that could not be had, if there is one.
    pub fn lists_in_vain(&self) -> Option<Instant> {
        self.listings.in_vain()
    }

    /// The version that a caller is offered a resource by; `None` if there is none that they may read.
    pub async fn offers_resource(
        &self,
        registry: &Registry,
        context: &CallContext,
        uri: &str,
    ) -> Result<Option<Arc<PluginVersion>>, CatalogueError> {
        let what = Item::Resource(uri.to_owned());
        let found = match self.find(registry, context, &what).await {
            Ok(found) => found,
            Err(CatalogueError::Unknown(_)) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let allowed = self.check_rights(&found, context, &what).is_ok();
        Ok(allowed.then_some(found.version))
    }

    /// The arguments of a tool that HTTP clients repeat in headers. None if there is no such tool.
    pub async fn header_parameters(
        &self,
        registry: &Registry,
        context: &CallContext,
        tool: &str,
    ) -> Vec<HeaderParameter> {
        let Ok(catalogue) = self.catalogue(registry, context, Kind::Tools).await else { return Vec::new() };
        match catalogue.get(tool).map(|offered| &offered.entry.what) {
            Some(What::Tool(tool)) => tool.headers.clone(),
            _ => Vec::new(),
        }
    }

    async fn catalogue(
        &self,
        registry: &Registry,
        context: &CallContext,
        of: Kind,
    ) -> Result<Arc<Catalogue>, CatalogueError> {
        let mut versions: Vec<&Arc<PluginVersion>> =
            registry.versions_for(context.caller.who()).filter(|version| offers(version, of)).collect();
        versions.sort_by(|a, b| a.name.cmp(&b.name));
        let asked = join_all(versions.iter().map(|version| self.listings.of(version, of, context)));
        let listings = timeout_at(context.deadline.into(), asked).await.map_err(|_| CatalogueError::Timeout)?;
        // A plugin that cannot list now is left out, and asked again when the list is next used.
        let listed: Vec<_> =
            versions.into_iter().zip(listings).filter_map(|(version, listing)| Some((version, listing?))).collect();
        let rules = self.rules(of);
        if let Some(known) = self.known().iter().rev().find(|known| known.is_of(of, &listed, &rules)) {
            return Ok(known.clone());
        }
        let catalogue = Arc::new(Catalogue::new(of, &listed, &rules));
        let mut known = self.known();
        if known.len() >= MAX_CATALOGUES {
            known.pop_front();
        }
        known.push_back(catalogue.clone());
        Ok(catalogue)
    }

    fn rules(&self, of: Kind) -> Arc<ItemRules> {
        let config = self.config.load();
        match of {
            Kind::Tools => config.tools.rules.clone(),
            Kind::Resources | Kind::ResourceTemplates => config.resources.rules.clone(),
            Kind::Prompts => config.prompts.rules.clone(),
        }
    }

    fn known(&self) -> MutexGuard<'_, VecDeque<Arc<Catalogue>>> {
        self.catalogues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a version has things of a kind, and says so.
fn offers(version: &PluginVersion, of: Kind) -> bool {
    let (exports, manifest) = (&version.exports, &version.manifest);
    match of {
        Kind::Tools => exports.has_tools() && manifest.tools,
        Kind::Resources | Kind::ResourceTemplates => exports.has_resources() && manifest.resources,
        Kind::Prompts => exports.has_prompts() && manifest.prompts,
    }
}

/// Whether two handles are of one version. A weak handle keeps the address from being used again.
fn same(weak: &Weak<PluginVersion>, version: &Arc<PluginVersion>) -> bool {
    std::ptr::eq(weak.as_ptr(), Arc::as_ptr(version))
}

/// An item that was found, and what is asked of who uses it.
struct Found {
    version: Arc<PluginVersion>,
    offered: Offered,
}
