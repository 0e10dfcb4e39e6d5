//! Which known names someone may have meant.

/// More than three suggestions are a list, and there is one at `/ws/config`.
const MAX_SUGGESTIONS: usize = 3;

/// Mistakes that are still likely a slip: one or two letters, and one more in a long name.
const MAX_DISTANCE: usize = 2;
const LONG_NAME: usize = 10;

/// A shared beginning says little if it is shorter than this.
const MIN_SHARED_PREFIX: usize = 3;

/// The names nearest to one that is unknown, best first: those within a slip of it, then those of
/// which one continues the other.
pub(crate) fn nearest<'a>(unknown: &str, known: impl Iterator<Item = &'a str>) -> Vec<String> {
    let allowed = MAX_DISTANCE + usize::from(unknown.len() >= LONG_NAME);
    let mut found: Vec<(usize, &str)> = known
        .filter_map(|name| {
            let near = distance(unknown, name, allowed);
            near.or_else(|| continues(unknown, name).then_some(usize::MAX)).map(|distance| (distance, name))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name.to_owned()).collect()
}

fn continues(a: &str, b: &str) -> bool {
    a.len().min(b.len()) >= MIN_SHARED_PREFIX && (a.starts_with(b) || b.starts_with(a))
}

/// The Levenshtein distance, if it is at most `allowed` and smaller than either name.
fn distance(a: &str, b: &str, allowed: usize) -> Option<usize> {
    // Cheap, and most names end here: a client that sends unknown types must not cost much.
    if a.len().abs_diff(b.len()) > allowed {
        return None;
    }
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
        if row.iter().all(|&distance| distance > allowed) {
            return None;
        }
    }
    row.last().copied().filter(|&distance| distance <= allowed && distance < a.len().min(b.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unknown: &str, expected: &[&str]) {
        let known =
            ["ping", "publish", "presence", "subscribe", "unsubscribe", "system", "user_message", "agent_request"];
        assert_eq!(nearest(unknown, known.into_iter()), expected, "{unknown}");
    }

    #[test]
    fn slips_are_recognised() {
        check("pingg", &["ping"]);
        check("pnig", &["ping"]);
        check("subscibe", &["subscribe"]);
        check("usermessage", &["user_message"]);
        check("user-mesage", &["user_message"]);
    }

    #[test]
    fn beginnings_and_continuations_are_recognised() {
        check("sub", &["subscribe"]);
        check("system.whoami", &["system"]);
        check("agent", &["agent_request"]);
    }

    #[test]
    fn names_that_have_nothing_in_common_are_not_suggested() {
        check("zebra", &[]);
        check("p", &[]);
        check("", &[]);
    }

    #[test]
    fn suggestions_are_few_and_the_best_comes_first() {
        let known = ["chat.a", "chat.bb", "chat.b", "chat.ccc", "chat"];
        assert_eq!(nearest("chat.b", known.into_iter()), ["chat.b", "chat.a", "chat.bb"]);
    }
}
