//! The five-minute tour of the README, executed: see [`crate::harness::tour`] for what its signs mean.

use std::{path::Path, process::Command};

use crate::harness::{
    authors_target, repository,
    tour::{Step, Tour, address, steps_of},
};

#[test]
fn the_tour_of_the_readme_does_what_it_shows() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README is there");
    let steps = steps_of(&readme);
    assert!(steps.len() >= 12, "the tour has become short: {steps:#?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut tour = begin(folder.path());
    for step in &steps {
        match step {
            Step::Command { command, expected } if command == "cargo xtask serve" => {
                serve(&mut tour, folder.path(), expected);
            }
            Step::Command { command, expected } => tour.compare(command, expected),
            Step::File { path, adds, text } => tour.write(path, *adds, text),
        }
    }
}

/// A folder that stands for the clone: its `target/debug` is the real one, and everything else vanishes with it.
fn begin(folder: &Path) -> Tour {
    std::fs::create_dir_all(folder.join("target/plugins")).expect("a folder");
    std::os::unix::fs::symlink(repository().join("target/debug"), folder.join("target/debug")).expect("a link");
    for name in ["system", "jsonrpc", "agent", "tools"] {
        let file = format!("target/plugins/{name}.wasm");
        std::fs::copy(repository().join(&file), folder.join(&file)).expect("the component is built");
    }
    // The file that the tour edits: there from the start, since `--config` names it.
    std::fs::write(folder.join("switchboard.toml"), "").expect("the config is written");
    Tour::begin(folder)
        .environment("CARGO_TARGET_DIR", authors_target())
        .environment("SWITCHBOARD_DATA_DIR", folder.join(".switchboard"))
}

/// The real command, on free ports and with folders of its own.
fn serve(tour: &mut Tour, folder: &Path, expected: &[String]) {
    let mut host = Command::new("cargo");
    host.args(["xtask", "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder.join(".switchboard"))
        .arg("--plugin-dir")
        .arg(folder.join("target/plugins"))
        .arg("--config")
        .arg(folder.join("switchboard.toml"))
        .current_dir(repository());
    let url = |lines: &[String]| address(lines, "ws://").unwrap_or_default();
    let printed = tour.leave_process_running(host, "cargo xtask serve", |lines| {
        expected.iter().map(|line| line.replace("ws://127.0.0.1:8080/ws", &url(lines))).collect()
    });
    tour.speak(&format!("export SWITCHBOARD_URL={}", url(&printed)));
}
