//! `switchboard plugin enable` and `disable`.

use clap::Args;
use serde_json::json;

use super::{ChangeArgs, change, named};

#[derive(Debug, Args)]
pub(crate) struct EnableArgs {
    /// The plugin.
    name: String,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn run(args: EnableArgs, enabled: bool) -> anyhow::Result<()> {
    let body = json!({ "why": args.change.why });
    let (operation, outcome) = if enabled { ("enable", "serves") } else { ("disable", "is switched off") };
    change(&args.name, operation, body, &args.change.host, |done| format!("{} {outcome}", named(done))).await
}
