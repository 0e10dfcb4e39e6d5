//! Publish and subscribe on this node.
//!
//! Topics come into being with their first subscriber or publication, live within one tenant, and are
//! forgotten when nobody listens and nothing recent is in them. This module holds what the dispatcher
//! gave it to deliver to (`R`) and never looks into it: it knows neither sessions nor sockets.
//!
//! Reading order: `pattern` (names), `access` (who may), `history` (what was), `subscriptions` (all
//! of it together).

pub(crate) mod access;
pub(crate) mod history;
pub(crate) mod pattern;
pub(crate) mod subscriptions;

pub(crate) use history::Publication;
pub(crate) use pattern::Pattern;
pub(crate) use subscriptions::{Subscriber, Topics};

/// Why a topic cannot be used in this way.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum TopicFault {
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Forbidden(String),
    #[error("{0}")]
    LimitExceeded(String),
}
