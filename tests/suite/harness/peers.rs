//! Programs of others that speak MCP with a server: what `cargo xtask peers` has fetched, run from `tests/mcp`.
//!
//! Each says what it finds, a line of JSON with the member `step` for each step.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use super::{repository, within_patience};

/// A program that runs. It is ended when it is dropped.
pub struct Peer {
    name: String,
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    complaints: Arc<Mutex<String>>,
}

fn tool(path: &str) -> PathBuf {
    let path = repository().join("target/tools").join(path);
    assert!(path.exists(), "{} is missing: run `cargo xtask peers`", path.display());
    path
}

/// Node 22 or later: the one that was fetched, or else the machine's own, which was new enough.
pub fn node() -> Command {
    let fetched = repository().join("target/tools/nodejs-22.20.0/bin/node");
    Command::new(if fetched.exists() { fetched } else { PathBuf::from("node") })
}

/// The program of the official conformance suite.
pub fn conformance_suite() -> PathBuf {
    tool("mcp-node/node_modules/@modelcontextprotocol/conformance/dist/index.js")
}

impl Peer {
    /// `tests/mcp/python/client_N.py`, with the SDK of that generation.
    pub fn python(generation: u8, arguments: &[&str], token: &str) -> Self {
        let mut command = Command::new(tool(&format!("mcp-python-{generation}/bin/python")));
        let script = repository().join(format!("tests/mcp/python/client_{generation}.py"));
        // Nothing is left beside the sources, and deprecated transports may be used.
        command.args(["-B", "-W", "ignore"]).arg(script);
        Self::start(&format!("Python {generation}"), command.args(arguments).env("MCP_TOKEN", token))
    }

    /// `tests/mcp/node/client-N.mjs`. A module finds its packages from where it is, or, if it is read from the standard
    /// input, from the working directory.
    pub fn node(generation: u8, arguments: &[&str], token: &str) -> Self {
        let script = repository().join(format!("tests/mcp/node/client-{generation}.mjs"));
        let mut command = node();
        command.current_dir(tool("mcp-node")).args(["--input-type=module", "-"]);
        command.stdin(File::open(script).expect("the program is there"));
        Self::start(&format!("Node {generation}"), command.args(arguments).env("MCP_TOKEN", token))
    }

    /// `tests/mcp/rust`.
    pub fn rust(arguments: &[&str], token: &str) -> Self {
        let program = tool(&format!("mcp-rust/debug/mcp-rust-client{}", std::env::consts::EXE_SUFFIX));
        Self::start("Rust", Command::new(program).args(arguments).env("MCP_TOKEN", token))
    }

    fn start(name: &str, command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|fault| panic!("{name} does not start: {fault}"));
        let lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        let complaints = Arc::new(Mutex::new(String::new()));
        let (mut stderr, heard) = (child.stderr.take().expect("standard error is piped"), Arc::clone(&complaints));
        tokio::spawn(async move {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut part).await {
                heard.lock().expect("not poisoned").push_str(&String::from_utf8_lossy(&part[..count]));
            }
        });
        Self { name: name.to_owned(), child, lines, complaints }
    }

    /// The next line, which has to be of this step.
    pub async fn step(&mut self, step: &str) -> Value {
        let line = within_patience!(format!("step {step:?} of {}", self.name), self.lines.next_line());
        let Some(line) = line.expect("its output can be read") else {
            let status = within_patience!("its end", self.child.wait());
            let complaints = self.complaints.lock().expect("not poisoned");
            panic!("{} ended ({status:?}) before {step:?}:\n{complaints}", self.name);
        };
        let found: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{} says {line}", self.name));
        assert_eq!(found["step"], step, "{} says {line}", self.name);
        found
    }

    /// Waits for its end, which has to be a good one.
    pub async fn ends_well(mut self) {
        self.step("done").await;
        let status = within_patience!("the end of a client", self.child.wait()).expect("it is ours");
        let complaints = self.complaints.lock().expect("not poisoned");
        assert!(status.success(), "{} ended with {status}:\n{complaints}", self.name);
    }
}

/// Runs a program to its end, and returns its standard output.
pub async fn run_to_end(command: &mut Command, output: &Path) -> bool {
    let file = File::create(output).expect("a file for its output");
    command.stdin(Stdio::null()).stdout(file.try_clone().expect("a second handle")).stderr(file).kill_on_drop(true);
    let mut child = command.spawn().expect("the program starts");
    within_patience!("a program to end", child.wait()).expect("it is ours").success()
}
