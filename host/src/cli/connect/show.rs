//! What arrives, for people: type, payload, and what it answers.

use std::io::Write;

use serde::Deserialize;
use serde_json::value::RawValue;
use switchboard_protocol::ErrorPayload;

/// What is shown of a server's message.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type")]
    message_type: String,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    correlation_id: Option<String>,
    topic: Option<String>,
}

/// Prints a frame. Whether it was more than a heartbeat.
pub(super) fn frame(text: &str, json: bool) -> std::io::Result<bool> {
    let parsed = serde_json::from_str::<Frame<'_>>(text);
    let heartbeat = parsed.as_ref().is_ok_and(|frame| frame.message_type == "heartbeat");
    let line = match parsed {
        Ok(frame) if !json => readable(&frame),
        _ => text.to_owned(),
    };
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()?;
    Ok(!heartbeat)
}

fn readable(frame: &Frame<'_>) -> String {
    let mut line = frame.message_type.clone();
    let payload = frame.payload.map_or("{}", RawValue::get);
    if payload != "{}" {
        line = format!("{line} {payload}");
    }
    if let Some(topic) = &frame.topic {
        line = format!("{line}  on {topic}");
    }
    if let Some(id) = &frame.correlation_id {
        line = format!("{line}  (answers {id})");
    }
    line
}

/// A handshake that was refused: the server's own words, as far as it had any.
pub(super) fn refusal(status: u16, body: &[u8]) -> String {
    match serde_json::from_slice::<ErrorPayload>(body) {
        Ok(error) => {
            let help = error.help.map(|help| format!("\n{help}")).unwrap_or_default();
            format!("refused with {status}: {} ({}){help}", error.error, error.code)
        }
        Err(_) => format!("refused with {status}; is this the address of a Switchboard's /ws?"),
    }
}

/// The server's close.
pub(super) fn closed(close: Option<(u16, &str)>) -> String {
    match close {
        Some((code, "")) => format!("the server closed the connection with {code}"),
        Some((code, reason)) => format!("the server closed the connection with {code}: {reason}"),
        None => "the server closed the connection".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_its_type_its_payload_and_what_it_answers() {
        let text = r#"{"type":"pong","payload":{"n":1},"timestamp":1.5,"correlation_id":"7","topic":"t"}"#;
        let parsed = serde_json::from_str(text).expect("a frame");
        assert_eq!(readable(&parsed), r#"pong {"n":1}  on t  (answers 7)"#);
    }

    #[test]
    fn an_empty_payload_is_left_out() {
        let parsed = serde_json::from_str(r#"{"type":"heartbeat","payload":{},"timestamp":1}"#).expect("a frame");
        assert_eq!(readable(&parsed), "heartbeat");
    }

    #[test]
    fn a_refusal_is_told_in_the_servers_words() {
        let body = br#"{"code":"JWT_EXPIRED","error":"the token ended","timestamp":1,"recoverable":true,"help":"Get another."}"#;
        assert_eq!(refusal(401, body), "refused with 401: the token ended (JWT_EXPIRED)\nGet another.");
        assert!(refusal(502, b"<html>").contains("refused with 502"));
    }
}
