//! The five-minute tour of the README, executed: every command of its `console` blocks is run, and what
//! it prints is compared with what the README shows.
//!
//! In the expected output a line `...` stands for any lines, and `<word>` for any text within a line.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use crate::harness::{PATIENCE, authors_target, repository};

/// A command of the tour with the output that the README shows.
#[derive(Debug)]
struct Step {
    command: String,
    expected: Vec<String>,
}

#[test]
fn the_tour_of_the_readme_does_what_it_shows() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README is there");
    let steps = steps_of(&readme);
    assert!(steps.len() >= 12, "the tour has become short: {steps:#?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut tour = Tour::begin(folder.path());
    for step in &steps {
        tour.take(step);
    }
}

fn steps_of(readme: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_console = false;
    for line in readme.lines() {
        match line.strip_prefix("```") {
            Some(language) => in_console = language == "console",
            None if !in_console => {}
            None => match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
                (None, Some(step)) => step.expected.push(line.to_owned()),
                (None, None) => panic!("output before the first command: {line}"),
            },
        }
    }
    steps
}

/// A shell in a folder that stands for the clone: its `target/debug` is the real one, and everything
/// else vanishes with it.
struct Tour<'a> {
    folder: &'a Path,
    /// `export` lines so far.
    exports: String,
    host: Option<Child>,
    url: String,
}

impl<'a> Tour<'a> {
    fn begin(folder: &'a Path) -> Self {
        std::fs::create_dir_all(folder.join("target/plugins")).expect("a folder");
        std::os::unix::fs::symlink(repository().join("target/debug"), folder.join("target/debug")).expect("a link");
        for name in ["system", "jsonrpc", "agent", "tools"] {
            let file = format!("target/plugins/{name}.wasm");
            std::fs::copy(repository().join(&file), folder.join(&file)).expect("the component is built");
        }
        Self { folder, exports: String::new(), host: None, url: String::new() }
    }

    fn take(&mut self, step: &Step) {
        if step.command == "cargo xtask serve" {
            self.serve(step);
        } else if step.command.starts_with("export ") {
            let output = self.run(&format!("{}\n[ -n \"$SWITCHBOARD_TOKEN\" ] || [ -n \"$PATH\" ]", step.command));
            assert!(output.status.success(), "{step:?}: {output:?}");
            self.exports.push_str(&step.command);
            self.exports.push('\n');
        } else {
            self.compare(step);
        }
    }

    /// What follows from a file takes the host a moment to notice, so a command may be asked again.
    fn compare(&self, step: &Step) {
        let begun = Instant::now();
        loop {
            let output = self.run(&step.command);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = printed.lines().collect();
            if output.status.success() && lines_match(&step.expected, &lines) {
                return;
            }
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let again = step.command.contains("switchboard connect") && begun.elapsed() < PATIENCE;
            assert!(again, "`{}` printed\n{printed}\n{errors}\nand not\n{}", step.command, step.expected.join("\n"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn run(&self, command: &str) -> std::process::Output {
        Command::new("bash")
            .arg("-c")
            .arg(format!("set -e\n{}{command}", self.exports))
            .current_dir(self.folder)
            .env("SWITCHBOARD_URL", &self.url)
            .env("CARGO_TARGET_DIR", authors_target())
            .env("SWITCHBOARD_DATA_DIR", self.folder.join(".switchboard"))
            .output()
            .expect("bash runs")
    }

    /// The real command, on free ports and with folders of its own.
    fn serve(&mut self, step: &Step) {
        let mut host = Command::new("cargo")
            .args(["xtask", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"])
            .arg(self.folder.join(".switchboard"))
            .arg("--plugin-dir")
            .arg(self.folder.join("target/plugins"))
            .arg("--config")
            .arg(self.config())
            .current_dir(repository())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("cargo runs");
        let output = BufReader::new(host.stdout.take().expect("standard output is piped"));
        self.host = Some(host);
        let printed = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&printed);
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                collected.lock().expect("not poisoned").push(line);
            }
        });
        // Building may come first, which on a new machine takes minutes.
        let patience = PATIENCE * 15;
        let begun = Instant::now();
        loop {
            let lines = printed.lock().expect("not poisoned").clone();
            let url = lines.iter().find_map(|line| Some(format!("ws://{}", line.split_once("ws://")?.1)));
            if let Some(url) = url {
                self.url = url.split_whitespace().next().expect("an address").to_owned();
                let expected: Vec<String> =
                    step.expected.iter().map(|line| line.replace("ws://127.0.0.1:8080/ws", &self.url)).collect();
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                if lines_match(&expected, &lines) {
                    return;
                }
            }
            assert!(begun.elapsed() < patience, "`{}` printed {lines:#?}", step.command);
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The file that the tour edits: there from the start, since `--config` names it.
    fn config(&self) -> std::path::PathBuf {
        let file = self.folder.join("switchboard.toml");
        std::fs::write(&file, "").expect("the config is written");
        file
    }
}

impl Drop for Tour<'_> {
    fn drop(&mut self) {
        if let Some(host) = &mut self.host {
            let _ = Command::new("kill").args(["-TERM", &host.id().to_string()]).status();
            let _ = host.wait();
        }
    }
}

/// Whether the lines are as expected, where `...` stands for any lines.
fn lines_match(expected: &[String], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => (0..=lines.len()).any(|skip| lines_match(rest, &lines[skip..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, others)| line_matches(first, line) && lines_match(rest, others))
        }
    }
}

/// Whether a line is as expected, where `<word>` stands for any text.
fn line_matches(expected: &str, line: &str) -> bool {
    let Some((before, rest)) = expected.split_once('<') else { return expected == line };
    let Some((_, after)) = rest.split_once('>') else { return expected == line };
    let Some(line) = line.strip_prefix(before) else { return false };
    (0..=line.len()).filter(|&end| line.is_char_boundary(end)).any(|end| line_matches(after, &line[end..]))
}

#[test]
fn placeholders_stand_for_any_text_and_nothing_else() {
    assert!(line_matches("a <b> c <d>", "a x y c z"));
    assert!(!line_matches("a <b> c", "a x y d"));
    let expected = ["one", "...", "four"].map(str::to_owned);
    assert!(lines_match(&expected, &["one", "two", "three", "four"]));
    assert!(!lines_match(&expected, &["one", "two"]));
}
