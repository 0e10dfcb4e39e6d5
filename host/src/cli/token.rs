//! `switchboard token`: a token to begin with, signed with the key in the data folder.

use std::{
    io::Write as _,
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use clap::Args;
use serde_json::Map;

use super::duration;
use crate::auth::{
    keys::generated_key,
    signing::{TokenRequest, sign},
};

/// Where `serve` keeps its key, too, unless told otherwise.
const DEFAULT_DATA_DIR: &str = "./.switchboard";

/// The variable that tells otherwise.
const DATA_DIR_VARIABLE: &str = "SWITCHBOARD_DATA_DIR";

/// Make a token, signed with the key in the data folder
///
/// The server accepts it for as long as its configuration names no other keys. The key is made if the
/// server has not been started yet. Only the token goes to standard output.
#[derive(Debug, Args)]
pub(crate) struct TokenArgs {
    /// Who the token is for (its `sub`)
    #[arg(long)]
    pub sub: String,

    /// What they may do; repeat it for several
    #[arg(long = "scope", value_name = "SCOPE")]
    pub scopes: Vec<String>,

    /// Which tenant they belong to
    #[arg(long)]
    pub tenant: Option<String>,

    /// What it may be shown to (its `aud`), such as `mcp.resource`; repeat it for several
    #[arg(long = "audience", value_name = "AUDIENCE")]
    pub audiences: Vec<String>,

    /// How long it is good for: 30s, 15m, 1h, 7d
    #[arg(long, default_value = "1h", value_parser = duration::parse)]
    pub ttl: Duration,

    /// Where the server keeps its key [default: `$SWITCHBOARD_DATA_DIR`, else `./.switchboard`]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

/// Prints a token.
pub(crate) fn run(args: TokenArgs) -> anyhow::Result<()> {
    let data_dir = args.data_dir.clone().unwrap_or_else(default_data_dir);
    let token = token(args, &data_dir)?;
    writeln!(std::io::stdout(), "{token}").context("the token could not be written")
}

fn token(args: TokenArgs, data_dir: &std::path::Path) -> anyhow::Result<String> {
    let key = generated_key(data_dir)?;
    // `--scope "a b"` is how scopes stand in the token, and means the same as two of them.
    let scopes = args.scopes.iter().flat_map(|scope| scope.split_whitespace()).map(str::to_owned).collect();
    let claims = match args.audiences.is_empty() {
        true => Map::new(),
        false => Map::from_iter([("aud".to_owned(), args.audiences.into())]),
    };
    let request = TokenRequest { subject: args.sub, scopes, tenant: args.tenant, lifetime: args.ttl, claims };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?;
    Ok(sign(&key, &request, now.as_secs())?)
}

/// An hour for a user without scopes, for this machine's own terminal.
pub(crate) fn sign_for(subject: &str, data_dir: &std::path::Path) -> anyhow::Result<String> {
    let ttl = Duration::from_secs(60 * 60);
    let (sub, scopes, audiences) = (subject.to_owned(), Vec::new(), Vec::new());
    token(TokenArgs { sub, scopes, tenant: None, audiences, ttl, data_dir: None }, data_dir)
}

pub(crate) fn default_data_dir() -> PathBuf {
    std::env::var_os(DATA_DIR_VARIABLE).filter(|dir| !dir.is_empty()).map_or(DEFAULT_DATA_DIR.into(), PathBuf::from)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: TokenArgs,
    }

    #[test]
    fn flags_are_read_and_a_token_comes_out() {
        let folder = tempfile::tempdir().unwrap();
        let args =
            Command::try_parse_from(["token", "--sub", "alice", "--scope", "a b", "--scope", "c", "--ttl", "2m"])
                .unwrap()
                .args;
        assert_eq!((args.scopes.len(), args.ttl), (2, Duration::from_secs(120)));
        let first = token(args, folder.path()).unwrap();
        assert_eq!(first.split('.').count(), 3);
    }

    #[test]
    fn the_subject_is_required_and_a_wrong_duration_is_named() {
        assert!(Command::try_parse_from(["token"]).unwrap_err().to_string().contains("--sub"));
        let fault = Command::try_parse_from(["token", "--sub", "a", "--ttl", "soon"]).unwrap_err().to_string();
        assert!(fault.contains("30s, 15m, 1h or 7d"), "{fault}");
    }
}
