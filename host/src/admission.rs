//! Whether a connection may exist at all, apart from who it is.
//!
//! And how fast a connection that exists may send: [`Admission::message_rate`].
//!
//! The order of a handshake: [`Admission::check_origin`], then [`Admission::reserve`] (connections in
//! all, rate by address), then the token, then [`Admission::admit_user`]. What was granted is a value
//! that gives it back when it is dropped, so that no way out of a handshake can leak a slot. All limits
//! are those of the configuration at that moment.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::HeaderMap;
use switchboard_protocol::ErrorCode;

use crate::{auth::Principal, config::LiveConfig, telemetry::Metrics};

mod connection_limit;
mod limiter;
mod message_rate;
mod origin;
mod own_host;
mod rate_limit;
mod rated_users;

pub(crate) use connection_limit::{ConnectionSlot, Evictable, UserSlot};
pub(crate) use message_rate::{MessageRate, RateExceeded, RateScope};
pub(crate) use own_host::{host_of, is_own_host};
pub(crate) use rate_limit::subject_to_limit;

use connection_limit::{Connections, Users};
use governor::clock::DefaultClock;
use rate_limit::HandshakeRate;
use rated_users::RatedUsers;

/// Holds the counts.
pub(crate) struct Admission {
    config: LiveConfig,
    metrics: Arc<Metrics>,
    connections: Connections,
    users: Users,
    rate: HandshakeRate,
    rated_users: RatedUsers<DefaultClock>,
}

/// Why a connection may not exist.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{detail}")]
pub(crate) struct Refused {
    pub code: ErrorCode,
    pub detail: String,
    pub retry_after: Option<Duration>,
}

impl Admission {
    pub fn new(config: LiveConfig, metrics: Arc<Metrics>) -> Arc<Self> {
        let rate = HandshakeRate::new(&config.load().limits);
        RateScope::show_all(&metrics);
        Arc::new(Self {
            config,
            metrics,
            connections: Connections::default(),
            users: Users::default(),
            rate,
            rated_users: RatedUsers::new(DefaultClock::default()),
        })
    }

    /// Whether pages of this origin may connect.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), Refused> {
        origin::check(headers, &self.config.load().origins)
    }

    /// A place among all connections, within the rate of the peer's address.
    pub fn reserve(&self, peer: IpAddr) -> Result<ConnectionSlot, Refused> {
        let limits = &self.config.load().limits;
        let slot = self.reserve_for_known()?;
        let checked = self.rate.check(peer, limits);
        self.metrics.handshake_addresses.set(i64::try_from(self.rate.addresses()).unwrap_or(i64::MAX));
        checked.map_err(|wait| Refused {
            code: ErrorCode::HandshakeRateLimited,
            detail: "this address connects too often".to_owned(),
            retry_after: Some(wait),
        })?;
        Ok(slot)
    }

    /// A place among all connections for the answer to a message, which was counted as one: the rate of its address
    /// has no say in it.
    pub fn reserve_for_known(&self) -> Result<ConnectionSlot, Refused> {
        let limits = &self.config.load().limits;
        self.connections.reserve(limits.max_connections).ok_or_else(|| Refused {
            code: ErrorCode::ConnectionLimitReached,
            detail: format!("the server holds {} connections, and no more are allowed", limits.max_connections),
            retry_after: Some(connection_limit::RETRY_AFTER),
        })
    }

    /// A place among the connections of one user, who may have to give up an older one for it.
    pub fn admit_user(&self, principal: &Principal, connection: Arc<dyn Evictable>) -> Result<UserSlot, Refused> {
        let limits = &self.config.load().limits;
        let limit = limits.max_connections_per_user;
        self.users.admit(principal, connection, limit, limits.on_user_limit).ok_or_else(|| Refused {
            code: ErrorCode::UserConnectionLimitReached,
            detail: format!("this user holds {limit} connections, and no more are allowed"),
            retry_after: None,
        })
    }

    /// The limits on what one connection of this user sends, for whoever reads its socket.
    pub fn message_rate(&self, principal: &Principal) -> MessageRate {
        MessageRate::new(&self.rated_users, principal, &self.config, &self.metrics)
    }
}
