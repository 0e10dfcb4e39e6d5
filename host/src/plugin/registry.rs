//! Which version of which plugin handles which message type: an immutable snapshot.
//!
//! A message takes the snapshot once and keeps what it found; a swap publishes another snapshot and
//! disturbs nobody. Building one is rare, so it does all the work that routing would otherwise do. What
//! is left for routing is whether a user is among those of a canary, where there is one.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use switchboard_protocol::MessageType;

use super::{
    claims::{self, Claim, Owners, Standing, Table},
    manifest::{Handled, Pattern},
    nearest::nearest,
    rollout::share::Who,
    version::PluginVersion,
};

/// When to ask again for a plugin whose file does not load: someone has to notice and repair it.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(5);

/// All plugins at one moment.
pub(crate) struct Registry {
    everyone: View,
    /// Sessions for which an operator chose versions by hand, each with all that it sees.
    pinned: HashMap<Arc<str>, View>,
}

/// The plugins as one session sees them, or all that nobody chose anything for.
struct View {
    versions: BTreeMap<Arc<str>, Serving>,
    /// What may be done with a type. The first that is for the user in question counts.
    table: Table<Vec<Target>>,
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
    /// Sessions that get another version than their user would.
    pub pins: Vec<(Arc<str>, Arc<PluginVersion>)>,
}

/// What a plugin can do for its types.
#[derive(Clone)]
pub(crate) enum Service {
    Serving(Serving),
    Unavailable { handles: Vec<Arc<Handled>>, reason: Arc<str> },
    Disabled { handles: Vec<Arc<Handled>> },
}

/// The versions of a plugin that serve.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub active: Arc<PluginVersion>,
    pub canary: Option<Canary>,
}

/// A version on trial.
#[derive(Debug, Clone)]
pub(crate) struct Canary {
    pub version: Arc<PluginVersion>,
    /// Share of users.
    pub percent: u32,
}

#[derive(Debug, Clone)]
enum Target {
    /// By the canary, for its users. Others do not meet this.
    Trial {
        handler: Handler,
        percent: u32,
    },
    Handler(Handler),
    Disabled {
        plugin: Arc<str>,
    },
    Unavailable {
        plugin: Arc<str>,
        reason: Arc<str>,
    },
}

impl Registry {
    /// A snapshot of these plugins, the earlier of which have precedence.
    pub fn new(members: &[Member], owners: &Owners) -> Self {
        let everyone = View::new(members.iter().map(|member| (&member.name, member.service.clone())), owners);
        let sessions: HashSet<&Arc<str>> =
            members.iter().flat_map(|member| &member.pins).map(|(session, _)| session).collect();
        let of_session = |session: &Arc<str>| {
            View::new(members.iter().map(|member| (&member.name, member.service_of(session))), owners)
        };
        Self { everyone, pinned: sessions.into_iter().map(|session| (session.clone(), of_session(session))).collect() }
    }

    fn view(&self, who: &Who<'_>) -> &View {
        self.pinned.get(who.session_id).unwrap_or(&self.everyone)
    }

    /// Whether a version was chosen by hand for this session.
    pub fn is_pinned(&self, session_id: &str) -> bool {
        self.pinned.contains_key(session_id)
    }

    /// Where messages of a type go. Types of the host go nowhere, whatever prefixes cover them.
    pub fn route(&self, message_type: &MessageType, who: &Who<'_>) -> Route {
        let view = self.view(who);
        if message_type.is_reserved() {
            return Route::Unknown { nearest: view.nearest(message_type.as_str()) };
        }
        let targets = view.table.fitting(message_type.as_str()).flatten();
        let mut routes = targets.filter_map(|target| target.route(who));
        routes.next().unwrap_or_else(|| Route::Unknown { nearest: view.nearest(message_type.as_str()) })
    }

    /// The versions that serve this user, in the order of their names.
    pub fn versions_for<'r>(&'r self, who: Who<'r>) -> impl Iterator<Item = &'r Arc<PluginVersion>> {
        self.view(&who).versions.values().map(move |serving| serving.version_for(&who))
    }

    /// The active versions, in the order of their names.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<PluginVersion>> {
        self.everyone.versions.values().map(|serving| &serving.active)
    }

    /// Whether users see different versions, of which one or the other is like this.
    pub fn differs_by_user(&self, is_concerned: impl Fn(&PluginVersion) -> bool) -> bool {
        let on_trial = |serving: &Serving| match &serving.canary {
            Some(canary) => is_concerned(&canary.version) || is_concerned(&serving.active),
            None => false,
        };
        !self.pinned.is_empty() || self.everyone.versions.values().any(on_trial)
    }

    /// The active version of a plugin.
    #[cfg(test)]
    pub fn version(&self, plugin: &str) -> Option<&Arc<PluginVersion>> {
        self.everyone.versions.get(plugin).map(|serving| &serving.active)
    }

    /// Every type and prefix that active versions serve, with who serves it, sorted.
    pub fn handlers(&self) -> Vec<&Handler> {
        let mut handlers: Vec<&Handler> = self.everyone.handlers().collect();
        handlers.sort_by(|a, b| a.handled.pattern.cmp(&b.handled.pattern));
        handlers
    }
}

impl View {
    fn new<'m>(members: impl Iterator<Item = (&'m Arc<str>, Service)>, owners: &Owners) -> Self {
        let mut versions = BTreeMap::new();
        let mut claims = Vec::new();
        for (name, service) in members {
            claims.extend(service.claims(name));
            if let Service::Serving(serving) = service {
                versions.insert(name.clone(), serving);
            }
        }
        let settled = claims::settle(claims.into_iter(), owners);
        let targets = |claims: Vec<Claim<Target>>| {
            let mut targets: Vec<Target> = claims.into_iter().map(|claim| claim.what).collect();
            // Nobody gets beyond the first that is for everyone.
            let end = targets.iter().position(|target| !matches!(target, Target::Trial { .. }));
            targets.truncate(end.map_or(targets.len(), |end| end + 1));
            targets
        };
        Self { versions, table: Table::new(settled.into_iter().map(|(pattern, claims)| (pattern, targets(claims)))) }
    }

    fn handlers(&self) -> impl Iterator<Item = &Handler> {
        self.table.values().flatten().filter_map(|target| match target {
            Target::Handler(handler) => Some(handler),
            Target::Trial { .. } | Target::Disabled { .. } | Target::Unavailable { .. } => None,
        })
    }

    fn nearest(&self, unknown: &str) -> Vec<String> {
        let known = self.handlers().filter_map(|handler| match &handler.handled.pattern {
            Pattern::Exact(name) => Some(name.as_str()),
            Pattern::Prefix(_) => None,
        });
        nearest(unknown, known)
    }
}

impl Member {
    fn service_of(&self, session: &Arc<str>) -> Service {
        match self.pins.iter().find(|(pinned, _)| pinned == session) {
            Some((_, version)) => Service::Serving(Serving { active: version.clone(), canary: None }),
            None => self.service.clone(),
        }
    }
}

impl Serving {
    fn version_for(&self, who: &Who<'_>) -> &Arc<PluginVersion> {
        let canary = self.canary.as_ref().filter(|canary| who.is_within(&self.active.name, canary.percent));
        canary.map_or(&self.active, |canary| &canary.version)
    }

    /// A user of the canary is handled by it if it handles the type at all, however exactly either version
    /// names that type; what it has given up is handled by the active version as long as that serves.
    fn claims(&self, name: &Arc<str>) -> Vec<Claim<Target>> {
        let claim = |pattern: &Pattern, what| Claim {
            plugin: name.clone(),
            standing: Standing::Serving,
            pattern: pattern.clone(),
            what,
        };
        let mut claims = Vec::new();
        if let Some(Canary { version, percent }) = &self.canary {
            let patterns: BTreeSet<&Pattern> = patterns(version).chain(patterns(&self.active)).collect();
            for pattern in patterns {
                if let Some(handled) = covering(version, pattern) {
                    let handler = Handler { version: version.clone(), handled: handled.clone() };
                    claims.push(claim(pattern, Target::Trial { handler, percent: *percent }));
                }
            }
        }
        for handled in &self.active.manifest.handles {
            let handler = Handler { version: self.active.clone(), handled: handled.clone() };
            claims.push(claim(&handled.pattern, Target::Handler(handler)));
        }
        claims
    }
}

fn patterns(version: &PluginVersion) -> impl Iterator<Item = &Pattern> {
    version.manifest.handles.iter().map(|handled| &handled.pattern)
}

/// What a version would handle everything with that a pattern fits, as exactly as it can.
fn covering<'v>(version: &'v PluginVersion, pattern: &Pattern) -> Option<&'v Arc<Handled>> {
    let covers = |handled: &&Arc<Handled>| match (&handled.pattern, pattern) {
        (Pattern::Prefix(prefix), Pattern::Exact(name)) => name.as_str().starts_with(prefix.as_str()),
        (Pattern::Prefix(prefix), Pattern::Prefix(longer)) => longer.starts_with(prefix.as_str()),
        (Pattern::Exact(_), _) => handled.pattern == *pattern,
    };
    version.manifest.handles.iter().filter(covers).max_by_key(|handled| match &handled.pattern {
        Pattern::Exact(_) => usize::MAX,
        Pattern::Prefix(prefix) => prefix.len(),
    })
}

impl Service {
    fn claims(&self, name: &Arc<str>) -> Vec<Claim<Target>> {
        let (standing, handles, what) = match self {
            Self::Serving(serving) => return serving.claims(name),
            Self::Unavailable { handles, reason } => {
                let what = Target::Unavailable { plugin: name.clone(), reason: reason.clone() };
                (Standing::Unavailable, handles, what)
            }
            Self::Disabled { handles } => (Standing::Disabled, handles, Target::Disabled { plugin: name.clone() }),
        };
        let claim = |handled: &Arc<Handled>| Claim {
            plugin: name.clone(),
            standing,
            pattern: handled.pattern.clone(),
            what: what.clone(),
        };
        handles.iter().map(claim).collect()
    }
}

impl Target {
    /// Where it leads, if it is for this user.
    fn route(&self, who: &Who<'_>) -> Option<Route> {
        Some(match self {
            Self::Trial { handler, percent } => {
                if !who.is_within(&handler.version.name, *percent) {
                    return None;
                }
                Route::Handler(handler.clone())
            }
            Self::Handler(handler) => Route::Handler(handler.clone()),
            Self::Disabled { plugin } => Route::Disabled { plugin: plugin.clone() },
            Self::Unavailable { plugin, reason } => {
                Route::Unavailable { plugin: plugin.clone(), reason: reason.clone(), retry_after: UNAVAILABLE_RETRY }
            }
        })
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

    const ANYBODY: Who<'_> = Who { tenant: None, subject: "anybody", session_id: "any" };

    fn route(registry: &Registry, name: &str) -> String {
        match registry.route(&MessageType::parse(name).unwrap(), &ANYBODY) {
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
                pins: Vec::new(),
            },
            Member {
                name: "off".into(),
                service: Service::Disabled { handles: handles(r#"[{"type": "b.off"}]"#) },
                pins: Vec::new(),
            },
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
        let registry = Registry::new(&[Member { name: "off".into(), service, pins: Vec::new() }], &Owners::new());
        assert_eq!(route(&registry, "resume"), "unknown");
        assert_eq!(route(&registry, "request"), "disabled off");
    }
}
