//! The server under test: the host's example `echo`, with room for the largest messages of the suite.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::{Context, bail};

use crate::{announce::member, process};

/// From the start to listening.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Sections 12 and 13 are about compression, which is off by default; the suite does not take messages plain there, not even
/// those that become longer. Section 9 sends messages of 16 MiB, and the suite cannot set headers. Everything else is the default,
/// but for what would speak or step in on its own while a case waits.
const SETTINGS: &str = r#"
[server]
compression = true
compression_min_bytes = 0

[auth]
token_in_query = true

[limits]
max_connections_per_user = 256
max_message_bytes = "32MiB"
max_frame_bytes = "32MiB"
max_outbound_bytes = "64MiB"

# No receipts: the suite counts the pings that it gets.
[sessions]
max_unconfirmed_bytes = "1GiB"
max_unconfirmed_frames = 1000000

[heartbeat]
interval = "10m"
grace = "20m"
"#;

/// Ends with this value.
pub struct Server {
    process: Child,
    /// With a token in it.
    pub url: String,
    log: PathBuf,
}

impl Server {
    /// Keeps all its files in the folder.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let (settings, log) = (folder.join("switchboard.toml"), folder.join("server.log"));
        fs::write(&settings, SETTINGS).context("the settings cannot be written")?;
        fs::create_dir_all(folder.join("plugins")).context("the plugin folder cannot be made")?;
        let mut command = program();
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--json"]);
        command.arg("--config").arg(&settings).arg("--data-dir").arg(folder.join("data"));
        command.arg("--plugin-dir").arg(folder.join("plugins"));
        command.stdout(Stdio::piped()).stderr(File::create(&log).context("the log cannot be made")?);
        let process = command.spawn().context("the echo server does not start")?;
        let mut server = Self { process, url: String::new(), log };
        let url = server.announced()?;
        server.url = format!("{url}?token={}", token(&folder.join("data"))?);
        Ok(server)
    }

    /// The address, from the one line on standard output.
    fn announced(&mut self) -> anyhow::Result<String> {
        let output = self.process.stdout.take().context("the output was taken already")?;
        let (sender, line) = mpsc::sync_channel(1);
        thread::spawn(move || sender.send(BufReader::new(output).lines().next()));
        match line.recv_timeout(START_LIMIT) {
            Ok(Some(Ok(line))) => member(&line, "url").map(str::to_owned).context("the echo server says no address"),
            _ => bail!("the echo server does not listen: see {}", self.log.display()),
        }
    }

    /// Whether it came through: it still runs, and no handler panicked.
    pub fn check(&mut self) -> anyhow::Result<()> {
        let log = self.log.display();
        if let Some(status) = self.process.try_wait()? {
            bail!("the echo server ended early ({status}): see {log}");
        }
        if fs::read_to_string(&self.log)?.contains("panicked") {
            bail!("the echo server panicked: see {log}");
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Signed with the key that the server has made.
fn token(data_dir: &Path) -> anyhow::Result<String> {
    let output = program().args(["token", "--sub", "autobahn", "--data-dir"]).arg(data_dir).output()?;
    if !output.status.success() {
        bail!("no token could be made: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout).context("the token is no text")?.trim().to_owned())
}

/// Settings of the developer's own must not reach it.
fn program() -> Command {
    let name = format!("echo{}", std::env::consts::EXE_SUFFIX);
    let mut command = Command::new(process::target().join("debug/examples").join(name));
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("SWITCHBOARD_") {
            command.env_remove(variable);
        }
    }
    command
}
