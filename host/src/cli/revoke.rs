//! `switchboard revoke`: tells a running host that tokens are no longer good, over its admin listener.
//!
//! It changes no file itself: the host writes its list, and nobody else may do so while it runs.

use std::{io::Write as _, time::Duration};

use anyhow::{Context as _, bail};
use clap::Args;
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use switchboard_protocol::ErrorPayload;

use crate::auth::revocation::{Moment, Revocation, RevocationRequest, Scope};

/// The answer waits for a disk and for a look at every session.
const PATIENCE: Duration = Duration::from_secs(15);

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
    /// The server's admin address [default: `$SWITCHBOARD_ADMIN_URL`, else http://127.0.0.1:9090]
    #[arg(long, value_name = "URL", default_value_t = default_admin(), hide_default_value = true)]
    admin: String,
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
    let text = if args.list {
        let Listed { revocations } = ask(&args.admin, Method::GET, &[], None).await?;
        revocations.iter().map(|revocation| line(revocation) + "\n").collect()
    } else if let Some(id) = &args.undo {
        let Done { revocation, .. } = ask(&args.admin, Method::DELETE, &[id], None).await?;
        format!("no longer revoked: {}\n", what(&revocation))
    } else {
        let Done { revocation, sessions_ended } = ask(&args.admin, Method::POST, &[], Some(&args.request())).await?;
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

/// Where a host on its defaults is, unless the environment names another.
fn default_admin() -> String {
    const DEFAULT_ADMIN: &str = "http://127.0.0.1:9090";
    std::env::var("SWITCHBOARD_ADMIN_URL")
        .ok()
        .filter(|url| !url.is_empty())
        .unwrap_or_else(|| DEFAULT_ADMIN.to_owned())
}

fn url(admin: &str, below: &[&str]) -> anyhow::Result<Url> {
    let help = || format!("{admin} is no address of an admin listener; it looks like http://127.0.0.1:9090");
    let mut url: Url = admin.parse().with_context(help)?;
    if url.scheme() != "http" {
        bail!(help());
    }
    let mut path = url.path_segments_mut().map_err(|()| anyhow::anyhow!(help()))?;
    path.pop_if_empty().push("revocations").extend(below);
    drop(path);
    Ok(url)
}

/// Sends a request and reads the answer, or the server's own words about why there is none.
async fn ask<T: serde::de::DeserializeOwned>(
    admin: &str,
    method: Method,
    below: &[&str],
    body: Option<&RevocationRequest>,
) -> anyhow::Result<T> {
    // No proxy, since the listener is on this machine or on its own network.
    let client = Client::builder().no_proxy().timeout(PATIENCE).build().context("cannot make HTTP requests")?;
    let mut request = client.request(method, url(admin, below)?);
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await.map_err(reqwest::Error::without_url).with_context(|| {
        format!(
            "no server answers at {admin}: start it, or name its admin address (`server.admin_listen`) with --admin"
        )
    })?;
    let status = answer.status();
    let text = answer.text().await.with_context(|| format!("the answer of {admin} was cut off"))?;
    if !status.is_success() {
        bail!(refusal(status.as_u16(), &text));
    }
    serde_json::from_str(&text).with_context(|| format!("the answer of {admin} is not that of a Switchboard"))
}

fn refusal(status: u16, body: &str) -> String {
    match serde_json::from_str::<ErrorPayload>(body) {
        Ok(error) => {
            let help = error.help.map(|help| format!("\n{help}")).unwrap_or_default();
            format!("{} ({}){help}", error.error, error.code)
        }
        Err(_) => format!("the answer was {status}; is this the admin address of a Switchboard?"),
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
    fn addresses_are_completed_or_refused_by_name() {
        assert_eq!(url("http://h:1", &[]).unwrap().as_str(), "http://h:1/revocations");
        assert_eq!(url("http://h:1/", &["a/../b"]).unwrap().as_str(), "http://h:1/revocations/a%2F..%2Fb");
        for wrong in ["https://h", "127.0.0.1:9090", "nonsense", "data:x"] {
            assert!(url(wrong, &[]).unwrap_err().to_string().contains(wrong), "{wrong}");
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
