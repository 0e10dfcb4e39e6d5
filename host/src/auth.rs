//! From a request's token to a [`Principal`], or to the exact reason why not.
//!
//! Every outcome is audited and counted here, once. There is no way in without a token, and no switch
//! that would make one: on a first start, a key is generated and `switchboard token` signs with it.
//!
//! Reading order: `carrier` (where the token is), `verifier` (whether it is genuine), `claims` (who it
//! names), `keys` (what it is checked with), `ticket` and `expiry` (what comes of it later), `revocation`
//! (what ends it early). `operator` is apart from all of these: tokens of those who operate the server.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use switchboard_protocol::ErrorCode;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{LiveConfig, mcp::ResourceAddress},
    telemetry::Metrics,
};

pub(crate) mod audit;
mod carrier;
mod claims;
pub(crate) mod expiry;
pub(crate) mod keys;
pub(crate) mod operator;
pub(crate) mod revocation;
pub(crate) mod signing;
#[cfg(test)]
mod tests;
mod ticket;
mod verifier;

pub(crate) use carrier::Carrier;
pub(crate) use keys::KeyError;
pub(crate) use ticket::IssuedTicket;

use audit::Attempt;
use carrier::{CarrierFault, Credential};
use claims::Expected;
use keys::KeyStore;
use revocation::Revocations;
use ticket::{TicketError, TicketRefused, Tickets};
use verifier::{Rejection, Verified};

/// Who is calling: verified claims and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Principal {
    /// The token's `sub`.
    pub subject: String,
    /// From the configured claim.
    pub tenant: Option<String>,
    /// `scope` (space-separated, RFC 8693, section 4.2) or `scp`/`scopes` (array).
    pub scopes: Vec<String>,
    /// A JSON object with the claims that plugins may see.
    pub claims_json: Arc<str>,
    /// Unix seconds.
    pub expires_at: u64,
    /// The token's `jti`, for revocation.
    pub token_id: Option<String>,
    /// The token's `iat` in Unix seconds, for revocation.
    pub issued_at: Option<u64>,
    /// The claims that the operator's rules look at. Plugins never see them.
    pub rule_claims: Arc<serde_json::Map<String, serde_json::Value>>,
}

impl Principal {
    /// A name, and nothing that a token says beyond it.
    pub fn named(tenant: Option<&str>, subject: &str) -> Self {
        Self {
            subject: subject.to_owned(),
            tenant: tenant.map(str::to_owned),
            scopes: Vec::new(),
            claims_json: "{}".into(),
            expires_at: u64::MAX,
            token_id: None,
            issued_at: None,
            rule_claims: Arc::default(),
        }
    }
}

/// Decides who is calling.
pub(crate) struct Authenticator {
    config: LiveConfig,
    metrics: Arc<Metrics>,
    keys: KeyStore,
    tickets: Tickets,
    revocations: Arc<Revocations>,
}

/// A request whose token or ticket is good.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Authenticated {
    pub principal: Principal,
    pub carrier: Carrier,
    /// What to echo as `Sec-WebSocket-Protocol`: one that was offered, never a token.
    pub subprotocol: Option<String>,
}

/// What a token is shown for. Each may want another audience.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    /// Sockets, and tickets for them.
    Socket,
    /// The endpoint of the Model Context Protocol, which is a protected resource with an address of its own.
    Mcp,
}

/// Why a request is refused. The detail is for the client's eyes, and holds no part of a token.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("{detail}")]
pub(crate) struct AuthFailure {
    pub code: ErrorCode,
    pub detail: String,
}

impl Authenticator {
    /// Reads the keys on this machine and starts the task that renews all of them.
    pub fn start(
        config: LiveConfig,
        metrics: Arc<Metrics>,
        revocations: Arc<Revocations>,
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, KeyError> {
        let keys = KeyStore::start(config.clone(), tasks, stop)?;
        Ok(Arc::new(Self { config, metrics, keys, tickets: Tickets::default(), revocations }))
    }

    /// Authenticates a WebSocket upgrade, by any carrier.
    pub async fn authenticate_upgrade(
        &self,
        door: Door,
        connection_id: &str,
        peer: IpAddr,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Authenticated, AuthFailure> {
        let found = carrier::of_upgrade(headers, query, self.config.load().auth.token_in_query);
        let (carrier, principal) = self.authenticate(door, connection_id, peer, found).await?;
        Ok(Authenticated { principal, carrier, subprotocol: carrier::subprotocol_to_echo(headers).map(str::to_owned) })
    }

    /// Authenticates another HTTP request, by its Authorization header only.
    pub async fn authenticate_request(
        &self,
        door: Door,
        connection_id: &str,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Authenticated, AuthFailure> {
        let found = carrier::of_request(headers);
        let (carrier, principal) = self.authenticate(door, connection_id, peer, found).await?;
        Ok(Authenticated { principal, carrier, subprotocol: None })
    }

    /// Authenticates the token that an open connection offers to go on with. With the token of somebody
    /// else it fails with [`ErrorCode::IdentityMismatch`].
    pub async fn refresh(
        &self,
        connection_id: &str,
        token: &str,
        current: &Principal,
    ) -> Result<Principal, AuthFailure> {
        let attempt = Attempt { connection_id, peer: None, carrier: Some(Carrier::Message) };
        let Verified { principal, key } = self.verified(Door::Socket, token).await.inspect_err(|failure| {
            attempt.refused(&self.metrics, failure.code, None);
        })?;
        if (&principal.subject, &principal.tenant) != (&current.subject, &current.tenant) {
            attempt.refused(&self.metrics, ErrorCode::IdentityMismatch, Some(&principal.subject));
            let detail = "the token belongs to another user than the connection".to_owned();
            return Err(AuthFailure { code: ErrorCode::IdentityMismatch, detail });
        }
        if self.is_revoked(&principal) {
            return Err(self.revoked(attempt, &principal));
        }
        attempt.accepted(&self.metrics, &principal, Some(&key));
        Ok(principal)
    }

    /// Whether the token that proved a principal was revoked since. Whoever makes a principal known to
    /// others has to ask once more after that: a revocation in between has not seen it.
    pub fn is_revoked(&self, principal: &Principal) -> bool {
        self.revocations.covers(principal)
    }

    /// Makes a ticket with which the same principal can open one connection. It ends no later than the
    /// principal's token.
    pub fn issue_ticket(&self, principal: Principal) -> Result<IssuedTicket, AuthFailure> {
        let rest = Duration::from_secs(principal.expires_at.saturating_sub(unix_now()));
        if rest.is_zero() {
            return Err(TicketRefused::PrincipalExpired.into());
        }
        let lifetime = self.config.load().auth.ticket_lifetime.min(rest);
        Ok(self.tickets.issue(principal, lifetime, Instant::now())?)
    }

    async fn authenticate(
        &self,
        door: Door,
        connection_id: &str,
        peer: IpAddr,
        found: Result<Credential, CarrierFault>,
    ) -> Result<(Carrier, Principal), AuthFailure> {
        let carrier = found.as_ref().map_or_else(CarrierFault::carrier, |credential| Some(credential.carrier));
        let attempt = Attempt { connection_id, peer: Some(peer), carrier };
        match self.checked(door, found).await {
            Ok((_, principal, _)) if self.is_revoked(&principal) => Err(self.revoked(attempt, &principal)),
            Ok((carrier, principal, key)) => {
                attempt.accepted(&self.metrics, &principal, key.as_deref());
                Ok((carrier, principal))
            }
            Err(failure) => {
                attempt.refused(&self.metrics, failure.code, None);
                Err(failure)
            }
        }
    }

    fn revoked(&self, attempt: Attempt<'_>, principal: &Principal) -> AuthFailure {
        attempt.refused(&self.metrics, ErrorCode::JwtRevoked, Some(&principal.subject));
        AuthFailure { code: ErrorCode::JwtRevoked, detail: "the token was revoked".to_owned() }
    }

    /// The key is that of a token; a ticket has none.
    async fn checked(
        &self,
        door: Door,
        found: Result<Credential, CarrierFault>,
    ) -> Result<(Carrier, Principal, Option<Arc<str>>), AuthFailure> {
        let Credential { carrier, secret } = found?;
        if carrier == Carrier::Ticket {
            let principal = self.tickets.redeem(&secret, Instant::now(), unix_now())?;
            return Ok((carrier, principal, None));
        }
        let Verified { principal, key } = self.verified(door, &secret).await?;
        Ok((carrier, principal, Some(key)))
    }

    /// Checks a token, a second time with new keys if it names one that is not known.
    async fn verified(&self, door: Door, token: &str) -> Result<Verified, AuthFailure> {
        let verify = || {
            let config = self.config.load();
            let resource = config.mcp.resource.as_ref().filter(|_| door == Door::Mcp);
            let expected = Expected {
                auth: &config.auth,
                resource: resource.map(ResourceAddress::as_str),
                rule_claims: &config.topics.rules.claims,
            };
            verifier::verify(token, &expected, &self.keys.current(), unix_now())
        };
        let mut outcome = verify();
        if outcome == Err(Rejection::KeyUnknown) && self.keys.renew().await {
            outcome = verify();
        }
        // Whether the key exists is only known when all sources have been read.
        if outcome == Err(Rejection::KeyUnknown) && !self.keys.current().is_complete() {
            let detail = "the keys that verify tokens could not be fetched".to_owned();
            return Err(AuthFailure { code: ErrorCode::AuthKeysUnavailable, detail });
        }
        Ok(outcome?)
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl From<CarrierFault> for AuthFailure {
    fn from(fault: CarrierFault) -> Self {
        Self { code: fault.code(), detail: fault.to_string() }
    }
}

impl From<Rejection> for AuthFailure {
    fn from(rejection: Rejection) -> Self {
        Self { code: rejection.code(), detail: rejection.to_string() }
    }
}

impl From<TicketRefused> for AuthFailure {
    fn from(refused: TicketRefused) -> Self {
        let code = match refused {
            TicketRefused::Invalid => ErrorCode::TicketInvalid,
            TicketRefused::PrincipalExpired => ErrorCode::JwtExpired,
        };
        Self { code, detail: refused.to_string() }
    }
}

impl From<TicketError> for AuthFailure {
    fn from(error: TicketError) -> Self {
        let code = match error {
            TicketError::TooMany | TicketError::TooManyOfUser => ErrorCode::RateLimited,
            TicketError::NoRandomness => ErrorCode::InternalError,
        };
        Self { code, detail: error.to_string() }
    }
}
