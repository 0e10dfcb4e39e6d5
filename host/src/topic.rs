//! Publish and subscribe on this node.
//!
//! Topics come into being with their first subscriber or publication, live within one tenant, and are
//! forgotten when nobody listens and nothing recent is in them. This module holds what the dispatcher
//! gave it to deliver to (`R`) and never looks into it: it knows neither sessions nor sockets.
//!
//! Reading order: `pattern` (names), `access` and `bearing` (who may), `history` (what was), `channel` (one
//! topic, under its lock), `presence` (who came and went), `subscriptions` (all of it together), then
//! `lives` (how topics begin and end), `enforcement` (what is no longer allowed), `founders` (how many topics
//! a user has), `saved` (restarts).

mod access;
mod bearing;
mod channel;
mod enforcement;
mod founders;
mod history;
mod lives;
mod pattern;
pub(crate) mod presence;
mod receiver;
pub(crate) mod saved;
mod subscriptions;
#[cfg(test)]
mod tests;

pub(crate) use channel::{Options, Position, Subscription};
pub(crate) use history::Publication;
pub(crate) use pattern::Pattern;
pub(crate) use presence::{PresenceEvent, Who};
pub(crate) use receiver::Receiver;
pub(crate) use subscriptions::{NewPublication, Topics};

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
