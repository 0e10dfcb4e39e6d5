//! The command line: one file per command.

use clap::{Parser, Subcommand};

pub(crate) mod connect;
pub(crate) mod plugin;

/// A message router for real-time applications, whose handlers are sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Plugin(plugin::PluginArgs),
    Connect(connect::ConnectArgs),
}

/// Does what the arguments say.
///
/// # Errors
///
/// With what a person should read.
pub fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Plugin(args) => plugin::run(args),
        Command::Connect(args) => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(connect::run(args))
        }
    }
}
