//! The rate of messages: of one connection, of one user, and of single types for each user.
//!
//! The order is that of the cost: a flood on one connection is stopped before it reaches what the user's
//! other connections share. What one limit refuses takes nothing from any other, so that a client which
//! sends too fast gets through exactly at the sustained rate, and neither its other types nor its other
//! connections pay for what was refused. All limits are those of the configuration at that moment; one
//! that was changed starts with a whole quota.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::clock::{Clock, DefaultClock};
use switchboard_protocol::MessageType;

use super::{
    limiter::Limiter,
    rated_users::{RatedUsers, UserRate},
};
use crate::{
    auth::Principal,
    config::{LiveConfig, Rate},
    telemetry::{Metrics, metrics::Scope},
};

/// The limits on one connection's messages. Whoever reads the socket owns it, so that only what the user
/// shares is behind a lock.
pub(crate) struct MessageRate<C: Clock = DefaultClock> {
    config: LiveConfig,
    metrics: Arc<Metrics>,
    connection: Limiter<C>,
    user: Arc<Mutex<UserRate<C>>>,
}

/// Whose rate it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateScope {
    Connection,
    User,
    MessageType,
}

/// A message came too early.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{scope}, and {allowed} are allowed")]
pub(crate) struct RateExceeded {
    pub scope: RateScope,
    pub allowed: Rate,
    /// Until a message can pass this limit, if no other is sent before.
    pub retry_after: Duration,
}

impl<C: Clock + Clone> MessageRate<C> {
    pub(super) fn new(
        users: &RatedUsers<C>,
        principal: &Principal,
        config: &LiveConfig,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let limits = &config.load().limits;
        let connection = Limiter::new(limits.connection_rate(), users.clock());
        let user = users.of(principal, limits);
        metrics.rated_users.set(i64::try_from(users.len()).unwrap_or(i64::MAX));
        Self { config: config.clone(), metrics: metrics.clone(), connection, user }
    }

    /// Counts a message, or refuses it. One without a type is a frame that could not be read.
    pub fn check(&mut self, message_type: Option<&MessageType>) -> Result<(), RateExceeded> {
        let checked = self.take(message_type);
        if let Err(exceeded) = &checked {
            self.metrics.rate_limited.get_or_create(&Scope { scope: exceeded.scope.as_str() }).inc();
        }
        checked
    }

    fn take(&mut self, message_type: Option<&MessageType>) -> Result<(), RateExceeded> {
        let limits = &self.config.load().limits;
        let allowed = limits.connection_rate();
        let cell = self.connection.take(allowed).map_err(|retry_after| RateExceeded {
            scope: RateScope::Connection,
            allowed,
            retry_after,
        })?;
        let taken = locked(&self.user).take(message_type, limits);
        if taken.is_err() {
            self.connection.give_back(cell);
        }
        taken
    }
}

impl RateScope {
    /// For metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::User => "user",
            Self::MessageType => "message_type",
        }
    }
}

impl std::fmt::Display for RateScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connection => "too many messages came on this connection",
            Self::User => "too many messages came from this user, on all connections together",
            Self::MessageType => "too many messages of this type came from this user",
        })
    }
}

/// A rate is never left half changed, so a panic elsewhere does not spoil it.
pub(super) fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
