//! Which conversations are meant, and with which plugin they are: that of the folder above them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::{Suite, conversations_of};
use crate::config::raw::DEFAULT_FILE;

/// What the folder of a plugin has one of.
const MANIFESTS: [&str; 4] = ["Cargo.toml", "package.json", "pyproject.toml", "app.py"];

/// The conversations that are meant, by plugin. Where a component is named, conversations need no plugin's folder.
pub(super) fn suites(paths: &[PathBuf], component_is_named: bool) -> anyhow::Result<Vec<Suite>> {
    let mut suites: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
    for path in paths {
        let (dir, files) = if path.is_dir() {
            (path.clone(), conversations_of(path)?)
        } else if path.is_file() {
            (folder_of_plugin(path, component_is_named)?, vec![path.clone()])
        } else {
            bail!("{} is not there", path.display());
        };
        suites.entry(dir).or_default().extend(files);
    }
    Ok(suites.into_iter().map(|(dir, conversations)| Suite { dir, conversations }).collect())
}

/// The nearest folder above a file that is a plugin's.
fn folder_of_plugin(file: &Path, component_is_named: bool) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(file)?;
    let mut above = absolute.ancestors().skip(1);
    let is_plugin = |dir: &&Path| MANIFESTS.iter().any(|manifest| dir.join(manifest).is_file());
    match above.find(is_plugin) {
        Some(dir) => Ok(dir.to_owned()),
        None if component_is_named => Ok(absolute.parent().unwrap_or(Path::new(".")).to_owned()),
        None => bail!("{} is in no plugin's folder: name its component with --component", file.display()),
    }
}

/// The settings that are kept beside a plugin.
pub(in super::super) fn settings_of(dir: &Path) -> Option<PathBuf> {
    Some(dir.join(DEFAULT_FILE)).filter(|file| file.is_file())
}

/// The plugin's name.
pub(in super::super) fn stem(component: &Path) -> anyhow::Result<String> {
    let stem = component.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).with_context(|| format!("{} names no plugin", component.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_conversation_belongs_to_the_plugin_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let tests = folder.path().join("tests");
        fs::create_dir(&tests).unwrap();
        let file = tests.join("a.conversation.jsonl");
        fs::write(&file, "").unwrap();
        fs::write(tests.join("other.jsonl"), "").unwrap();
        assert!(
            suites(std::slice::from_ref(&file), false).is_err_and(|fault| fault.to_string().contains("--component"))
        );
        assert_eq!(suites(std::slice::from_ref(&file), true).unwrap()[0].dir, tests);
        fs::write(folder.path().join("Cargo.toml"), "").unwrap();
        for path in [file.clone(), folder.path().to_owned()] {
            let found = suites(&[path], false).unwrap();
            assert_eq!(
                (found[0].dir.as_path(), found[0].conversations.as_slice()),
                (folder.path(), [file.clone()].as_slice())
            );
        }
    }

    #[test]
    fn a_folder_without_conversations_is_told_how_to_get_one() {
        let folder = tempfile::tempdir().unwrap();
        let fault = suites(&[folder.path().to_owned()], false).err().unwrap();
        assert!(fault.to_string().contains("connect --record"), "{fault}");
    }
}
