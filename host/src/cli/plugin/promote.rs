//! `switchboard plugin promote`: gives the canary all users.

use clap::Args;
use serde_json::json;

use super::{ChangeArgs, change, named};

#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The plugin.
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: PromoteArgs) -> anyhow::Result<()> {
    let body = json!({ "why": args.change.why });
    change(&args.name, "promote", body, &args.change.host, |done| format!("{} serves everyone", named(done))).await
}
