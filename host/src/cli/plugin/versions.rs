//! `switchboard plugin versions`: what can be rolled back to, and what serves whom.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{AdminClient, HostArgs, role, short, table};
use crate::plugin::operation::VersionSummary;

#[derive(Debug, Args)]
pub(crate) struct VersionsArgs {
    /// The plugin.
    name: String,
    #[command(flatten)]
    host: HostArgs,
}

#[derive(Serialize, Deserialize)]
struct Versions {
    plugin: String,
    versions: Vec<VersionSummary>,
}

pub(super) async fn run(args: VersionsArgs) -> anyhow::Result<()> {
    let answer: Versions = AdminClient::new(&args.host.admin)?.get(&["plugins", &args.name, "versions"]).await?;
    table::print(args.host.json, &answer, || {
        let rows: Vec<_> = answer.versions.iter().map(|version| row(version, table::now())).collect();
        table::table(["DIGEST", "VERSION", "ROLE", "DEPLOYED", "BY"], &rows)
    })
}

fn row(version: &VersionSummary, now: f64) -> [String; 5] {
    let role = match version.canary_percent {
        Some(percent) => format!("{} {percent}%", role(version.role)),
        None => role(version.role).to_owned(),
    };
    let deployed = table::ago(version.deployed_at, now);
    [short(&version.digest).to_owned(), version.version.clone(), role, deployed, version.deployed_by.clone()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::operation::Role;

    #[test]
    fn a_row_says_whom_the_version_serves() {
        let version = VersionSummary {
            digest: "0123456789abcdef".to_owned(),
            version: "1.0.0".to_owned(),
            role: Role::Canary,
            deployed_at: 40.0,
            deployed_by: "ci".to_owned(),
            canary_percent: Some(10),
        };
        assert_eq!(row(&version, 100.0), ["0123456789ab", "1.0.0", "canary 10%", "1m ago", "ci"]);
    }
}
