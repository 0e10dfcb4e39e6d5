//! `cargo xtask serve`: from a fresh clone to a host that answers.
//!
//! At the end this process becomes the host, so that signals and exit codes are the host's own. What the
//! host prints is read by a second copy of this program (`announce`), which says what to try.

use std::{
    fs,
    process::{Command, Stdio},
};

use anyhow::Context;

use crate::{plugins, process};

const DATA_DIR: &str = ".switchboard";
const PLUGIN_DIR: &str = "target/plugins";

pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    plugins::run(&plugins::Options::default())?;
    let root = process::root();
    fs::create_dir_all(root.join(DATA_DIR)).with_context(|| format!("{DATA_DIR} cannot be made"))?;
    let arguments = completed(arguments);
    let data_dir = value_of(&arguments, "--data-dir").unwrap_or(DATA_DIR);
    let plugin_dir = value_of(&arguments, "--plugin-dir").unwrap_or(PLUGIN_DIR);
    let mut announcer = Command::new(std::env::current_exe()?)
        .args(["announce", data_dir, plugin_dir])
        .current_dir(&root)
        .stdin(Stdio::piped())
        .spawn()
        .context("the announcer does not start")?;
    let output = announcer.stdin.take().context("the announcer takes no input")?;
    let mut host = Command::new(process::switchboard());
    host.current_dir(&root).arg("serve").args(&arguments).stdout(Stdio::from(output));
    become_it(host)
}

#[cfg(unix)]
fn become_it(mut host: Command) -> anyhow::Result<()> {
    use std::os::unix::process::CommandExt;
    Err(host.exec()).context("the host does not start")
}

#[cfg(not(unix))]
fn become_it(mut host: Command) -> anyhow::Result<()> {
    process::run(&mut host)
}

/// The arguments given, with ours for what they leave open.
fn completed(given: &[String]) -> Vec<String> {
    let mut arguments = given.to_vec();
    for (name, value) in [("--data-dir", DATA_DIR), ("--plugin-dir", PLUGIN_DIR)] {
        if value_of(given, name).is_none() {
            arguments.extend([name.to_owned(), value.to_owned()]);
        }
    }
    if !given.iter().any(|argument| argument == "--json") {
        arguments.push("--json".to_owned());
    }
    arguments
}

fn value_of<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let joined = format!("{name}=");
    let mut pairs = arguments.iter().zip(arguments.iter().skip(1).map(Some).chain([None]));
    pairs.find_map(|(argument, next)| match argument.strip_prefix(&joined) {
        Some(value) => Some(value),
        None if argument == name => next.map(String::as_str),
        None => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn what_is_given_wins_in_either_spelling() {
        let all = completed(&words("--listen 127.0.0.1:0 --data-dir=/d"));
        assert_eq!(value_of(&all, "--data-dir"), Some("/d"));
        assert_eq!(value_of(&all, "--plugin-dir"), Some(PLUGIN_DIR));
        assert_eq!(all.last().map(String::as_str), Some("--json"));
        assert_eq!(value_of(&words("--data-dir"), "--data-dir"), None);
    }
}
