//! Whose memory it is, and the name of it on disk.
//!
//! Each part of a name says how long it is, so that no name is the beginning of another, and no subject or tenant
//! can be chosen so that it names somebody else's.

use std::sync::Arc;

use super::StateScope;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Session(Arc<str>),
    User { tenant: Option<String>, subject: String },
    Plugin,
}

impl Owner {
    pub fn scope(&self) -> StateScope {
        match self {
            Self::Session(_) => StateScope::Connection,
            Self::User { .. } => StateScope::User,
            Self::Plugin => StateScope::Plugin,
        }
    }
}

const USER: u8 = 1;
const PLUGIN: u8 = 2;
const NO_TENANT: u8 = 0;
const TENANT: u8 = 1;

/// What all shelves of a plugin begin with.
pub(super) fn plugin_key(plugin: &str) -> Vec<u8> {
    let mut key = Vec::new();
    push(&mut key, plugin.as_bytes());
    key
}

/// What all shelves of a plugin and a scope begin with; `None` for what is on no disk.
pub(super) fn group_key(plugin: &str, scope: StateScope) -> Option<Vec<u8>> {
    let mut key = plugin_key(plugin);
    key.push(match scope {
        StateScope::Connection => return None,
        StateScope::User => USER,
        StateScope::Plugin => PLUGIN,
    });
    Some(key)
}

/// The shelf of a plugin and an owner.
pub(super) fn shelf_key(plugin: &str, owner: &Owner) -> Option<Vec<u8>> {
    let mut key = group_key(plugin, owner.scope())?;
    if let Owner::User { tenant, subject } = owner {
        match tenant {
            None => key.push(NO_TENANT),
            Some(tenant) => {
                key.push(TENANT);
                push(&mut key, tenant.as_bytes());
            }
        }
        push(&mut key, subject.as_bytes());
    }
    Some(key)
}

pub(super) fn parse_group(key: &[u8]) -> Option<(Arc<str>, StateScope)> {
    let mut rest = key;
    let plugin = pull(&mut rest)?;
    match rest {
        [USER] => Some((plugin.into(), StateScope::User)),
        [PLUGIN] => Some((plugin.into(), StateScope::Plugin)),
        _ => None,
    }
}

pub(super) fn parse_shelf(key: &[u8]) -> Option<(Arc<str>, Owner)> {
    let mut rest = key;
    let plugin = pull(&mut rest)?.into();
    let (scope, mut rest) = rest.split_first()?;
    let owner = match *scope {
        PLUGIN => Owner::Plugin,
        USER => {
            let (has_tenant, after) = rest.split_first()?;
            rest = after;
            let tenant = match *has_tenant {
                NO_TENANT => None,
                TENANT => Some(pull(&mut rest)?.to_owned()),
                _ => return None,
            };
            Owner::User { tenant, subject: pull(&mut rest)?.to_owned() }
        }
        _ => return None,
    };
    rest.is_empty().then_some((plugin, owner))
}

fn push(key: &mut Vec<u8>, part: &[u8]) {
    // Whatever is longer is no name: a token with it would not have fitted into a request.
    key.extend_from_slice(&u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
    key.extend_from_slice(part);
}

fn pull<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (part, after) = after.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
    *rest = after;
    str::from_utf8(part).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn owners() -> impl Strategy<Value = Owner> {
        let user = (proptest::option::of(".{0,4}"), ".{0,6}");
        prop_oneof![
            1 => Just(Owner::Plugin),
            9 => user.prop_map(|(tenant, subject)| Owner::User { tenant, subject }),
        ]
    }

    proptest! {
        #[test]
        fn a_name_says_who_it_is_and_begins_nobody_elses(
            (a, of_a) in ("[a-c]{1,3}", owners()),
            (b, of_b) in ("[a-c]{1,3}", owners()),
        ) {
            let (key_a, key_b) = (shelf_key(&a, &of_a).unwrap(), shelf_key(&b, &of_b).unwrap());
            prop_assert_eq!(parse_shelf(&key_a), Some((a.as_str().into(), of_a.clone())));
            prop_assert_eq!(key_b.starts_with(&key_a), (&a, &of_a) == (&b, &of_b));
            let group = group_key(&a, of_a.scope()).unwrap();
            prop_assert_eq!(parse_group(&group), Some((a.as_str().into(), of_a.scope())));
            prop_assert_eq!(key_b.starts_with(&group), a == b && of_a.scope() == of_b.scope());
        }
    }

    #[test]
    fn what_is_cut_off_or_goes_on_is_nobodys() {
        let key = shelf_key("notes", &Owner::User { tenant: Some("acme".into()), subject: "alice".into() }).unwrap();
        assert_eq!(parse_shelf(&[key.as_slice(), b"x"].concat()), None);
        assert!((0..key.len()).all(|end| parse_shelf(&key[..end]).is_none()));
        assert_eq!(shelf_key("notes", &Owner::Session("s".into())), None);
    }
}
