//! `switchboard revoke`: tells a running host that tokens are no longer good, over its admin listener.
//!
//! It changes no file itself: the host writes its list, and nobody else may do so while it runs.

use std::io::Write as _;

use anyhow::Context as _;
use clap::Args;
use reqwest::Method;
use serde::Deserialize;

use super::admin_client::{AdminArgs, AdminClient};
use crate::auth::revocation::{Moment, Revocation, RevocationRequest, Scope};

/// What has no place beside `--list` and `--undo`, which also exclude each other.
const OTHERS: [&str; 6] = ["jti", "sub", "tenant", "issued_before", "expires_at", "reason"];

/// Revoke tokens before they expire, and close the connections that use them
///
/// A subject's tokens are revoked as far as they were issued by now, so that the user can log in again:
/// a token of the next second is good. Tokens without an `iat` count as issued long ago.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(crate) struct RevokeArgs {
    /// One token, by its id
    #[arg(long, group = "what", conflicts_with_all = ["sub", "tenant", "issued_before"])]
    jti: Option<String>,
    /// All tokens of a subject; without --tenant, of the subject that has none
    #[arg(long, group = "what")]
    sub: Option<String>,
    /// The subject's tenant; with --issued-before alone, all of the tenant
    #[arg(long)]
    tenant: Option<String>,
    /// All tokens issued before a time: 2026-01-31T12:00:00Z, or Unix seconds
    #[arg(long, group = "what", value_name = "TIME")]
    issued_before: Option<Moment>,
    /// When the last of these tokens expires, so that the server can forget about them
    #[arg(long, value_name = "TIME")]
    expires_at: Option<Moment>,
    /// Why, for the audit log
    #[arg(long)]
    reason: Option<String>,
    /// Show what is revoked
    #[arg(long, group = "what", conflicts_with = "undo", conflicts_with_all = OTHERS)]
    list: bool,
    /// Take a revocation back, by its id
    #[arg(long, group = "what", value_name = "ID", conflicts_with_all = OTHERS)]
    undo: Option<String>,
    #[command(flatten)]
    admin: AdminArgs,
}

#[derive(Deserialize)]
struct Listed {
    revocations: Vec<Revocation>,
}

#[derive(Deserialize)]
struct Done {
    revocation: Revocation,
    #[serde(default)]
    sessions_ended: usize,
}

pub(crate) async fn run(args: RevokeArgs) -> anyhow::Result<()> {
    let host = AdminClient::new(&args.admin)?;
    let text = if args.list {
        let Listed { revocations } = host.get(&["revocations"]).await?;
        revocations.iter().map(|revocation| line(revocation) + "\n").collect()
    } else if let Some(id) = &args.undo {
        let Done { revocation, .. } = host.ask(host.request(Method::DELETE, &["revocations", id])?).await?;
        format!("no longer revoked: {}\n", what(&revocation))
    } else {
        let Done { revocation, sessions_ended } = host.post(&["revocations"], &args.request()).await?;
        let (what, id) = (what(&revocation), &revocation.id);
        format!("revoked: {what}\nsessions ended: {sessions_ended}\nto take it back: switchboard revoke --undo {id}\n")
    };
    std::io::stdout().write_all(text.as_bytes()).context("the answer could not be written")
}

impl RevokeArgs {
    fn request(&self) -> RevocationRequest {
        RevocationRequest {
            jti: self.jti.clone(),
            sub: self.sub.clone(),
            tenant: self.tenant.clone(),
            issued_before: self.issued_before,
            expires_at: self.expires_at,
            reason: self.reason.clone(),
        }
    }
}

fn line(revocation: &Revocation) -> String {
    let mut line = format!("{}  {}  {}", revocation.id, revocation.revoked_at, what(revocation));
    if let Some(end) = revocation.expires_at {
        line = format!("{line}, which expire by {end}");
    }
    if let Some(reason) = &revocation.reason {
        line = format!("{line}: {}", reason.escape_debug());
    }
    line
}

/// Names come from tokens, and may hold what a terminal would obey.
fn what(revocation: &Revocation) -> String {
    let tokens = match &revocation.scope {
        Scope::Token { jti } => format!("the token {jti:?}"),
        Scope::Subject { sub, tenant: None } => format!("tokens of {sub:?}"),
        Scope::Subject { sub, tenant: Some(tenant) } => format!("tokens of {sub:?} in tenant {tenant:?}"),
        Scope::Tenant { tenant } => format!("all tokens in tenant {tenant:?}"),
        Scope::All => "all tokens".to_owned(),
    };
    match revocation.issued_before {
        Some(bound) => format!("{tokens} issued before {bound}"),
        None => tokens,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: RevokeArgs,
    }

    fn parse(flags: &[&str]) -> Result<RevokeArgs, String> {
        let flags = std::iter::once(&"revoke").chain(flags);
        Command::try_parse_from(flags).map(|command| command.args).map_err(|fault| fault.to_string())
    }

    #[test]
    fn the_flags_become_the_request() {
        let args = parse(&["--sub", "alice", "--tenant", "acme", "--issued-before", "5", "--reason", "lost"]).unwrap();
        let body = serde_json::to_string(&args.request()).unwrap();
        let expected = r#"{"sub":"alice","tenant":"acme","issued_before":"1970-01-01T00:00:05Z","reason":"lost"}"#;
        assert_eq!(body, expected);
        assert!(parse(&["--jti", "7", "--expires-at", "2026-01-31T12:00:00Z"]).is_ok());
        assert!(parse(&["--list", "--admin", "http://127.0.0.1:1"]).unwrap().list);
    }

    #[test]
    fn what_does_not_go_together_is_refused_before_anybody_is_asked() {
        for flags in [
            &[][..],
            &["--tenant", "acme"],
            &["--reason", "because"],
            &["--jti", "7", "--sub", "alice"],
            &["--list", "--sub", "alice"],
            &["--undo", "rv_1", "--jti", "7"],
            &["--undo", "rv_1", "--list"],
            &["--issued-before", "yesterday"],
        ] {
            assert!(parse(flags).is_err(), "{flags:?}");
        }
    }

    #[test]
    fn a_line_says_what_is_revoked_and_why_and_drives_no_terminal() {
        let json = "{\"id\":\"rv_1\",\"kind\":\"subject\",\"sub\":\"al\\u001bice\",\"tenant\":\"acme\",\"issued_before\":6,\
                    \"revoked_at\":5,\"expires_at\":9,\"reason\":\"left\\n\"}";
        assert_eq!(
            line(&serde_json::from_str(json).unwrap()),
            "rv_1  1970-01-01T00:00:05Z  tokens of \"al\\u{1b}ice\" in tenant \"acme\" issued before \
             1970-01-01T00:00:06Z, which expire by 1970-01-01T00:00:09Z: left\\n"
        );
    }
}
