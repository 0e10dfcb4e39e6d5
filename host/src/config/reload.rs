//! Stand-in.
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{LiveConfig, check::FileDigest, raw::Sources};

#[derive(Debug, Clone, Copy)]
pub(crate) enum Reloaded {
    Applied,
    Refused,
}

impl Reloaded {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
        }
    }
}

pub(crate) fn watch(
    _sources: Sources,
    _loaded: Option<FileDigest>,
    _live: LiveConfig,
    _report: impl Fn(Reloaded) + Send + 'static,
    _tasks: &TaskTracker,
    _stop: CancellationToken,
) {
}
