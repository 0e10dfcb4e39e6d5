//! Embeds the SDK and the contract into the binary, as text: neither is on a registry, and `switchboard
//! plugin new` has to work where only the binary is.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

/// What an author's copy holds, relative to the repository. Side by side, as the SDK expects them.
const EMBEDDED: [&str; 2] = ["plugin-sdk", "wit"];

fn main() -> Result<(), Box<dyn Error>> {
    let repository = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let mut files = Vec::new();
    for folder in EMBEDDED {
        println!("cargo::rerun-if-changed={}", repository.join(folder).display());
        collect(&repository.join(folder), &mut files)?;
    }
    files.sort();
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(&repository)?.to_str().ok_or("a file's name is not UTF-8")?.replace('\\', "/");
        let path = file.to_str().ok_or("the repository's path is not UTF-8")?;
        writeln!(list, "    ({name:?}, include_str!({path:?})),")?;
    }
    list.push_str("]\n");
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("sdk_files.rs"), list)?;
    Ok(())
}

/// Sources only: what is hidden, compiled or locked is made anew by whoever builds it.
fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') || name == "target" || name == "Cargo.lock" {
            continue;
        }
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
