//! One event for every authentication, accepted or not, under its own target so that it can be kept
//! apart from other logs.
//!
//! It says who (only when that was proven), from where, by which carrier and with which of the server's
//! keys. Nothing of an unverified token is ever in it: not its claims, and not its `kid` either.

use std::net::IpAddr;

use switchboard_protocol::ErrorCode;

use super::{Carrier, Principal};
use crate::telemetry::{Metrics, metrics::Outcome};

/// The target to filter by.
const TARGET: &str = "switchboard::audit";

/// What is known before the outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    pub connection_id: &'a str,
    /// Unknown for a token that came in over an open connection.
    pub peer: Option<IpAddr>,
    pub carrier: Option<Carrier>,
}

impl Attempt<'_> {
    /// Tells of a success. Tickets have no key.
    pub fn accepted(self, metrics: &Metrics, principal: &Principal, key: Option<&str>) {
        metrics.authentications.get_or_create(&Outcome { outcome: "accepted" }).inc();
        tracing::info!(
            target: TARGET,
            connection_id = self.connection_id,
            peer = self.peer.map(tracing::field::display),
            carrier = self.carrier.map(Carrier::as_str),
            outcome = "accepted",
            subject = principal.subject,
            tenant = principal.tenant,
            key_id = key,
            "authentication"
        );
    }

    /// Tells of a refusal. `subject` is given only if it was proven.
    pub fn refused(self, metrics: &Metrics, code: ErrorCode, subject: Option<&str>) {
        metrics.authentications.get_or_create(&Outcome { outcome: code.as_str() }).inc();
        tracing::warn!(
            target: TARGET,
            connection_id = self.connection_id,
            peer = self.peer.map(tracing::field::display),
            carrier = self.carrier.map(Carrier::as_str),
            outcome = code.as_str(),
            subject,
            "authentication"
        );
    }
}
