//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{
    host::Setup,
    peer::Peers,
    scenario::{all, echo, engines, fanout, handshake, idle, mcp, rate, reload, soak, start, storm, swap},
};

/// Measures a host of Switchboard under load.
#[derive(Debug, Parser)]
#[command(name = "switchboard-bench", version, about)]
pub struct Options {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub scenario: Scenario,
}

#[derive(Debug, Clone, Args)]
pub struct Common {
    /// The host that is measured
    #[arg(long, global = true, default_value = "target/release/switchboard-bench-host")]
    pub host: PathBuf,
    /// Where components are
    #[arg(long, global = true, default_value = "target/bench/plugins")]
    pub components: PathBuf,
    /// Write everything that was found as JSON, too
    #[arg(long, global = true, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Threads of the generator
    #[arg(long, global = true, default_value_t = 1)]
    pub threads: usize,
    /// What the host logs; at `info`, each connection is
    #[arg(long, global = true, default_value = "warn")]
    pub log: String,
    /// A line of the host's settings, such as `sessions.max_detached_bytes = "1GiB"`
    #[arg(long, global = true, value_name = "LINE")]
    pub setting: Vec<String>,
    #[command(flatten)]
    pub peers: Peers,
}

#[derive(Debug, Subcommand)]
pub enum Scenario {
    /// Requests and answers in a closed loop, one isolation against the other
    Echo(echo::Echo),
    /// Requests at a fixed rate, timed from when they were due
    Rate(rate::Rate),
    /// One publisher, many subscribers
    Fanout(fanout::Fanout),
    /// Connections that do nothing: their memory and CPU
    Idle(idle::Idle),
    /// New connections at a fixed rate
    Handshake(handshake::Handshake),
    /// All clients are cut off, and come back at once
    Storm(storm::Storm),
    /// Replacements of the handler that everybody uses
    Reload(reload::Reload),
    /// From the rename of a component to the first answer of it
    Swap(swap::Swap),
    /// From the start of the process to readiness
    Start(start::Start),
    /// Calls of tools, beside other MCP servers
    Mcp(mcp::Mcp),
    /// Everything at once, for a long time: whether anything is left behind
    Soak(soak::Soak),
    /// Every scenario but `soak`, into one page
    All(all::All),
    /// Echo servers that differ in their WebSocket engine alone
    Engines(engines::Engines),
    /// A client process of `idle`
    #[command(hide = true)]
    IdleClient(idle::Client),
}

impl Common {
    pub fn setup(&self, plugins: &[&str]) -> Setup {
        Setup {
            program: self.host.clone(),
            components: self.components.clone(),
            plugins: plugins.iter().map(|&name| name.to_owned()).collect(),
            log: self.log.clone(),
            settings: self.setting.clone(),
        }
    }
}
