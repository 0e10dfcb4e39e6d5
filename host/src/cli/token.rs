//! Stand-in.
#[derive(Debug, clap::Args)]
pub(crate) struct TokenArgs {}

pub(crate) fn run(_args: TokenArgs) -> anyhow::Result<()> {
    anyhow::bail!("not here yet")
}
