//! `switchboard plugin deploy`: hands a component to a running host, and waits until it serves.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use reqwest::{Method, header::CONTENT_TYPE};

use super::{AdminClient, ChangeArgs, named, table};
use crate::plugin::operation::{Done, Role};

#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// The component.
    file: PathBuf,
    /// The plugin's name. By default, that of the file, without `.wasm`.
    #[arg(long)]
    name: Option<String>,
    /// Share of users in per cent that gets it at first; 0: all at once. By default, what `canary.percent` says.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=99))]
    canary: Option<u32>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: DeployArgs) -> anyhow::Result<()> {
    let name = match args.name {
        Some(name) => name,
        None => stem(&args.file)?,
    };
    let component = std::fs::read(&args.file).with_context(|| format!("{} cannot be read", args.file.display()))?;
    let mut query = Vec::new();
    query.extend(args.canary.map(|percent| ("canary", percent.to_string())));
    query.extend(Some(args.change.why).filter(|why| !why.is_empty()).map(|why| ("why", why)));
    let host = AdminClient::new(&args.change.host.admin)?;
    let done = put(&host, &name, component, &query)
        .await
        .with_context(|| format!("{} is not deployed", args.file.display()))?;
    table::print(args.change.host.json, &done, || text(&done))
}

/// Returns when it serves.
pub(super) async fn put(
    host: &AdminClient,
    name: &str,
    component: Vec<u8>,
    query: &[(&str, String)],
) -> anyhow::Result<Done> {
    let request = host.with_query(Method::PUT, &["plugins", name], query)?;
    host.ask(request.header(CONTENT_TYPE, "application/wasm").body(component)).await
}

fn text(done: &Done) -> String {
    let whom = match done.role {
        Role::Canary => "serves a share of users, as the canary",
        Role::Active => "serves",
        Role::Kept => "is kept",
    };
    let mut text = format!("{} {whom}, after {} ms\n", table::plain(&named(done)), done.took_ms);
    if done.role == Role::Canary {
        let name = &done.plugin;
        text += &format!("then: switchboard plugin promote {name}, or switchboard plugin rollback {name}\n");
    }
    text
}

fn stem(file: &Path) -> anyhow::Result<String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).with_context(|| format!("{} names no plugin: use --name", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_what_serves_whom_and_what_comes_next() {
        let done = |role| Done {
            plugin: "echo".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            version: "1.0.0".to_owned(),
            role,
            took_ms: 3,
        };
        assert_eq!(text(&done(Role::Active)), "echo 1.0.0 (0123456789ab) serves, after 3 ms\n");
        assert!(text(&done(Role::Canary)).contains("plugin promote echo"));
        assert_eq!(stem(Path::new("target/a.wasm")).unwrap(), "a");
        assert!(stem(Path::new("..")).is_err());
    }
}
