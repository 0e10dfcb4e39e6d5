//! A server of the test's own: the real binary on free ports, with folders that vanish with it.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tempfile::TempDir;

use super::{Http, SECRET, eventually, paths};

/// What a server is started with.
#[derive(Default)]
pub struct ServerBuilder {
    config: String,
    auth: Option<String>,
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
    pub fn launch(self) -> Server {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plugin_dir = folder.path().join("plugins");
        std::fs::create_dir(&plugin_dir).expect("a plugin folder");
        for (name, component) in &self.plugins {
            std::fs::copy(component, plugin_dir.join(format!("{name}.wasm"))).expect("the component is copied");
        }
        let secret = folder.path().join("secret");
        std::fs::write(&secret, SECRET).expect("the secret is written");
        Server::spawn(folder, &self.environment, &self.full_config(&secret))
    }

    fn full_config(&self, secret: &Path) -> String {
        let auth = self.auth.clone().unwrap_or_else(|| format!("keys = [\"file:{}\"]", secret.display()));
        format!("[auth]\n{auth}\n[logging]\nformat = \"json\"\nfilter = \"switchboard=debug\"\n{}", self.config)
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

    fn spawn(folder: TempDir, environment: &HashMap<String, String>, config: &str) -> Self {
        let config_file = folder.path().join("switchboard.toml");
        std::fs::write(&config_file, config).expect("the config is written");
        let mut process = Command::new(paths::switchboard_binary())
            .arg("serve")
            .arg("--json")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .arg("--config")
            .arg(&config_file)
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .arg("--plugin-dir")
            .arg(folder.path().join("plugins"))
            .env("SWITCHBOARD_CACHE_DIR", paths::compile_cache())
            .envs(environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let log = collect_lines(process.stderr.take().expect("standard error is piped"));
        let mut line = String::new();
        let mut stdout = BufReader::new(process.stdout.take().expect("standard output is piped"));
        stdout.read_line(&mut line).expect("standard output is UTF-8");
        let listening: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let log = log.lock().expect("no test panicked here").join("\n");
            panic!("the server did not say that it listens, but {line:?}; its log:\n{log}\nits config:\n{config}")
        });
        assert_eq!(listening["event"], "listening");
        let text = |name: &str| listening[name].as_str().expect("an address").to_owned();
        Self { process, folder, environment: environment.clone(), url: text("url"), admin_url: text("admin_url"), log }
    }

    /// `ws://127.0.0.1:PORT/ws`
    pub fn url(&self) -> &str {
        &self.url
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
        let statuses = Http::get(&self.admin("/plugins")).await.json();
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

    /// Ends the server as an operator does, and starts it again on the same folders. Its ports change.
    pub async fn restart(mut self) -> Self {
        self.terminate();
        assert!(self.ended().await.success(), "the server leaves in good order");
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().expect("a temporary folder"));
        let config = std::fs::read_to_string(folder.path().join("switchboard.toml")).expect("the config is read");
        let server = Self::spawn(folder, &self.environment, &config);
        server.ready().await;
        server
    }

    async fn ready(&self) {
        eventually("the server to be ready", async || {
            Http::get(&self.admin("/readyz")).await.status.is_success().then_some(())
        })
        .await;
    }

    pub fn terminate(&self) {
        let id = self.process.id().to_string();
        let status = Command::new("kill").args(["-TERM", &id]).status().expect("kill runs");
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

fn collect_lines(stream: impl Read + Send + 'static) -> Arc<Mutex<Vec<String>>> {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let collected = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            collected.lock().expect("no test panicked here").push(line);
        }
    });
    lines
}
