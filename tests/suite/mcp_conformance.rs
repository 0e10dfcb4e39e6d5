//! The official conformance suite of MCP against the real host, through its authenticated door: everything that is
//! scored for a revision passes, and nothing is expected to fail.
//!
//! `cargo xtask peers` fetches the suite. The plugin `conformance` of `tests/guests` says what its scenarios call by name.
//! The suite sends no token, so a proxy adds one; everything else reaches the host as the suite sent it. What was found
//! is written into `docs/mcp-conformance.md`, or compared with it.

mod page;
mod verdict;

use tempfile::TempDir;
use verdict::{Requirements, Verdict};

use crate::harness::{Bearer, Server, conformance_suite, guest, node, run_to_end, token};

/// The revisions, with how many scenarios each scores.
const REVISIONS: [(&str, usize); 2] = [("2026-07-28", 37), ("2025-11-25", 30)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_scored_by_the_official_suite_passes() {
    let builder = Server::builder().shipped(&["system", "jsonrpc"]).plugin("conformance", guest("conformance"));
    // The suite is one user from one address, and as fast as it can be.
    let server = builder.crowd().start().await;
    let proxy = Bearer::start(server.address(), token("alice")).await;

    let mut columns = Vec::new();
    for (revision, count) in REVISIONS {
        let requirements = Requirements::of(revision);
        assert_eq!(requirements.scored.len(), count, "the suite scores others for {revision} than it did");
        columns.push((revision, verdicts(&proxy, revision, &requirements).await));
    }

    let mut faults = String::new();
    for (revision, verdicts) in &columns {
        for verdict in verdicts {
            println!("{revision} {verdict}");
            if verdict.unscored.is_none() && !verdict.passes() {
                faults.push_str(&format!("{revision} {verdict}\n"));
            }
        }
    }
    assert!(faults.is_empty(), "scored, and not passed:\n{faults}");
    page::is_fresh(&columns);
}

async fn verdicts(proxy: &Bearer, revision: &str, requirements: &Requirements) -> Vec<Verdict> {
    let folder = TempDir::new().expect("a folder for the results");
    let (results, log) = (folder.path().join("results"), folder.path().join("log"));
    let mut command = node();
    command.arg(conformance_suite()).args(["server", "--url", &proxy.url("/mcp"), "--requirements", revision]);
    let passed = run_to_end(command.arg("--output-dir").arg(&results), &log).await;
    let verdicts = requirements.verdicts(&results);
    // The suite's own word, beside ours: it must not say less.
    let failed = verdicts.iter().any(|verdict| verdict.unscored.is_none() && !verdict.failures.is_empty());
    if !passed && !failed {
        panic!("the suite failed, and its results do not:\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }
    verdicts
}
