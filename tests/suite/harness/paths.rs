//! Where the binary and the components are that were built beforehand.

use std::path::{Path, PathBuf};

fn target_folder() -> PathBuf {
    // The test binary lies in target/PROFILE/deps.
    let test_binary = std::env::current_exe().expect("the test binary has a path");
    test_binary.ancestors().nth(2).expect("a profile folder").to_owned()
}

/// The binary under test.
pub fn switchboard_binary() -> PathBuf {
    let path = std::env::var_os("SWITCHBOARD_BIN").map_or_else(|| target_folder().join("switchboard"), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `cargo xtask test`, or `cargo build -p switchboard`", path.display());
    path
}

/// A component of a plugin that ships: `system`, `jsonrpc`, `agent`, `tools`.
pub fn component(name: &str) -> PathBuf {
    built("plugins", name)
}

/// A component of the folder `tests/guests`.
pub fn guest(name: &str) -> PathBuf {
    built("guests", name)
}

/// A component in another language than Rust: `template`, `describe`, `checksum`, `wasi-probe`.
pub fn example(name: &str) -> PathBuf {
    built("examples", name)
}

fn built(kind: &str, name: &str) -> PathBuf {
    let target = target_folder().parent().expect("the target folder").to_owned();
    let path = target.join(kind).join(format!("{name}.wasm"));
    assert!(path.exists(), "{} is missing: run `cargo xtask plugins --guests --examples`", path.display());
    path
}

/// A folder that all servers of a run share for compiled components.
pub fn compile_cache() -> PathBuf {
    target_folder().join("test-compile-cache")
}

/// Where crates of plugin authors are compiled, so that their dependencies are compiled once.
pub fn authors_target() -> PathBuf {
    repository().join("target/authors")
}

/// The repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are in the repository")
}
