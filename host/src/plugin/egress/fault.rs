//! Why an outbound request has no answer. Texts are for the plugin: they name hosts, settings and kinds of
//! addresses, and never an address that the plugin did not know, nor anything of a secret.

use super::address::AddressRefused;

/// What came of a request instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EgressFault {
    /// It is not one that can be sent.
    #[error("{0}")]
    Invalid(String),
    #[error("`hosts` in this plugin's grants does not include {0}")]
    HostNotGranted(String),
    /// The host is granted, and is where no connection may be made to.
    #[error("{host} is not on the public internet: its address is {}, and `networks` in this plugin's grants does not include it", refused.kind)]
    AddressNotGranted { host: String, refused: AddressRefused },
    #[error("{0}")]
    Unreachable(String),
    #[error("there was no whole answer in time")]
    TimedOut,
    #[error("{0}")]
    TooLarge(String),
    #[error("{0}")]
    LimitExceeded(String),
    #[error("{0}")]
    Other(String),
}

impl EgressFault {
    /// The value of the `outcome` label in metrics and logs.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid",
            Self::HostNotGranted(_) | Self::AddressNotGranted { .. } => "not_granted",
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut => "timed_out",
            Self::TooLarge(_) => "too_large",
            Self::LimitExceeded(_) => "limit_exceeded",
            Self::Other(_) => "failed",
        }
    }
}
