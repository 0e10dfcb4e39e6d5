//! The tour of docs/plugin-guide.md, executed: from nothing to a served plugin, in a folder outside of the repository. See
//! [`crate::harness::tour`] for what its signs mean.

use std::path::Path;

use crate::harness::{
    authors_target, repository, switchboard_binary,
    tour::{Step, Tour, address, steps_of},
};

#[test]
fn the_tour_of_the_plugin_guide_does_what_it_shows() {
    let guide = std::fs::read_to_string(repository().join("docs/plugin-guide.md")).expect("the guide is there");
    let steps = steps_of(&guide);
    let runs =
        |word: &str| steps.iter().any(|step| matches!(step, Step::Command { command, .. } if command.contains(word)));
    for command in ["new", "build", "check", "test", "dev", "deploy", "logs", "versions", "promote", "rollback"] {
        assert!(runs(&format!("switchboard plugin {command} ")), "the tour leaves out `plugin {command}`");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut tour = begin(folder.path());
    for step in &steps {
        match step {
            Step::Command { command, expected } if command.starts_with("switchboard plugin dev") => {
                let printed = tour.leave_running(command, |_| expected.clone());
                // The reader pastes it.
                let export = printed.iter().find(|line| line.trim_start().starts_with("export SWITCHBOARD_URL="));
                tour.speak(export.expect("the line to paste").trim());
            }
            Step::Command { command, expected } if command == "switchboard serve" => serve(&mut tour, expected),
            Step::Command { command, expected } => {
                tour.compare(command, expected);
                if let Some(name) = command.strip_prefix("switchboard plugin new ") {
                    share_what_is_compiled(&folder.path().join(name));
                }
            }
            Step::File { path, adds, text } => tour.write(path, *adds, text),
        }
    }
}

/// A terminal in a fresh folder, with the binary on its path.
fn begin(folder: &Path) -> Tour {
    let binary = switchboard_binary();
    let programs = binary.parent().expect("the binary is in a folder").to_owned();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&path))).expect("a PATH");
    Tour::begin(folder).environment("PATH", path).with_errors()
}

/// Dependencies of authors are compiled once for all tests.
fn share_what_is_compiled(plugin: &Path) {
    std::fs::create_dir_all(authors_target()).expect("a folder");
    std::os::unix::fs::symlink(authors_target(), plugin.join("target")).expect("a link");
}

/// On free ports: those of the page may be in use.
fn serve(tour: &mut Tour, expected: &[String]) {
    let found = |lines: &[String], scheme| address(lines, scheme).unwrap_or_default();
    let command =
        "env SWITCHBOARD_SERVER_LISTEN=127.0.0.1:0 SWITCHBOARD_SERVER_ADMIN_LISTEN=127.0.0.1:0 switchboard serve";
    let printed = tour.leave_running(command, |lines| {
        let in_its_place = |line: &String| {
            line.replace("ws://127.0.0.1:8080/ws", &found(lines, "ws://"))
                .replace("http://127.0.0.1:9090", &found(lines, "http://"))
        };
        expected.iter().map(in_its_place).collect()
    });
    let (url, admin) = (found(&printed, "ws://"), found(&printed, "http://"));
    tour.speak(&format!("export SWITCHBOARD_URL={url} SWITCHBOARD_ADMIN_URL={admin}"));
}
