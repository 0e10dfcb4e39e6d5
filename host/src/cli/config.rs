//! Stand-in.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {}

pub(crate) fn run(_args: ConfigArgs) -> anyhow::Result<std::process::ExitCode> {
    anyhow::bail!("not here yet")
}
