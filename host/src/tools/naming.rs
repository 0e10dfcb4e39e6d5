//! Under which names tools and prompts are offered: `t` if only one plugin has one of that name, else
//! `plugin__t` for each of them, so that no plugin can quietly take another's name.

use std::collections::HashMap;

/// The longest name that MCP clients take.
const MAX_NAME_CHARACTERS: usize = 64;

/// A tool or prompt, by plugin and its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key<'a> {
    pub plugin: &'a str,
    pub name: &'a str,
}

/// Whether a name is in the form that MCP has for tools.
pub(super) fn is_valid(name: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
    (1..=MAX_NAME_CHARACTERS).contains(&name.len()) && name.bytes().all(allowed)
}

/// A name for each, in the order given; none for a tool that cannot have one. The same set of tools
/// gets the same names, provided that it comes in the same order.
pub(super) fn names(keys: &[Key<'_>]) -> Vec<Option<String>> {
    let owners = counted(keys.iter().map(|key| key.name.to_owned()));
    let first: Vec<String> = keys.iter().map(|key| name(*key, is_alone(&owners, key.name))).collect();
    // A tool may be called by chance what another one is called with its plugin in front.
    let taken = counted(first.iter().cloned());
    let second: Vec<String> =
        keys.iter().zip(&first).map(|(key, name_)| name(*key, name_ == key.name && is_alone(&taken, name_))).collect();
    let mut seen = HashMap::new();
    second
        .into_iter()
        .map(|name| {
            let repeated = seen.insert(name.clone(), ()).is_some();
            (!repeated && is_valid(&name)).then_some(name)
        })
        .collect()
}

fn name(key: Key<'_>, alone: bool) -> String {
    if alone { key.name.to_owned() } else { format!("{}__{}", key.plugin, key.name) }
}

fn counted(names: impl Iterator<Item = String>) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    counts
}

fn is_alone(counts: &HashMap<String, usize>, name: &str) -> bool {
    counts.get(name) == Some(&1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &[(&str, &str)], expected: &[Option<&str>]) {
        let keys: Vec<Key<'_>> = keys.iter().map(|(plugin, name)| Key { plugin, name }).collect();
        let names = names(&keys);
        assert_eq!(names.iter().map(Option::as_deref).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_tool_that_only_one_plugin_has_keeps_its_name() {
        check(&[("a", "t"), ("b", "u")], &[Some("t"), Some("u")]);
    }

    #[test]
    fn a_name_that_two_plugins_use_gets_the_plugin_in_front_for_both() {
        check(&[("a", "t"), ("b", "t"), ("b", "u")], &[Some("a__t"), Some("b__t"), Some("u")]);
    }

    #[test]
    fn a_tool_called_like_another_ones_long_name_gets_a_long_name_too() {
        check(&[("x", "a__t"), ("a", "t"), ("b", "t")], &[Some("x__a__t"), Some("a__t"), Some("b__t")]);
    }

    #[test]
    fn what_remains_ambiguous_or_becomes_too_long_is_left_out() {
        check(
            &[("a__b", "c"), ("a", "b__c"), ("z", "c"), ("z", "b__c")],
            &[Some("a__b__c"), None, Some("z__c"), Some("z__b__c")],
        );
        let long = "t".repeat(64);
        check(&[("a", &long), ("b", &long), ("c", "ok")], &[None, None, Some("ok")]);
    }

    #[test]
    fn names_are_1_to_64_of_the_allowed_characters() {
        for good in ["a", "A-1.b_c", &"x".repeat(64)] {
            assert!(is_valid(good), "{good}");
        }
        for bad in ["", "a b", "é", "a/b", &"x".repeat(65)] {
            assert!(!is_valid(bad), "{bad}");
        }
    }
}
