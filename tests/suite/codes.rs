//! Every error code and every close code has a test that shows it: a table, held against the protocol
//! crate, so that a new code without a test turns red. Codes that belong to no other behaviour are shown
//! here.

use std::collections::BTreeSet;

use serde_json::json;
use switchboard_protocol::{CloseCode, ErrorCode};
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode as Wire};

use crate::harness::{Client, Http, Server, eventually, guest, http_request, repository, token};

/// A code, the file of its test without `.rs`, and the test. Files are those of this suite, or of the host
/// where the case cannot be brought about from outside.
const ERRORS: &[(&str, &str, &str)] = &[
    ("JWT_TOKEN_MISSING", "token_checks", "each_failure_has_its_code"),
    ("JWT_FORMAT_INVALID", "token_checks", "each_failure_has_its_code"),
    ("JWT_SIGNATURE_INVALID", "token_checks", "every_algorithm_is_verified_with_its_kind_of_key"),
    ("JWT_EXPIRED", "token_checks", "each_failure_has_its_code"),
    ("JWT_NOT_YET_VALID", "token_checks", "each_failure_has_its_code"),
    ("JWT_AUDIENCE_INVALID", "token_checks", "each_failure_has_its_code"),
    ("JWT_ISSUER_INVALID", "token_checks", "each_failure_has_its_code"),
    ("JWT_ALGORITHM_REFUSED", "token_checks", "algorithms_that_are_not_allowed_and_tricks_with_them_are_refused"),
    ("JWT_REVOKED", "revocation", "each_kind_closes_its_own_sockets_at_once_and_nobody_elses"),
    ("JWT_CLAIM_INVALID", "token_checks", "each_failure_has_its_code"),
    ("IDENTITY_MISMATCH", "codes", "a_refresh_with_the_token_of_another_is_an_error_and_a_close"),
    ("AUTH_CARRIER_CONFLICT", "token_carriers", "two_carriers_at_once_are_refused"),
    ("TICKET_INVALID", "token_carriers", "a_ticket_opens_one_connection_and_no_second"),
    ("AUTH_KEYS_UNAVAILABLE", "codes", "keys_that_cannot_be_fetched_are_the_servers_fault"),
    ("ORIGIN_REFUSED", "admission", "origins_are_checked_by_pattern_before_the_token"),
    ("HOST_REFUSED", "codes", "operators_pages_answer_to_no_strange_name"),
    (
        "CONNECTION_LIMIT_REACHED",
        "admission",
        "beyond_the_limit_of_connections_in_all_a_newcomer_is_refused_until_one_leaves",
    ),
    ("USER_CONNECTION_LIMIT_REACHED", "admission", "or_the_new_one_is_refused_by_config"),
    ("HANDSHAKE_RATE_LIMITED", "admission", "an_address_that_connects_too_often_is_told_when_to_come_back"),
    ("SERVER_DRAINING", "connection", "while_it_drains_newcomers_are_told_to_come_back"),
    ("UPGRADE_REQUIRED", "connection", "discovery_health_and_errors_of_http_are_json"),
    ("NOT_FOUND", "connection", "discovery_health_and_errors_of_http_are_json"),
    ("METHOD_NOT_ALLOWED", "connection", "discovery_health_and_errors_of_http_are_json"),
    ("INVALID_JSON", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("INVALID_UTF8", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("ENVELOPE_NOT_OBJECT", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("TYPE_MISSING", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("TYPE_INVALID", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("FIELD_INVALID", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("MESSAGE_TOO_LARGE", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("MESSAGE_TOO_DEEP", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("UNWRAPPED_JSONRPC", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("UNKNOWN_MESSAGE_TYPE", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("RESERVED_MESSAGE_TYPE", "resume", "a_resume_that_is_not_the_first_frame_is_an_error_and_harmless"),
    ("PAYLOAD_INVALID", "envelope", "each_malformed_frame_gets_its_error_and_the_connection_goes_on"),
    ("MEDIA_TYPE_UNSUPPORTED", "revocation", "web_pages_cannot_revoke"),
    // As many as that would take minutes to bring about from outside.
    (
        "REVOCATION_LIMIT_REACHED",
        "host/src/admin/revocations",
        "a_full_list_has_a_code_of_its_own_and_names_the_ways_out",
    ),
    ("ADMIN_TOKEN_MISSING", "admin", "each_route_asks_for_a_token_with_its_scope"),
    ("ADMIN_TOKEN_INVALID", "admin", "each_route_asks_for_a_token_with_its_scope"),
    ("ADMIN_SCOPE_INSUFFICIENT", "admin", "each_route_asks_for_a_token_with_its_scope"),
    ("OPERATION_CONFLICT", "admin", "tokens_are_made_and_revoked_by_command_and_a_restart_knows"),
    ("COMPONENT_UNFIT", "admin", "a_component_that_does_not_fit_is_refused_in_the_words_of_the_check"),
    ("RATE_LIMITED", "codes", "messages_beyond_the_rate_are_told_when_to_come_again"),
    ("ACK_INVALID", "flow", "wrong_acknowledgements_are_errors_and_the_connection_goes_on"),
    ("MESSAGE_INTERRUPTED", "restart", "a_message_that_the_deadline_abandoned_is_answered_as_interrupted"),
    ("ANSWER_NOT_KEPT", "idempotency", "a_repeat_whose_answer_was_too_much_to_keep_is_told_so_and_not_executed"),
    ("TOO_MANY_IN_FLIGHT", "jsonrpc_plugin", "a_bare_request_beyond_the_limit_in_flight_is_refused_by_its_id"),
    ("PLUGIN_BUSY", "idempotency", "a_busy_plugin_refuses_and_takes_the_repeat"),
    ("PLUGIN_TIMEOUT", "isolation", "a_plugin_that_spins_allocates_or_traps_fails_alone"),
    ("PLUGIN_CRASHED", "isolation", "a_plugin_that_spins_allocates_or_traps_fails_alone"),
    ("PLUGIN_OUT_OF_MEMORY", "isolation", "a_plugin_that_spins_allocates_or_traps_fails_alone"),
    ("PLUGIN_LIMIT_EXCEEDED", "codes", "a_host_call_with_too_much_names_the_limit"),
    ("PLUGIN_ANSWER_INVALID", "contract", "an_answer_that_is_no_message_reaches_no_client"),
    ("MESSAGE_POISONED", "health", "a_message_that_brings_the_handler_down_twice_is_not_run_a_third_time"),
    ("PLUGIN_UNAVAILABLE", "codes", "a_plugin_that_cannot_serve_is_unavailable_and_not_unknown"),
    ("PLUGIN_DISABLED", "hot_reload", "a_plugin_is_switched_off_and_on_by_saving_the_config"),
    // No way is known to bring it about from outside, which is as it should be.
    ("INTERNAL_ERROR", "host/src/dispatch/reply", "each_failure_of_a_call_has_its_code"),
];

const CLOSES: &[(u16, &str, &str)] = &[
    (1000, "codes", "a_close_of_the_client_is_answered_in_kind"),
    (1002, "envelope", "the_registered_close_codes_are_used_where_the_websocket_protocol_demands_it"),
    (1007, "envelope", "the_registered_close_codes_are_used_where_the_websocket_protocol_demands_it"),
    (1009, "envelope", "the_registered_close_codes_are_used_where_the_websocket_protocol_demands_it"),
    (1012, "connection", "sigterm_lets_handlers_finish_asks_clients_back_and_closes_with_1012"),
    (4003, "admission", "the_oldest_connection_of_a_user_gives_way"),
    (4004, "codes", "a_refresh_with_the_token_of_another_is_an_error_and_a_close"),
    (4005, "revocation", "each_kind_closes_its_own_sockets_at_once_and_nobody_elses"),
    (4008, "envelope", "a_client_that_sends_nothing_but_faults_is_closed_in_the_end"),
    (4103, "resume", "a_second_socket_takes_the_session_over_and_has_everything"),
    (4105, "connection", "the_token_is_renewed_during_the_connection"),
    (4202, "connection", "an_idle_connection_hears_a_heartbeat_and_a_silent_one_is_closed"),
    (4204, "flow", "a_client_that_stalls_is_closed_costs_only_its_own_bound_and_comes_back_to_everything"),
];

/// Faults of the host itself, which nobody can bring about from outside.
const CLOSES_WITHOUT_A_TEST: &[u16] = &[1011];

#[test]
fn every_code_has_a_test_that_shows_it() {
    let mut faults = Vec::new();
    let errors: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    let shown: BTreeSet<String> = ERRORS.iter().map(|(code, ..)| (*code).to_owned()).collect();
    let closes: BTreeSet<String> = CloseCode::ALL.iter().map(|code| code.code().to_string()).collect();
    let shown_closes = CLOSES.iter().map(|(code, ..)| code).chain(CLOSES_WITHOUT_A_TEST);
    let shown_closes: BTreeSet<String> = shown_closes.map(ToString::to_string).collect();
    for (all, shown) in [(&errors, &shown), (&closes, &shown_closes)] {
        faults.extend(all.difference(shown).map(|code| format!("{code} has no row in tests/suite/codes.rs")));
        faults.extend(shown.difference(all).map(|code| format!("{code} has a row, and is no code")));
    }
    let errors = ERRORS.iter().map(|(code, file, test)| {
        let variant = ErrorCode::ALL.iter().find(|known| known.as_str() == *code);
        let variant = variant.map(|variant| format!("ErrorCode::{variant:?}"));
        (vec![format!("\"{code}\"")].into_iter().chain(variant).collect(), *file, *test)
    });
    let closes = CLOSES.iter().map(|(code, file, test)| (vec![code.to_string()], *file, *test));
    faults.extend(errors.chain(closes).filter_map(|(spellings, file, test)| fault_of(&spellings, file, test)));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// What is wrong with a row: no such test, or it does not mention the code.
fn fault_of(spellings: &[String], file: &str, test: &str) -> Option<String> {
    let path = if file.contains('/') { format!("{file}.rs") } else { format!("tests/suite/{file}.rs") };
    let Ok(text) = std::fs::read_to_string(repository().join(&path)) else {
        return Some(format!("{spellings:?}: there is no {path}"));
    };
    let Some((_, rest)) = text.split_once(&format!("fn {test}(")) else {
        return Some(format!("{spellings:?}: {path} has no test {test}"));
    };
    let body = rest.split("#[tokio::test").next().unwrap_or(rest);
    let body = body.split("#[test]").next().unwrap_or(body);
    let mentions = spellings.iter().any(|spelling| body.contains(spelling));
    (!mentions).then(|| format!("{spellings:?}: {test} in {path} does not mention it"))
}

#[tokio::test]
async fn a_refresh_with_the_token_of_another_is_an_error_and_a_close() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    let error = client.request("refresh_token", json!({ "token": token("mallory") })).await;
    assert_eq!(error["payload"]["code"], "IDENTITY_MISMATCH", "{error}");
    assert_eq!(client.closed().await, Some(4004));
}

#[tokio::test]
async fn keys_that_cannot_be_fetched_are_the_servers_fault() {
    // Nobody listens on port 1.
    let server = Server::builder().auth("keys = [\"http://127.0.0.1:1/jwks\"]").launch();
    let refusal = Client::with_token(&server, &token("alice")).await.err().expect("refused");
    assert_eq!((refusal.status, refusal.code()), (503, "AUTH_KEYS_UNAVAILABLE"), "{refusal:?}");
}

#[tokio::test]
async fn operators_pages_answer_to_no_strange_name() {
    let server = Server::start().await;
    let ask = http_request(reqwest::Method::GET, &server.admin("/plugins")).header("host", "evil.example.com");
    let answer = Http::send(ask).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].clone()), (403, json!("HOST_REFUSED")));
}

#[tokio::test]
async fn messages_beyond_the_rate_are_told_when_to_come_again() {
    let server = Server::builder()
        .system()
        .setting("limits.connection_messages_per_second", "1")
        .setting("limits.connection_message_burst", "3")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    let mut refused = None;
    for _ in 0..10 {
        let answer = client.request("ping", json!({})).await;
        if answer["type"] == "error" {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("ten at once are more than three and one a second");
    assert_eq!(refused["payload"]["code"], "RATE_LIMITED", "{refused}");
    let wait = refused["payload"]["retry_after_ms"].as_u64().expect("a wait");
    assert!((1..=1_500).contains(&wait), "{refused}");
    eventually("the rate to allow another", async || {
        (client.request("ping", json!({})).await["type"] == "pong").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_host_call_with_too_much_names_the_limit() {
    let server = Server::builder()
        .plugin("counter", guest("counter"))
        .config("[plugins.counter.limits]\nmax_hostcall_bytes = \"4KiB\"")
        .start()
        .await;
    let mut client = Client::connect(&server, "alice").await;
    let error = client.request("tick", json!({ "count": 1, "bytes": 60_000 })).await;
    assert_eq!(error["payload"]["code"], "PLUGIN_LIMIT_EXCEEDED", "{error}");
    assert!(error["payload"]["error"].as_str().expect("a text").contains("max_hostcall_bytes"), "{error}");
}

#[tokio::test]
async fn a_plugin_that_cannot_serve_is_unavailable_and_not_unknown() {
    let server = Server::builder()
        .system()
        .plugin("strict-settings", guest("strict-settings"))
        .config("[plugins.strict-settings.settings]\nlimit = \"not a number\"")
        .start()
        .await;
    server.plugin_status_when("strict-settings", |status| !status["last_error"].is_null()).await;
    let mut client = Client::connect(&server, "alice").await;
    let answer = client.request("strict_settings", json!({})).await;
    assert_eq!(answer["payload"]["code"], "PLUGIN_UNAVAILABLE", "{answer}");
    assert!(answer["payload"]["retry_after_ms"].as_u64().is_some(), "{answer}");
}

#[tokio::test]
async fn a_close_of_the_client_is_answered_in_kind() {
    let server = Server::start().await;
    let mut client = Client::connect(&server, "alice").await;
    let frame = CloseFrame { code: Wire::Normal, reason: "".into() };
    client.socket().close(Some(frame)).await.expect("sent");
    assert_eq!(client.closed().await, Some(1000));
}
