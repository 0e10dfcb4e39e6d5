//! Pages that are executed: each command of their `console` blocks is run by a shell, and what it prints is compared
//! with what the page shows.
//!
//! In the expected output a line `...` stands for any lines, and `<word>` for any text within a line. A block whose
//! language is followed by a path is a file that the reader makes; with `>>` before the path, its text is added.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::PATIENCE;

/// What a page tells its reader to do.
#[derive(Debug)]
pub enum Step {
    /// A command with the output that the page shows.
    Command { command: String, expected: Vec<String> },
    /// A file with its text, which is added to what is there or replaces it.
    File { path: String, adds: bool, text: String },
}

/// What a page tells, in its order.
pub fn steps_of(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut block = Block::Other;
    for line in page.lines() {
        if let Some(language) = line.strip_prefix("```") {
            block = Block::opened_by(language);
            if let Block::File { path, adds } = &block {
                steps.push(Step::File { path: path.clone(), adds: *adds, text: String::new() });
            }
            continue;
        }
        match (&block, steps.last_mut()) {
            (Block::Console, last) => match (line.strip_prefix("$ "), last) {
                (Some(command), _) => {
                    steps.push(Step::Command { command: command.to_owned(), expected: Vec::new() });
                }
                (None, Some(Step::Command { expected, .. })) => expected.push(line.to_owned()),
                (None, _) => panic!("output before the first command: {line}"),
            },
            (Block::File { .. }, Some(Step::File { text, .. })) => {
                text.push_str(line);
                text.push('\n');
            }
            _ => {}
        }
    }
    steps
}

enum Block {
    Console,
    File { path: String, adds: bool },
    Other,
}

impl Block {
    fn opened_by(language: &str) -> Self {
        match language.split_whitespace().collect::<Vec<_>>().as_slice() {
            ["console"] => Self::Console,
            [_, path] => Self::File { path: (*path).to_owned(), adds: false },
            [_, ">>", path] => Self::File { path: (*path).to_owned(), adds: true },
            _ => Self::Other,
        }
    }
}

/// A shell in a folder of its own, and the program that was left running in another terminal.
pub struct Tour {
    folder: PathBuf,
    /// For every command.
    environment: Vec<(String, String)>,
    /// Whether what is written to stderr is part of what the page shows.
    shows_errors: bool,
    /// Lines of the shell that hold for all that follow: `export` and `unset`.
    spoken: String,
    running: Option<Child>,
}

impl Tour {
    pub fn begin(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            environment: Vec::new(),
            shows_errors: false,
            spoken: String::new(),
            running: None,
        }
    }

    #[must_use]
    pub fn environment(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        self.environment.push((name.to_owned(), value.as_ref().display().to_string()));
        self
    }

    #[must_use]
    pub fn with_errors(mut self) -> Self {
        self.shows_errors = true;
        self
    }

    /// Something that the reader does in the shell, for all that follows.
    pub fn speak(&mut self, line: &str) {
        self.spoken.push_str(line);
        self.spoken.push('\n');
    }

    /// Makes the file.
    pub fn write(&self, path: &str, adds: bool, text: &str) {
        let mut options = std::fs::File::options();
        let options = if adds { options.append(true) } else { options.write(true).create(true).truncate(true) };
        let mut file = options.open(self.folder.join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"));
        file.write_all(text.as_bytes()).expect("the file is written");
    }

    /// Runs a command to its end. What follows from a file takes a host a moment to notice, so one that talks to it may be
    /// asked again.
    pub fn compare(&mut self, command: &str, expected: &[String]) {
        if command.starts_with("export ") || command.starts_with("unset ") {
            let output = self.run(command);
            assert!(output.status.success(), "{command}: {output:?}");
            return self.speak(command);
        }
        let begun = Instant::now();
        loop {
            let output = self.run(command);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let lines: Vec<&str> = printed.lines().collect();
            // A page that shows how a command fails shows its `error:`.
            let ended_well = output.status.success() || expected.iter().any(|line| line.starts_with("error: "));
            if ended_well && lines_match(expected, &lines) {
                return;
            }
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            let again = command.contains("switchboard connect") && begun.elapsed() < PATIENCE;
            assert!(again, "`{command}` printed\n{printed}\n{errors}\nand not\n{}", expected.join("\n"));
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn run(&self, command: &str) -> std::process::Output {
        let errors = if self.shows_errors { "exec 2>&1\n" } else { "" };
        self.shell(&format!("set -e\n{errors}{}{command}", self.spoken)).output().expect("bash runs")
    }

    fn shell(&self, script: &str) -> Command {
        let mut shell = Command::new("bash");
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        shell.arg("-c").arg(script).current_dir(&self.folder).envs(environment);
        shell
    }

    /// Runs a command that stays, in place of the one that stayed before, and returns what it has printed as soon as that is
    /// what the page shows. `expected` is asked for that, since addresses differ.
    pub fn leave_running(&mut self, command: &str, expected: impl Fn(&[String]) -> Vec<String>) -> Vec<String> {
        let shell = self.shell(&format!("{}exec {command}", self.spoken));
        self.leave_process_running(shell, command, expected)
    }

    pub fn leave_process_running(
        &mut self,
        mut process: Command,
        command: &str,
        expected: impl Fn(&[String]) -> Vec<String>,
    ) -> Vec<String> {
        self.end_what_runs();
        let mut child = process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let printed = Lines::of(child.stdout.take().expect("standard output is piped"));
        let complaints = Lines::of(child.stderr.take().expect("standard error is piped"));
        let child = self.running.insert(child);
        // Building may come first, which on a new machine takes minutes.
        let patience = PATIENCE * 15;
        let begun = Instant::now();
        loop {
            let has_ended = child.try_wait().expect("it is ours").is_some();
            let lines = printed.so_far(has_ended);
            let expected = expected(&lines);
            let shown: Vec<&str> = lines.iter().map(String::as_str).collect();
            if lines_match(&expected, &shown) {
                return lines;
            }
            if has_ended || begun.elapsed() >= patience {
                let errors = complaints.so_far(has_ended).join("\n");
                panic!("`{command}` printed {lines:#?}\nand not {expected:#?}\nhas ended: {has_ended}\n{errors}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ctrl-C in the other terminal.
    pub fn end_what_runs(&mut self) {
        if let Some(mut child) = self.running.take() {
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
            let _ = child.wait();
        }
    }
}

impl Drop for Tour {
    fn drop(&mut self) {
        self.end_what_runs();
    }
}

/// What a program prints, read as it comes, so that it never waits for us.
struct Lines {
    read: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Self {
        let read = Arc::new(Mutex::new(Vec::new()));
        let collected = Arc::clone(&read);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                collected.lock().expect("not poisoned").push(line);
            }
        });
        Self { read, reader }
    }

    /// All of it, if its writer has ended. What that has left running may hold the other end, so it is not waited for long.
    fn so_far(&self, writer_has_ended: bool) -> Vec<String> {
        let begun = Instant::now();
        while writer_has_ended && !self.reader.is_finished() && begun.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(10));
        }
        self.read.lock().expect("not poisoned").clone()
    }
}

/// The first address of this scheme that was printed, up to the next space.
pub fn address(lines: &[String], scheme: &str) -> Option<String> {
    lines.iter().find_map(|line| line.split_whitespace().find(|word| word.starts_with(scheme))).map(str::to_owned)
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
