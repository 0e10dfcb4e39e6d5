//! `switchboard plugin new`: a folder that builds and passes its test as it is.
//!
//! The template is a handful of files beside this one; the SDK and the contract are embedded by
//! `build.rs`. Nothing that exists is overwritten, and nothing is left behind when something fails.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use super::NewArgs;

/// `plugin-sdk/` and `wit/`, by their paths in the repository.
const SDK_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
/// Where an author's copy of them is, within the new folder.
const SDK_FOLDER: &str = "sdk";
/// The plugin's files; `{{...}}` is filled in.
const TEMPLATE: [(&str, &str); 4] = [
    ("Cargo.toml", include_str!("template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("template/lib.rs.in")),
    ("README.md", include_str!("template/README.md.in")),
    (".gitignore", "target/\n"),
];
/// The name becomes a file's stem, a Cargo package, and the prefix of message types.
const MAX_NAME_BYTES: usize = 64;

pub(super) fn run(args: NewArgs) -> anyhow::Result<()> {
    check_name(&args.name)?;
    let dir = args.dir.unwrap_or_else(|| PathBuf::from(&args.name));
    if dir.exists() {
        bail!("{} is there already; nothing was written", dir.display());
    }
    let sdk = args.sdk.as_deref().map(foreign_sdk).transpose()?;
    if let Err(fault) = write_all(&dir, &args.name, sdk.as_deref()) {
        // It did not exist before; half of a plugin helps nobody.
        let _ = fs::remove_dir_all(&dir);
        return Err(fault);
    }
    println!("{} is a plugin. Next:", dir.display());
    println!("  (cd {} && cargo test)", dir.display());
    println!("  switchboard plugin build {}", dir.display());
    Ok(())
}

/// What cargo, the host and the wire all take for a name.
fn check_name(name: &str) -> anyhow::Result<()> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let fits = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !starts_well || !fits || name.ends_with('-') || name.len() > MAX_NAME_BYTES {
        bail!(
            "{name:?} cannot be a plugin's name: use up to {MAX_NAME_BYTES} of a-z, 0-9 and -, beginning with a letter"
        );
    }
    if ["test", "core", "std", "alloc", "switchboard-sdk", "proc-macro"].contains(&name) {
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

fn write_all(dir: &Path, name: &str, sdk: Option<&str>) -> anyhow::Result<()> {
    let sdk_path = sdk.map_or_else(|| format!("{SDK_FOLDER}/plugin-sdk"), str::to_owned);
    for (file, text) in TEMPLATE {
        write(&dir.join(file), &fill_in(text, name, &sdk_path))?;
    }
    if sdk.is_none() {
        for (file, text) in SDK_FILES {
            write(&dir.join(SDK_FOLDER).join(file), text)?;
        }
    }
    Ok(())
}

fn fill_in(text: &str, name: &str, sdk_path: &str) -> String {
    // Message types have the form of Rust's names, but for the case.
    text.replace("{{name}}", name)
        .replace("{{crate}}", &name.replace('-', "_"))
        .replace("{{Name}}", &camel(name))
        // Quoted as TOML's basic strings are, which takes JSON's escapes.
        .replace("{{sdk}}", &serde_json::Value::from(sdk_path).to_string())
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

    fn args(name: &str, dir: PathBuf) -> NewArgs {
        NewArgs { name: name.to_owned(), dir: Some(dir), sdk: None }
    }

    #[test]
    fn names_are_what_cargo_and_the_wire_take() {
        for good in ["hello", "rate-limit", "a1"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "Hello", "1a", "a_b", "a-", "../x", "test", &"a".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_new_folder_carries_the_sdk_and_has_no_gaps() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("rate-limit");
        run(args("rate-limit", dir.clone())).expect("made");
        let manifest = fs::read_to_string(dir.join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("name = \"rate-limit\"") && manifest.contains("[workspace]"), "{manifest}");
        for (file, _) in TEMPLATE {
            let text = fs::read_to_string(dir.join(file)).expect("written");
            assert!(!text.contains("{{"), "{file} has a gap");
        }
        assert!(dir.join("sdk/plugin-sdk/Cargo.toml").is_file());
        assert!(dir.join("sdk/wit/world.wit").is_file());
    }

    #[test]
    fn what_exists_is_left_alone() {
        let parent = tempfile::tempdir().expect("a folder");
        let fault = run(args("x", parent.path().to_owned())).expect_err("exists");
        assert!(fault.to_string().contains("is there already"), "{fault}");
        assert!(parent.path().exists());
    }

    #[test]
    fn types_are_named_in_camel_case() {
        assert_eq!(camel("rate-limit2"), "RateLimit2");
    }
}
