//! Which plugin has a message type, when several may: pure decisions over names and patterns.
//!
//! A type belongs to one plugin. A second that claims it is refused when it loads, unless the operator
//! names the one that has it; the other then merely lacks that type.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::manifest::Pattern;

/// Types and their owners, as the operator has them: names of types, or prefixes followed by `*`.
pub(crate) type Owners = BTreeMap<String, String>;

/// What a plugin can do for its types at the moment, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    Serving,
    Unavailable,
    Disabled,
}

/// One plugin's claim to one pattern.
#[derive(Debug, Clone)]
pub(crate) struct Claim<T> {
    pub plugin: Arc<str>,
    pub standing: Standing,
    pub pattern: Pattern,
    pub what: T,
}

/// Two plugins claim the same, and nobody said whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{pattern}` is already handled by the plugin `{holder}`: name the one that is to have it in the config, \
     `[type_owners]` with `\"{pattern}\" = \"{holder}\"` or `\"{pattern}\" = \"{newcomer}\"`"
)]
pub(crate) struct Conflict {
    pub pattern: Pattern,
    pub holder: Arc<str>,
    pub newcomer: Arc<str>,
}

/// Whether a newcomer claims what another plugin, which is serving, has.
pub(crate) fn conflict<'a>(
    newcomer: &Arc<str>,
    patterns: impl Iterator<Item = &'a Pattern>,
    held: &HashMap<&Pattern, &Arc<str>>,
    owners: &Owners,
) -> Result<(), Conflict> {
    for pattern in patterns {
        let Some(&holder) = held.get(pattern).filter(|&&holder| holder != newcomer) else { continue };
        let owner = owners.get(&pattern.to_string()).map(String::as_str);
        if owner != Some(&**newcomer) && owner != Some(&**holder) {
            return Err(Conflict { pattern: pattern.clone(), holder: holder.clone(), newcomer: newcomer.clone() });
        }
    }
    Ok(())
}

/// The claims to each pattern, the one that counts first. Among equals, the earlier.
pub(crate) fn settle<T>(claims: impl Iterator<Item = Claim<T>>, owners: &Owners) -> HashMap<Pattern, Vec<Claim<T>>> {
    let mut settled: HashMap<Pattern, Vec<Claim<T>>> = HashMap::new();
    for claim in claims {
        settled.entry(claim.pattern.clone()).or_default().push(claim);
    }
    for (pattern, claims) in &mut settled {
        let owner = owners.get(&pattern.to_string()).map(String::as_str);
        // Stable: equals stay in their order.
        claims.sort_by_key(|claim| rank(claim, owner));
    }
    settled
}

/// Smaller is better. An owner has its types even while it fails: another plugin was not meant to get
/// those messages. An owner that is switched off leaves them to whoever else can serve them.
fn rank<T>(claim: &Claim<T>, owner: Option<&str>) -> (bool, Standing) {
    let owns = owner == Some(&*claim.plugin) && claim.standing != Standing::Disabled;
    (!owns, claim.standing)
}

/// Patterns with what they lead to: exact types win over prefixes, longer prefixes over shorter ones.
#[derive(Debug)]
pub(crate) struct Table<T> {
    exact: HashMap<String, T>,
    /// Longest first.
    prefixes: Vec<(String, T)>,
}

impl<T> Table<T> {
    pub fn new(entries: impl Iterator<Item = (Pattern, T)>) -> Self {
        let mut table = Self { exact: HashMap::new(), prefixes: Vec::new() };
        for (pattern, what) in entries {
            match pattern {
                Pattern::Exact(name) => _ = table.exact.insert(name.into(), what),
                Pattern::Prefix(prefix) => table.prefixes.push((prefix, what)),
            }
        }
        table.prefixes.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        table
    }

    /// What fits a name, the most exact first.
    pub fn fitting(&self, name: &str) -> impl Iterator<Item = &T> {
        let prefixes = self.prefixes.iter().filter(move |(prefix, _)| name.starts_with(prefix.as_str()));
        self.exact.get(name).into_iter().chain(prefixes.map(|(_, what)| what))
    }

    /// Everything that can be reached, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.exact.values().chain(self.prefixes.iter().map(|(_, what)| what))
    }
}

#[cfg(test)]
mod tests {
    use switchboard_protocol::MessageType;

    use super::*;

    fn pattern(text: &str) -> Pattern {
        match text.strip_suffix('*') {
            Some(prefix) => Pattern::Prefix(prefix.to_owned()),
            None => Pattern::Exact(MessageType::parse(text).unwrap()),
        }
    }

    fn owners(entries: &[(&str, &str)]) -> Owners {
        entries.iter().map(|(name, owner)| ((*name).to_owned(), (*owner).to_owned())).collect()
    }

    fn check_conflict(newcomer: &str, claims: &[&str], owned: &[(&str, &str)], expected: Option<(&str, &str)>) {
        let patterns = [(pattern("ping"), Arc::from("system")), (pattern("chat.*"), Arc::from("chat"))];
        let held = patterns.iter().map(|(pattern, plugin)| (pattern, plugin)).collect();
        let claimed: Vec<Pattern> = claims.iter().map(|claim| pattern(claim)).collect();
        let found = conflict(&newcomer.into(), claimed.iter(), &held, &owners(owned)).err();
        let found = found.as_ref().map(|conflict| (conflict.pattern.to_string(), &*conflict.holder));
        assert_eq!(found.as_ref().map(|(pattern, holder)| (pattern.as_str(), *holder)), expected);
    }

    #[test]
    fn a_type_that_another_plugin_has_cannot_be_claimed() {
        check_conflict("new", &["pong", "ping"], &[], Some(("ping", "system")));
        check_conflict("new", &["chat.*"], &[], Some(("chat.*", "chat")));
    }

    #[test]
    fn a_plugins_own_types_and_overlapping_patterns_are_no_conflict() {
        check_conflict("system", &["ping"], &[], None);
        check_conflict("new", &["chat.say", "chat.deep.*", "p*"], &[], None);
    }

    #[test]
    fn an_operator_who_names_the_winner_ends_the_conflict() {
        check_conflict("new", &["ping"], &[("ping", "new")], None);
        check_conflict("new", &["ping"], &[("ping", "system")], None);
        check_conflict("new", &["chat.*"], &[("chat.*", "new")], None);
        check_conflict("new", &["ping"], &[("ping", "somebody else")], Some(("ping", "system")));
    }

    fn check_winner(claims: &[(&str, Standing)], owned: &[(&str, &str)], expected: &str) {
        let claims = claims.iter().map(|(plugin, standing)| Claim {
            plugin: (*plugin).into(),
            standing: *standing,
            pattern: pattern("ping"),
            what: (),
        });
        assert_eq!(&*settle(claims, &owners(owned))[&pattern("ping")][0].plugin, expected);
    }

    #[test]
    fn the_earlier_of_those_that_serve_has_a_type_unless_it_is_owned() {
        use Standing::{Disabled, Serving, Unavailable};
        check_winner(&[("a", Serving), ("b", Serving)], &[], "a");
        check_winner(&[("a", Serving), ("b", Serving)], &[("ping", "b")], "b");
        check_winner(&[("a", Unavailable), ("b", Serving)], &[], "b");
        check_winner(&[("a", Disabled), ("b", Unavailable)], &[], "b");
        check_winner(&[("a", Unavailable), ("b", Serving)], &[("ping", "a")], "a");
        check_winner(&[("a", Disabled), ("b", Serving)], &[("ping", "a")], "b");
        check_winner(&[("a", Disabled)], &[("ping", "b")], "a");
    }

    #[test]
    fn exact_types_win_over_prefixes_and_long_prefixes_over_short_ones() {
        let patterns = ["chat.*", "chat.room.*", "chat.say", "c*"];
        let table = Table::new(patterns.iter().map(|text| (pattern(text), *text)));
        let cases = [
            ("chat.say", Some("chat.say")),
            ("chat.say2", Some("chat.*")),
            ("chat.room.7", Some("chat.room.*")),
            ("chat", Some("c*")),
            ("ping", None),
        ];
        for (name, expected) in cases {
            assert_eq!(table.fitting(name).next().copied(), expected, "{name}");
        }
    }
}
