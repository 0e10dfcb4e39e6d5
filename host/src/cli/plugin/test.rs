//! `switchboard plugin test`: replays conversations against the built component, in the host that serves it in
//! production, over a real socket.
//!
//! Each conversation has a host of its own, with nothing remembered, so that they can be replayed in any order.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;

use super::{build, check::misfit_as_text, toolchain};
use crate::{
    cli::{
        connect,
        conversation::{self, ENDING, FOLDER},
        local_host::{LocalHost, Setup, keep_logs},
    },
    plugin::status::State,
};

mod replay;
mod report;
mod sources;

use replay::{Mismatch, replay};
use report::{Report, Verdict};

pub(super) use sources::{settings_of, stem};

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Folders of plugins, each with its conversations in `tests/*.conversation.jsonl`; or conversations.
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// Talk to this component, and build none.
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// Load this component, too; repeat it for several.
    #[arg(long = "with", value_name = "FILE")]
    beside: Vec<PathBuf>,
    /// The settings [default: switchboard.toml in the plugin's folder, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How long each step may take: `500ms`, `10s`, `1m`. The default is long beside any deadline, because a machine
    /// that has just built a plugin can keep a host waiting for its disk.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = connect::parse_wait)]
    timeout: Duration,
    /// What compiles crates.
    #[arg(long, value_enum, default_value_t = toolchain::Choice::Auto)]
    toolchain: toolchain::Choice,
    /// Print one JSON object a conversation.
    #[arg(long)]
    json: bool,
}

/// The conversations with one plugin.
struct Suite {
    /// Where its sources are.
    dir: PathBuf,
    conversations: Vec<PathBuf>,
}

pub(super) fn run(args: &TestArgs) -> anyhow::Result<()> {
    let suites = sources::suites(&args.paths, args.component.is_some())?;
    keep_logs()?;
    let runtime = crate::cli::runtime()?;
    let mut report = Report::new(args.json);
    for suite in &suites {
        let component = match &args.component {
            Some(component) => component.clone(),
            None => build::build_one(&suite.dir, args.toolchain)?.path,
        };
        runtime.block_on(converse(suite, &component, args, &mut report))?;
    }
    report.finish()
}

/// Replays all conversations with one component.
async fn converse(suite: &Suite, component: &Path, args: &TestArgs, report: &mut Report) -> anyhow::Result<()> {
    let mut plugins = vec![(stem(component)?, component.to_owned())];
    for file in &args.beside {
        plugins.push((stem(file)?, file.clone()));
    }
    let config = args.config.clone().or_else(|| settings_of(&suite.dir));
    // What was compiled for one conversation is not compiled again for the next.
    let compiled = tempfile::tempdir().context("no folder for what is compiled")?;
    for file in &suite.conversations {
        let setup =
            Setup { config: config.as_deref(), plugins: &plugins, compiled: Some(compiled.path()), listen: None };
        let begun = Instant::now();
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let (steps, outcome) = match conversation::parse(&text) {
            Ok(lines) => (lines.len(), hold(&setup, compiled.path(), &lines, args.timeout).await?),
            Err(fault) => (0, Err(Mismatch::of_the_file(&fault))),
        };
        report.add(&Verdict { file, plugin: &plugins[0].0, steps, begun, outcome })?;
    }
    Ok(())
}

/// One conversation with a host of its own.
async fn hold(
    setup: &Setup<'_>,
    compiled: &Path,
    lines: &[conversation::Line],
    patience: Duration,
) -> anyhow::Result<Result<(), Mismatch>> {
    let host = LocalHost::start(setup).await?;
    let outcome = match all_serve(&host, setup.plugins) {
        Ok(()) => Ok(replay(&host, lines, patience).await),
        Err(misfit) => Err(misfit),
    };
    if fs::read_dir(compiled)?.next().is_none() {
        for entry in fs::read_dir(host.compiled()).into_iter().flatten().flatten() {
            let _ = fs::copy(entry.path(), compiled.join(entry.file_name()));
        }
    }
    host.stop().await?;
    outcome
}

/// In the words of `plugin check`, why one of them does not.
fn all_serve(host: &LocalHost, plugins: &[(String, PathBuf)]) -> anyhow::Result<()> {
    for (name, file) in plugins {
        match host.status(name) {
            Some(status) if status.state == State::Serving && status.last_error.is_none() => {}
            Some(status) => match status.last_error {
                Some(misfit) => bail!("{}", misfit_as_text(&file.display().to_string(), &misfit)),
                None => bail!("{name} is switched off in the settings: set `enabled = true` in [plugins.{name}]"),
            },
            None => bail!(
                "{}: a plugin's file has a name of a-z, 0-9, - and _ that ends in .wasm; rename it",
                file.display()
            ),
        }
    }
    Ok(())
}

/// Whether a file is a conversation, by its name.
fn is_conversation(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().ends_with(ENDING))
}

/// Those of a plugin, in the order of their names.
fn conversations_of(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = if dir == Path::new(".") { PathBuf::from(FOLDER) } else { dir.join(FOLDER) };
    let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| is_conversation(path)).collect();
    files.sort();
    if files.is_empty() {
        bail!(
            "{} has no *{ENDING}: write one, or record one with `switchboard connect --record {FOLDER}/first{ENDING}`",
            folder.display()
        );
    }
    Ok(files)
}
