//! Plugins in languages whose toolchains make components by themselves: JavaScript and Python.
//!
//! Both embed an interpreter into each component. The folder's `wit/world.wit` says what it imports and exports.
//! Nothing is installed from here: where a tool is missing, the exact command that gets it is named.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use serde::Deserialize;

/// The versions that this program was tried with.
pub(crate) const COMPONENTIZE_JS: &str = "@bytecodealliance/componentize-js@0.23.0";
pub(crate) const COMPONENTIZE_PY: &str = "componentize-py==0.25.0";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    JavaScript,
    Python,
}

impl Language {
    /// By the file that only that language has.
    pub(super) fn of(dir: &Path) -> Option<Self> {
        let has = |file: &str| dir.join(file).is_file();
        match (has("package.json"), has("pyproject.toml") || has("app.py")) {
            (true, _) => Some(Self::JavaScript),
            (_, true) => Some(Self::Python),
            (false, false) => None,
        }
    }

    /// What the component will be called: as the package is, or else as the folder.
    pub(super) fn name_of(self, dir: &Path) -> anyhow::Result<String> {
        let declared = match self {
            Self::JavaScript => package(dir)?.name,
            Self::Python => python_name(dir)?,
        };
        // `@scope/name` is a name of npm's; a file has the part after the slash.
        let name = match declared {
            Some(name) => name.rsplit('/').next().unwrap_or_default().to_owned(),
            None => folder_name(dir)?,
        };
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\\']) {
            bail!("{name:?} cannot be the name of a component's file");
        }
        Ok(name)
    }

    /// Runs the language's tool in the folder, and returns the component that it made.
    pub(super) fn build(self, dir: &Path) -> anyhow::Result<Vec<u8>> {
        let wit = dir.join("wit");
        if !wit.is_dir() {
            bail!(
                "there is no wit/ that says what it imports and exports; `switchboard plugin new --language {}` shows one",
                self.as_str()
            );
        }
        let aside = tempfile::tempdir().context("there is no place for temporary files")?;
        let made = aside.path().join("component.wasm");
        let mut command = match self {
            Self::JavaScript => javascript(dir, &made)?,
            Self::Python => python(dir, &made)?,
        };
        // stdout is for what this program has to say; the tool's own words matter only if it fails.
        let answer = command.current_dir(dir).stdin(Stdio::null()).output();
        let tool = command.get_program().to_string_lossy().into_owned();
        let answer = answer.with_context(|| format!("`{tool}` does not start; {}", self.advice(dir)))?;
        if !answer.status.success() || !made.is_file() {
            bail!("`{tool}` failed:\n{}{}", text(&answer.stdout), text(&answer.stderr));
        }
        fs::read(&made).context("the component that was made cannot be read")
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }

    /// The exact command.
    fn advice(self, dir: &Path) -> String {
        let dir = dir.display();
        match self {
            Self::JavaScript => {
                format!("with Node 20 or newer, run `(cd {dir} && npm install --save-dev {COMPONENTIZE_JS})`")
            }
            Self::Python => format!(
                "with Python 3.10 or newer, run `(cd {dir} && python3 -m venv .venv && .venv/bin/pip install {COMPONENTIZE_PY})`"
            ),
        }
    }

    /// The folder's own tool before the one on the PATH.
    fn tool(self, dir: &Path) -> anyhow::Result<PathBuf> {
        let (local, name) = match self {
            Self::JavaScript => ("node_modules/.bin", "componentize-js"),
            Self::Python => (".venv/bin", "componentize-py"),
        };
        let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
        let on_path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::iter::once(dir.join(local)).chain(std::env::split_paths(&on_path));
        let found = places.map(|place| place.join(&name)).find(|file| file.is_file());
        let found = found.with_context(|| format!("{name} is missing: {}", self.advice(dir)))?;
        // It is run from within the folder.
        std::path::absolute(&found).with_context(|| format!("{} has no absolute path", found.display()))
    }
}

fn javascript(dir: &Path, made: &Path) -> anyhow::Result<Command> {
    let entry = package(dir)?.main.unwrap_or_else(|| "plugin.js".to_owned());
    if !dir.join(&entry).is_file() {
        bail!("there is no {entry}, which package.json names as `main`");
    }
    let mut command = Command::new(Language::JavaScript.tool(dir)?);
    command.arg(entry).args(["--wit", "wit", "--out"]).arg(made);
    // Otherwise every component would import wasi:http, whether it fetches anything or not.
    command.args(["--disable", "fetch-event"]);
    if !imports_http(&dir.join("wit")) {
        command.args(["--disable", "http"]);
    }
    Ok(command)
}

/// Whether the plugin's own world asks for outbound requests.
fn imports_http(wit: &Path) -> bool {
    let Ok(entries) = fs::read_dir(wit) else { return false };
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts.into_iter().any(|text| text.contains("import wasi:http/"))
}

fn python(dir: &Path, made: &Path) -> anyhow::Result<Command> {
    if !dir.join("app.py").is_file() {
        bail!("there is no app.py, where a plugin in Python begins");
    }
    let mut command = Command::new(Language::Python.tool(dir)?);
    command.args(["--wit-path", "wit", "componentize", "app", "--output"]).arg(made);
    let environment = dir.join(".venv");
    if environment.is_dir() {
        // What was installed there can be imported.
        command.env("VIRTUAL_ENV", std::path::absolute(&environment).unwrap_or(environment));
    }
    Ok(command)
}

/// What matters of a package.json.
#[derive(Debug, Default, Deserialize)]
struct Package {
    name: Option<String>,
    main: Option<String>,
}

fn package(dir: &Path) -> anyhow::Result<Package> {
    let text = fs::read_to_string(dir.join("package.json")).context("package.json cannot be read")?;
    serde_json::from_str(&text).context("package.json is not as npm has it")
}

fn python_name(dir: &Path) -> anyhow::Result<Option<String>> {
    let Ok(text) = fs::read_to_string(dir.join("pyproject.toml")) else { return Ok(None) };
    let document: toml::Table = text.parse().context("pyproject.toml is not TOML")?;
    let name = document.get("project").and_then(|project| project.get("name"));
    Ok(name.and_then(|name| name.as_str()).map(str::to_owned))
}

fn folder_name(dir: &Path) -> anyhow::Result<String> {
    let dir = fs::canonicalize(dir).with_context(|| format!("{} is not there", dir.display()))?;
    let name: Option<OsString> = dir.file_name().map(ToOwned::to_owned);
    name.and_then(|name| name.into_string().ok()).context("the folder has no name to give to its component")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        for (file, text) in files {
            fs::create_dir_all(dir.path().join(file).parent().expect("a parent")).expect("made");
            fs::write(dir.path().join(file), text).expect("written");
        }
        dir
    }

    #[test]
    fn a_component_is_called_as_its_package_is() {
        let scoped = folder(&[("package.json", r#"{"name": "@acme/greeter"}"#)]);
        assert_eq!(Language::JavaScript.name_of(scoped.path()).expect("a name"), "greeter");
        let project = folder(&[("pyproject.toml", "[project]\nname = \"counter\"")]);
        assert_eq!(Language::Python.name_of(project.path()).expect("a name"), "counter");
        let bare = folder(&[("app.py", "")]);
        let name = Language::Python.name_of(bare.path());
        // Temporary folders are hidden, and so would the component be.
        assert!(name.is_err() || !name.expect("a name").starts_with('.'));
    }

    #[test]
    fn a_missing_tool_is_answered_with_the_command_that_gets_it() {
        let dir = folder(&[("package.json", "{}")]);
        let advice = Language::JavaScript.advice(dir.path());
        assert!(advice.contains("npm install --save-dev @bytecodealliance/componentize-js@"), "{advice}");
        let advice = Language::Python.advice(dir.path());
        assert!(advice.contains("pip install componentize-py=="), "{advice}");
    }

    #[test]
    fn the_folders_own_tool_is_taken_first() {
        let dir = folder(&[("node_modules/.bin/componentize-js", "")]);
        let tool = Language::JavaScript.tool(dir.path()).expect("found");
        assert!(tool.is_absolute() && tool.ends_with("node_modules/.bin/componentize-js"), "{}", tool.display());
    }

    #[test]
    fn a_folder_without_a_world_is_told_where_to_see_one() {
        let dir = folder(&[("package.json", "{}"), ("plugin.js", "")]);
        let fault = Language::JavaScript.build(dir.path()).expect_err("no world");
        assert!(fault.to_string().contains("--language javascript"), "{fault}");
    }

    #[test]
    fn only_a_world_that_asks_for_requests_gets_them() {
        let dir = folder(&[("wit/world.wit", "world a { import wasi:http/outgoing-handler@0.2.0; }")]);
        assert!(imports_http(&dir.path().join("wit")));
        fs::write(dir.path().join("wit/world.wit"), "world a { }").expect("written");
        assert!(!imports_http(&dir.path().join("wit")));
    }
}
