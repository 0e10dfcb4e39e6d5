//! `switchboard plugin state` and `forget`: how much a plugin remembers, and an end to it.

use clap::Args;
use reqwest::Method;

use super::{AdminClient, ChangeArgs, HostArgs, table};
use crate::plugin::state::{ScopeUsage, StateForgotten, StateScope, StateUsage};

#[derive(Debug, Args)]
pub(crate) struct StateArgs {
    /// The plugin.
    name: String,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ForgetArgs {
    /// The plugin.
    name: String,
    /// Whose memory: of sessions, of users, or of the plugin itself. By default, all.
    #[arg(long, value_parser = StateScope::ALL.map(StateScope::as_str))]
    scope: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn usage(args: StateArgs) -> anyhow::Result<()> {
    let usage: StateUsage = AdminClient::new(&args.host.admin)?.get(&["plugins", &args.name, "state"]).await?;
    table::print(args.host.json, &usage, || {
        let rows = StateScope::ALL.map(|scope| row(scope, usage.of_scope(scope)));
        table::table(["SCOPE", "BYTES", "ENTRIES", "OWNERS"], &rows)
    })
}

fn row(scope: StateScope, usage: ScopeUsage) -> [String; 4] {
    [scope.as_str().to_owned(), usage.bytes.to_string(), usage.entries.to_string(), usage.owners.to_string()]
}

pub(super) async fn forget(args: ForgetArgs) -> anyhow::Result<()> {
    let ForgetArgs { name, scope, change: ChangeArgs { why, host } } = args;
    let client = AdminClient::new(&host.admin)?;
    let mut query = vec![("why", why)];
    query.extend(scope.map(|scope| ("scope", scope)));
    let forgotten: StateForgotten =
        client.ask(client.with_query(Method::DELETE, &["plugins", &name, "state"], &query)?).await?;
    table::print(host.json, &forgotten, || table::plain(&text(&forgotten)) + "\n")
}

fn text(forgotten: &StateForgotten) -> String {
    let of = forgotten.scope.map_or("all scopes", StateScope::as_str);
    format!("{} forgot {} entries of {of}, {} bytes", forgotten.plugin, forgotten.entries, forgotten.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dropped_is_said_with_its_scope() {
        let mut forgotten =
            StateForgotten { plugin: "notes".to_owned(), scope: Some(StateScope::User), bytes: 70, entries: 1 };
        assert_eq!(text(&forgotten), "notes forgot 1 entries of user, 70 bytes");
        forgotten.scope = None;
        assert_eq!(text(&forgotten), "notes forgot 1 entries of all scopes, 70 bytes");
    }
}
