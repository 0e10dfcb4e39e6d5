//! What compiles a plugin: finding a Rust that knows wasm32-unknown-unknown, or getting one.
//!
//! Three ways, tried in this order: the target is there already; rustup adds it; Debian's own,
//! newer Rust builds the standard library from its source. The last one installs system packages,
//! and so is never taken without being asked for. Everything that changes the machine is said aloud.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};

pub(super) const TARGET: &str = "wasm32-unknown-unknown";

/// rustup retries quietly for a long time where it can reach nothing.
const RUSTUP_PATIENCE: Duration = Duration::from_secs(120);
/// How often a child process with a deadline is looked at.
const POLL: Duration = Duration::from_millis(50);
/// Debian's Rust; the linker comes on top, see [`wanted_lld`].
const DEBIAN_PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm"];
/// A guest's stack. The default of 1 MiB makes every fresh instance touch more pages.
const STACK_SIZE_FLAG: &str = r#"target.wasm32-unknown-unknown.rustflags=["-Clink-arg=-zstack-size=65536"]"#;

/// Which of them may be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    /// The Rust in use, if it has the target; else rustup adds it.
    Auto,
    /// The same, and rustup has to be there.
    Rustup,
    /// Debian's packages, installed with apt-get when missing; for machines that reach only registries.
    Debian,
    /// What this repository's own chores use: Debian as the last resort.
    #[value(hide = true)]
    AutoWithDebian,
}

/// A Rust that can build plugins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Toolchain {
    /// The `cargo` on the path.
    Native,
    /// Debian's, in /usr/bin, with a standard library built from source.
    Debian,
}

impl Toolchain {
    /// Finds one for the crate in `dir`, whose rust-toolchain.toml may have a say in it.
    pub(super) fn find(choice: Choice, dir: &Path) -> anyhow::Result<Self> {
        if choice == Choice::Debian {
            return debian();
        }
        if choice == Choice::Rustup && !on_path("rustup") {
            bail!("there is no rustup on the PATH; get it from https://rustup.rs, or use `--toolchain auto`");
        }
        if has_target(dir) {
            return Ok(Self::Native);
        }
        let problem = match add_target(dir) {
            Ok(()) if has_target(dir) => return Ok(Self::Native),
            Ok(()) => "rustup added the target to another toolchain than the `rustc` on the PATH".to_owned(),
            Err(fault) => format!("{fault:#}"),
        };
        if choice == Choice::AutoWithDebian {
            eprintln!("{problem}; using Debian's Rust instead");
            return debian().context(problem);
        }
        bail!("{problem}\n{}", advice())
    }

    /// A `cargo build` for plugins, to which packages are added.
    pub(super) fn cargo_build(self, target_dir: &Path) -> Command {
        let mut command = Command::new("cargo");
        if self == Self::Debian {
            command = debian_command("/usr/bin/cargo");
            command.env("RUSTC_BOOTSTRAP", "1");
        }
        command.args(["build", "--release", "--target", TARGET, "--config", STACK_SIZE_FLAG]);
        command.arg("--target-dir").arg(self.target_dir(target_dir));
        if self == Self::Debian {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        // They are written for the machine (linkers, for one), and would silence the flags above.
        command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        command
    }

    /// Debian's has a folder of its own: two compilers in one would rebuild everything at each turn.
    fn target_dir(self, base: &Path) -> PathBuf {
        match self {
            Self::Native => base.to_owned(),
            Self::Debian => base.join("debian"),
        }
    }
}

/// Whether the `rustc` in use has a standard library for the target: asked, not tried.
fn has_target(dir: &Path) -> bool {
    let asked = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).current_dir(dir).output();
    let Ok(answer) = asked else { return false };
    let libdir = String::from_utf8_lossy(&answer.stdout);
    answer.status.success() && holds_std(Path::new(libdir.trim()))
}

/// A folder without the library is what an interrupted installation leaves.
fn holds_std(libdir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(libdir) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}

fn add_target(dir: &Path) -> anyhow::Result<()> {
    if !on_path("rustup") {
        bail!("the `rustc` in use has no {TARGET}, and there is no rustup to add it");
    }
    eprintln!("the Rust target {TARGET} is missing; running `rustup target add {TARGET}`");
    let child = Command::new("rustup")
        .args(["target", "add", TARGET])
        .current_dir(dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("rustup does not start")?;
    if finishes_well(child, RUSTUP_PATIENCE)? {
        return Ok(());
    }
    bail!("`rustup target add {TARGET}` failed: rustup could not fetch the target here")
}

/// Waits, but not for ever.
fn finishes_well(mut child: Child, patience: Duration) -> anyhow::Result<bool> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(status) = child.try_wait().context("a child process cannot be waited for")? {
            return Ok(status.success());
        }
        if Instant::now() >= deadline {
            child.kill().context("a child process cannot be stopped")?;
            child.wait().context("a child process cannot be waited for")?;
            return Ok(false);
        }
        thread::sleep(POLL);
    }
}

/// What to type where nothing worked.
fn advice() -> String {
    let debian = if on_path("apt-get") {
        "\n  switchboard plugin build --toolchain debian    (installs Debian's Rust beside yours, with apt-get)"
    } else {
        ""
    };
    format!("Plugins are compiled for {TARGET}. One of these provides it:\n  rustup target add {TARGET}{debian}")
}

/// Makes sure of Debian's packages.
fn debian() -> anyhow::Result<Toolchain> {
    if !on_path("apt-get") {
        bail!("`--toolchain debian` needs Debian 12 or newer: there is no apt-get here");
    }
    let missing: Vec<&str> = DEBIAN_PACKAGES.into_iter().filter(|name| !installed(name)).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    let lld = wanted_lld()?;
    if !installed(&lld) {
        install(&[&lld])?;
    }
    Ok(Toolchain::Debian)
}

/// The linker that belongs to the LLVM of the installed compiler: its version moves with that.
fn wanted_lld() -> anyhow::Result<String> {
    let answer = Command::new("dpkg-query")
        .args(["-W", "-f", "${Depends}", "rust-web-llvm"])
        .output()
        .context("dpkg-query does not start")?;
    lld_for(&String::from_utf8_lossy(&answer.stdout))
        .context("`dpkg-query -W -f '${Depends}' rust-web-llvm` names no llvm-NN, so the matching lld is unknown")
}

fn lld_for(depends: &str) -> Option<String> {
    let version = depends.split([',', '|', ' ']).find_map(|word| word.strip_prefix("llvm-"))?;
    version.bytes().all(|byte| byte.is_ascii_digit()).then(|| format!("lld-{version}"))
}

fn installed(package: &str) -> bool {
    let asked = Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]).output();
    asked.is_ok_and(|answer| answer.status.success() && answer.stdout == b"installed")
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    let sudo: &[&str] = match (is_root(), on_path("sudo")) {
        (true, _) => &[],
        (false, true) => &["sudo"],
        (false, false) => bail!("run as root: apt-get install --no-install-recommends {}", packages.join(" ")),
    };
    run_aloud(sudo, &["apt-get", "update", "-qq"])?;
    // What conflicts stays: removing somebody's compiler is not ours to decide.
    let mut line = vec!["apt-get", "install", "-y", "-qq", "--no-remove", "--no-install-recommends"];
    line.extend(packages);
    run_aloud(sudo, &line)
}

fn run_aloud(prefix: &[&str], line: &[&str]) -> anyhow::Result<()> {
    let words = [prefix, line].concat();
    eprintln!("running `{}`", words.join(" "));
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let mut command = Command::new(program);
    // stdout is for what this program has to say.
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
    let status = command.status().with_context(|| format!("`{program}` does not start"))?;
    if !status.success() {
        bail!("`{}` failed", words.join(" "));
    }
    Ok(())
}

/// A command among Debian's tools, without what rustup's proxies put into the environment.
fn debian_command(program: &str) -> Command {
    let mut command = Command::new(program);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("/usr/bin:{path}"));
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|answer| answer.stdout.trim_ascii() == b"0")
}

fn on_path(program: &str) -> bool {
    let Some(path) = std::env::var_os("PATH") else { return false };
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_linker_follows_the_llvm_of_the_compiler() {
        let depends = "libc6 (>= 2.34), libgcc-s1 (>= 4.2), llvm-22 (>= 1:22.1.8)";
        assert_eq!(lld_for(depends).as_deref(), Some("lld-22"));
        assert_eq!(lld_for("libc6, llvm-runtime"), None);
    }

    #[test]
    fn an_interrupted_installation_is_not_taken_for_a_target() {
        let dir = tempfile::tempdir().expect("a folder");
        assert!(!holds_std(&dir.path().join("absent")));
        assert!(!holds_std(dir.path()));
        fs::write(dir.path().join("libstd-0123.rlib"), "").expect("written");
        assert!(holds_std(dir.path()));
    }

    #[test]
    fn a_child_that_hangs_is_stopped() {
        let child = Command::new("sleep").arg("60").spawn().expect("starts");
        let begun = Instant::now();
        assert!(!finishes_well(child, Duration::from_millis(100)).expect("waited for"));
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn debians_compiler_has_a_folder_of_its_own_and_builds_std() {
        let command = Toolchain::Debian.cargo_build(Path::new("/t"));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert!(words.contains(&"/t/debian".to_owned()));
        assert!(words.contains(&"-Zbuild-std=std,panic_abort".to_owned()));
        let native = Toolchain::Native.cargo_build(Path::new("/t"));
        assert!(native.get_args().all(|word| !word.to_string_lossy().contains("build-std")));
    }
}
