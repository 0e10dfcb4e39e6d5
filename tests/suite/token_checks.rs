//! Which tokens are believed: algorithms, keys, claims, and a code for each failure.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Claims, Client, SECRET, Server, eventually, repository, request, unix_now};

fn key_file(name: &str) -> String {
    repository().join("tests/keys").join(name).display().to_string()
}

fn private_key(name: &str) -> Vec<u8> {
    std::fs::read(key_file(name)).expect("the test key is there")
}

async fn server_with_auth(auth: &str) -> Server {
    Server::builder().auth(auth).start().await
}

async fn outcome(server: &Server, token: &str) -> String {
    match Client::with_token(server, token).await {
        Ok(client) => {
            let user = client.established["user_id"].as_str().expect("a user").to_owned();
            client.close().await;
            user
        }
        Err(refusal) => {
            assert_eq!(refusal.status, 401, "{refusal:?}");
            assert!(refusal.response.header("www-authenticate").is_some(), "{refusal:?}");
            assert!(refusal.response.body["recoverable"].is_boolean());
            assert!(refusal.response.body["help"].as_str().is_some_and(|help| !help.is_empty()));
            assert!(refusal.response.header("x-connection-id").is_some_and(|id| id.starts_with("ws_")));
            refusal.code().to_owned()
        }
    }
}

#[tokio::test]
async fn every_algorithm_is_verified_with_its_kind_of_key() {
    let rsa = EncodingKey::from_rsa_pem(&private_key("rsa.pem")).expect("a key");
    let other_rsa = EncodingKey::from_rsa_pem(&private_key("rsa2.pem")).expect("a key");
    let p256 = EncodingKey::from_ec_pem(&private_key("p256.pem")).expect("a key");
    let p384 = EncodingKey::from_ec_pem(&private_key("p384.pem")).expect("a key");
    let ed25519 = EncodingKey::from_ed_pem(&private_key("ed25519.pem")).expect("a key");
    let secret = EncodingKey::from_secret(SECRET);
    let long_secret = [SECRET, SECRET].concat();
    let server = Server::builder()
        .auth(&format!(
            "keys = [\"env:TEST_SECRET\", \"file:{}\", \"file:{}\", \"file:{}\", \"file:{}\"]\n\
             algorithms = [\"HS256\",\"HS384\",\"HS512\",\"RS256\",\"RS384\",\"RS512\",\"PS256\",\"PS384\",\"PS512\",\"ES256\",\"ES384\",\"EdDSA\"]",
            key_file("rsa.pub.pem"),
            key_file("p256.pub.pem"),
            key_file("p384.pub.pem"),
            key_file("ed25519.pub.pem")
        ))
        .environment("TEST_SECRET", std::str::from_utf8(&long_secret).expect("ASCII"))
        .start()
        .await;
    let long = EncodingKey::from_secret(&long_secret);
    for (algorithm, key) in [
        (Algorithm::HS256, &long),
        (Algorithm::HS384, &long),
        (Algorithm::HS512, &long),
        (Algorithm::RS256, &rsa),
        (Algorithm::RS384, &rsa),
        (Algorithm::RS512, &rsa),
        (Algorithm::PS256, &rsa),
        (Algorithm::PS384, &rsa),
        (Algorithm::PS512, &rsa),
        (Algorithm::ES256, &p256),
        (Algorithm::ES384, &p384),
        (Algorithm::EdDSA, &ed25519),
    ] {
        let token = Claims::of("alice").sign_with(Header::new(algorithm), key);
        assert_eq!(outcome(&server, &token).await, "alice", "{algorithm:?}");
    }
    for (algorithm, key) in
        [(Algorithm::RS256, &other_rsa), (Algorithm::PS256, &other_rsa), (Algorithm::HS256, &secret)]
    {
        let token = Claims::of("alice").sign_with(Header::new(algorithm), key);
        assert_eq!(outcome(&server, &token).await, "JWT_SIGNATURE_INVALID", "{algorithm:?} with another's key");
    }
}

#[tokio::test]
async fn algorithms_that_are_not_allowed_and_tricks_with_them_are_refused() {
    let server = server_with_auth(&format!(
        "keys = [\"file:{}\"]\nalgorithms = [\"RS256\", \"HS256\"]",
        key_file("rsa.pub.pem")
    ))
    .await;
    // The public key used as an HMAC secret: the classic confusion.
    let public = std::fs::read(key_file("rsa.pub.pem")).expect("the key is there");
    let confused = Claims::of("mallory").sign_with(Header::new(Algorithm::HS256), &EncodingKey::from_secret(&public));
    assert_eq!(outcome(&server, &confused).await, "JWT_SIGNATURE_INVALID");

    let rsa = EncodingKey::from_rsa_pem(&private_key("rsa.pem")).expect("a key");
    let not_allowed = Claims::of("alice").sign_with(Header::new(Algorithm::RS512), &rsa);
    assert_eq!(outcome(&server, &not_allowed).await, "JWT_ALGORITHM_REFUSED");

    for algorithm in ["none", "None", "NONE", "RS999"] {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = part(json!({ "alg": algorithm, "typ": "JWT" }));
        let unsigned = format!("{header}.{}.", part(json!({ "sub": "mallory", "exp": unix_now() + 60 })));
        let code = outcome(&server, &unsigned).await;
        assert!(["JWT_ALGORITHM_REFUSED", "JWT_FORMAT_INVALID"].contains(&code.as_str()), "{algorithm}: {code}");
    }
}

#[tokio::test]
async fn each_failure_has_its_code() {
    let server = Server::builder()
        .auth(
            "keys = [\"env:TEST_SECRET\"]\nissuers = [\"https://issuer.example\"]\naudiences = [\"switchboard\"]\nleeway = \"5s\"",
        )
        .environment("TEST_SECRET", std::str::from_utf8(SECRET).expect("ASCII"))
        .start()
        .await;
    let good = Claims::of("alice").with("iss", "https://issuer.example").with("aud", "switchboard");
    let signed = good.sign();
    let (head, signature) = signed.rsplit_once('.').expect("three parts");
    let tampered = format!("{head}.{}", signature.chars().rev().collect::<String>());
    let now = unix_now();
    for (token, expected) in [
        (signed.clone(), "alice"),
        (good.clone().with("aud", json!(["other", "switchboard"])).sign(), "alice"),
        (good.clone().with("exp", now - 2).sign(), "alice"),
        (good.clone().with("nbf", now + 2).sign(), "alice"),
        (good.clone().with("exp", now - 60).sign(), "JWT_EXPIRED"),
        (good.clone().with("nbf", now + 600).sign(), "JWT_NOT_YET_VALID"),
        (good.clone().with("aud", "other").sign(), "JWT_AUDIENCE_INVALID"),
        (good.clone().without("aud").sign(), "JWT_AUDIENCE_INVALID"),
        (good.clone().with("iss", "https://evil.example").sign(), "JWT_ISSUER_INVALID"),
        (good.clone().without("iss").sign(), "JWT_ISSUER_INVALID"),
        (good.clone().without("exp").sign(), "JWT_CLAIM_INVALID"),
        (good.clone().without("sub").sign(), "JWT_CLAIM_INVALID"),
        (good.clone().with("sub", "").sign(), "JWT_CLAIM_INVALID"),
        (good.clone().with("sub", 7).sign(), "JWT_CLAIM_INVALID"),
        (tampered, "JWT_SIGNATURE_INVALID"),
        (good.sign_with(Header::default(), &EncodingKey::from_secret(b"another secret")), "JWT_SIGNATURE_INVALID"),
        ("not.a.jwt".to_owned(), "JWT_FORMAT_INVALID"),
        ("x".to_owned(), "JWT_FORMAT_INVALID"),
        (format!("{signed}.x"), "JWT_FORMAT_INVALID"),
    ] {
        assert_eq!(outcome(&server, &token).await, expected, "{token}");
    }
    let refusal = Client::open(request(server.url(), &[])).await.err().expect("refused");
    assert_eq!((refusal.status, refusal.code()), (401, "JWT_TOKEN_MISSING"));
}

#[tokio::test]
async fn every_outcome_is_audited_with_the_connection_id() {
    let server = Server::start().await;
    let client = Client::connect(&server, "alice").await;
    let line = server.logged(&["switchboard::audit", client.connection_id()]).await;
    assert!(line.contains("alice"), "{line}");

    let refusal =
        Client::with_token(&server, &Claims::of("bob").with("exp", 1000).sign()).await.err().expect("refused");
    let id = refusal.response.header("x-connection-id").expect("an id").to_owned();
    let line = server.logged(&["switchboard::audit", &id]).await;
    assert!(line.contains("JWT_EXPIRED"), "{line}");
    assert!(!line.contains("bob"), "an unverified subject was logged: {line}");
}

#[tokio::test]
async fn a_replaced_key_file_is_trusted_and_the_old_key_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("key");
    std::fs::write(&file, b"the first secret, of 32 bytes ..").expect("written");
    let server = server_with_auth(&format!("keys = [\"file:{}\"]\nkey_refresh = \"1s\"", file.display())).await;
    let signed_with =
        |secret: &[u8]| Claims::of("alice").sign_with(Header::default(), &EncodingKey::from_secret(secret));
    let (first, second) =
        (signed_with(b"the first secret, of 32 bytes .."), signed_with(b"the second secret, of 32 bytes ."));
    assert_eq!(outcome(&server, &first).await, "alice");
    assert_eq!(outcome(&server, &second).await, "JWT_SIGNATURE_INVALID");
    std::fs::write(&file, b"the second secret, of 32 bytes .").expect("written");
    eventually("the new key to be trusted", async || (outcome(&server, &second).await == "alice").then_some(())).await;
    assert_eq!(outcome(&server, &first).await, "JWT_SIGNATURE_INVALID");
}

#[tokio::test]
async fn keys_of_a_jwks_are_fetched_and_a_new_one_is_found_by_its_kid() {
    let rsa = EncodingKey::from_rsa_pem(&private_key("rsa.pem")).expect("a key");
    let rsa2 = EncodingKey::from_rsa_pem(&private_key("rsa2.pem")).expect("a key");
    let jwk = |name: &str, kid: &str| {
        let (n, e) = rsa_public_numbers(name);
        json!({ "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": n, "e": e })
    };
    let (first, second) = (jwk("rsa.pub.pem", "one"), jwk("rsa2.pub.pem", "two"));
    let issuer = Issuer::serving(json!({ "keys": [first] })).await;
    let server = server_with_auth(&format!("keys = [\"{}\"]\nkey_refresh = \"1h\"", issuer.url)).await;
    let signed = |kid: &str, key: &EncodingKey| {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(kid.to_owned());
        Claims::of("alice").sign_with(header, key)
    };
    assert_eq!(outcome(&server, &signed("one", &rsa)).await, "alice");
    assert_eq!(outcome(&server, &signed("one", &rsa2)).await, "JWT_SIGNATURE_INVALID");

    issuer.serve(json!({ "keys": [first, second] }));
    eventually("the new key to be found", async || {
        (outcome(&server, &signed("two", &rsa2)).await == "alice").then_some(())
    })
    .await;
    assert_eq!(outcome(&server, &signed("one", &rsa)).await, "alice", "the old key is still published");
}

/// The modulus and exponent of an RSA key in SubjectPublicKeyInfo form (RFC 5280), by their place: both
/// test keys have 2048 bits and the exponent 65537, so the DER has one fixed layout.
fn rsa_public_numbers(name: &str) -> (String, String) {
    use base64::engine::general_purpose::STANDARD;
    let pem = std::fs::read_to_string(key_file(name)).expect("the key is there");
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let der = STANDARD.decode(body).expect("base64");
    assert_eq!(der.len(), 294, "a 2048 bit key");
    (URL_SAFE_NO_PAD.encode(&der[33..289]), URL_SAFE_NO_PAD.encode(&der[291..294]))
}

/// An issuer on loopback whose JWKS can be changed.
struct Issuer {
    url: String,
    document: std::sync::Arc<std::sync::Mutex<String>>,
}

impl Issuer {
    async fn serving(jwks: Value) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/jwks.json", listener.local_addr().expect("an address"));
        let document = std::sync::Arc::new(std::sync::Mutex::new(jwks.to_string()));
        let served = std::sync::Arc::clone(&document);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let body = served.lock().expect("not poisoned").clone();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url, document }
    }

    fn serve(&self, jwks: Value) {
        *self.document.lock().expect("not poisoned") = jwks.to_string();
    }
}

#[tokio::test]
async fn the_key_made_at_first_start_is_private_and_signs_what_the_token_command_prints() {
    let server = server_with_auth("").await;
    let token = crate::harness::run_switchboard(&[
        "token",
        "--sub",
        "alice",
        "--scope",
        "chat",
        "--scope",
        "tools",
        "--ttl",
        "5m",
        "--data-dir",
        server.data_dir().to_str().expect("UTF-8"),
    ]);
    assert!(token.success, "{}", token.stderr);
    assert_eq!(token.stdout.lines().count(), 1, "only the token: {}", token.stdout);
    assert_eq!(outcome(&server, token.stdout.trim()).await, "alice");

    use std::os::unix::fs::PermissionsExt;
    let mut private = 0;
    let mut folders = vec![server.data_dir()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable").map(|entry| entry.expect("an entry").path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.display().to_string().contains("key") {
                let mode = std::fs::metadata(&entry).expect("metadata").permissions().mode() & 0o777;
                assert_eq!(mode, 0o600, "{}", entry.display());
                private += 1;
            }
        }
    }
    assert_eq!(private, 2, "one key for tokens, and one for what plugins seal");
}
