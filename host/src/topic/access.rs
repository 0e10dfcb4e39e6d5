//! Who may do what with a topic.
//!
//! What always holds, and no rule opens:
//!
//! - A topic belongs to a tenant: the same name in another tenant is another topic.
//! - Names that begin with `$` belong to the host.
//! - `user.SUB` and everything below it (or `user/SUB`) is read by that subject only: subscriptions,
//!   members and history. Anyone in the tenant may publish there, if rules and the plugin's grants allow it.
//!   In SUB the characters `.`, `/`, `*` and `%` are written as `%2E`, `%2F`, `%2A`, `%25`, so that
//!   the subject is always exactly one level, and `alice` cannot be taken for `alice.smith`.
//!
//! Then the operator's rules: the first that fits decides. A user's token is compared with them once,
//! which makes a [`Standing`]; a topic is compared with them once for each publication, which makes a
//! [`View`]; what is left for each subscriber is to lay one upon the other.

use std::sync::Arc;

use super::{
    TopicFault,
    bearing::Bearing,
    pattern::{is_pattern, levels},
};
use crate::{
    auth::Principal,
    config::{
        TopicConfig,
        topic_rule::{Effect, TopicRule, TopicRules, Verb},
    },
};

/// The first level of topics that belong to one user.
const USER_LEVEL: &str = "user";

/// How a topic is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Subscriptions, members, history.
    Read,
    Publish,
}

/// The rules in force.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    rules: Arc<TopicRules>,
    default: Effect,
}

impl Access {
    pub fn of(config: &TopicConfig) -> Self {
        Self { rules: config.rules.clone(), default: config.default }
    }

    /// Whether somebody may use a topic, or anything that a pattern can name. What a pattern shows is
    /// decided for each topic.
    pub fn check(&self, principal: &Principal, name: &str, use_: Use) -> Result<(), TopicFault> {
        check_built_in(&principal.subject, name, use_)?;
        let can_fit = |rule: &TopicRule| is_pattern(name) || Bearing::places(rule, name).is_some();
        for rule in self.rules.list.iter().filter(|rule| is_about(rule, use_) && can_fit(rule)) {
            let bearing = Bearing::of(rule, principal);
            match rule.effect {
                Effect::Allow if bearing.overlaps(rule, name) => return Ok(()),
                Effect::Deny if bearing.covers(rule, name) => return Err(denied(name, use_, Some(rule))),
                _ => {}
            }
        }
        if self.default == Effect::Allow { Ok(()) } else { Err(denied(name, use_, None)) }
    }

    /// A topic, as its readers stand to it.
    pub fn view<'a>(&'a self, name: &'a str) -> View<'a> {
        let about = self.rules.list.iter().enumerate().filter(|(_, rule)| is_about(rule, Use::Read));
        let fitting = about.filter_map(|(index, rule)| Some((index, rule, Bearing::places(rule, name)?))).collect();
        View { owner: owner(name), fitting, default: self.default }
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.rules, &other.rules) && self.default == other.default
    }
}

/// What the rules mean for one token.
#[derive(Debug)]
pub(crate) struct Standing {
    access: Access,
    principal: Arc<Principal>,
    /// One for each rule.
    bearings: Box<[Bearing]>,
}

impl Standing {
    pub fn of(access: &Access, principal: Arc<Principal>) -> Self {
        let bearings = access.rules.list.iter().map(|rule| Bearing::of(rule, &principal)).collect();
        Self { access: access.clone(), principal, bearings }
    }

    /// Whether it was made from these rules and this token.
    pub fn is_current(&self, access: &Access, principal: &Arc<Principal>) -> bool {
        self.access.is(access) && Arc::ptr_eq(&self.principal, principal)
    }
}

/// One topic and the rules that can be about reading it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    owner: Option<&'a str>,
    /// The place of a rule, the rule, and the levels of the topic that a user's own have to equal.
    fitting: Vec<(usize, &'a TopicRule, Vec<&'a str>)>,
    default: Effect,
}

impl View<'_> {
    /// Whether it is all the same who reads, and everybody may.
    pub fn is_open(&self) -> bool {
        let decides = |rule: &TopicRule, places: &[&str]| rule.conditions.is_empty() && places.is_empty();
        self.owner.is_none()
            && match self.fitting.first() {
                None => self.default == Effect::Allow,
                Some((_, rule, places)) => rule.effect == Effect::Allow && decides(rule, places),
            }
    }

    /// Whether the topic is shown to somebody. The standing has to be of the rules that the view is of.
    pub fn shows(&self, standing: &Standing) -> bool {
        if self.owner.is_some_and(|owner| !is_written(owner, &standing.principal.subject)) {
            return false;
        }
        let mut fitting = self.fitting.iter();
        let first = fitting.find(|(index, _, places)| standing.bearings.get(*index).is_some_and(|b| b.fits(places)));
        first.map_or(self.default, |(_, rule, _)| rule.effect) == Effect::Allow
    }
}

fn check_built_in(subject: &str, name: &str, use_: Use) -> Result<(), TopicFault> {
    if name.starts_with('$') {
        return Err(TopicFault::Forbidden(format!("{name:?} belongs to the host: topics with `$` are reserved")));
    }
    let owner = owner(name).filter(|owner| *owner != "*" && *owner != "**");
    match owner {
        Some(owner) if use_ == Use::Read && !is_written(owner, subject) => {
            Err(TopicFault::Forbidden(format!("{name:?} is read by its own user only")))
        }
        _ => Ok(()),
    }
}

/// Names the rule that decided, and no other.
fn denied(name: &str, use_: Use, rule: Option<&TopicRule>) -> TopicFault {
    let deed = match use_ {
        Use::Read => "read",
        Use::Publish => "publish to",
    };
    TopicFault::Forbidden(match rule {
        Some(rule) => format!("you may not {deed} {name:?}: this server has the rule `{rule}`"),
        None => format!("you may not {deed} {name:?}: no rule of this server allows it"),
    })
}

fn is_about(rule: &TopicRule, use_: Use) -> bool {
    matches!((rule.verb, use_), (Verb::All, _) | (Verb::Subscribe, Use::Read) | (Verb::Publish, Use::Publish))
}

/// The second level, as it is written, of a topic that belongs to a user.
fn owner(name: &str) -> Option<&str> {
    let mut levels = levels(name);
    (levels.next() == Some(USER_LEVEL)).then(|| levels.next()).flatten()
}

/// Whether a level is how this text is written as one.
pub(super) fn is_written(level: &str, text: &str) -> bool {
    let mut rest = level;
    for character in text.chars() {
        let stripped = match character {
            '.' => rest.strip_prefix("%2E"),
            '/' => rest.strip_prefix("%2F"),
            '*' => rest.strip_prefix("%2A"),
            '%' => rest.strip_prefix("%25"),
            plain => rest.strip_prefix(plain),
        };
        let Some(stripped) = stripped else { return false };
        rest = stripped;
    }
    rest.is_empty()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn access(rules: &[&str], default: Effect) -> Access {
        let list = rules.iter().map(|text| TopicRule::parse(text).unwrap()).collect();
        Access { rules: Arc::new(TopicRules::new(list).unwrap()), default }
    }

    fn open() -> Access {
        access(&[], Effect::Allow)
    }

    /// With what rules can look at; a claim that is not named here was not known when the token was read.
    fn user(subject: &str, scopes: &[&str], claims: Value) -> Principal {
        let Value::Object(claims) = claims else { panic!("claims are an object") };
        let scopes = scopes.iter().map(ToString::to_string).collect();
        Principal { scopes, rule_claims: Arc::new(claims), ..Principal::named(None, subject) }
    }

    fn may(access: &Access, principal: &Principal, name: &str, use_: Use) -> bool {
        let may = access.check(principal, name, use_).is_ok();
        if use_ == Use::Read && !name.contains('*') {
            let standing = Standing::of(access, Arc::new(principal.clone()));
            assert_eq!(access.view(name).shows(&standing), may && !name.starts_with('$'), "both ways agree on {name}");
        }
        may
    }

    #[test]
    fn a_users_own_topics_are_read_by_that_user_only() {
        let open = access(&["allow all **"], Effect::Allow);
        let named = |subject| Principal::named(None, subject);
        for name in ["user.alice", "user/alice", "user.alice.inbox", "user/alice/inbox", "user.alice.**"] {
            assert!(may(&open, &named("alice"), name, Use::Read), "{name}");
            assert!(!may(&open, &named("bob"), name, Use::Read), "{name}");
            assert!(!may(&open, &named("alic"), name, Use::Read), "{name}");
            assert!(may(&open, &named("bob"), name, Use::Publish), "{name}");
        }
        assert!(may(&open, &named("bob"), "users.alice", Use::Read));
        for (subject, name, expected) in [
            ("a@b.example", "user.a@b%2Eexample", true),
            ("a@b", "user.a@b%2Eexample", false),
            ("alice.smith", "user.alice.smith", false),
            ("alice%2Esmith", "user.alice%2Esmith", false),
        ] {
            assert_eq!(may(&open, &named(subject), name, Use::Read), expected, "{subject} {name}");
        }
    }

    #[test]
    fn a_wide_pattern_is_allowed_and_shows_only_what_its_subscriber_may_see() {
        let (open, bob) = (open(), Arc::new(Principal::named(None, "bob")));
        assert!(may(&open, &bob, "user.*.inbox", Use::Read) && may(&open, &bob, "**", Use::Read));
        let standing = Standing::of(&open, bob);
        for (name, shown) in [("user.alice.inbox", false), ("user.bob.inbox", true), ("room.1", true)] {
            assert_eq!(open.view(name).shows(&standing), shown, "{name}");
        }
        assert!(open.view("room.1").is_open() && !open.view("user.bob").is_open());
    }

    #[test]
    fn the_host_keeps_its_own_names() {
        let access = access(&["allow all **"], Effect::Allow);
        for use_ in [Use::Read, Use::Publish] {
            let refused = access.check(&Principal::named(None, "alice"), "$sys.x", use_);
            assert!(matches!(refused, Err(TopicFault::Forbidden(_))));
        }
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let access = access(
            &[
                "allow publish announcements.** if scope announce",
                "deny publish announcements.**",
                "allow all team.{claim.team}.** if claim role = admin",
                "allow subscribe team.{claim.team}.**",
                "deny all team.**",
                "allow all own.{sub}",
                "deny all own.*",
            ],
            Effect::Allow,
        );
        let alice = user("a.l", &["announce"], json!({"team": ["red", "x.y"], "role": "admin"}));
        let bob = user("bob", &[], json!({"team": "blue", "role": null}));
        for (principal, name, read, publish) in [
            (&alice, "announcements.all", true, true),
            (&bob, "announcements.all", true, false),
            (&bob, "announcements/all", true, false),
            (&alice, "team.red.chat", true, true),
            (&alice, "team.x%2Ey.chat", true, true),
            (&alice, "team.blue.chat", false, false),
            (&bob, "team.blue.chat", true, false),
            (&bob, "team.red.chat", false, false),
            (&alice, "own.a%2El", true, true),
            (&bob, "own.a%2El", false, false),
            (&bob, "elsewhere", true, true),
        ] {
            assert_eq!(may(&access, principal, name, Use::Read), read, "{} reads {name}", principal.subject);
            assert_eq!(may(&access, principal, name, Use::Publish), publish, "{} writes {name}", principal.subject);
        }
    }

    #[test]
    fn a_pattern_is_refused_only_if_it_could_never_show_anything() {
        let access = access(&["allow subscribe room.open.*", "deny subscribe room.**"], Effect::Allow);
        let alice = Principal::named(None, "alice");
        for (pattern, expected) in [
            ("room.**", true),
            ("room.*.x", true),
            ("room.open.*", true),
            ("room.*", false),
            ("room.a.**", false),
            ("**", true),
        ] {
            assert_eq!(may(&access, &alice, pattern, Use::Read), expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_denied_where_that_is_the_default() {
        let access = access(&["allow all room.*", "allow subscribe user.{sub}"], Effect::Deny);
        let alice = Principal::named(None, "alice");
        for (name, expected) in [("room.1", true), ("room", false), ("user.alice", true), ("user.alice.x", false)] {
            assert_eq!(may(&access, &alice, name, Use::Read), expected, "{name}");
        }
        assert!(!may(&access, &alice, "other.*", Use::Read) && may(&access, &alice, "**", Use::Read));
    }

    #[test]
    fn a_claim_that_was_not_kept_allows_nothing_and_denies() {
        let access = access(
            &["allow all a if claim role = admin", "deny all a if claim role = guest", "deny all b.{claim.team}"],
            Effect::Allow,
        );
        let before = Principal::named(None, "alice");
        assert!(!may(&access, &before, "a", Use::Read) && !may(&access, &before, "b.x", Use::Read));
        let after = user("alice", &[], json!({"role": null, "team": null}));
        assert!(may(&access, &after, "a", Use::Read) && may(&access, &after, "b.x", Use::Read));
        for (role, expected) in [(json!("admin"), true), (json!(["guest", 7]), false), (json!(7), true)] {
            assert_eq!(
                may(&access, &user("alice", &[], json!({"role": role, "team": null})), "a", Use::Read),
                expected
            );
        }
    }

    #[test]
    fn a_denial_names_the_rule_and_no_other() {
        let access = access(&["allow publish a if scope x", "deny publish a", "deny publish b"], Effect::Allow);
        let TopicFault::Forbidden(text) = access.check(&Principal::named(None, "x"), "a", Use::Publish).unwrap_err()
        else {
            panic!("another fault")
        };
        assert_eq!(text, "you may not publish to \"a\": this server has the rule `deny publish a`");
    }
}
