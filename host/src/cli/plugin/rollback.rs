//! `switchboard plugin rollback`: goes back to an earlier version, or ends the canary.

use clap::Args;
use serde_json::json;

use super::{ChangeArgs, change, named};

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The plugin.
    name: String,
    /// A version, by its number or by 8 digits of its digest. By default, the one before the active one.
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: RollbackArgs) -> anyhow::Result<()> {
    let body = json!({ "to": args.to, "why": args.change.why });
    change(&args.name, "rollback", body, &args.change.host, |done| format!("{} serves everyone", named(done))).await
}
