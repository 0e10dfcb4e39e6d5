//! `cargo xtask autobahn`: the WebSocket stack that serves `/ws` against the cases of the Autobahn test
//! suite.
//!
//! The host's example `echo` is the server: all of the product but the routing. The verdicts are read from
//! the suite's own report, never from its exit code, and a case that did not run is a failed one. Whoever
//! runs all of them also holds `docs/conformance.md` to what was found.

use std::{fs, time::Duration};

use anyhow::{Context, bail};

mod echo;
mod page;
mod suite;
mod verdict;

use crate::process;

/// Where the server's files and the suite's report go, below `target/`.
const FOLDER: &str = "autobahn";

/// For the whole suite, which takes two minutes, most of it compression, on a machine that does nothing else. A server that hangs
/// uses it up.
const LIMIT: Duration = Duration::from_secs(900);

/// Written where other generated documents are.
const UPDATE: &str = "SWITCHBOARD_UPDATE_DOCS";
const PAGE: &str = "docs/conformance.md";

/// Runs all cases, or those that are named: ids, or patterns such as `7.*`.
pub fn run(wanted: &[String]) -> anyhow::Result<()> {
    let folder = process::target().join(FOLDER);
    // What an earlier run found must not be taken for this one's.
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("{} cannot be removed", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let suite = suite::Suite::installed()?;
    process::run(process::cargo("".as_ref()).args(["build", "--workspace", "--example", "echo"]))?;
    let mut server = echo::Server::start(&folder)?;
    let verdicts = suite.run(&server.url, wanted, &folder, LIMIT)?;
    server.check()?;

    let faults = verdict::faults(&verdicts, wanted.is_empty());
    for fault in &faults {
        println!("{fault}");
    }
    let tally = verdict::Tally::of(&verdicts);
    let word = if faults.is_empty() { "ok" } else { "FAILED" };
    println!("test result: {word}. {} passed; {} failed; {tally}", tally.ok + tally.non_strict, faults.len());
    if !faults.is_empty() {
        bail!("the report is {}", folder.join("report/index.html").display());
    }
    if wanted.is_empty() { hold_page(&page::of(&verdicts)) } else { Ok(()) }
}

/// Writes the page, or compares it with the one that is there.
fn hold_page(page: &str) -> anyhow::Result<()> {
    let file = process::root().join(PAGE);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&file, page).with_context(|| format!("{PAGE} cannot be written"))?;
    }
    if fs::read_to_string(&file).unwrap_or_default() != page {
        bail!("{PAGE} says something else than this run: `{UPDATE}=1 cargo xtask autobahn` writes it anew");
    }
    Ok(())
}
