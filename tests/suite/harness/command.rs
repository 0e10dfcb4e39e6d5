//! The binary as a command: what it printed and how it ended.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use super::{Server, paths, switchboard_binary};

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `switchboard` with these arguments.
pub fn run_switchboard(arguments: &[&str]) -> Ended {
    run_switchboard_in(paths::repository(), arguments, "")
}

/// Runs `switchboard` in a folder, with this text as its standard input.
pub fn run_switchboard_in(folder: &Path, arguments: &[&str], input: &str) -> Ended {
    let mut process = Command::new(switchboard_binary())
        .args(arguments)
        .current_dir(folder)
        .env_remove("SWITCHBOARD_TOKEN")
        .env("CARGO_TARGET_DIR", paths::authors_target())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    process.stdin.take().expect("standard input is piped").write_all(input.as_bytes()).expect("the input is read");
    let output = process.wait_with_output().expect("the process ends");
    Ended {
        success: output.status.success(),
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Allows this process, and servers that it starts from here on, so many open files, as far as the
/// machine lets it.
pub fn raise_file_limit(wanted: u64) {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("the limits of this process");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit of open files");
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [soft, hard] = numbers[..] else { return };
    if soft >= wanted {
        return;
    }
    assert!(hard >= wanted, "this test needs {wanted} open files, and this machine allows {hard}");
    let arguments = [format!("--pid={}", std::process::id()), format!("--nofile={hard}:{hard}")];
    let status = Command::new("prlimit").args(arguments).status().expect("prlimit (util-linux) runs");
    assert!(status.success(), "prlimit: {status}");
}

/// Runs a command against a server, as an operator on its machine does.
pub fn operate(server: &Server, arguments: &[&str]) -> Ended {
    let (admin, data_dir) = (server.admin(""), server.data_dir().display().to_string());
    run_switchboard(&[arguments, &["--admin", &admin, "--data-dir", &data_dir]].concat())
}
