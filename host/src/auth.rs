//! From a request's token to a [`Principal`], or to the exact reason why not.
//!
//! Every outcome is audited and counted here, once. There is no way in without a token, and no switch
//! that would make one: on a first start, a key is generated and `switchboard token` signs with it.
//!
//! Reading order: `carrier` (where the token is), `verifier` (whether it is genuine), `claims` (who it
//! names), `keys` (what it is checked with), `ticket` and `expiry` (what comes of it later).

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;
use switchboard_protocol::ErrorCode;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{config::LiveConfig, telemetry::Metrics};

mod audit;
mod carrier;
mod claims;
pub(crate) mod expiry;
pub(crate) mod keys;
pub(crate) mod signing;
mod ticket;
mod verifier;

pub(crate) use carrier::Carrier;
pub(crate) use keys::KeyError;
pub(crate) use ticket::IssuedTicket;

use audit::Attempt;
use carrier::{CarrierFault, Credential};
use keys::KeyStore;
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
}

/// Decides who is calling.
pub(crate) struct Authenticator {
    config: LiveConfig,
    metrics: Arc<Metrics>,
    keys: KeyStore,
    tickets: Tickets,
}

/// A request whose token or ticket is good.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Authenticated {
    pub principal: Principal,
    pub carrier: Carrier,
    /// What to echo as `Sec-WebSocket-Protocol`: one that was offered, never a token.
    pub subprotocol: Option<&'static str>,
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
        tasks: &TaskTracker,
        stop: CancellationToken,
    ) -> Result<Arc<Self>, KeyError> {
        let keys = KeyStore::start(config.clone(), tasks, stop)?;
        Ok(Arc::new(Self { config, metrics, keys, tickets: Tickets::default() }))
    }

    /// Authenticates a WebSocket upgrade, by any carrier.
    pub async fn authenticate_upgrade(
        &self,
        connection_id: &str,
        peer: IpAddr,
        headers: &HeaderMap,
        query: Option<&str>,
    ) -> Result<Authenticated, AuthFailure> {
        let found = carrier::of_upgrade(headers, query, self.config.load().auth.token_in_query);
        let (carrier, principal) = self.authenticate(connection_id, peer, found).await?;
        Ok(Authenticated { principal, carrier, subprotocol: carrier::subprotocol_to_echo(headers) })
    }

    /// Authenticates another HTTP request, by its Authorization header only.
    pub async fn authenticate_request(
        &self,
        connection_id: &str,
        peer: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Authenticated, AuthFailure> {
        let (carrier, principal) = self.authenticate(connection_id, peer, carrier::of_request(headers)).await?;
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
        let Verified { principal, key } = self.verified(token).await.inspect_err(|failure| {
            attempt.refused(&self.metrics, failure.code, None);
        })?;
        if (&principal.subject, &principal.tenant) != (&current.subject, &current.tenant) {
            attempt.refused(&self.metrics, ErrorCode::IdentityMismatch, Some(&principal.subject));
            let detail = "the token belongs to another user than the connection".to_owned();
            return Err(AuthFailure { code: ErrorCode::IdentityMismatch, detail });
        }
        attempt.accepted(&self.metrics, &principal, Some(&key));
        Ok(principal)
    }

    /// Makes a ticket with which the same principal can open one connection. It ends no later than the
    /// principal's token.
    pub fn issue_ticket(&self, principal: Principal) -> Result<IssuedTicket, AuthFailure> {
        let rest = Duration::from_secs(principal.expires_at.saturating_sub(unix_now()));
        let lifetime = self.config.load().auth.ticket_lifetime.min(rest);
        Ok(self.tickets.issue(principal, lifetime, Instant::now())?)
    }

    async fn authenticate(
        &self,
        connection_id: &str,
        peer: IpAddr,
        found: Result<Credential, CarrierFault>,
    ) -> Result<(Carrier, Principal), AuthFailure> {
        let carrier = found.as_ref().map_or_else(CarrierFault::carrier, |credential| Some(credential.carrier));
        let attempt = Attempt { connection_id, peer: Some(peer), carrier };
        match self.checked(found).await {
            Ok((carrier, Verified { principal, key })) => {
                attempt.accepted(&self.metrics, &principal, (carrier != Carrier::Ticket).then_some(&key));
                Ok((carrier, principal))
            }
            Err(failure) => {
                attempt.refused(&self.metrics, failure.code, None);
                Err(failure)
            }
        }
    }

    async fn checked(&self, found: Result<Credential, CarrierFault>) -> Result<(Carrier, Verified), AuthFailure> {
        let Credential { carrier, secret } = found?;
        if carrier == Carrier::Ticket {
            let principal = self.tickets.redeem(&secret, Instant::now(), unix_now())?;
            return Ok((carrier, Verified { principal, key: Arc::from("") }));
        }
        Ok((carrier, self.verified(&secret).await?))
    }

    /// Checks a token, a second time with new keys if it names one that is not known.
    async fn verified(&self, token: &str) -> Result<Verified, AuthFailure> {
        let verify = || verifier::verify(token, &self.config.load().auth, &self.keys.current(), unix_now());
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    use http::{
        HeaderValue,
        header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL},
    };
    use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
    use serde_json::json;

    use super::{
        keys::{generated_key, remote_tests::Issuer},
        signing::{TokenRequest, sign},
        *,
    };
    use crate::config::{Config, KeySource};

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    struct Running {
        auth: Arc<Authenticator>,
        folder: tempfile::TempDir,
        _stop: tokio_util::sync::DropGuard,
    }

    fn start(change: impl FnOnce(&mut Config)) -> Running {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::for_tests(folder.path());
        change(&mut config);
        let stop = CancellationToken::new();
        let auth =
            Authenticator::start(LiveConfig::new(config), Metrics::new(), &TaskTracker::new(), stop.clone()).unwrap();
        Running { auth, folder, _stop: stop.drop_guard() }
    }

    impl Running {
        fn token(&self, subject: &str, tenant: Option<&str>) -> String {
            let request = TokenRequest {
                subject: subject.to_owned(),
                scopes: vec![],
                tenant: tenant.map(str::to_owned),
                lifetime: Duration::from_secs(60),
            };
            sign(&generated_key(self.folder.path()).unwrap(), &request, unix_now()).unwrap()
        }

        async fn upgrade(
            &self,
            lines: &[(http::HeaderName, String)],
            query: &str,
        ) -> Result<Authenticated, AuthFailure> {
            let mut headers = HeaderMap::new();
            for (name, value) in lines {
                headers.append(name, HeaderValue::from_str(value).unwrap());
            }
            self.auth.authenticate_upgrade("ws_1", PEER, &headers, Some(query)).await
        }

        async fn bearer(&self, token: &str) -> Result<Authenticated, AuthFailure> {
            self.upgrade(&[(AUTHORIZATION, format!("Bearer {token}"))], "").await
        }
    }

    /// Everything that is logged on this thread while the guard lives.
    fn log() -> (Arc<Mutex<Vec<u8>>>, tracing::subscriber::DefaultGuard) {
        struct Sink(Arc<Mutex<Vec<u8>>>);
        impl std::io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(bytes);
                Ok(bytes.len())
            }
            fn flush(&mut self) -> std::io::Result<()> {
                Ok(())
            }
        }
        let lines = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&lines);
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || Sink(Arc::clone(&sink)))
            .finish();
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// The fields of the audit events, checked for parts of secrets.
    fn audited(lines: &Mutex<Vec<u8>>, secrets: &[&str]) -> Vec<serde_json::Value> {
        let text = String::from_utf8(lines.lock().unwrap().clone()).unwrap();
        for part in secrets.iter().flat_map(|secret| secret.split('.')).filter(|part| part.len() > 3) {
            assert!(!text.contains(part), "a part of a token is in the log");
        }
        let events = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        events.filter(|event| event["target"] == "switchboard::audit").map(|event| event["fields"].clone()).collect()
    }

    #[tokio::test]
    async fn the_generated_key_lets_in_and_the_log_says_who() {
        let (lines, _guard) = log();
        let running = start(|_| {});
        let token = running.token("alice", Some("acme"));
        let protocols = (SEC_WEBSOCKET_PROTOCOL, format!("mcp, jwt.{token}"));
        let alice = running.upgrade(&[protocols], "").await.unwrap();
        assert_eq!((alice.carrier, alice.subprotocol), (Carrier::Subprotocol, Some("mcp")));
        assert_eq!((alice.principal.subject.as_str(), alice.principal.tenant.as_deref()), ("alice", Some("acme")));
        let expected = json!({
            "message": "authentication", "connection_id": "ws_1", "peer": "127.0.0.1", "carrier": "subprotocol",
            "outcome": "accepted", "subject": "alice", "tenant": "acme", "key_id": "the generated key",
        });
        assert_eq!(audited(&lines, &[&token]), [expected]);
        assert!(running.auth.metrics.render().contains(r#"authentications_total{outcome="accepted"} 1"#));
    }

    #[tokio::test]
    async fn refusals_are_audited_and_counted_without_a_subject_or_a_part_of_the_token() {
        let (lines, _guard) = log();
        let running = start(|_| {});
        let good = running.token("alice", None);
        let forged = format!("{}{}", good, "AAAA");
        let kid = BASE64_URL_SAFE_NO_PAD.encode(json!({"alg": "HS256", "kid": "invented-kid"}).to_string());
        let unknown = format!("{kid}.{}", good.split_once('.').unwrap().1);
        for (token, code) in [
            (&forged, ErrorCode::JwtSignatureInvalid),
            (&unknown, ErrorCode::JwtSignatureInvalid),
            (&"nonsense".to_owned(), ErrorCode::JwtFormatInvalid),
        ] {
            let failure = running.bearer(token).await.unwrap_err();
            assert_eq!(failure.code, code);
            assert!(!failure.detail.contains("invented-kid"));
        }
        assert_eq!(running.upgrade(&[], "").await.unwrap_err().code, ErrorCode::JwtTokenMissing);
        let both = running.upgrade(&[(AUTHORIZATION, format!("Bearer {good}"))], "ticket=unused-ticket").await;
        assert_eq!(both.unwrap_err().code, ErrorCode::AuthCarrierConflict);
        let events = audited(&lines, &[&good, &forged, &unknown, "nonsense", "invented-kid", "unused-ticket"]);
        let outcomes: Vec<_> = events.iter().map(|event| event["outcome"].as_str().unwrap()).collect();
        let expected = [
            "JWT_SIGNATURE_INVALID",
            "JWT_SIGNATURE_INVALID",
            "JWT_FORMAT_INVALID",
            "JWT_TOKEN_MISSING",
            "AUTH_CARRIER_CONFLICT",
        ];
        assert_eq!(outcomes, expected);
        assert!(events.iter().all(|event| event.get("subject").is_none() && event.get("key_id").is_none()));
        let metrics = running.auth.metrics.render();
        assert!(metrics.contains(r#"authentications_total{outcome="JWT_SIGNATURE_INVALID"} 2"#), "{metrics}");
    }

    #[tokio::test]
    async fn a_ticket_opens_one_connection_for_whoever_asked_for_it() {
        let (lines, _guard) = log();
        let running = start(|_| {});
        let alice = running.bearer(&running.token("alice", None)).await.unwrap();
        let issued = running.auth.issue_ticket(alice.principal.clone()).unwrap();
        assert_eq!(issued.expires_in, Duration::from_secs(30));
        let query = format!("ticket={}", issued.ticket);
        let protocols = [(SEC_WEBSOCKET_PROTOCOL, "mcp".to_owned())];
        let opened = running.upgrade(&protocols, &query).await.unwrap();
        assert_eq!(opened, Authenticated { carrier: Carrier::Ticket, subprotocol: Some("mcp"), ..alice });
        let again = running.upgrade(&protocols, &query).await.unwrap_err();
        assert_eq!(again.code, ErrorCode::TicketInvalid);
        let events = audited(&lines, &[&issued.ticket]);
        assert_eq!(
            events.iter().map(|event| event["carrier"].as_str().unwrap()).collect::<Vec<_>>(),
            ["header", "ticket", "ticket"]
        );
        assert!(events[1].get("key_id").is_none());
    }

    #[tokio::test]
    async fn a_ticket_ends_with_the_token_behind_it() {
        let running = start(|_| {});
        let mut alice = running.bearer(&running.token("alice", None)).await.unwrap().principal;
        alice.expires_at = unix_now() + 10;
        assert!(running.auth.issue_ticket(alice.clone()).unwrap().expires_in <= Duration::from_secs(10));
        alice.expires_at = unix_now() - 1;
        let ticket = running.auth.issue_ticket(alice).unwrap().ticket;
        assert!(running.upgrade(&[], &format!("ticket={ticket}")).await.is_err());
    }

    #[tokio::test]
    async fn only_the_header_counts_for_other_requests() {
        let running = start(|_| {});
        let mut headers = HeaderMap::new();
        let token = running.token("alice", None);
        headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&format!("jwt.{token}")).unwrap());
        let missing = running.auth.authenticate_request("req_1", PEER, &headers).await.unwrap_err();
        assert_eq!(missing.code, ErrorCode::JwtTokenMissing);
        headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        let alice = running.auth.authenticate_request("req_1", PEER, &headers).await.unwrap();
        assert_eq!((alice.carrier, alice.subprotocol), (Carrier::Header, None));
    }

    #[tokio::test]
    async fn a_connection_goes_on_with_a_token_of_the_same_user_only() {
        let running = start(|_| {});
        let alice = running.bearer(&running.token("alice", Some("acme"))).await.unwrap().principal;
        let refresh = async |token: String| running.auth.refresh("ws_1", &token, &alice).await;
        assert_eq!(refresh(running.token("alice", Some("acme"))).await.unwrap().subject, "alice");
        for token in [running.token("bob", Some("acme")), running.token("alice", None)] {
            assert_eq!(refresh(token).await.unwrap_err().code, ErrorCode::IdentityMismatch);
        }
        assert_eq!(refresh("nonsense".to_owned()).await.unwrap_err().code, ErrorCode::JwtFormatInvalid);
    }

    #[tokio::test]
    async fn keys_that_were_never_fetched_are_the_servers_fault_and_not_the_clients() {
        let running = start(|config| config.auth.keys = vec![KeySource::JwksUrl("http://127.0.0.1:1/jwks".into())]);
        let failure = running.bearer(&running.token("alice", None)).await.unwrap_err();
        assert_eq!(failure.code, ErrorCode::AuthKeysUnavailable);
    }

    #[tokio::test]
    async fn a_handshake_waits_for_the_keys_of_an_issuer_that_is_there() {
        let private = EncodingKey::from_ec_pem(include_bytes!("auth/test_keys/p256.private.pem")).unwrap();
        let mut jwk = Jwk::from_encoding_key(&private, Algorithm::ES256).unwrap();
        jwk.common.key_id = Some("current".to_owned());
        let issuer = Issuer::start(200, &json!({"keys": [jwk]}).to_string()).await;
        let running = start(|config| {
            config.auth.keys = vec![KeySource::JwksUrl(issuer.url.clone())];
            config.auth.algorithms = vec![Algorithm::ES256];
        });
        let claims = json!({"sub": "alice", "exp": unix_now() + 60});
        let header = Header { kid: Some("current".to_owned()), ..Header::new(Algorithm::ES256) };
        let token = jsonwebtoken::encode(&header, &claims, &private).unwrap();
        assert_eq!(running.bearer(&token).await.unwrap().principal.subject, "alice");
        assert_eq!(issuer.requests(), 1);
    }
}
