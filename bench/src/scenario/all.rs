//! `all`: every scenario once, one after the other, into one page: what a machine does, or what a change made of it.
//!
//! What fails is named in its place, and the next one has its turn. The page is written after each, so that one that is
//! interrupted still has what was found.

use std::{fmt::Write as _, fs, path::PathBuf, process::Command, time::Instant};

use anyhow::Context as _;
use clap::{Args, Parser as _};
use serde_json::json;

use super::measure;
use crate::{
    options::{Common, Options},
    process, progress,
    report::Report,
};

/// About 20 minutes. The longest is left out: `soak` is a decision of its own.
const WHOLE: [&str; 12] = [
    "start",
    "echo",
    "echo --in-flight 16 --burst",
    "echo --handlers raw-native,raw-message,raw-session,raw-shared",
    "rate",
    "mcp",
    "fanout",
    "handshake",
    "storm",
    "swap",
    "reload",
    "idle",
];

/// About 3 minutes.
const QUICK: [&str; 12] = [
    "start --rounds 5",
    "echo --payloads 200 --rounds 3 --seconds 1",
    "echo --payloads 200 --rounds 3 --seconds 1 --in-flight 16 --burst",
    "echo --payloads 200 --rounds 3 --seconds 1 --handlers raw-native,raw-message,raw-session,raw-shared",
    "rate --rounds 3 --seconds 1",
    "mcp --rounds 3 --seconds 1",
    "fanout --rounds 2 --seconds 2",
    "handshake --rates 500 --seconds 3",
    "storm --rounds 2",
    "swap --rounds 5",
    "reload --replacements 90 --rounds 3 --seconds 1",
    "idle --steps 500,1000,2000 --rest-seconds 1 --seconds 5",
];

#[derive(Debug, Args)]
pub struct All {
    /// Shorter turns, fewer of them, and small payloads only: to compare two commits, not to quote
    #[arg(long)]
    quick: bool,
    /// Where the page goes
    #[arg(long, value_name = "FILE", default_value = "target/bench/all.md")]
    markdown: PathBuf,
}

impl All {
    pub fn run(&self, common: &Common) -> anyhow::Result<()> {
        let (begun, mut page, mut reports) = (Instant::now(), self.head(), Vec::new());
        for line in if self.quick { QUICK } else { WHOLE } {
            let at = Instant::now();
            eprintln!("{:>4} s  {line}", begun.elapsed().as_secs());
            let section = match self.one(common, line) {
                Ok(report) => {
                    let text = report.text();
                    reports.push(report.to_json());
                    text
                }
                Err(fault) => {
                    progress::clear();
                    eprintln!("        failed: {fault:#}");
                    reports.push(json!({ "scenario": line, "failed": format!("{fault:#}") }));
                    format!("Failed: {fault:#}\n")
                }
            };
            let _ = write!(page, "\n## `{line}`\n\n{section}\n{} s.\n", at.elapsed().as_secs());
            fs::write(&self.markdown, &page)
                .with_context(|| format!("{} cannot be written", self.markdown.display()))?;
        }
        println!("{page}\nThis is {}.", self.markdown.display());
        let Some(file) = &common.json else { return Ok(()) };
        fs::write(file, serde_json::to_vec_pretty(&reports)?)
            .with_context(|| format!("{} cannot be written", file.display()))
    }

    fn one(&self, common: &Common, line: &str) -> anyhow::Result<Report> {
        let words = ["switchboard-bench"].into_iter().chain(line.split(' '));
        let options =
            Options::try_parse_from(words).context("the list of scenarios has an option that there is not")?;
        measure(&options.scenario, common)
    }

    fn head(&self) -> String {
        let kind = if self.quick { "quick, for comparisons only" } else { "whole" };
        format!("# Benchmarks ({kind})\n\n{} of {}. {}.\n", commit(), process::date(), process::machine())
    }
}

/// As git names what is measured; a copy without history is measured as well.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok();
    let name = output
        .filter(|output| output.status.success())
        .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    name.map_or_else(|| "An unknown commit".to_owned(), |name| format!("Commit {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_one_that_could_be_typed() {
        for line in WHOLE.into_iter().chain(QUICK) {
            let words = ["switchboard-bench"].into_iter().chain(line.split(' '));
            Options::try_parse_from(words).unwrap();
        }
    }
}
