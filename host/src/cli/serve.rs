//! `switchboard serve`: starts the host, says where it listens, and stays until it is told to leave.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Context as _;
use serde_json::json;

use crate::{
    config::{check, raw::Sources},
    host::{Host, Service},
    plugin::PluginStatus,
    shutdown::Signals,
    telemetry,
};

/// How long threads that are busy outside the runtime (compiling a plugin, say) may hold up the end.
const LAST_THREADS: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Settings file [default: switchboard.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where keys, caches and state are kept
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where plugins are dropped
    #[arg(long, value_name = "DIR")]
    plugin_dir: Option<PathBuf>,
    /// Address for clients; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address for operators: metrics and health
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Say where it listens as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: ServeArgs, service: Service) -> anyhow::Result<()> {
    let mut hints = Hints { data_dir: String::new(), connect: args.listen.is_some() };
    if let Some(folder) = &args.data_dir {
        hints.data_dir = format!(" --data-dir {}", folder.display());
    }
    let sources = Sources {
        file: args.config,
        data_dir: args.data_dir,
        plugin_dir: args.plugin_dir,
        listen: args.listen,
        admin_listen: args.admin_listen,
        ..Sources::from_environment()
    };
    let checked = check::load(&sources).context("the configuration is wrong")?;
    telemetry::tracing::init(&checked.config.logging).context("logging cannot be set up")?;
    for warning in &checked.warnings {
        tracing::warn!(%warning, "in the configuration");
    }
    let runtime = super::runtime()?;
    let result = runtime.block_on(async {
        // From here on a signal is answered by an orderly end.
        let mut signals = Signals::listen().context("cannot listen to signals")?;
        let host = tokio::select! {
            host = Host::start(sources, checked, service) => host?,
            _ = signals.next() => return Ok(()),
        };
        announce(&host, args.json, &hints)?;
        let signal = signals.next().await;
        tracing::info!(?signal, "leaving; a second signal abandons what is under way, a third ends at once");
        let leaving = host.leave();
        tokio::pin!(leaving);
        tokio::select! {
            left = &mut leaving => return left,
            signal = signals.next() => {
                tracing::warn!(?signal, "abandoning what is under way");
                host.abandon();
            }
        }
        tokio::select! {
            left = &mut leaving => left,
            _ = signals.next() => anyhow::bail!("ended at once: {} sessions were not saved", host.sessions()),
        }
    });
    runtime.shutdown_timeout(LAST_THREADS);
    result
}

/// What the commands that are suggested need, so that they work as they are printed.
struct Hints {
    /// Flags that find the key of this host.
    data_dir: String,
    /// Whether the address has to be named.
    connect: bool,
}

fn announce(host: &Host, json: bool, hints: &Hints) -> anyhow::Result<()> {
    let url = format!("ws://{}/ws", host.address());
    let admin_url = format!("http://{}", host.admin_address());
    let text = if json {
        format!("{}\n", json!({ "event": "listening", "url": url, "admin_url": admin_url }))
    } else {
        greeting(&url, &admin_url, &host.config().server.plugin_dir, &host.plugin_statuses())
            + &suggestions(&url, hints)
    };
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Nobody wants to read it; that is no reason not to serve.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot say where the server listens"),
    }
}

fn greeting(url: &str, admin_url: &str, plugin_dir: &std::path::Path, plugins: &[PluginStatus]) -> String {
    let mut text = format!("Switchboard {} is listening.\n\n", env!("CARGO_PKG_VERSION"));
    text += &format!("  clients    {url}\n  operators  {admin_url}\n\n");
    if plugins.is_empty() {
        text += &format!(
            "No plugins yet: `switchboard plugin deploy FILE` brings one, and so does copying it (NAME.wasm) into {}.\n",
            plugin_dir.display()
        );
    } else {
        text += &format!("Plugins in {}:\n\n", plugin_dir.display());
        plugins.iter().for_each(|plugin| text += &line(plugin));
    }
    text
}

fn suggestions(url: &str, hints: &Hints) -> String {
    let connect = if hints.connect { format!(" {url}") } else { String::new() };
    let data_dir = &hints.data_dir;
    format!(
        "\nTry next, in another terminal:\n\n  switchboard token --sub alice{data_dir}\n  switchboard connect{data_dir}{connect}\n\n"
    )
}

fn line(plugin: &PluginStatus) -> String {
    let version = plugin.version.as_deref().unwrap_or("-");
    let what = match (&plugin.version, &plugin.last_error) {
        (None, Some(error)) => format!("does not serve: {}", error.reason),
        (None, None) => "does not serve".to_owned(),
        (Some(_), _) => plugin.types.join(" "),
    };
    format!("  {:<12} {version:<10} {what}\n", plugin.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_suggested_finds_the_host_as_it_is_printed() {
        let hints = Hints { data_dir: " --data-dir data".to_owned(), connect: true };
        let text = suggestions("ws://127.0.0.1:1/ws", &hints);
        assert!(text.contains("switchboard connect --data-dir data ws://127.0.0.1:1/ws\n"), "{text}");
        assert!(text.contains("switchboard token --sub alice --data-dir data\n"), "{text}");
    }
}
