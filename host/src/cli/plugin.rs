//! `switchboard plugin`: what an author needs between an idea and a component in the plugin folder.
//!
//! Building and checking happen here, on the author's machine; nothing in this module talks to a
//! running host.

use std::path::PathBuf;

use clap::{Args, Subcommand};

mod build;
mod check;
mod crates;
mod new;
mod toolchain;

/// Write, build and check plugins.
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
    }
}
