//! What the suite requires, and what it found: read from its own lists and from the results that it saves.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use serde_json::Value;

use crate::harness::conformance_suite;

const PASSES: &str = "passes";

/// The scenarios of a revision, for servers.
pub struct Requirements {
    pub scored: Vec<String>,
    /// With the reason.
    unscored: BTreeMap<String, String>,
}

/// What came of a scenario.
pub struct Verdict {
    pub scenario: String,
    /// Why it does not count, if it does not.
    pub unscored: Option<String>,
    /// Checks that held.
    pub held: usize,
    pub failures: Vec<String>,
    pub warnings: Vec<String>,
}

impl Requirements {
    /// From the file that comes with the suite.
    pub fn of(revision: &str) -> Self {
        let package = conformance_suite().ancestors().nth(2).expect("the package").to_owned();
        let file = package.join("requirements").join(format!("{revision}.yaml"));
        Self::read(&fs::read_to_string(file).expect("the list of the revision"))
    }

    /// Just as much of YAML as these files use.
    fn read(text: &str) -> Self {
        let mut found = Self { scored: Vec::new(), unscored: BTreeMap::new() };
        let (mut section, mut scenario, mut for_servers) = ("", "", false);
        for line in text.lines() {
            if let Some(name) = line.strip_suffix(':').filter(|name| !name.starts_with([' ', '#'])) {
                section = name;
                continue;
            }
            let line = line.trim();
            match section {
                "server" => found.scored.extend(line.strip_prefix("- ").map(str::to_owned)),
                "not_scored" => {
                    if let Some(name) = line.strip_prefix("- scenario: ") {
                        scenario = name;
                    } else if let Some(leg) = line.strip_prefix("leg: ") {
                        for_servers = leg == "server";
                    } else if let Some(reason) = line.strip_prefix("reason: ").filter(|_| for_servers) {
                        found.unscored.insert(scenario.to_owned(), reason.to_owned());
                    }
                }
                _ => {}
            }
        }
        found
    }

    /// One verdict for each scenario, scored ones first. One that did not run has failed.
    pub fn verdicts(&self, results: &Path) -> Vec<Verdict> {
        let unscored = self.unscored.iter().map(|(name, reason)| (name, Some(reason.clone())));
        let all = self.scored.iter().map(|name| (name, None)).chain(unscored);
        all.map(|(name, unscored)| Verdict::of(name, unscored, checks(results, name))).collect()
    }
}

/// The suite saves `server-SCENARIO-TIME/checks.json`.
fn checks(results: &Path, scenario: &str) -> Option<Vec<Value>> {
    let mut entries = fs::read_dir(results).ok()?.flatten();
    let folder = entries.find(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.strip_prefix("server-").and_then(|rest| rest.strip_prefix(scenario)).is_some_and(is_time)
    })?;
    serde_json::from_str(&fs::read_to_string(folder.path().join("checks.json")).ok()?).ok()
}

/// `-2026-11-21T18-47-29-645Z`
fn is_time(text: &str) -> bool {
    text.starts_with('-') && text.ends_with('Z') && text[1..].starts_with(|first: char| first.is_ascii_digit())
}

impl Verdict {
    fn of(scenario: &str, unscored: Option<String>, checks: Option<Vec<Value>>) -> Self {
        let mut verdict =
            Self { scenario: scenario.to_owned(), unscored, held: 0, failures: Vec::new(), warnings: Vec::new() };
        let Some(checks) = checks else {
            verdict.failures.push("it did not run".to_owned());
            return verdict;
        };
        for check in &checks {
            let words = || format!("{}: {}", check["id"], check["errorMessage"]);
            match check["status"].as_str() {
                Some("SUCCESS") => verdict.held += 1,
                Some("FAILURE") => verdict.failures.push(words()),
                Some("WARNING") => verdict.warnings.push(words()),
                _ => {}
            }
        }
        verdict
    }

    /// In a word, or three.
    pub fn word(&self) -> &'static str {
        match (self.failures.is_empty(), self.warnings.is_empty()) {
            (false, _) => "fails",
            (true, _) if self.held == 0 => "checks nothing",
            (true, false) => "passes, with warnings",
            (true, true) => PASSES,
        }
    }

    /// Not even with a warning.
    pub fn passes(&self) -> bool {
        self.word() == PASSES
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {} checks held", self.scenario, self.word(), self.held)?;
        if let Some(reason) = &self.unscored {
            write!(f, "; not scored ({reason})")?;
        }
        let failures = self.failures.iter().map(|text| ("failure", text));
        for (kind, text) in failures.chain(self.warnings.iter().map(|text| ("warning", text))) {
            write!(f, "\n    {kind}: {text}")?;
        }
        Ok(())
    }
}

#[test]
fn what_is_scored_is_read_from_the_suites_own_list() {
    let text = "# server:\nserver:\n  - ping\n  - tools-list\n\nclient:\n  - initialize\n\nnot_scored:\n  \
                - scenario: auth/x\n    leg: client\n    reason: extension\n  - scenario: tasks\n    leg: server\n    \
                reason: pending\n    note: >-\n      words\n";
    let found = Requirements::read(text);
    assert_eq!(found.scored, ["ping", "tools-list"]);
    assert_eq!(found.unscored, BTreeMap::from([("tasks".to_owned(), "pending".to_owned())]));
}

#[test]
fn a_scenario_that_did_not_run_or_checked_nothing_has_failed() {
    let verdict = |checks: Option<Vec<Value>>| Verdict::of("ping", None, checks);
    let check = |status: &str| serde_json::json!({ "id": "a", "status": status });
    assert!(!verdict(None).passes() && !verdict(Some(vec![check("INFO")])).passes());
    assert!(verdict(Some(vec![check("SUCCESS"), check("SKIPPED")])).passes());
    assert!(!verdict(Some(vec![check("SUCCESS"), check("WARNING")])).passes());
    assert!(!verdict(Some(vec![check("SUCCESS"), check("FAILURE")])).passes());
}
