//! `docs/conformance.md`: what a run found, without anything that differs from one run to the next.

use std::fmt::Write as _;

use super::verdict::{Behavior, SECTIONS, Tally, Verdict};
use crate::tools::AUTOBAHN;

/// Why a case did not end as `OK`. One that is not listed here shows as such.
const REASONS: [(&str, &str); 5] = [
    (
        "6.4.3",
        "Invalid UTF-8 within a frame is found when the frame is complete, and then closes with 1007. RFC 6455, section \
         8.1, does not say when; the case would rather have it at once.",
    ),
    ("6.4.4", "As 6.4.3."),
    (
        "7.1.6",
        "Messages with a close frame right behind them: the host answers the close, and what waits to be written is \
         dropped. Section 5.5.1 lets an endpoint finish a message first, and does not ask it to.",
    ),
    ("7.13.1", "Close code 5000, beyond the ranges of section 7.4.2: the host closes with 1002."),
    ("7.13.2", "Close code 65535, likewise."),
];

/// For the verdicts of a whole run.
pub fn of(verdicts: &[Verdict]) -> String {
    let mut page = format!(
        "# WebSocket conformance\n\n\
         <!-- Generated from a run: `SWITCHBOARD_UPDATE_DOCS=1 cargo xtask autobahn`. -->\n\n\
         The cases of the Autobahn test suite, as `{AUTOBAHN}` of PyPI runs them, against the socket of `/ws`:\n\
         the listener, the upgrade with its token, reader, outbox, writer and closing handshake are those of the\n\
         product. Only the routing is taken out, because the suite expects its messages back\n\
         (`host/examples/echo.rs`), the bounds on sizes are raised for the messages of section 9, and compression,\n\
         which is off by default, is on for sections 12 and 13.\n\
         `cargo xtask test` runs all cases, and fails if one of them fails or does not run.\n\n\
         | section | subject | cases | OK | non-strict | informational |\n\
         | --- | --- | --- | --- | --- | --- |\n"
    );
    for section in &SECTIONS {
        let tally = Tally::of(verdicts.iter().filter(|verdict| verdict.section() == section.number));
        let Tally { ok, non_strict, informational } = tally;
        let (number, subject, cases) = (section.number, section.subject, section.cases);
        let _ = writeln!(page, "| {number} | {subject} | {cases} | {ok} | {non_strict} | {informational} |");
    }
    page.push_str(
        "\nThe suite has no sections 8 and 11.\n\n## Not to the letter\n\n| case | verdict | why |\n| --- | --- | --- |\n",
    );
    let mut rest: Vec<_> = verdicts.iter().filter_map(|verdict| Some((verdict, word(verdict.messages)?))).collect();
    rest.sort_by_key(|(verdict, _)| &verdict.case);
    for (verdict, word) in rest {
        let case = verdict.case.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        let reason = REASONS.iter().find(|(known, _)| *known == case).map_or("not known yet", |(_, reason)| reason);
        let _ = writeln!(page, "| {case} | {word} | {reason} |");
    }
    page
}

fn word(behavior: Behavior) -> Option<&'static str> {
    match behavior {
        Behavior::NonStrict => Some("non-strict"),
        Behavior::Informational => Some("informational"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::verdict::tests::{all_good, verdict},
        *,
    };

    #[test]
    fn the_page_counts_by_section_and_explains_what_is_not_to_the_letter() {
        let mut verdicts = all_good();
        let place = verdicts.iter().position(|verdict| verdict.section() == 6).expect("a case");
        verdicts[place] = verdict("6.4.4 NON-STRICT OK");
        verdicts[place + 1] = verdict("6.4.3 NON-STRICT OK");
        let page = of(&verdicts);
        assert!(page.contains("| 6 | UTF-8 | 145 | 143 | 2 | 0 |"), "{page}");
        assert!(page.contains("| 12 | compression, by message | 90 | 90 | 0 | 0 |"), "{page}");
        assert!(page.find("| 6.4.3 | non-strict |") < page.find("| 6.4.4 | non-strict | As 6.4.3. |"), "{page}");
    }
}
