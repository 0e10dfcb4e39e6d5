//! `cargo xtask test`: everything that has to pass, what fails cheaply first.
//!
//! Steps run one after the other: two cargo builds at once would wait for each other's locks and
//! share too few cores. A step that fails does not hide what the later ones find.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, bail};

use crate::{
    disk,
    failures::Failures,
    peers, plugins, process,
    summary::{self, Count, Outcome},
    tidy,
};

/// Plugins and test guests are workspaces of their own; natively they compile to one folder.
const PLUGIN_WORKSPACES: [&str; 3] = ["plugins", "tests/guests", "bench/guests"];

/// One thing to do.
struct Step {
    name: String,
    action: Action,
}

enum Action {
    /// A program; the tests that its output tells of are counted.
    Run(Box<Command>),
    /// Work of this program.
    Here(fn() -> anyhow::Result<()>),
}

pub fn run() -> anyhow::Result<()> {
    let steps = steps();
    let total = steps.len();
    let mut outcomes = Vec::new();
    for (number, step) in (1..).zip(steps) {
        eprintln!("\n[{number}/{total}] {}", step.name);
        outcomes.push(take(step));
    }
    let (text, sum) = summary::report(&outcomes);
    print!("{text}");
    std::io::stdout().flush()?;
    if sum.failed > 0 {
        bail!("not everything passed");
    }
    Ok(())
}

fn steps() -> Vec<Step> {
    let mut steps = vec![cargo("formatting", "", &["fmt", "--all", "--check"])];
    steps.extend(for_plugins("formatting", &["fmt", "--all", "--check"]));
    steps.push(cargo("formatting", peers::RUST_CLIENT, &["fmt", "--all", "--check"]));
    steps.push(Step { name: "tidy".to_owned(), action: Action::Here(tidy::run) });
    steps.push(cargo("lock file", "", &["metadata", "--locked", "--quiet", "--format-version", "1"]));
    steps.extend(for_plugins("lock file", &["metadata", "--locked", "--quiet", "--format-version", "1"]));
    let clippy = ["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"];
    steps.push(cargo("clippy", "", &clippy));
    // What only benchmarks are built with. Other features of the host alone: nothing below it is compiled again.
    let measured = ["clippy", "--workspace", "--all-targets", "--features", "switchboard/bench", "--quiet", "--"];
    steps.push(cargo("clippy of what is measured", "", &[&measured[..], &["-D", "warnings"]].concat()));
    steps.extend(for_plugins("clippy", &clippy));
    steps.push(documentation());
    // Always the whole workspace, of which targets are chosen: cargo compiles what it depends on anew for
    // each other choice of packages, since their features add up differently.
    steps.push(cargo("unit tests", "", &["test", "--workspace", "--lib", "--bins", "--quiet", "--no-fail-fast"]));
    steps.push(cargo("examples in documentation", "", &["test", "--workspace", "--doc", "--quiet", "--no-fail-fast"]));
    steps.push(autobahn());
    steps.extend(for_plugins("native tests", &["test", "--workspace", "--quiet", "--no-fail-fast"]));
    steps.push(Step { name: "components".to_owned(), action: Action::Here(components) });
    steps.push(Step { name: "peers".to_owned(), action: Action::Here(peers::ensure) });
    steps.push(cargo("tests over sockets", "", &["test", "--workspace", "--test", "suite", "--no-fail-fast"]));
    steps
}

fn cargo(name: &str, dir: &str, arguments: &[&str]) -> Step {
    let mut command = process::cargo(Path::new(dir));
    command.args(arguments);
    if !dir.is_empty() {
        command.env("CARGO_TARGET_DIR", process::target().join("native-plugins"));
    }
    let place = if dir.is_empty() { String::new() } else { format!(" of {dir}") };
    Step { name: format!("{name}{place}"), action: Action::Run(Box::new(command)) }
}

fn for_plugins(name: &str, arguments: &[&str]) -> Vec<Step> {
    PLUGIN_WORKSPACES.iter().map(|dir| cargo(name, dir, arguments)).collect()
}

/// Private items, too: they are what a developer of the host reads.
fn documentation() -> Step {
    let mut step =
        cargo("documentation", "", &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"]);
    if let Action::Run(command) = &mut step.action {
        command.env("RUSTDOCFLAGS", "-D rustdoc::broken_intra_doc_links");
    }
    step
}

/// A process of its own, because the cases that pass are counted in its output.
fn autobahn() -> Step {
    let mut command = process::cargo(Path::new(""));
    command.args(["xtask", "autobahn"]);
    Step { name: "WebSocket conformance".to_owned(), action: Action::Run(Box::new(command)) }
}

fn components() -> anyhow::Result<()> {
    process::build_host_beside_tests()?;
    plugins::ensure(&plugins::Options { guests: true, examples: true, ..plugins::Options::default() })
}

fn take(step: Step) -> Outcome {
    let begun = Instant::now();
    let mut told = Told::default();
    let result = match step.action {
        Action::Here(work) => work(),
        Action::Run(mut command) => passed_on(&mut command, &mut told),
    };
    let disk_left = disk::left();
    let fault = result.err().map(|fault| match disk::complaint(disk_left) {
        Some(complaint) => format!("{fault:#}; {complaint}"),
        None => format!("{fault:#}"),
    });
    if let Some(fault) = &fault {
        eprintln!("{fault}");
    }
    let Told { count, failures } = told;
    Outcome { name: step.name, count, failures, fault, took: begun.elapsed(), disk_left }
}

/// What the output of a program tells of tests.
#[derive(Default)]
struct Told {
    count: Count,
    failures: Failures,
}

/// Runs a program, passes its output on, and notes what is told in it, also if the program fails.
fn passed_on(command: &mut Command, told: &mut Told) -> anyhow::Result<()> {
    let line = process::line(command);
    let silent = command.get_args().next().is_some_and(|first| first == "metadata");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{line}` does not start"))?;
    let output = child.stdout.take().context("the output was taken already")?;
    for text in BufReader::new(output).split(b'\n') {
        let text = text.context("the output cannot be read")?;
        let text = String::from_utf8_lossy(&text);
        told.count += Count::of_line(&text);
        told.failures.line(&text);
        if !silent {
            println!("{text}");
        }
    }
    if !child.wait()?.success() {
        bail!("`{line}` failed");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_results_in_a_programs_output_are_counted_even_if_it_fails() {
        let mut command = Command::new("sh");
        let output = "---- a::test stdout ----\\ntest result: FAILED. 2 passed; 1 failed; 0 ignored\\n";
        command.args(["-c", &format!("printf -- '{output}'; exit 1")]);
        let mut told = Told::default();
        assert!(passed_on(&mut command, &mut told).is_err());
        assert_eq!(told.count, Count { passed: 2, failed: 1 });
        assert!(told.failures.report().contains("a::test failed"));
    }

    #[test]
    fn nothing_is_compiled_before_formatting_and_shape_are_checked() {
        let names: Vec<String> = steps().into_iter().map(|step| step.name).collect();
        let place = |name: &str| names.iter().position(|step| step == name).expect("a step");
        assert!(place("formatting") < place("tidy") && place("tidy") < place("clippy"));
        assert!(place("components") < place("tests over sockets"));
        assert!(place("peers") < place("tests over sockets"));
    }
}
