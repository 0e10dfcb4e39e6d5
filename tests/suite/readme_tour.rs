//! The five-minute tour of the README, and what the page on MCP does by hand, executed: see [`crate::harness::tour`] for what its signs mean.

use std::{path::Path, process::Command};

use crate::harness::{
    authors_target, repository,
    tour::{Step, Tour, address, steps_of},
};

#[test]
fn the_tour_of_the_readme_and_the_page_on_mcp_do_what_they_show() {
    let readme = std::fs::read_to_string(repository().join("README.md")).expect("the README is there");
    let steps = steps_of(&readme);
    assert!(steps.len() >= 12, "the tour has become short: {steps:#?}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut tour = begin(folder.path());
    let mut url = String::new();
    for step in &steps {
        match step {
            Step::Command { command, expected } if command == "cargo xtask serve" => {
                url = serve(&mut tour, folder.path(), expected);
            }
            Step::Command { command, expected } => tour.compare(command, expected),
            Step::File { path, adds, text } => tour.write(path, *adds, text),
        }
    }
    on_mcp(&mut tour, &url);
}

/// With the host and the token that the README left.
fn on_mcp(tour: &mut Tour, url: &str) {
    let page = std::fs::read_to_string(repository().join("docs/mcp.md")).expect("the page is there");
    let steps = steps_of(&page);
    assert!(steps.len() >= 2, "the page has become short: {steps:#?}");
    let address = url.strip_suffix("/ws").expect("an address").replacen("ws", "http", 1);
    for step in &steps {
        let Step::Command { command, expected } = step else { panic!("the page writes no files: {step:?}") };
        tour.compare(&command.replace("http://127.0.0.1:8080", &address), expected);
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
fn serve(tour: &mut Tour, folder: &Path, expected: &[String]) -> String {
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
    let url = url(&printed);
    tour.speak(&format!("export SWITCHBOARD_URL={url}"));
    url
}
