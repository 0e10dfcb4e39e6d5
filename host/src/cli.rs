//! The command line: one subcommand per file.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod admin;
mod admin_client;
mod audit;
mod config;
mod connect;
mod conversation;
pub(crate) mod duration;
mod local_host;
mod plugin;
mod revoke;
mod serve;
mod table;
mod token;

use crate::host::Service;

/// A message router whose handlers are sandboxed WebAssembly plugins.
#[derive(Debug, Parser)]
#[command(name = "switchboard", version, about, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the router until it is told to stop
    Serve(serve::ServeArgs),
    /// Make a token for a user, signed with this machine's key
    Token(token::TokenArgs),
    /// Check or show the configuration
    Config(config::ConfigArgs),
    /// Talk to a router from the terminal
    Connect(connect::ConnectArgs),
    /// Revoke tokens, and close the connections that use them
    Revoke(revoke::RevokeArgs),
    /// Make, build, check and operate plugins
    Plugin(plugin::PluginArgs),
    /// Show what operators and the host itself did lately
    Audit(audit::AuditArgs),
    /// Say who may operate a running host
    Admin(admin::AdminCommandArgs),
}

/// Runs the command that was given, and returns how the process is to end: 0 when all went well, 1 when
/// it did not, 2 (from clap) when the command line itself is wrong.
#[must_use]
pub fn main() -> ExitCode {
    run(Service::Route)
}

/// [`main`] for an executable whose `serve` sends every message back as it came. Tests of conformance
/// examine the WebSocket stack through it; nothing that is installed calls it.
#[doc(hidden)]
#[must_use]
pub fn main_of_echo() -> ExitCode {
    run(Service::Echo)
}

fn run(service: Service) -> ExitCode {
    let result = match Cli::parse().command {
        Command::Serve(args) => serve::run(args, service).map(success),
        Command::Token(args) => token::run(args).map(success),
        Command::Config(args) => config::run(args),
        Command::Connect(args) => runtime().and_then(|runtime| runtime.block_on(connect::run(args))).map(success),
        Command::Revoke(args) => runtime().and_then(|runtime| runtime.block_on(revoke::run(args))).map(success),
        Command::Plugin(args) => plugin::run(args).map(success),
        Command::Audit(args) => runtime().and_then(|runtime| runtime.block_on(audit::run(args))).map(success),
        Command::Admin(args) => runtime().and_then(|runtime| runtime.block_on(admin::run(args))).map(success),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

fn success((): ()) -> ExitCode {
    ExitCode::SUCCESS
}

/// What asynchronous commands run on.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.enable_all().build().map_err(|error| anyhow::anyhow!("cannot start threads: {error}"))
}
