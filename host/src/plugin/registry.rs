//! Which version of which plugin handles which message type: an immutable snapshot.
//!
//! A message takes the snapshot once and keeps what it found; a swap publishes another snapshot and
//! disturbs nobody. Building one is rare, so it does all the work that routing would otherwise do.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use switchboard_protocol::MessageType;

use super::{
    claims::{self, Claim, Owners, Standing, Table},
    manifest::{Handled, Pattern},
    nearest::nearest,
    version::PluginVersion,
};

/// When to ask again for a plugin whose file does not load: someone has to notice and repair it.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

/// All plugins at one moment.
pub(crate) struct Registry {
    versions: BTreeMap<Arc<str>, Arc<PluginVersion>>,
    table: Table<Target>,
}

/// Where messages of a type go.
#[derive(Debug)]
pub(crate) enum Route {
    Handler(Handler),
    /// The operator switched it off.
    Disabled {
        plugin: Arc<str>,
    },
    /// It is meant to serve, and cannot at the moment.
    Unavailable {
        plugin: Arc<str>,
        reason: Arc<str>,
        retry_after: Duration,
    },
    Unknown {
        nearest: Vec<String>,
    },
}

/// A version, and what its manifest says about the type.
#[derive(Debug, Clone)]
pub(crate) struct Handler {
    pub version: Arc<PluginVersion>,
    pub handled: Arc<Handled>,
}

/// One plugin's part of a snapshot.
pub(crate) struct Member {
    pub name: Arc<str>,
    pub service: Service,
}

/// What a plugin can do for its types.
pub(crate) enum Service {
    Serving(Arc<PluginVersion>),
    Unavailable { handles: Vec<Arc<Handled>>, reason: Arc<str> },
    Disabled { handles: Vec<Arc<Handled>> },
}

#[derive(Debug, Clone)]
enum Target {
    Handler(Handler),
    Disabled { plugin: Arc<str> },
    Unavailable { plugin: Arc<str>, reason: Arc<str> },
}

impl Registry {
    /// A snapshot of these plugins, the earlier of which have precedence.
    pub fn new(members: &[Member], owners: &Owners) -> Self {
        let claims = members.iter().flat_map(Member::claims);
        let winners = claims::settle(claims, owners);
        let versions = members.iter().filter_map(Member::version);
        Self {
            versions: versions.map(|version| (version.name.clone(), version.clone())).collect(),
            table: Table::new(winners.into_iter().map(|(pattern, claim)| (pattern, claim.what))),
        }
    }

    /// Where messages of a type go. Types of the host go nowhere, whatever prefixes cover them.
    pub fn route(&self, message_type: &MessageType) -> Route {
        match self.table.find(message_type.as_str()).filter(|_| !message_type.is_reserved()) {
            Some(Target::Handler(handler)) => Route::Handler(handler.clone()),
            Some(Target::Disabled { plugin }) => Route::Disabled { plugin: plugin.clone() },
            Some(Target::Unavailable { plugin, reason }) => {
                Route::Unavailable { plugin: plugin.clone(), reason: reason.clone(), retry_after: UNAVAILABLE_RETRY }
            }
            None => Route::Unknown { nearest: self.nearest(message_type.as_str()) },
        }
    }

    /// The versions that serve, by name.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<PluginVersion>> {
        self.versions.values()
    }

    /// The version of a plugin that serves.
    #[cfg(test)]
    pub fn version(&self, plugin: &str) -> Option<&Arc<PluginVersion>> {
        self.versions.get(plugin)
    }

    /// Every type and prefix that is served, with who serves it, sorted.
    pub fn handlers(&self) -> Vec<&Handler> {
        let mut handlers: Vec<&Handler> = self.table.values().filter_map(Target::handler).collect();
        handlers.sort_by(|a, b| a.handled.pattern.cmp(&b.handled.pattern));
        handlers
    }

    fn nearest(&self, unknown: &str) -> Vec<String> {
        let known =
            self.table.values().filter_map(Target::handler).filter_map(|handler| match &handler.handled.pattern {
                Pattern::Exact(name) => Some(name.as_str()),
                Pattern::Prefix(_) => None,
            });
        nearest(unknown, known)
    }
}

impl Member {
    fn version(&self) -> Option<&Arc<PluginVersion>> {
        match &self.service {
            Service::Serving(version) => Some(version),
            Service::Unavailable { .. } | Service::Disabled { .. } => None,
        }
    }

    fn claims(&self) -> impl Iterator<Item = Claim<Target>> {
        let (standing, handles) = match &self.service {
            Service::Serving(version) => (Standing::Serving, &version.manifest.handles),
            Service::Unavailable { handles, .. } => (Standing::Unavailable, handles),
            Service::Disabled { handles } => (Standing::Disabled, handles),
        };
        handles.iter().map(move |handled| Claim {
            plugin: self.name.clone(),
            standing,
            pattern: handled.pattern.clone(),
            what: self.target(handled),
        })
    }

    fn target(&self, handled: &Arc<Handled>) -> Target {
        let plugin = self.name.clone();
        match &self.service {
            Service::Serving(version) => {
                Target::Handler(Handler { version: version.clone(), handled: handled.clone() })
            }
            Service::Unavailable { reason, .. } => Target::Unavailable { plugin, reason: reason.clone() },
            Service::Disabled { .. } => Target::Disabled { plugin },
        }
    }
}

impl Target {
    fn handler(&self) -> Option<&Handler> {
        match self {
            Self::Handler(handler) => Some(handler),
            Self::Disabled { .. } | Self::Unavailable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::manifest::Manifest;

    fn handles(types: &str) -> Vec<Arc<Handled>> {
        let manifest = format!(r#"{{"name": "a", "version": "1.0.0", "handles": {types}}}"#);
        Manifest::parse(&manifest).unwrap().handles
    }

    fn route(registry: &Registry, name: &str) -> String {
        match registry.route(&MessageType::parse(name).unwrap()) {
            Route::Handler(handler) => format!("handler {}", handler.version.name),
            Route::Disabled { plugin } => format!("disabled {plugin}"),
            Route::Unavailable { plugin, reason, .. } => format!("unavailable {plugin}: {reason}"),
            Route::Unknown { .. } => "unknown".to_owned(),
        }
    }

    #[test]
    fn types_of_a_plugin_that_does_not_serve_say_why() {
        let members = [
            Member {
                name: "broken".into(),
                service: Service::Unavailable { handles: handles(r#"[{"prefix": "b."}]"#), reason: "why".into() },
            },
            Member { name: "off".into(), service: Service::Disabled { handles: handles(r#"[{"type": "b.off"}]"#) } },
        ];
        let registry = Registry::new(&members, &Owners::new());
        assert_eq!(route(&registry, "b.x"), "unavailable broken: why");
        assert_eq!(route(&registry, "b.off"), "disabled off");
        assert_eq!(route(&registry, "c"), "unknown");
        assert_eq!((registry.versions().count(), registry.handlers().len()), (0, 0));
    }

    #[test]
    fn a_prefix_does_not_reach_the_types_of_the_host() {
        let service = Service::Disabled { handles: handles(r#"[{"prefix": "re"}]"#) };
        let registry = Registry::new(&[Member { name: "off".into(), service }], &Owners::new());
        assert_eq!(route(&registry, "resume"), "unknown");
        assert_eq!(route(&registry, "request"), "disabled off");
    }
}
