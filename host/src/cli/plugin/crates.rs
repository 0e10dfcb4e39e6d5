//! Which crates a folder stands for: what `cargo metadata` says, reduced to what building needs.
//! Compiles nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use serde::Deserialize;

/// A crate that becomes a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PluginCrate {
    pub(super) name: String,
    pub(super) manifest: PathBuf,
    pub(super) workspace: PathBuf,
}

/// What a folder holds.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) crates: Vec<PluginCrate>,
    /// Where its workspace compiles to.
    pub(super) target_dir: PathBuf,
}

/// Asks cargo about the crate, or workspace of crates, in `dir`.
pub(super) fn find(dir: &Path) -> anyhow::Result<Found> {
    let manifest = dir.join("Cargo.toml");
    let manifest = fs::canonicalize(&manifest)
        .with_context(|| format!("{} has no Cargo.toml; `switchboard plugin new` makes a plugin", dir.display()))?;
    let answer = Command::new("cargo")
        .args(["metadata", "--no-deps", "--format-version", "1", "--manifest-path"])
        .arg(&manifest)
        .stderr(Stdio::inherit())
        .output()
        .context("cargo does not start; Rust comes from https://rustup.rs")?;
    if !answer.status.success() {
        bail!("cargo cannot read {}", manifest.display());
    }
    let metadata = serde_json::from_slice(&answer.stdout).context("`cargo metadata` printed something unexpected")?;
    select(metadata, &manifest)
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    crate_types: Vec<String>,
}

impl Package {
    fn makes_a_module(&self) -> bool {
        self.targets.iter().any(|target| target.crate_types.iter().any(|kind| kind == "cdylib"))
    }
}

/// The crate of this manifest; of a workspace without one of its own, all that make a module.
fn select(metadata: Metadata, manifest: &Path) -> anyhow::Result<Found> {
    let own = metadata.packages.iter().find(|package| package.manifest_path == manifest);
    if let Some(package) = own
        && !package.makes_a_module()
    {
        bail!(
            "{} is not a plugin: it needs\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]\nin {}",
            package.name,
            manifest.display()
        );
    }
    let chosen: Vec<&Package> = match own {
        Some(package) => vec![package],
        None => metadata.packages.iter().filter(|package| package.makes_a_module()).collect(),
    };
    if chosen.is_empty() {
        bail!("no crate of the workspace {} is a plugin (crate-type \"cdylib\")", manifest.display());
    }
    let crates = chosen
        .into_iter()
        .map(|package| PluginCrate {
            name: package.name.clone(),
            manifest: package.manifest_path.clone(),
            workspace: metadata.workspace_root.clone(),
        })
        .collect();
    Ok(Found { crates, target_dir: metadata.target_directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let package = |name: &str, kind: &str| Package {
            name: name.to_owned(),
            manifest_path: PathBuf::from(format!("/w/{name}/Cargo.toml")),
            targets: vec![Target { crate_types: vec![kind.to_owned()] }],
        };
        Metadata {
            packages: vec![package("a", "cdylib"), package("helper", "lib"), package("b", "cdylib")],
            workspace_root: PathBuf::from("/w"),
            target_directory: PathBuf::from("/w/target"),
        }
    }

    fn names(manifest: &str) -> Vec<String> {
        let found = select(metadata(), Path::new(manifest)).expect("found");
        found.crates.into_iter().map(|plugin| plugin.name).collect()
    }

    #[test]
    fn a_crates_folder_is_that_crate_and_a_workspaces_folder_all_its_plugins() {
        assert_eq!(names("/w/b/Cargo.toml"), ["b"]);
        assert_eq!(names("/w/Cargo.toml"), ["a", "b"]);
    }

    #[test]
    fn an_ordinary_library_is_told_what_it_lacks() {
        let fault = select(metadata(), Path::new("/w/helper/Cargo.toml")).expect_err("not a plugin");
        assert!(fault.to_string().contains("crate-type"), "{fault}");
    }

    #[test]
    fn a_folder_without_a_manifest_is_named() {
        let dir = tempfile::tempdir().expect("a folder");
        let fault = find(dir.path()).expect_err("nothing there");
        assert!(fault.to_string().contains("has no Cargo.toml"), "{fault}");
    }
}
