//! `switchboard admin`: who may operate a running host.

use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use super::{
    admin_client::{AdminArgs, AdminClient},
    duration, table,
};
use crate::auth::operator::{NewToken, Scope, TokenSummary};

#[derive(Debug, Args)]
pub(crate) struct AdminCommandArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make, list and revoke tokens of the admin listener
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token. It is shown once, and goes to standard output alone
    Create {
        /// Who it is for; every change that is made with it bears this name
        name: String,
        /// What it allows: read, deploy or admin, each with those before it
        #[arg(long)]
        scope: Scope,
        /// How long it is good for: 30s, 15m, 1h, 30d. By default, until it is revoked
        #[arg(long, value_parser = duration::parse)]
        expires: Option<Duration>,
        #[command(flatten)]
        common: Common,
    },
    /// List the tokens that are good
    List {
        #[command(flatten)]
        common: Common,
    },
    /// Revoke a token
    Revoke {
        name: String,
        #[command(flatten)]
        common: Common,
    },
}

#[derive(Debug, Args)]
struct Common {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Serialize, Deserialize)]
struct Created {
    #[serde(flatten)]
    summary: TokenSummary,
    token: String,
}

#[derive(Serialize, Deserialize)]
struct Listed {
    tokens: Vec<TokenSummary>,
}

pub(crate) async fn run(args: AdminCommandArgs) -> anyhow::Result<()> {
    let AdminCommand::Token(command) = args.command;
    match command {
        TokenCommand::Create { name, scope, expires, common } => {
            let wanted = NewToken { name, scope, expires_in_s: expires.map(|expires| expires.as_secs()) };
            let created: Created = AdminClient::new(&common.admin)?.post(&["tokens"], &wanted).await?;
            table::print(common.json, &created, || format!("{}\n", created.token))
        }
        TokenCommand::List { common } => {
            let listed: Listed = AdminClient::new(&common.admin)?.get(&["tokens"]).await?;
            table::print(common.json, &listed, || {
                table::table(
                    ["NAME", "SCOPE", "CREATED", "EXPIRES"],
                    &listed.tokens.iter().map(row).collect::<Vec<_>>(),
                )
            })
        }
        TokenCommand::Revoke { name, common } => {
            let host = AdminClient::new(&common.admin)?;
            let revoked: TokenSummary = host.ask(host.request(Method::DELETE, &["tokens", &name])?).await?;
            table::print(common.json, &revoked, || {
                format!("no longer good: {} ({})\n", revoked.name, revoked.scope.as_str())
            })
        }
    }
}

fn row(token: &TokenSummary) -> [String; 4] {
    let expires = token.expires_at.map_or("never".to_owned(), |end| end.to_string());
    [token.name.clone(), token.scope.as_str().to_owned(), token.created_at.to_string(), expires]
}
