//! Stand-in.
use crate::config::LoggingConfig;

pub(crate) fn init(config: &LoggingConfig) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(&config.filter)?;
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    Ok(())
}

pub(crate) fn apply(_config: &LoggingConfig) -> anyhow::Result<()> {
    Ok(())
}
