//! The OpenAPI document: fresh, complete, and true of what is answered.

use std::collections::BTreeSet;

use super::*;

/// Set to rewrite the file instead of comparing it.
const UPDATE: &str = "SWITCHBOARD_UPDATE_DOCS";

fn document() -> Value {
    let folder = tempfile::tempdir().unwrap();
    let operators = Operators::open(folder.path()).unwrap();
    let (_, document) = described(&Gate { operators, wrong: Arc::default() });
    serde_json::to_value(document).unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            all.push((method.to_ascii_uppercase(), path.clone(), operation.clone()));
        }
    }
    all
}

#[test]
fn the_openapi_document_is_fresh() {
    let path = format!("{}/../schema/openapi.json", env!("CARGO_MANIFEST_DIR"));
    let text = format!("{}\n", serde_json::to_string_pretty(&document()).unwrap());
    if std::env::var_os(UPDATE).is_some() {
        std::fs::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "schema/openapi.json is stale; `{UPDATE}=1 cargo test -p switchboard --lib fresh` rewrites it"
    );
}

#[test]
fn every_reference_leads_to_a_schema_and_every_operation_says_what_it_is_for() {
    let document = document();
    let text = document.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(document["components"]["schemas"][name].is_object(), "{name} is missing");
    }
    for (method, path, operation) in operations(&document) {
        assert!(operation["summary"].is_string() && operation["tags"][0].is_string(), "{method} {path}");
        assert!(operation["responses"]["403"].is_object(), "{method} {path}");
        assert!(operation["security"].is_array(), "{method} {path}");
    }
}

#[tokio::test]
async fn every_operation_asks_for_the_scope_that_the_document_names() {
    let listener = Listener::start().await;
    let operations = operations(&document());
    assert_eq!(operations.len(), 28, "a new route is seen here");
    for (method, path, operation) in operations {
        let needed = operation["security"][0]["token"][0].as_str().map(|scope| scope.parse::<Scope>().unwrap());
        let at = path.replace("{name}", "absent").replace("{id}", "absent").replace("{version}", "absent");
        let ask = async |bearer: &str| listener.send(&method, &at, &[("Authorization", bearer)], b"").await;
        let open = ask("").await.status != 401;
        assert_eq!(open, needed.is_none(), "{method} {path}");
        for scope in Scope::ALL {
            let answer = ask(&listener.bearer(scope)).await;
            let refused = needed.is_some_and(|needed| !scope.allows(needed));
            assert_eq!(answer.status == 403, refused, "{method} {path} with {scope:?}: {}", answer.body);
            if let Some(needed) = needed.filter(|_| refused) {
                let challenge = format!("error=\"insufficient_scope\", scope=\"{}\"", needed.as_str());
                assert!(answer.head.contains(&challenge), "{}", answer.head);
                assert_eq!(answer.json()["code"], "ADMIN_SCOPE_INSUFFICIENT");
            }
        }
    }
}

/// Holds an answer against what the document says of its status.
fn check(document: &Value, method: &str, path: &str, answer: &Answer) {
    let operation = &document["paths"][path][method.to_ascii_lowercase()];
    let response = &operation["responses"][answer.status.to_string()];
    assert!(response.is_object(), "{method} {path}: {} is not in the document: {}", answer.status, answer.body);
    let mut schema = response["content"]["application/json"]["schema"].clone();
    schema["components"] = document["components"].clone();
    let found = answer.json();
    let faults: Vec<String> =
        jsonschema::validator_for(&schema).unwrap().iter_errors(&found).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{method} {path} {}: {faults:?} in {found}", answer.status);
}

#[tokio::test]
async fn answers_are_what_the_document_says() {
    let listener = Listener::start().await;
    let document = document();
    let revoke = br#"{"sub":"alice","reason":"lost"}"#;
    let mut seen = BTreeSet::new();
    for (method, path, at, kind, body, status) in [
        ("GET", "/healthz", "/healthz", "", &b""[..], 200),
        ("GET", "/readyz", "/readyz", "", b"", 200),
        ("GET", "/openapi.json", "/openapi.json", "", b"", 200),
        ("GET", "/config", "/config", "", b"", 200),
        ("GET", "/plugins", "/plugins", "", b"", 200),
        ("GET", "/plugins/{name}", "/plugins/echo", "", b"", 200),
        ("GET", "/plugins/{name}", "/plugins/absent", "", b"", 404),
        ("GET", "/plugins/{name}/versions", "/plugins/echo/versions", "", b"", 200),
        ("GET", "/plugins/{name}/versions", "/plugins/absent/versions", "", b"", 404),
        ("GET", "/plugins/{name}/logs", "/plugins/absent/logs", "", b"", 404),
        ("GET", "/plugins/{name}/versions/{version}", "/plugins/absent/versions/1.0.0", "", b"", 404),
        ("GET", "/plugins/{name}/state", "/plugins/echo/state", "", b"", 200),
        ("GET", "/plugins/{name}/state", "/plugins/absent/state", "", b"", 404),
        ("DELETE", "/plugins/{name}", "/plugins/echo?why=gone", "", b"", 200),
        ("DELETE", "/plugins/{name}", "/plugins/late", "", b"", 409),
        ("DELETE", "/plugins/{name}/state", "/plugins/echo/state?scope=user&why=gone", "", b"", 200),
        ("DELETE", "/plugins/{name}/state", "/plugins/echo/state?scope=all", "", b"", 400),
        ("DELETE", "/plugins/{name}/state", "/plugins/absent/state", "", b"", 404),
        ("PUT", "/plugins/{name}", "/plugins/echo", WASM, b"x", 200),
        ("PUT", "/plugins/{name}", "/plugins/unfit", WASM, b"x", 422),
        ("PUT", "/plugins/{name}", "/plugins/echo", JSON, b"x", 415),
        ("POST", "/plugins/{name}/promote", "/plugins/echo/promote", "", b"", 200),
        ("POST", "/plugins/{name}/promote", "/plugins/late/promote", JSON, b"{}", 409),
        ("POST", "/plugins/{name}/rollback", "/plugins/echo/rollback", JSON, b"{}", 200),
        ("POST", "/plugins/{name}/pin", "/plugins/echo/pin", JSON, br#"{"session_id":"s","digest":"d"}"#, 200),
        ("POST", "/plugins/{name}/unpin", "/plugins/echo/unpin", JSON, br#"{"session_id":"s"}"#, 200),
        ("POST", "/plugins/{name}/enable", "/plugins/echo/enable", "", b"", 200),
        ("POST", "/plugins/{name}/disable", "/plugins/echo/disable", "", b"", 200),
        ("GET", "/sessions", "/sessions?user=alice&limit=1", "", b"", 200),
        ("GET", "/audit", "/audit?limit=5", "", b"", 200),
        ("POST", "/revocations", "/revocations", JSON, revoke, 201),
        ("POST", "/revocations", "/revocations", JSON, revoke, 200),
        ("POST", "/revocations", "/revocations", JSON, b"{}", 400),
        ("GET", "/revocations", "/revocations", "", b"", 200),
        ("DELETE", "/revocations/{id}", "/revocations/absent", "", b"", 404),
        ("POST", "/tokens", "/tokens", JSON, br#"{"name":"ci","scope":"read","expires_in_s":9}"#, 201),
        ("POST", "/tokens", "/tokens", JSON, br#"{"name":"ci","scope":"read"}"#, 409),
        ("GET", "/tokens", "/tokens", "", b"", 200),
        ("DELETE", "/tokens/{name}", "/tokens/ci", "", b"", 200),
    ] {
        let answer = listener.ask(method, at, kind, body).await;
        assert_eq!(answer.status, status, "{method} {at}: {}", answer.body);
        check(&document, method, path, &answer);
        seen.insert((method.to_owned(), path.to_owned()));
    }
    // Neither is JSON.
    let rest: Vec<_> = operations(&document)
        .into_iter()
        .map(|(method, path, _)| (method, path))
        .filter(|operation| !seen.contains(operation))
        .collect();
    assert_eq!(rest, [("GET".to_owned(), "/metrics".to_owned())]);
}
