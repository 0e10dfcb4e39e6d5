//! `cargo xtask bench counts`: how many instructions each hot step takes, by callgrind.
//!
//! A count is the same on a busy machine and on a quiet one, so that a change of a hundredth is seen. Each step runs in
//! two processes, one of which repeats it more often: what both do at their start and end is in neither difference.

use std::{fs, process::Command};

use anyhow::{Context as _, bail};

use crate::process;

/// Repetitions: enough that what happens once in a while has happened, few enough for callgrind, which is fifty times
/// slower than the machine.
const FEW: u64 = 500;
const MANY: u64 = 2_500;

pub fn run(wanted: &[String]) -> anyhow::Result<()> {
    super::build_host()?;
    super::components()?;
    let listed =
        Command::new(super::program(super::HOST)).arg("--steps").output().context("the host does not start")?;
    let listed = String::from_utf8(listed.stdout).context("the list of steps is no text")?;
    let steps =
        listed.lines().filter(|step| wanted.is_empty() || wanted.iter().any(|word| step.contains(word.as_str())));
    println!("| step | instructions |\n| --- | --- |");
    let mut faults = Vec::new();
    for step in steps {
        // One that cannot be counted hides no other.
        match each(step) {
            Ok(count) => println!("| {step} | {count} |"),
            Err(fault) => faults.push(format!("{step}: {fault:#}")),
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// Of one repetition.
fn each(step: &str) -> anyhow::Result<u64> {
    Ok(instructions(step, MANY)?.saturating_sub(instructions(step, FEW)?) / (MANY - FEW))
}

fn instructions(step: &str, times: u64) -> anyhow::Result<u64> {
    let out = process::target().join("bench/callgrind.out");
    fs::create_dir_all(process::target().join("bench"))?;
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}", out.display()));
    command.arg(super::program(super::HOST)).args(["--count", step, &times.to_string()]);
    command.arg(process::target().join(super::COMPONENTS));
    let line = process::line(&command);
    let output = command.output().context("valgrind does not start (Debian: `valgrind`)")?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let text = fs::read_to_string(&out).context("callgrind has written nothing")?;
    total(&text).with_context(|| format!("no sum in {}", out.display()))
}

/// The sum that callgrind writes at the end of its file.
fn total(text: &str) -> Option<u64> {
    let line =
        text.lines().find_map(|line| line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: ")))?;
    line.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_found() {
        assert_eq!(total("events: Ir\nfn=(1) main\n1 5\ntotals: 1234\n"), Some(1234));
        assert_eq!(total("events: Ir\n"), None);
    }
}
