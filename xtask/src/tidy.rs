//! `cargo xtask tidy`: the shape of the house, held by a test.
//!
//! The arrows between the host's modules, the one home of each heavy dependency, and a few rules for
//! every file. It reads text, not syntax: comments and unit tests are cut off, the rest is searched.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::{digest, process};

/// The host's modules from the top down. A module may name those of lower rows, never its siblings.
const LAYERS: [&[&str]; 6] = [
    &["host", "fuzz", "bench"],
    &["transport", "admin", "cli"],
    &["dispatch"],
    &["auth", "admission", "session", "topic", "plugin", "tools", "backplane"],
    &["config", "telemetry", "shutdown", "storage"],
    &["protocol"],
];

/// Exceptions, each with its reason.
const ALSO_ALLOWED: [(&str, &str); 9] = [
    // `serve` starts the host: the command line is its door, too.
    ("cli", "host"),
    // Tools are calls into plugins.
    ("tools", "plugin"),
    // Who is calling is a value that everybody passes on.
    ("session", "auth::Principal"),
    ("topic", "auth::Principal"),
    ("plugin", "auth::Principal"),
    ("tools", "auth::Principal"),
    ("admission", "auth::Principal"),
    // A reload is counted, and what is logged is configured.
    ("config", "telemetry"),
    ("telemetry", "config"),
];

/// A dependency, and the only places of the host that may name it.
const HOMES: [(&str, &[&str]); 14] = [
    ("axum", &["transport", "admin"]),
    // WASI's requests have bodies of hyper's kind.
    ("hyper", &["transport", "admin", "plugin/egress"]),
    ("tokio_tungstenite", &["transport", "cli/connect"]),
    ("flate2", &["transport/wire"]),
    ("wasmtime", &["plugin"]),
    // The checked configuration names algorithms.
    ("jsonwebtoken", &["auth", "config"]),
    ("notify", &["plugin/directory", "config/reload", "cli/plugin/dev"]),
    ("dashmap", &["session/registry", "topic/subscriptions", "admission"]),
    ("jsonschema", &["plugin/schema"]),
    // Keys are fetched, commands ask a running host, and plugins ask other servers.
    ("reqwest", &["auth", "cli/admin_client", "cli/admin", "cli/revoke", "cli/plugin", "plugin/egress"]),
    // What describes the routes is where they are.
    ("utoipa_axum", &["admin"]),
    ("governor", &["admission"]),
    ("redb", &["storage"]),
    ("wit_component", &["cli/plugin/build"]),
];

/// Longer, and a file has two subjects.
const MAX_LINES: usize = 500;
const HOST: &str = "host/src/";

/// Prints every violation, and fails if there is one.
pub fn run() -> anyhow::Result<()> {
    let faults = check_tree(&process::root())?;
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

fn check_tree(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["protocol", "host", "plugin-sdk", "plugins", "tests", "bench", "xtask"] {
        digest::collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "rs")) {
        let text = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let name = file.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
        faults.extend(check_file(&name, &text).into_iter().map(|fault| format!("{name}: {fault}")));
    }
    Ok(faults)
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut faults = check_shape(name, text);
    if let Some(path) = name.strip_prefix(HOST)
        && !is_test(path)
    {
        let code = code_of(text);
        faults.extend(check_arrows(path, &code));
        faults.extend(check_homes(path, &code));
    }
    faults
}

fn check_shape(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if !text.starts_with("//!") {
        faults.push("opens without `//!`, which says what it is for".to_owned());
    }
    if lines > MAX_LINES {
        faults.push(format!("has {lines} lines; at most {MAX_LINES} make one subject"));
    }
    if name.ends_with("/mod.rs") {
        faults.push("is a mod.rs; a module is named by its file".to_owned());
    }
    faults
}

/// Files of tests only, which may reach for anything.
fn is_test(path: &str) -> bool {
    let stem = path.rsplit('/').next().unwrap_or(path).trim_end_matches(".rs");
    stem == "tests" || stem.starts_with("test_") || path.contains("/tests/")
}

/// Without comments, and without the unit tests, which stand at the end of a file.
fn code_of(text: &str) -> String {
    let code = text.split("\n#[cfg(test)]\nmod tests").next().unwrap_or(text);
    code.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

/// The module that a file of the host belongs to: `auth` for `auth.rs` and for `auth/keys.rs`.
fn module_of(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

fn check_arrows(path: &str, code: &str) -> Vec<String> {
    let from = module_of(path);
    // The roots name everything.
    if matches!(from, "lib" | "main") {
        return Vec::new();
    }
    let Some(own) = layer(from) else { return vec![format!("`{from}` has no place among the layers of tidy")] };
    let mut faults: Vec<String> = imports(code)
        .into_iter()
        .filter(|import| {
            let to = import.split("::").next().unwrap_or(import);
            let downward = layer(to).is_none_or(|other| other > own);
            let excepted = |&(who, what): &(&str, &str)| who == from && (what == to || import == what);
            to != from && !downward && !ALSO_ALLOWED.iter().any(excepted)
        })
        .map(|import| format!("`{from}` may not name `crate::{import}`: arrows point downward"))
        .collect();
    faults.dedup();
    faults
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&module))
}

/// What follows each `crate::`, as far as two names: `auth::Principal`, and the members of groups.
fn imports(code: &str) -> Vec<String> {
    let one_line = code.split_whitespace().collect::<Vec<_>>().join(" ");
    let compact = one_line.replace("{ ", "{").replace(", ", ",").replace(" }", "}");
    let starts = compact.match_indices("crate::").filter(|(at, _)| !compact[..*at].ends_with(is_name));
    starts.flat_map(|(at, found)| members(&compact[at + found.len()..])).collect()
}

/// The paths at the start of a text, which may be a group: `{a,b::{c,d}}`.
fn members(text: &str) -> Vec<String> {
    let Some(group) = text.strip_prefix('{') else { return first_names(text) };
    let mut depth = 0_u32;
    let mut found = Vec::new();
    let mut start = 0;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.extend(first_names(&group[start..at]));
                start = at + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

/// `a::b::c` as `a::b`; `a::{b,c}` as `a::b` and `a::c`.
fn first_names(path: &str) -> Vec<String> {
    let end = path.find(|letter| !is_name(letter)).unwrap_or(path.len());
    let (first, rest) = path.split_at(end);
    if first.is_empty() {
        return Vec::new();
    }
    let Some(rest) = rest.strip_prefix("::") else { return vec![first.to_owned()] };
    if rest.starts_with('{') {
        return members(rest).into_iter().map(|member| format!("{first}::{}", module_name(&member))).collect();
    }
    vec![format!("{first}::{}", module_name(rest))]
}

fn module_name(path: &str) -> &str {
    &path[..path.find(|letter| !is_name(letter)).unwrap_or(path.len())]
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

fn check_homes(path: &str, code: &str) -> Vec<String> {
    let names = |dependency: &str| {
        code.match_indices(dependency).any(|(at, found)| {
            let before = code[..at].chars().next_back();
            let rest = &code[at + found.len()..];
            let is_own_module = code[..at].ends_with("::");
            !is_own_module && !before.is_some_and(is_name) && (rest.starts_with("::") || rest.starts_with(';'))
        })
    };
    let lives_in = |home: &str| path.strip_prefix(home).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'));
    HOMES
        .iter()
        .filter(|(dependency, homes)| names(dependency) && !homes.iter().any(|home| lives_in(home)))
        .map(|(dependency, homes)| format!("names `{dependency}`, whose home is {}", homes.join(" and ")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(name: &str, code: &str) -> Vec<String> {
        check_file(name, &format!("//! Text.\n{code}"))
    }

    #[test]
    fn the_repository_is_tidy() {
        assert_eq!(check_tree(&process::root()).expect("read"), Vec::<String>::new());
    }

    #[test]
    fn arrows_point_downward_and_siblings_are_strangers() {
        assert_eq!(faults("host/src/dispatch.rs", "use crate::{config::Config, session::{a, b}};"), [""; 0]);
        assert_eq!(faults("host/src/session/a.rs", "use crate::dispatch;").len(), 1);
        assert_eq!(faults("host/src/session/a.rs", "use crate::{\n    config,\n    topic::Topic,\n};").len(), 1);
        assert_eq!(faults("host/src/config.rs", "fn f() { crate::plugin::x() }").len(), 1);
        assert_eq!(faults("host/src/strange.rs", "").len(), 1);
    }

    #[test]
    fn an_exception_is_no_wider_than_it_says() {
        assert_eq!(faults("host/src/tools.rs", "use crate::plugin::Registry;"), [""; 0]);
        assert_eq!(faults("host/src/plugin.rs", "use crate::tools::Toolbox;").len(), 1);
        assert_eq!(faults("host/src/topic.rs", "use crate::auth::Principal;"), [""; 0]);
        assert_eq!(faults("host/src/topic.rs", "use crate::auth::{Principal, Verifier};").len(), 1);
    }

    #[test]
    fn heavy_dependencies_stay_at_home() {
        assert_eq!(faults("host/src/plugin/engine.rs", "use wasmtime::Engine;"), [""; 0]);
        assert_eq!(faults("host/src/dispatch.rs", "use wasmtime::Engine;").len(), 1);
        assert_eq!(faults("host/src/config/reloading.rs", "use notify::Watcher;").len(), 1);
        assert_eq!(
            faults("host/src/session.rs", "fn f(n: Notify) { n.notify(); my_notify::x() } // notify::x"),
            [""; 0]
        );
    }

    #[test]
    fn tests_may_reach_for_anything() {
        assert_eq!(faults("host/src/topic.rs", "\n#[cfg(test)]\nmod tests { use wasmtime::Engine; }"), [""; 0]);
        assert_eq!(faults("host/src/topic/tests.rs", "use wasmtime::Engine;"), [""; 0]);
    }

    #[test]
    fn files_say_what_they_are_for_and_have_one_subject() {
        assert_eq!(check_file("tests/src/a.rs", "fn f() {}").len(), 1);
        assert_eq!(check_file("xtask/src/a.rs", &format!("//! A.\n{}", "\n".repeat(MAX_LINES))).len(), 1);
        assert_eq!(check_file("plugins/a/src/mod.rs", "//! A.").len(), 1);
    }
}
