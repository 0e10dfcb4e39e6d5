//! Stand-in.
#[derive(Debug, clap::Args)]
pub(crate) struct ConnectArgs {}

pub(crate) async fn run(_args: ConnectArgs) -> anyhow::Result<()> {
    anyhow::bail!("not here yet")
}
