//! The parts of authentication at work together: requests in, identities, events and counts out.

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
    let (metrics, tasks) = (Metrics::new(), TaskTracker::new());
    let revocations = Revocations::open(folder.path(), metrics.clone()).unwrap();
    let auth = Authenticator::start(LiveConfig::new(config), metrics, revocations, &tasks, stop.clone()).unwrap();
    Running { auth, folder, _stop: stop.drop_guard() }
}

impl Running {
    fn token(&self, subject: &str, tenant: Option<&str>) -> String {
        let request = TokenRequest {
            subject: subject.to_owned(),
            scopes: vec![],
            tenant: tenant.map(str::to_owned),
            lifetime: Duration::from_secs(60),
            claims: serde_json::Map::new(),
        };
        sign(&generated_key(self.folder.path()).unwrap(), &request, unix_now()).unwrap()
    }

    async fn upgrade(&self, lines: &[(http::HeaderName, String)], query: &str) -> Result<Authenticated, AuthFailure> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        self.auth.authenticate_upgrade(Door::Socket, "ws_1", PEER, &headers, Some(query)).await
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
    // Other tests reach the same places in the code at the same time and have nobody who listens. Without
    // one who always does, what they find could be remembered for this thread, too.
    static LISTENER: std::sync::Once = std::sync::Once::new();
    LISTENER.call_once(|| {
        let everything = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(std::io::sink);
        // It only has to be there: it is nobody's default.
        std::mem::forget(tracing::Dispatch::new(everything.finish()));
    });
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
    assert_eq!((alice.carrier, alice.subprotocol), (Carrier::Subprotocol, Some("mcp".to_owned())));
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
    assert_eq!(opened, Authenticated { carrier: Carrier::Ticket, subprotocol: Some("mcp".to_owned()), ..alice });
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
    let failure = running.auth.issue_ticket(alice).unwrap_err();
    assert_eq!((failure.code, failure.detail.contains("has expired")), (ErrorCode::JwtExpired, true));
}

#[tokio::test]
async fn only_the_header_counts_for_other_requests() {
    let running = start(|_| {});
    let mut headers = HeaderMap::new();
    let token = running.token("alice", None);
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_str(&format!("jwt.{token}")).unwrap());
    let missing = running.auth.authenticate_request(Door::Socket, "req_1", PEER, &headers).await.unwrap_err();
    assert_eq!(missing.code, ErrorCode::JwtTokenMissing);
    headers.insert(AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
    let alice = running.auth.authenticate_request(Door::Socket, "req_1", PEER, &headers).await.unwrap();
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
    let private = EncodingKey::from_ec_pem(include_bytes!("test_keys/p256.private.pem")).unwrap();
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
