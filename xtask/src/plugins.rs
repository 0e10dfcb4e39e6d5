//! `cargo xtask plugins`: the components of this repository, made again only when something changed.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{digest, languages, process, tools};

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    /// Also the components that only tests use.
    pub guests: bool,
    /// Also those in other languages, whose toolchains are fetched.
    pub examples: bool,
    /// As `switchboard plugin build` takes it.
    pub toolchain: String,
}

impl Default for Options {
    fn default() -> Self {
        Self { guests: false, examples: false, toolchain: "auto-with-debian".to_owned() }
    }
}

impl Options {
    pub fn parse(arguments: &[String]) -> anyhow::Result<Self> {
        let mut options = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--guests" => options.guests = true,
                "--examples" => options.examples = true,
                "--toolchain" => options.toolchain = rest.next().context("--toolchain needs a value")?.clone(),
                other => bail!("`plugins` takes --guests, --examples and --toolchain, and not {other}"),
            }
        }
        Ok(options)
    }
}

/// Builds the host first: it is the tool that makes components.
pub fn run(options: &Options) -> anyhow::Result<()> {
    process::build_host()?;
    ensure(options)
}

/// With the host that is there.
pub fn ensure(options: &Options) -> anyhow::Result<()> {
    Set { name: "plugins", workspace: "plugins" }.ensure(options)?;
    if options.guests {
        Set { name: "guests", workspace: "tests/guests" }.ensure(options)?;
    }
    if options.examples {
        languages::ensure()?;
    }
    Ok(())
}

/// Components that are built together.
struct Set {
    /// Of the folder under `target/` where they go.
    name: &'static str,
    workspace: &'static str,
}

impl Set {
    fn ensure(&self, options: &Options) -> anyhow::Result<()> {
        let root = process::root();
        if !root.join(self.workspace).join("Cargo.toml").is_file() {
            bail!("{} is not there: the checkout is incomplete", self.workspace);
        }
        let sources = ["plugin-sdk", "wit", "host/src/cli/plugin", self.workspace].map(|path| root.join(path));
        let with = format!("{}\n{}", options.toolchain, tools::compilers());
        once(self.name, &sources, &with, || self.build(options))
    }

    /// Lets the host's binary do it, and returns what it made. All sets share one target folder, so
    /// that the standard library and the SDK are compiled once.
    fn build(&self, options: &Options) -> anyhow::Result<Vec<PathBuf>> {
        eprintln!("building {} into target/{}", self.workspace, self.name);
        let out = process::target().join(self.name);
        let mut command = std::process::Command::new(process::switchboard());
        command.current_dir(process::root()).env("CARGO_TARGET_DIR", process::target().join("wasm"));
        command.args(["plugin", "build", self.workspace, "--toolchain", &options.toolchain, "--out"]).arg(&out);
        process::run(&mut command)?;
        made_by(&process::root().join(self.workspace), &out)
    }
}

/// Builds a set of components, unless what is there was made of the same.
pub fn once(
    name: &str,
    sources: &[PathBuf],
    with: &str,
    build: impl FnOnce() -> anyhow::Result<Vec<PathBuf>>,
) -> anyhow::Result<()> {
    let key = digest::of_sources(sources, with)?;
    let stamp = process::target().join("xtask").join(format!("{name}.built"));
    let recorded = fs::read_to_string(&stamp).unwrap_or_default();
    if is_current(&recorded, &key) {
        eprintln!("target/{name} is up to date");
        return Ok(());
    }
    record(&stamp, &key, &build()?)
}

/// The components of a workspace: those in the folder whose names its crates have. Others are somebody's
/// own, dropped in by hand.
fn made_by(workspace: &Path, out: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    digest::collect(workspace, &mut files)?;
    let manifests = files.iter().filter(|file| file.ends_with("Cargo.toml"));
    let names = manifests.filter_map(|file| package_name(&fs::read_to_string(file).ok()?));
    let mut made: Vec<PathBuf> =
        names.map(|name| out.join(format!("{name}.wasm"))).filter(|path| path.is_file()).collect();
    made.sort();
    Ok(made)
}

/// The first `name` in a manifest is the package's, in the order that cargo itself writes them.
fn package_name(manifest: &str) -> Option<String> {
    let package = manifest.split_once("[package]")?.1;
    let line = package.lines().find_map(|line| line.trim().strip_prefix("name"))?;
    Some(line.trim_start().strip_prefix('=')?.trim().trim_matches('"').to_owned())
}

/// The key, and each component with its digest: one that was replaced by hand is built again.
fn record(stamp: &Path, key: &str, made: &[PathBuf]) -> anyhow::Result<()> {
    let mut text = format!("{key}\n");
    for path in made {
        text.push_str(&format!("{} {}\n", digest::of_file(path)?, path.display()));
    }
    fs::create_dir_all(stamp.parent().unwrap_or(stamp))?;
    fs::write(stamp, text).with_context(|| format!("{} cannot be written", stamp.display()))
}

fn is_current(recorded: &str, key: &str) -> bool {
    let mut lines = recorded.lines();
    let untouched = |line: &str| {
        line.split_once(' ')
            .is_some_and(|(digest, path)| digest::of_file(Path::new(path)).is_ok_and(|now| now == digest))
    };
    lines.next() == Some(key) && lines.all(untouched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_strangers_refused() {
        let parse = |words: &[&str]| Options::parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
        let both = parse(&["--guests", "--toolchain", "debian"]).expect("read");
        assert_eq!(both, Options { guests: true, examples: false, toolchain: "debian".to_owned() });
        assert!(parse(&["--examples"]).expect("read").examples);
        assert!(parse(&["--toolchain"]).is_err());
        assert!(parse(&["--all"]).is_err());
    }

    #[test]
    fn a_component_that_was_replaced_by_hand_is_not_current() {
        let dir = std::env::temp_dir().join(format!("xtask-plugins-{}", std::process::id()));
        let (stamp, component) = (dir.join("stamp"), dir.join("a.wasm"));
        fs::create_dir_all(&dir).expect("made");
        fs::write(&component, "ours").expect("written");
        record(&stamp, "key", std::slice::from_ref(&component)).expect("recorded");
        let recorded = fs::read_to_string(&stamp).expect("read");
        assert!(is_current(&recorded, "key") && !is_current(&recorded, "other") && !is_current("", "key"));
        fs::write(&component, "theirs").expect("written");
        assert!(!is_current(&recorded, "key"));
        fs::remove_dir_all(&dir).expect("removed");
    }

    #[test]
    fn a_package_is_known_by_its_name() {
        assert_eq!(package_name("[package]\nname = \"system\"\n"), Some("system".to_owned()));
        assert_eq!(package_name("[workspace]\nmembers = []\n"), None);
    }
}
