//! `cargo xtask bench counts`: how many instructions each hot step takes.
//!
//! A count is the same on a busy machine and on a quiet one, so that a change of a hundredth is seen. Each step runs in a
//! process of its own, one instruction at a time: unlike an emulator, that leaves the process all of its address space, of
//! which the pool of the sandbox reserves terabytes.

#[cfg(target_os = "linux")]
mod stepped;

use std::{fs, process::Command};

use anyhow::{Context as _, bail};

use crate::process;

pub fn run(wanted: &[String]) -> anyhow::Result<()> {
    super::build_host()?;
    super::components()?;
    let listed =
        Command::new(super::program(super::HOST)).arg("--steps").output().context("the host does not start")?;
    let listed = String::from_utf8(listed.stdout).context("the list of steps is no text")?;
    let steps: Vec<&str> = listed
        .lines()
        .filter(|step| wanted.is_empty() || wanted.iter().any(|word| step.contains(word.as_str())))
        .collect();
    if steps.is_empty() {
        bail!("there is no such step; there are:\n{listed}");
    }
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
    // It is ended in the midst of its work, and leaves its files.
    let scratch = process::target().join("bench/counted");
    fs::create_dir_all(&scratch)?;
    let mut command = Command::new(super::program(super::HOST));
    command.args(["--count", step]).arg(process::target().join(super::COMPONENTS)).env("TMPDIR", &scratch);
    let counted = count(&mut command);
    fs::remove_dir_all(&scratch)?;
    counted
}

#[cfg(target_os = "linux")]
fn count(command: &mut Command) -> anyhow::Result<u64> {
    stepped::count(command)
}

#[cfg(not(target_os = "linux"))]
fn count(_: &mut Command) -> anyhow::Result<u64> {
    bail!("instructions are counted on Linux")
}
