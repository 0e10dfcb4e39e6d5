//! The host that is measured: a process of its own with a folder of its own, on free ports, which ends with this value.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{
    http::{self, Response},
    token,
};

/// From the start to listening; plugins are compiled meanwhile.
const START_LIMIT: Duration = Duration::from_secs(120);

/// For one answer of the admin listener, and how long it may be.
const ADMIN_PATIENCE: Duration = Duration::from_secs(10);
const MAX_ANSWER: u64 = 16 << 20;

/// How often readiness is asked for.
const READY_PAUSE: Duration = Duration::from_millis(1);

/// No rate and no number of clients is to be refused: what gives way first is not what is measured. Everything else is
/// the default.
const SETTINGS: [&str; 8] = [
    "limits.max_connections = 100000",
    "limits.max_connections_per_user = 100000",
    "limits.handshakes_per_second = 1000000",
    "limits.handshake_burst = 1000000",
    "limits.connection_messages_per_second = 1000000",
    "limits.connection_message_burst = 1000000",
    "limits.user_messages_per_second = 1000000",
    "limits.user_message_burst = 1000000",
];

/// What a host is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// Where components are taken from.
    pub components: PathBuf,
    /// Their names.
    pub plugins: Vec<String>,
    /// What is logged. At `info`, each connection is.
    pub log: String,
    /// Lines of its settings, which win over those above.
    pub settings: Vec<String>,
}

pub struct Host {
    process: Child,
    folder: TempDir,
    pub address: SocketAddr,
    admin: SocketAddr,
    /// How long it took until it listened, and until it was ready.
    pub started: (Duration, Duration),
}

impl Setup {
    pub fn component(&self, name: &str) -> PathBuf {
        self.components.join(format!("{name}.wasm"))
    }

    pub fn start(&self) -> anyhow::Result<Host> {
        let folder = self.prepare()?;
        Host::start_in(self, folder)
    }

    /// A folder that a host can be started in.
    pub fn prepare(&self) -> anyhow::Result<TempDir> {
        let folder = tempfile::tempdir().context("no temporary folder can be made")?;
        let plugins = folder.path().join("plugins");
        fs::create_dir(&plugins)?;
        for name in &self.plugins {
            let from = self.component(name);
            fs::copy(&from, plugins.join(format!("{name}.wasm")))
                .with_context(|| format!("{} cannot be copied", from.display()))?;
        }
        fs::write(folder.path().join("secret"), token::SECRET)?;
        let settings = self.settings();
        fs::write(folder.path().join("switchboard.toml"), settings)?;
        Ok(folder)
    }
}

impl Setup {
    fn settings(&self) -> String {
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        let given: Vec<String> = self.settings.iter().map(|line| key(line)).collect();
        let defaults = SETTINGS.iter().filter(|line| !given.contains(&key(line))).map(|&line| line.to_owned());
        let ours = ["auth.keys = [\"file:secret\"]".to_owned(), format!("logging.filter = \"{}\"", self.log)];
        let lines: Vec<String> = ours.into_iter().chain(defaults).chain(self.settings.iter().cloned()).collect();
        lines.join("\n")
    }
}

impl Host {
    pub fn start_in(setup: &Setup, folder: TempDir) -> anyhow::Result<Self> {
        let begun = Instant::now();
        let log = File::create(folder.path().join("log")).context("the log cannot be made")?;
        let mut process = command(&setup.program, folder.path())
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", setup.program.display()))?;
        let output = process.stdout.take().context("the output was taken already")?;
        let mut host = Self {
            process,
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            started: Default::default(),
        };
        let line = first_line(output).with_context(|| format!("the host does not listen: {}", host.log()))?;
        host.started.0 = begun.elapsed();
        let line: Value = serde_json::from_str(&line).context("the host says something else than where it listens")?;
        host.address = address_in(&line, "url")?;
        host.admin = address_in(&line, "admin_url")?;
        while !host.is_ready() {
            if begun.elapsed() > START_LIMIT {
                bail!("the host does not become ready: {}", host.log());
            }
            thread::sleep(READY_PAUSE);
        }
        host.started.1 = begun.elapsed();
        Ok(host)
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Ends it as an operator would, and returns its folder for the next one.
    pub fn stop(mut self) -> anyhow::Result<TempDir> {
        let status =
            Command::new("kill").args(["-TERM", &self.id().to_string()]).status().context("kill does not run")?;
        if !status.success() {
            bail!("the host cannot be told to stop");
        }
        self.process.wait()?;
        let another = tempfile::tempdir()?;
        Ok(std::mem::replace(&mut self.folder, another))
    }

    /// Puts a component in place as documented: written aside, renamed in. The moment of the rename.
    pub fn install(&self, name: &str, bytes: &[u8]) -> anyhow::Result<Instant> {
        let aside = self.folder.path().join("aside");
        fs::write(&aside, bytes).context("the component cannot be written")?;
        let moment = Instant::now();
        fs::rename(&aside, self.folder.path().join("plugins").join(format!("{name}.wasm")))
            .context("the component cannot be renamed")?;
        Ok(moment)
    }

    /// The end of what it logged, for whoever has to find out what went wrong.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(20).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// What the host says that it holds: each gauge, the sum over its labels.
    pub fn gauges(&self) -> anyhow::Result<BTreeMap<String, f64>> {
        let answer = self.ask("/metrics").context("the metrics cannot be read")?;
        match http::response(&answer) {
            Response::Whole { status: 200, body, .. } => Ok(gauges_in(&String::from_utf8_lossy(&body))),
            Response::Whole { status, .. } => bail!("asked for its metrics, the host answers with HTTP {status}"),
            Response::Partial | Response::Broken => bail!("asked for its metrics, the host gives no whole response"),
        }
    }

    fn is_ready(&self) -> bool {
        self.ask("/readyz").is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 200"))
    }

    /// The whole answer of the admin listener.
    fn ask(&self, path: &str) -> std::io::Result<Vec<u8>> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(ADMIN_PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.admin)?;
        let mut answer = Vec::new();
        stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

/// The values of OpenMetrics' text that are gauges, which their `# TYPE` says first.
fn gauges_in(text: &str) -> BTreeMap<String, f64> {
    let (mut gauge, mut gauges) = (None, BTreeMap::new());
    for line in text.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            gauge = declared.strip_suffix(" gauge");
        } else if let Some(rest) = gauge.and_then(|name| line.strip_prefix(name))
            && rest.starts_with(['{', ' '])
            && let Some(value) =
                rest.rsplit('}').next().and_then(|value| value.split_ascii_whitespace().next()?.parse().ok())
        {
            let value: f64 = value;
            *gauges.entry(gauge.unwrap_or_default().to_owned()).or_default() += value;
        }
    }
    gauges
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Settings of the developer's own must not reach it.
fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    for (variable, _) in std::env::vars_os() {
        if variable.to_string_lossy().starts_with("SWITCHBOARD_") {
            command.env_remove(variable);
        }
    }
    command.args(["serve", "--json", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"]);
    command.arg("--config").arg(folder.join("switchboard.toml")).arg("--data-dir").arg(folder.join("data"));
    command.arg("--plugin-dir").arg(folder.join("plugins"));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

fn first_line(output: impl std::io::Read + Send + 'static) -> anyhow::Result<String> {
    let (sender, line) = mpsc::sync_channel(1);
    thread::spawn(move || sender.send(BufReader::new(output).lines().next()));
    line.recv_timeout(START_LIMIT)?.context("it ended")?.context("its output is no text")
}

fn address_in(line: &Value, name: &str) -> anyhow::Result<SocketAddr> {
    let url = line[name].as_str().with_context(|| format!("no `{name}` in {line}"))?;
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().parse().with_context(|| format!("{url} has no address"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_that_is_given_replaces_ours() {
        let setup = Setup {
            program: PathBuf::new(),
            components: PathBuf::new(),
            plugins: Vec::new(),
            log: "warn".to_owned(),
            settings: vec!["limits.max_connections = 7".to_owned()],
        };
        let settings = setup.settings();
        assert_eq!(settings.matches("limits.max_connections =").count(), 1, "{settings}");
        assert!(settings.contains("limits.max_connections = 7") && settings.contains("logging.filter = \"warn\""));
    }

    #[test]
    fn gauges_are_summed_over_their_labels() {
        let text = "# TYPE a gauge\n# HELP a Of it\na{b=\"x y\"} 1\na{b=\"}\"} 2.5\n# TYPE c counter\nc_total 7\n\
                    # TYPE d gauge\nd 3\n# EOF";
        assert_eq!(gauges_in(text), BTreeMap::from([("a".to_owned(), 3.5), ("d".to_owned(), 3.0)]));
    }

    #[test]
    fn addresses_are_taken_out_of_urls() {
        let line = json!({ "url": "ws://127.0.0.1:81/ws", "admin_url": "http://127.0.0.1:82" });
        assert_eq!(address_in(&line, "url").unwrap().port(), 81);
        assert_eq!(address_in(&line, "admin_url").unwrap().port(), 82);
        assert!(address_in(&line, "other").is_err());
    }
}
