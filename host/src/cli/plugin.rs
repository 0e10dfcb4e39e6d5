//! `switchboard plugin`: what an author needs between an idea and a component in the plugin folder, and
//! what an operator needs from there on.
//!
//! Building and checking happen here, on the author's machine. All other commands ask a running host, on
//! its admin listener.

use std::path::PathBuf;

use clap::{Args, Subcommand};

mod build;
mod check;
mod crates;
mod deploy;
mod dev;
mod enable;
mod list;
mod logs;
mod new;
mod pin;
mod promote;
mod remove;
mod rollback;
mod state;
mod test;
mod toolchain;
mod versions;

use super::{
    admin_client::{AdminArgs, AdminClient},
    table,
};
use crate::plugin::operation::{Done, Role};

/// Write, build, check and operate plugins.
#[derive(Debug, Args)]
pub(crate) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make a folder with a small plugin that builds and passes its test.
    ///
    /// The folder is complete. In Rust, it carries its own copy of the SDK, since that is not on a registry, and
    /// does not join a Cargo workspace that surrounds it; in other languages, a copy of the contract.
    New(NewArgs),
    /// Build plugins into components.
    ///
    /// A folder with a Cargo.toml is compiled for wasm32-unknown-unknown and wrapped as a component, whose imports
    /// are exactly what the plugin uses of the host. One with a package.json is made a component by
    /// componentize-js, one with a pyproject.toml or an app.py by componentize-py; what they import is what
    /// their wit/world.wit names, and WASI. A file is a core module of any compiler, and is wrapped. The
    /// component is named after the package and is put in place by renaming, so that --out may be the folder that
    /// a running host watches.
    Build(BuildArgs),
    /// Say whether components would load, and if not, why.
    ///
    /// Runs what the host runs when a file appears in its plugin folder: the contract, imports against
    /// grants, the manifest, settings, and the self-test. Nothing is changed.
    Check(CheckArgs),
    /// Replay conversations against the component.
    ///
    /// Builds the plugin, starts a host of its own for each conversation, with free ports and nothing remembered,
    /// and speaks to it over a socket, as clients do. Conversations are JSON Lines, written by hand or by
    /// `switchboard connect --record`; docs/plugin-guide.md describes their steps.
    Test(test::TestArgs),
    /// Build, check and deploy whenever a source is saved.
    ///
    /// Starts a host of its own, on a free port and with nothing remembered, unless --admin (or
    /// `SWITCHBOARD_ADMIN_URL`) or --plugin-dir names one. A version that does not build or would not be loaded
    /// changes nothing: the last good one goes on serving. The plugin's log is shown as it comes.
    Dev(dev::DevArgs),
    /// List the plugins of a running host.
    List(list::ListArgs),
    /// Bring a component to traffic.
    ///
    /// Returns when it serves, or says why it does not, in the words of `plugin check`. What served before
    /// goes on until then.
    Deploy(deploy::DeployArgs),
    /// Give the canary all users.
    Promote(promote::PromoteArgs),
    /// Go back to an earlier version, or end the canary.
    Rollback(rollback::RollbackArgs),
    /// Put one session on one version, whatever share of users that has.
    Pin(pin::PinArgs),
    /// Serve a session like all others again.
    Unpin(pin::UnpinArgs),
    /// Switch a plugin on.
    Enable(enable::EnableArgs),
    /// Switch a plugin off: what it has begun finishes.
    Disable(enable::EnableArgs),
    /// Unload a plugin that has no file, and forget its versions.
    ///
    /// One that has a file in the plugin folder is removed by removing the file. What it remembers stays: see `forget`.
    Remove(remove::RemoveArgs),
    /// List the versions that are kept of a plugin.
    Versions(versions::VersionsArgs),
    /// Show how much a plugin remembers.
    State(state::StateArgs),
    /// Drop what a plugin remembers.
    ///
    /// What it writes meanwhile may stay: switch it off first to be sure that nothing is left.
    Forget(state::ForgetArgs),
    /// Show what a plugin says, and what the host says of it.
    Logs(logs::LogsArgs),
}

/// What all commands take that ask a host.
#[derive(Debug, Args)]
struct HostArgs {
    /// Print the answer as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

/// What all commands take that change something.
#[derive(Debug, Args)]
struct ChangeArgs {
    /// Why, for the audit trail.
    #[arg(long, default_value = "")]
    why: String,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// The plugin's name: lower-case letters, digits and hyphens.
    name: String,
    /// What to write it in.
    #[arg(long, value_enum, default_value_t = new::Language::Rust)]
    language: new::Language,
    /// The folder to make. By default, one named after the plugin.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// In Rust, use the SDK at this path instead of the copy that this program carries.
    #[arg(long, value_name = "PATH")]
    sdk: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    /// Folders of plugins, or of workspaces of crates; or core modules.
    #[arg(value_name = "DIR", default_value = ".")]
    dirs: Vec<PathBuf>,
    /// Where the components go. By default, `plugins` in the target folder of each (the first crate's, for crates).
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What compiles crates.
    #[arg(long, value_enum, default_value_t = toolchain::Choice::Auto)]
    toolchain: toolchain::Choice,
    /// Print one JSON object a component.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Components.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The configuration whose grants, limits and settings apply.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object a file.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: PluginArgs) -> anyhow::Result<()> {
    match args.command {
        PluginCommand::New(args) => new::run(args),
        PluginCommand::Build(args) => build::run(args),
        PluginCommand::Check(args) => check::run(args),
        PluginCommand::Test(args) => test::run(&args),
        PluginCommand::Dev(args) => dev::run(args),
        PluginCommand::List(args) => wait(list::run(args)),
        PluginCommand::Deploy(args) => wait(deploy::run(args)),
        PluginCommand::Promote(args) => wait(promote::run(args)),
        PluginCommand::Rollback(args) => wait(rollback::run(args)),
        PluginCommand::Pin(args) => wait(pin::pin(args)),
        PluginCommand::Unpin(args) => wait(pin::unpin(args)),
        PluginCommand::Enable(args) => wait(enable::run(args, true)),
        PluginCommand::Disable(args) => wait(enable::run(args, false)),
        PluginCommand::Remove(args) => wait(remove::run(args)),
        PluginCommand::Versions(args) => wait(versions::run(args)),
        PluginCommand::State(args) => wait(state::usage(args)),
        PluginCommand::Forget(args) => wait(state::forget(args)),
        PluginCommand::Logs(args) => wait(logs::run(args)),
    }
}

fn wait(asking: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    super::runtime()?.block_on(asking)
}

/// Asks for a change, and prints what it has led to.
async fn change(
    plugin: &str,
    operation: &str,
    body: serde_json::Value,
    host: &HostArgs,
    text: impl FnOnce(&Done) -> String,
) -> anyhow::Result<()> {
    let done: Done = AdminClient::new(&host.admin)?.post(&["plugins", plugin, operation], &body).await?;
    table::print(host.json, &done, || format!("{}\n", table::plain(&text(&done))))
}

/// A version, for people.
fn named(done: &Done) -> String {
    format!("{} {} ({})", done.plugin, done.version, short(&done.digest))
}

/// As many digits of a digest as tell versions apart; commands take them.
fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Active => "active",
        Role::Canary => "canary",
        Role::Kept => "kept",
    }
}
