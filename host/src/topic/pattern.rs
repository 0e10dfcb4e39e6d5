//! Names of topics, and patterns over them.
//!
//! A name is 1 to 256 bytes, in levels that `.` or `/` separate. In a pattern `*` stands for exactly
//! one level and `**`, as the last level, for one or more. A pattern compares levels only: `a.*` also
//! matches `a/b`.

use super::TopicFault;

/// The longest name or pattern: both are kept, and sent with each publication.
const MAX_BYTES: usize = 256;

/// The levels of a name.
pub(crate) fn levels(name: &str) -> impl Iterator<Item = &str> {
    name.split(['.', '/'])
}

/// Whether a text is meant as a pattern.
pub(crate) fn is_pattern(text: &str) -> bool {
    text.contains('*')
}

/// Checks a topic's name.
pub(crate) fn check_name(name: &str) -> Result<(), TopicFault> {
    check_form(name)?;
    if is_pattern(name) {
        return Err(TopicFault::Invalid(format!("{name:?} is a pattern, and a topic is needed here")));
    }
    Ok(())
}

fn check_form(text: &str) -> Result<(), TopicFault> {
    if text.is_empty() || text.len() > MAX_BYTES {
        let problem = format!("a topic has 1 to {MAX_BYTES} bytes, and this one has {}", text.len());
        return Err(TopicFault::Invalid(problem));
    }
    if text.chars().any(char::is_control) {
        return Err(TopicFault::Invalid(format!("{text:?} holds a control character")));
    }
    if levels(text).any(str::is_empty) {
        return Err(TopicFault::Invalid(format!("{text:?} has an empty level")));
    }
    Ok(())
}

/// A pattern in good form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Box<str>);

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, TopicFault> {
        check_form(text)?;
        let count = levels(text).count();
        for (place, level) in levels(text).enumerate() {
            if level == "**" && place + 1 != count {
                return Err(TopicFault::Invalid(format!("in {text:?}, `**` is not the last level")));
            }
            if level.contains('*') && level != "*" && level != "**" {
                return Err(TopicFault::Invalid(format!("in {text:?}, a `*` is only a part of a level")));
            }
        }
        Ok(Self(text.into()))
    }

    pub fn matches(&self, name: &str) -> bool {
        let mut names = levels(name);
        for wanted in levels(&self.0) {
            match (wanted, names.next()) {
                ("**", Some(_)) => return true,
                ("*", Some(_)) => {}
                (wanted, Some(level)) if wanted == level => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_level_and_two_are_the_rest() {
        for (pattern, name, expected) in [
            ("a.b", "a.b", true),
            ("a.b", "a.c", false),
            ("a.b", "a.b.c", false),
            ("a.*", "a.b", true),
            ("a.*", "a/b", true),
            ("a.*", "a", false),
            ("a.*", "a.b.c", false),
            ("*.b", "a.b", true),
            ("a.**", "a.b.c", true),
            ("a.**", "a", false),
            ("**", "a", true),
            ("**", "a.b/c", true),
            ("*", "a.b", false),
        ] {
            assert_eq!(Pattern::parse(pattern).unwrap().matches(name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn what_is_out_of_form_is_refused() {
        for text in ["", ".", "a..b", "a.", "/a", "a\n", &"x".repeat(257)] {
            assert!(check_name(text).is_err() && Pattern::parse(text).is_err(), "{text:?}");
        }
        for text in ["a*", "**.a", "a.b*.c", "***"] {
            assert!(Pattern::parse(text).is_err(), "{text:?}");
        }
        assert!(check_name("a.*").is_err());
        assert!(check_name(&"x".repeat(256)).is_ok());
    }
}
