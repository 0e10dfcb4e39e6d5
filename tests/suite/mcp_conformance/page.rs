//! `docs/mcp-conformance.md`: written from what was found, or compared with it.

use std::{collections::BTreeMap, fs};

use super::verdict::Verdict;
use crate::harness::repository;

/// Set, the page is written instead of compared.
const UPDATE: &str = "SWITCHBOARD_UPDATE_DOCS";
const PAGE: &str = "docs/mcp-conformance.md";

const HEAD: &str = "\
# MCP conformance

Written by the tests, from a run of the official suite `@modelcontextprotocol/conformance` 0.2.0-alpha.12 against the
real host, through its authenticated door: `cargo test --workspace --test suite mcp_conformance`, after
`cargo xtask peers`. What the suite calls by name is offered by a plugin, `tests/guests/conformance`. Every scenario that
the suite scores for a revision has to pass without a warning; there is no list of expected failures.

Those that are not scored are run and shown, too, with the suite's reason: `extension` is optional by definition,
`pending` are scenarios that the suite's own reference server does not pass, and `added-after-release` came later than
the revision.
";

/// Panics if the page does not show these verdicts.
pub fn is_fresh(columns: &[(&str, Vec<Verdict>)]) {
    let path = repository().join(PAGE);
    let written = page(columns);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, written).expect("the page is written");
        return;
    }
    let page = fs::read_to_string(&path).unwrap_or_default();
    for (found, expected) in page.lines().zip(written.lines()) {
        assert_eq!(found, expected, "{PAGE} is not what the suite found: run the test with {UPDATE}=1");
    }
    assert_eq!(page.len(), written.len(), "{PAGE} is not what the suite found: run the test with {UPDATE}=1");
}

fn page(columns: &[(&str, Vec<Verdict>)]) -> String {
    let mut page = HEAD.to_owned();
    for scored in [true, false] {
        page.push_str(if scored { "\n## Scored\n\n" } else { "\n## Not scored\n\n" });
        let revisions: Vec<&str> = columns.iter().map(|(revision, _)| *revision).collect();
        page.push_str(&format!("| scenario | {} |\n", revisions.join(" | ")));
        page.push_str(&format!("| --- |{}\n", " --- |".repeat(columns.len())));
        for (scenario, cells) in rows(columns, scored) {
            page.push_str(&format!("| `{scenario}` | {} |\n", cells.join(" | ")));
        }
        if scored {
            let sums: Vec<String> = columns.iter().map(|(_, verdicts)| sum(verdicts)).collect();
            page.push_str(&format!("| | {} |\n", sums.join(" | ")));
        }
    }
    page
}

fn rows(columns: &[(&str, Vec<Verdict>)], scored: bool) -> BTreeMap<String, Vec<String>> {
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (index, (_, verdicts)) in columns.iter().enumerate() {
        for verdict in verdicts.iter().filter(|verdict| verdict.unscored.is_none() == scored) {
            let cells = rows.entry(verdict.scenario.clone()).or_insert_with(|| vec![String::new(); columns.len()]);
            cells[index] = cell(verdict);
        }
    }
    rows
}

fn cell(verdict: &Verdict) -> String {
    let word = verdict.word();
    verdict.unscored.as_ref().map_or_else(|| word.to_owned(), |reason| format!("{word} ({reason})"))
}

fn sum(verdicts: &[Verdict]) -> String {
    let scored: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.unscored.is_none()).collect();
    let passed = scored.iter().filter(|verdict| verdict.passes()).count();
    format!("{passed} of {} pass", scored.len())
}
