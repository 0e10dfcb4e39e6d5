//! Who may use what: the operator's rules, held against the scopes of a caller's token.

use crate::{
    auth::Principal,
    config::item_rule::ItemRule,
    plugin::offers::{CatalogueError, Item},
};

use super::failure;

/// The scopes that a rule asks for and a token has not.
pub(super) fn missing<'r>(rule: Option<&'r ItemRule>, principal: &Principal) -> Vec<&'r str> {
    let needed = rule.map(|rule| &*rule.scopes).unwrap_or_default();
    needed.iter().map(|scope| &**scope).filter(|scope| !principal.scopes.iter().any(|own| own == scope)).collect()
}

/// Refuses whoever lacks a scope that one of the rules asks for.
pub(super) fn check<'r>(
    what: &Item,
    rules: impl Iterator<Item = &'r ItemRule>,
    principal: &Principal,
) -> Result<(), CatalogueError> {
    let mut scopes: Vec<&str> = rules.flat_map(|rule| missing(Some(rule), principal)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() {
        return Ok(());
    }
    let noun = if scopes.len() == 1 { "the scope" } else { "the scopes" };
    Err(CatalogueError::Forbidden {
        reason: format!("{} needs {noun} {}, which the token does not have", failure::named(what), scopes.join(" ")),
        missing_scopes: scopes.into_iter().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_scopes_of_all_rules_are_needed_and_the_missing_ones_are_named() {
        let one = ItemRule::parse("a scope x scope y").unwrap();
        let other = ItemRule::parse("b scope y scope z").unwrap();
        let user = |scopes: &[&str]| Principal {
            scopes: scopes.iter().map(ToString::to_string).collect(),
            ..Principal::named(None, "alice")
        };
        let what = Item::Tool("t".into());
        let refused = check(&what, [&one, &other].into_iter(), &user(&["x"])).unwrap_err();
        let CatalogueError::Forbidden { reason, missing_scopes } = refused else { panic!("another fault") };
        assert_eq!(missing_scopes, ["y", "z"]);
        assert_eq!(reason, "the tool \"t\" needs the scopes y z, which the token does not have");
        assert_eq!(check(&what, [&one, &other].into_iter(), &user(&["z", "x", "y"])), Ok(()));
        assert_eq!(check(&what, std::iter::empty(), &user(&[])), Ok(()));
    }
}
