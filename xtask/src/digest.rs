//! What something was made from, in 64 digits: the key of what need not be made again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use sha2::{Digest, Sha256};

/// The digest of files and folders (names and contents), and of a few words on top.
pub fn of_sources(paths: &[PathBuf], extra: &str) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    add(&mut hash, extra.as_bytes());
    for path in paths {
        let mut files = Vec::new();
        collect(path, &mut files)?;
        files.sort();
        for file in files {
            add(&mut hash, file.to_string_lossy().as_bytes());
            add(&mut hash, &read(&file)?);
        }
    }
    Ok(hex(&hash.finalize()))
}

pub fn of_file(path: &Path) -> anyhow::Result<String> {
    Ok(hex(&Sha256::digest(read(path)?)))
}

/// With its length before it, so that no two sequences of parts look the same.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("{} cannot be read", path.display()))
}

/// All files below a path, but for what is hidden or compiled. A path that is not there has none.
pub fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
    }
    let Ok(entries) = fs::read_dir(path) else { return Ok(()) };
    for entry in entries {
        let entry = entry.with_context(|| format!("{} cannot be listed", path.display()))?;
        let name = entry.file_name();
        // `.cargo` holds flags, which change what is compiled.
        let hidden = name.to_string_lossy().starts_with('.') && name != ".cargo";
        if !hidden && !made_by_tools(&name.to_string_lossy()) {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// Folders that come and go with compilers and package managers.
fn made_by_tools(name: &str) -> bool {
    ["target", "node_modules", "__pycache__"].contains(&name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_content_and_word_counts_and_what_is_compiled_does_not() {
        let dir = std::env::temp_dir().join(format!("xtask-digest-{}", std::process::id()));
        fs::create_dir_all(dir.join("target")).expect("made");
        fs::write(dir.join("a"), "1").expect("written");
        let digest = |extra| of_sources(std::slice::from_ref(&dir), extra).expect("read");
        let first = digest("x");
        fs::write(dir.join("target/o"), "compiled").expect("written");
        assert_eq!(digest("x"), first);
        assert_ne!(digest("y"), first);
        fs::write(dir.join("a"), "2").expect("written");
        let second = digest("x");
        assert_ne!(second, first);
        fs::rename(dir.join("a"), dir.join("b")).expect("renamed");
        assert_ne!(digest("x"), second);
        fs::remove_dir_all(&dir).expect("removed");
    }
}
