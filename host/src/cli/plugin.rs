//! Stand-in.
#[derive(Debug, clap::Args)]
pub(crate) struct PluginArgs {}

pub(crate) fn run(_args: PluginArgs) -> anyhow::Result<()> {
    anyhow::bail!("not here yet")
}
