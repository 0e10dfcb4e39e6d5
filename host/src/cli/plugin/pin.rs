//! `switchboard plugin pin` and `unpin`: one session on one version, to look at it before others do.

use clap::Args;
use serde_json::json;

use super::{ChangeArgs, change, named};

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// The plugin.
    name: String,
    /// The session; `GET /sessions` lists them.
    #[arg(long, value_name = "ID")]
    session: String,
    /// The version, by its number or by 8 digits of its digest.
    #[arg(long)]
    version: String,
    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnpinArgs {
    /// The plugin.
    name: String,
    /// The session.
    #[arg(long, value_name = "ID")]
    session: String,
    #[command(flatten)]
    change: ChangeArgs,
}

pub(super) async fn pin(args: PinArgs) -> anyhow::Result<()> {
    let PinArgs { name, session, version, change: ChangeArgs { why, host } } = args;
    let body = json!({ "session_id": session, "digest": version, "why": why });
    change(&name, "pin", body, &host, |done| format!("{} serves the session {session}", named(done))).await
}

pub(super) async fn unpin(args: UnpinArgs) -> anyhow::Result<()> {
    let UnpinArgs { name, session, change: ChangeArgs { why, host } } = args;
    let body = json!({ "session_id": session, "why": why });
    change(&name, "unpin", body, &host, |done| {
        format!("the session {session} is served like all others: {}", named(done))
    })
    .await
}
