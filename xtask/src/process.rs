//! Where the repository is, and running other programs in it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

/// The repository's root, whatever the working directory is.
pub fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_owned()
}

/// Where everything compiled goes.
pub fn target() -> PathBuf {
    root().join("target")
}

/// The host's binary, as `cargo build -p switchboard` leaves it.
pub fn switchboard() -> PathBuf {
    target().join("debug").join(format!("switchboard{}", std::env::consts::EXE_SUFFIX))
}

/// cargo, in a folder of the repository.
pub fn cargo(dir: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root().join(dir));
    command
}

/// A program and its arguments as one would type them.
pub fn line(command: &Command) -> String {
    let words: Vec<_> = std::iter::once(command.get_program()).chain(command.get_args()).collect();
    words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs to the end; a failure names the command.
pub fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = line(command);
    let status = command.status().with_context(|| format!("`{line}` does not start"))?;
    if !status.success() {
        bail!("`{line}` failed");
    }
    Ok(())
}

pub fn build_host() -> anyhow::Result<()> {
    run(cargo(Path::new("")).args(["build", "-p", "switchboard"]))
}

/// The same binary out of what tests are compiled from. Features add up over what is built together: alone, the host
/// would have wasmtime compiled once more, without what only tests want of its dependencies. The example is the
/// smallest thing that has them.
pub fn build_host_beside_tests() -> anyhow::Result<()> {
    run(cargo(Path::new("")).args(["build", "--workspace", "--bin", "switchboard", "--example", "echo"]))
}
