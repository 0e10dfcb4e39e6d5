//! A server of the test's own: the real binary on free ports, with folders that vanish with it.
//!
//! It can be stopped or killed and started again on the same folder and the same port for clients, so
//! that they find their way back as they would in production.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tempfile::TempDir;

use super::{Http, SECRET, eventually, http_request, paths};

/// What calls are given where a test does not say otherwise: no test is about the speed of the machine, which may stand
/// still for longer than the defaults allow. A test with a section of limits for all plugins says all of it itself.
const PATIENT: [(&str, &str); 2] =
    [("SWITCHBOARD_PLUGIN_DEFAULTS_LIMITS_DEADLINE", "30s"), ("SWITCHBOARD_PLUGIN_DEFAULTS_LIMITS_MAX_WAIT", "10s")];

/// How long another program may hold the port that a server has to come back to.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// What a server is started with.
#[derive(Default)]
pub struct ServerBuilder {
    config: String,
    auth: Option<String>,
    quiet: bool,
    plugins: Vec<(String, PathBuf)>,
    environment: HashMap<String, String>,
}

impl ServerBuilder {
    /// Adds lines to `switchboard.toml`.
    pub fn config(mut self, toml: &str) -> Self {
        self.config.push_str(toml);
        self.config.push('\n');
        self
    }

    /// Replaces the `[auth]` section, which otherwise names the secret that test tokens are signed with.
    pub fn auth(mut self, toml: &str) -> Self {
        self.auth = Some(toml.to_owned());
        self
    }

    /// Adds a component to the plugin directory before the start.
    pub fn plugin(mut self, name: &str, component: PathBuf) -> Self {
        self.plugins.push((name.to_owned(), component));
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Gives one setting a value by its path, whatever sections [`ServerBuilder::config`] has.
    pub fn setting(self, path: &str, value: &str) -> Self {
        let variable = format!("SWITCHBOARD_{}", path.replace(['.', '-'], "_").to_ascii_uppercase());
        self.environment(&variable, value)
    }

    /// Room for thousands of clients that come from one address, and no log line for each of their frames.
    pub fn crowd(mut self) -> Self {
        self.quiet = true;
        self.setting("limits.max_connections", "50000")
            .setting("limits.max_connections_per_user", "1000")
            .setting("limits.handshakes_per_second", "100000")
            .setting("limits.handshake_burst", "100000")
            .setting("limits.connection_messages_per_second", "1000000")
            .setting("limits.connection_message_burst", "1000000")
            .setting("limits.user_messages_per_second", "1000000")
            .setting("limits.user_message_burst", "1000000")
            // Those who were first wait for the last, and answer no pings meanwhile.
            .setting("heartbeat.grace", "10m")
    }

    /// The `system` plugin.
    pub fn system(self) -> Self {
        self.shipped(&["system"])
    }

    /// All the plugins that ship.
    pub fn shipped_plugins(self) -> Self {
        self.shipped(&["system", "jsonrpc", "agent", "tools"])
    }

    /// Some of the plugins that ship.
    pub fn shipped(self, names: &[&str]) -> Self {
        names.iter().fold(self, |builder, name| builder.plugin(name, paths::component(name)))
    }

    /// Starts the server, and returns when it listens and is ready.
    pub async fn start(self) -> Server {
        let server = self.launch();
        server.ready().await;
        server
    }

    /// Starts the server, and returns when it listens.
    pub fn launch(mut self) -> Server {
        if !self.config.contains("[plugin_defaults.limits]") {
            for (variable, value) in PATIENT {
                self.environment.entry(variable.to_owned()).or_insert_with(|| value.to_owned());
            }
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plugin_dir = folder.path().join("plugins");
        std::fs::create_dir(&plugin_dir).expect("a plugin folder");
        for (name, component) in &self.plugins {
            std::fs::copy(component, plugin_dir.join(format!("{name}.wasm"))).expect("the component is copied");
        }
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).expect("the secret is written");
        std::fs::write(folder.path().join("switchboard.toml"), self.full_config(&secret))
            .expect("the config is written");
        Server::spawn(folder, self.environment)
    }

    fn full_config(&self, secret: &Path) -> String {
        let auth = self.auth.clone().unwrap_or_else(|| format!("keys = [\"file:{}\"]", secret.display()));
        let level = if self.quiet { "info" } else { "debug" };
        format!("[auth]\n{auth}\n[logging]\nformat = \"json\"\nfilter = \"switchboard={level}\"\n{}", self.config)
    }
}

/// A running server. It is killed when it is dropped.
pub struct Server {
    process: Child,
    folder: TempDir,
    environment: HashMap<String, String>,
    url: String,
    admin_url: String,
    log: Arc<Mutex<Vec<String>>>,
}

/// A process that listens.
struct Process {
    child: Child,
    url: String,
    admin_url: String,
}

impl Server {
    /// With the `system` plugin, and defaults.
    pub async fn start() -> Self {
        Self::builder().system().start().await
    }

    /// With some of the plugins that ship, and defaults.
    pub async fn start_with(plugins: &[&str]) -> Self {
        Self::builder().shipped(plugins).start().await
    }

    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    fn spawn(folder: TempDir, environment: HashMap<String, String>) -> Self {
        let log = Arc::new(Mutex::new(Vec::new()));
        match Process::start(folder.path(), &environment, "127.0.0.1:0", &log) {
            Ok(Process { child, url, admin_url }) => Self { process: child, folder, environment, url, admin_url, log },
            Err(said) => panic!("{}", why_it_did_not_start(&said, &log, folder.path())),
        }
    }

    /// SIGTERM, the orderly end, and a new process on the same folder and port, which is ready.
    pub async fn restart(mut self) -> Self {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "the server ended with {status}");
        self.start_again().await
    }

    /// SIGKILL: the process has no moment left to save anything.
    pub fn kill(&mut self) {
        self.process.kill().expect("the process is ours");
        self.process.wait().expect("the process is ours");
    }

    /// A new process on the folder and port of one that has ended, which is ready when this returns.
    pub async fn start_again(mut self) -> Self {
        assert!(self.process.try_wait().expect("the process is ours").is_some(), "the server is still running");
        let address = self.address().to_owned();
        let (folder, environment) = (self.folder.path().to_owned(), self.environment.clone());
        self.log.lock().expect("no test panicked here").push("--- started again ---".to_owned());
        let log = Arc::clone(&self.log);
        let started = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            loop {
                match Process::start(&folder, &environment, &address, &log) {
                    Ok(process) => return Ok(process),
                    // While nobody listened there, another program may have been given the port.
                    Err(_) if port_is_taken(&address) && begun.elapsed() < PORT_PATIENCE => {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    Err(said) => return Err(why_it_did_not_start(&said, &log, &folder)),
                }
            }
        });
        match started.await.expect("starting does not panic") {
            Ok(Process { child, url, admin_url }) => {
                assert_eq!(url, self.url, "the server came back elsewhere");
                (self.process, self.admin_url) = (child, admin_url);
            }
            Err(why) => panic!("{why}"),
        }
        self.ready().await;
        self
    }

    /// Of the process that runs now.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// `ws://127.0.0.1:PORT/ws`
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `127.0.0.1:PORT`, where clients connect.
    pub fn address(&self) -> &str {
        self.url.trim_start_matches("ws://").trim_end_matches("/ws")
    }

    /// A URL on the listener for clients.
    pub fn http(&self, path: &str) -> String {
        let base = self.url.strip_suffix("/ws").expect("the URL ends in /ws").replacen("ws://", "http://", 1);
        format!("{base}{path}")
    }

    /// A URL on the listener for operators.
    pub fn admin(&self, path: &str) -> String {
        format!("{}{path}", self.admin_url)
    }

    /// The token that the first start leaves for the command line of this machine.
    pub fn admin_token(&self) -> String {
        let token = std::fs::read_to_string(self.data_dir().join("admin.token")).expect("the token is there");
        token.trim().to_owned()
    }

    /// A request of an operator who may do everything.
    pub fn admin_request(&self, method: Method, path: &str) -> RequestBuilder {
        http_request(method, &self.admin(path)).bearer_auth(self.admin_token())
    }

    /// What such an operator is told.
    pub async fn ask_admin(&self, path: &str) -> Http {
        Http::send(self.admin_request(Method::GET, path)).await
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn plugin_file(&self, name: &str) -> PathBuf {
        self.folder.path().join("plugins").join(format!("{name}.wasm"))
    }

    pub fn config_file(&self) -> PathBuf {
        self.folder.path().join("switchboard.toml")
    }

    /// Puts a component into the plugin directory in the documented way: written aside, renamed in.
    pub fn install(&self, name: &str, component: &Path) {
        let bytes = std::fs::read(component).expect("the component is read");
        self.install_bytes(name, &bytes);
    }

    pub fn install_bytes(&self, name: &str, bytes: &[u8]) {
        let aside = self.folder.path().join(format!("{name}.aside"));
        std::fs::write(&aside, bytes).expect("the file is written");
        std::fs::rename(&aside, self.plugin_file(name)).expect("the file is renamed");
    }

    /// Changes `switchboard.toml` as an editor would.
    pub fn edit_config(&self, change: impl FnOnce(String) -> String) {
        let text = change(std::fs::read_to_string(self.config_file()).expect("the config is read"));
        let aside = self.folder.path().join("switchboard.toml.aside");
        std::fs::write(&aside, text).expect("the config is written");
        std::fs::rename(&aside, self.config_file()).expect("the config is renamed");
    }

    /// The status of a plugin as the listener for operators tells it.
    pub async fn plugin_status(&self, name: &str) -> Value {
        let statuses = self.ask_admin("/plugins").await.json();
        let list = statuses.as_array().cloned().or_else(|| statuses["plugins"].as_array().cloned());
        list.unwrap_or_default().into_iter().find(|status| status["name"] == name).unwrap_or(Value::Null)
    }

    /// Waits until a plugin's status is as wanted.
    pub async fn plugin_status_when(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("the status of plugin {name}"), async || {
            let status = self.plugin_status(name).await;
            wanted(&status).then_some(status)
        })
        .await
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("no test panicked here").clone()
    }

    /// Waits for a log line that holds all the words.
    pub async fn logged(&self, words: &[&str]) -> String {
        eventually(&format!("a log line with {words:?}"), async || {
            self.log().into_iter().find(|line| words.iter().all(|word| line.contains(word)))
        })
        .await
    }

    /// The value of a metric, all series whose line starts with the name (and labels) added up.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = Http::get(&self.admin("/metrics")).await.text;
        let values = text.lines().filter(|line| line.starts_with(series));
        values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    async fn ready(&self) {
        eventually("the server to be ready", async || {
            Http::get(&self.admin("/readyz")).await.status.is_success().then_some(())
        })
        .await;
    }

    /// Memory of the process that is in RAM.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line for it");
        let kib: u64 = line.trim().trim_end_matches(" kB").trim().parse().expect("a number");
        kib << 10
    }

    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Keeps the process from all processors for a while, as a machine does that is moved or has too much to do.
    pub async fn stand_still(&self, time: Duration) {
        self.signal("STOP");
        tokio::time::sleep(time).await;
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.process.id().to_string());
        let status = Command::new("kill").args([signal, id]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Waits for the end of the process.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = &mut self.process;
        eventually("the process to end", async || process.try_wait().expect("the process is ours")).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            let log = self.log.lock().map(|lines| lines.join("\n")).unwrap_or_default();
            eprintln!("--- log of the server ---\n{log}\n---");
        }
    }
}

impl Process {
    /// Starts the binary and waits until it listens, or returns what it said instead.
    fn start(
        folder: &Path,
        environment: &HashMap<String, String>,
        listen: &str,
        log: &Arc<Mutex<Vec<String>>>,
    ) -> Result<Self, String> {
        let mut child = Command::new(paths::switchboard_binary())
            .arg("serve")
            .arg("--json")
            .args(["--listen", listen, "--admin-listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(folder.join("switchboard.toml"))
            .arg("--data-dir")
            .arg(folder.join("data"))
            .arg("--plugin-dir")
            .arg(folder.join("plugins"))
            .env("SWITCHBOARD_CACHE_DIR", paths::compile_cache())
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        collect_lines(child.stderr.take().expect("standard error is piped"), Arc::clone(log));
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("standard output is piped"));
        stdout.read_line(&mut line).expect("standard output is UTF-8");
        let Ok(listening) = serde_json::from_str::<Value>(&line) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(line);
        };
        assert_eq!(listening["event"], "listening");
        let text = |name: &str| listening[name].as_str().expect("an address").to_owned();
        Ok(Self { child, url: text("url"), admin_url: text("admin_url") })
    }
}

fn port_is_taken(address: &str) -> bool {
    std::net::TcpListener::bind(address).is_err()
}

fn why_it_did_not_start(said: &str, log: &Mutex<Vec<String>>, folder: &Path) -> String {
    let log = log.lock().expect("no test panicked here").join("\n");
    let config = std::fs::read_to_string(folder.join("switchboard.toml")).unwrap_or_default();
    format!("the server did not say that it listens, but {said:?}; its log:\n{log}\nits config:\n{config}")
}

fn collect_lines(stream: impl Read + Send + 'static, lines: Arc<Mutex<Vec<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            lines.lock().expect("no test panicked here").push(line);
        }
    });
}
