//! `switchboard plugin remove`.

use clap::Args;
use reqwest::Method;

use super::{AdminClient, ChangeArgs, table};
use crate::plugin::operation::Removed;

#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The plugin.
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: RemoveArgs) -> anyhow::Result<()> {
    let RemoveArgs { name, change: ChangeArgs { why, host } } = args;
    let client = AdminClient::new(&host.admin)?;
    let removed: Removed = client.ask(client.with_query(Method::DELETE, &["plugins", &name], &[("why", why)])?).await?;
    table::print(host.json, &removed, || format!("{} is removed\n", table::plain(&removed.plugin)))
}
