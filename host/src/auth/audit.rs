//! One event for every authentication, accepted or not, and for every change of what is revoked, under
//! their own target so that they can be kept apart from other logs.
//!
//! It says who (only when that was proven), from where, by which carrier and with which of the server's
//! keys. Nothing of an unverified token is ever in it: not its claims, and not its `kid` either.

use std::net::{IpAddr, SocketAddr};

use switchboard_protocol::ErrorCode;

use super::{
    Carrier, Principal,
    revocation::{Revocation, Scope},
};
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

/// What an operator did to a revocation.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Revoking {
    /// The sessions that it ended.
    Revoked {
        sessions_ended: usize,
    },
    TakenBack,
}

/// Tells of a change of what is revoked. `by` is the name of the operator's token.
pub(crate) fn revocation(operator: SocketAddr, by: &str, revocation: &Revocation, what: Revoking) {
    let (outcome, sessions_ended) = match what {
        Revoking::Revoked { sessions_ended } => ("revoked", Some(sessions_ended)),
        Revoking::TakenBack => ("taken_back", None),
    };
    let (jti, subject, tenant) = match &revocation.scope {
        Scope::Token { jti } => (Some(jti), None, None),
        Scope::Subject { sub, tenant } => (None, Some(sub), tenant.as_ref()),
        Scope::Tenant { tenant } => (None, None, Some(tenant)),
        Scope::All => (None, None, None),
    };
    tracing::warn!(
        target: TARGET,
        %operator,
        by,
        outcome,
        id = revocation.id,
        token_id = jti,
        subject,
        tenant,
        issued_before = revocation.issued_before.map(tracing::field::display),
        reason = revocation.reason,
        sessions_ended,
        "revocation"
    );
}
