//! `switchboard plugin new`: a folder that builds and passes its test as it is.
//!
//! The templates are a handful of files beside this one, for each language; the SDK and the contract are embedded
//! by `build.rs`. Nothing that exists is overwritten, and nothing is left behind when something fails.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::{
    NewArgs,
    build::{COMPONENTIZE_JS, COMPONENTIZE_PY},
};

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// The smallest and fastest components, and an SDK.
    Rust,
    /// With componentize-js, which runs in Node.
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    /// With componentize-py.
    #[value(alias = "py")]
    Python,
}

impl Language {
    fn template(self) -> Template {
        match self {
            Self::Rust => RUST,
            Self::JavaScript => JAVASCRIPT,
            Self::Python => PYTHON,
        }
    }

    /// What to type within the folder before it can be built, its test included.
    fn first_steps(self) -> String {
        match self {
            Self::Rust => "cargo test".to_owned(),
            Self::JavaScript => "npm install && npm test".to_owned(),
            Self::Python => {
                format!("python3 -m venv .venv && .venv/bin/pip install {COMPONENTIZE_PY} && python3 -m unittest")
            }
        }
    }
}

/// `plugin-sdk/` and `wit/`, by their paths in the repository.
const SDK_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
/// Where an author's copy of them is, within the new folder.
const SDK_FOLDER: &str = "sdk";
/// What is said to a new plugin, whatever it is written in.
const CONVERSATION: (&str, &str) =
    ("tests/greet.conversation.jsonl", include_str!("template/greet.conversation.jsonl.in"));
/// A plugin's files; `{{...}}` is filled in.
type Template = &'static [(&'static str, &'static str)];
const RUST: Template = &[
    ("Cargo.toml", include_str!("template/rust/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/rust/lib.rs.in")),
    ("README.md", include_str!("template/rust/README.md.in")),
    CONVERSATION,
    (".gitignore", "target/\n"),
];
const JAVASCRIPT: Template = &[
    ("package.json", include_str!("template/javascript/package.json.in")),
    ("plugin.js", include_str!("template/javascript/plugin.js.in")),
    ("greet.js", include_str!("template/javascript/greet.js.in")),
    ("greet.test.js", include_str!("template/javascript/greet.test.js.in")),
    ("wit/world.wit", include_str!("template/world.wit.in")),
    ("README.md", include_str!("template/javascript/README.md.in")),
    CONVERSATION,
    (".gitignore", "target/\nnode_modules/\n"),
];
const PYTHON: Template = &[
    ("pyproject.toml", include_str!("template/python/pyproject.toml.in")),
    ("app.py", include_str!("template/python/app.py.in")),
    ("greeting.py", include_str!("template/python/greeting.py.in")),
    ("test_greeting.py", include_str!("template/python/test_greeting.py.in")),
    ("wit/world.wit", include_str!("template/world.wit.in")),
    ("README.md", include_str!("template/python/README.md.in")),
    CONVERSATION,
    (".gitignore", "target/\n.venv/\n__pycache__/\n"),
];
/// Where the contract is for those who do not have the SDK: where their tools look for what a world names.
const CONTRACT_FOLDER: &str = "wit/deps/switchboard-plugin";
/// The name becomes a file's stem, a Cargo package, and the prefix of message types.
const MAX_NAME_BYTES: usize = 64;

pub(super) fn run(args: NewArgs) -> anyhow::Result<()> {
    check_name(&args.name, args.language)?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    if dir.exists() {
        bail!("{} is there already; nothing was written", dir.display());
    }
    if args.sdk.is_some() && args.language != Language::Rust {
        bail!("--sdk is for Rust: other languages have the contract itself, in {CONTRACT_FOLDER}");
    }
    let sdk = args.sdk.as_deref().map(foreign_sdk).transpose()?;
    if let Err(fault) = write_all(&dir, args.language, &args.name, sdk.as_deref()) {
        // It did not exist before; half of a plugin helps nobody.
        let _ = fs::remove_dir_all(&dir);
        return Err(fault);
    }
    println!("{} is a plugin. Next:", dir.display());
    println!("  (cd {} && {})", dir.display(), args.language.first_steps());
    println!("  switchboard plugin test {}", dir.display());
    println!("  switchboard plugin dev {}", dir.display());
    Ok(())
}

/// What cargo, the host and the wire all take for a name.
fn check_name(name: &str, language: Language) -> anyhow::Result<()> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let fits = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !starts_well || !fits || name.ends_with('-') || name.len() > MAX_NAME_BYTES {
        bail!(
            "{name:?} cannot be a plugin's name: use up to {MAX_NAME_BYTES} of a-z, 0-9 and -, beginning with a letter"
        );
    }
    if language == Language::Rust && ["test", "core", "std", "alloc", "switchboard-sdk", "proc-macro"].contains(&name) {
        bail!("{name:?} cannot be a plugin's name: Rust has a crate of that name");
    }
    Ok(())
}

/// The absolute path of an SDK elsewhere, which has to be one.
fn foreign_sdk(path: &Path) -> anyhow::Result<String> {
    let manifest = path.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).with_context(|| format!("--sdk: {} cannot be read", manifest.display()))?;
    if !text.contains("name = \"switchboard-sdk\"") {
        bail!("--sdk: {} is not the manifest of switchboard-sdk", manifest.display());
    }
    let path = fs::canonicalize(path)?;
    path.to_str().map(str::to_owned).context("--sdk: the path is not UTF-8")
}

fn write_all(dir: &Path, language: Language, name: &str, sdk: Option<&str>) -> anyhow::Result<()> {
    let sdk_path = sdk.map_or_else(|| format!("{SDK_FOLDER}/plugin-sdk"), str::to_owned);
    for (file, text) in language.template() {
        write(&dir.join(file), &fill_in(text, name, &sdk_path))?;
    }
    for (file, text) in SDK_FILES {
        let place = match (language, sdk, file.strip_prefix("wit/")) {
            (Language::Rust, None, _) => dir.join(SDK_FOLDER).join(file),
            (Language::JavaScript | Language::Python, _, Some(contract)) => dir.join(CONTRACT_FOLDER).join(contract),
            _ => continue,
        };
        write(&place, text)?;
    }
    Ok(())
}

fn fill_in(text: &str, name: &str, sdk_path: &str) -> String {
    let version_of = |package: &str| package.rsplit(['@', '=']).next().unwrap_or_default().to_owned();
    // Message types have the form of Rust's names, but for the case.
    text.replace("{{name}}", name)
        .replace("{{crate}}", &name.replace('-', "_"))
        .replace("{{Name}}", &camel(name))
        // Quoted as TOML's basic strings are, which takes JSON's escapes.
        .replace("{{sdk}}", &serde_json::Value::from(sdk_path).to_string())
        .replace("{{componentize-js}}", &version_of(COMPONENTIZE_JS))
        .replace("{{componentize-py}}", &version_of(COMPONENTIZE_PY))
}

/// `rate-limit` as a type of Rust.
fn camel(name: &str) -> String {
    let capitalised = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
    };
    name.split('-').map(capitalised).collect()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let write = || {
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, text)
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(name: &str, dir: PathBuf, language: Language) -> NewArgs {
        NewArgs { name: name.to_owned(), language, dir: Some(dir), sdk: None }
    }

    #[test]
    fn names_are_what_cargo_and_the_wire_take() {
        for good in ["hello", "rate-limit", "a1"] {
            assert!(check_name(good, Language::Rust).is_ok(), "{good}");
        }
        for bad in ["", "Hello", "1a", "a_b", "a-", "../x", "test", &"a".repeat(65)] {
            assert!(check_name(bad, Language::Rust).is_err(), "{bad}");
        }
        assert!(check_name("test", Language::Python).is_ok());
    }

    #[test]
    fn a_new_folder_is_complete_in_every_language_and_has_no_gaps() {
        let parent = tempfile::tempdir().expect("a folder");
        for language in [Language::Rust, Language::JavaScript, Language::Python] {
            let dir = parent.path().join(format!("{language:?}"));
            run(args("rate-limit2", dir.clone(), language)).expect("made");
            for (file, _) in language.template() {
                let text = fs::read_to_string(dir.join(file)).expect("written");
                assert!(!text.contains("{{"), "{file} has a gap");
            }
            let contract = if language == Language::Rust { "sdk/wit" } else { CONTRACT_FOLDER };
            assert!(dir.join(contract).join("imports.wit").is_file(), "{language:?}");
            assert_eq!(dir.join("sdk/plugin-sdk/Cargo.toml").is_file(), language == Language::Rust);
        }
        let manifest = fs::read_to_string(parent.path().join("Rust/Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("name = \"rate-limit2\"") && manifest.contains("[workspace]"), "{manifest}");
        let package = fs::read_to_string(parent.path().join("JavaScript/package.json")).expect("a manifest");
        assert!(package.contains("componentize-js\": \"0."), "{package}");
    }

    #[test]
    fn what_exists_is_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        let fault = run(args("x", parent.path().to_owned(), Language::Python)).expect_err("exists");
        assert!(fault.to_string().contains("is there already"), "{fault}");
        assert!(parent.path().exists());
    }

    #[test]
    fn types_are_named_in_camel_case() {
        assert_eq!(camel("rate-limit2"), "RateLimit2");
    }
}
