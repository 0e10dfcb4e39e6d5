//! Stand-in.
use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

#[derive(Debug, Clone, Default)]
pub(crate) struct Sources {
    pub file: Option<PathBuf>,
    pub data_dir: Option<PathBuf>,
    pub plugin_dir: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
    pub admin_listen: Option<SocketAddr>,
    pub environment: BTreeMap<String, String>,
}

impl Sources {
    pub fn from_environment() -> Self {
        Self::default()
    }
}
