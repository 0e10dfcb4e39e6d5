//! What people type, as frames. Knows the shorthand, not which types there are.

use std::time::Duration;

use serde_json::{Value, json};

/// The frame of a line; none for an empty one.
///
/// What begins with a brace or bracket, or is JSON of another kind, goes out untouched, so that the
/// server's own errors can be seen.
pub(super) fn to_frame(line: &str) -> Result<Option<String>, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(None);
    }
    if line.starts_with(['{', '[', '"']) {
        return Ok(Some(line.to_owned()));
    }
    let (message_type, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim();
    if rest.is_empty() {
        return Ok(Some(json!({ "type": message_type }).to_string()));
    }
    match serde_json::from_str::<Value>(rest) {
        Ok(_) => {
            // The payload stays as typed: big numbers and the order of members survive.
            let name = Value::from(message_type);
            Ok(Some(format!(r#"{{"type":{name},"payload":{rest}}}"#)))
        }
        Err(fault) => Err(format!("after the type `{message_type}` comes JSON or nothing: {fault}")),
    }
}

/// `500ms`, `1s`, `2m`.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    let unit = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(unit);
    let number: u64 = digits.parse().map_err(|_| "a number and a unit, such as `1s`".to_owned())?;
    let millis = match unit {
        "ms" => number,
        "s" => number.saturating_mul(1_000),
        "m" => number.saturating_mul(60_000),
        _ => return Err(format!("the unit is `ms`, `s` or `m`, as in `{number}s`")),
    };
    Ok(Duration::from_millis(millis.min(60 * 60 * 1_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, frame: &str) {
        assert_eq!(to_frame(line), Ok(Some(frame.to_owned())), "{line}");
    }

    #[test]
    fn a_line_is_an_envelope_or_a_shorthand_of_one() {
        check("ping", r#"{"type":"ping"}"#);
        check("  ping ", r#"{"type":"ping"}"#);
        check(
            r#"echo {"b":1,"a":12345678901234567890123}"#,
            r#"{"type":"echo","payload":{"b":1,"a":12345678901234567890123}}"#,
        );
        check(r#"{"type":"x"}"#, r#"{"type":"x"}"#);
        check("[1", "[1");
        assert_eq!(to_frame("   "), Ok(None));
    }

    #[test]
    fn a_payload_that_is_not_json_is_not_sent() {
        let problem = to_frame("echo hello").expect_err("not JSON");
        assert!(problem.contains("`echo`"), "{problem}");
    }

    #[test]
    fn times_have_a_unit() {
        assert_eq!(parse_wait("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_wait("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "s", "1", "1h", "-1s"] {
            assert!(parse_wait(wrong).is_err(), "{wrong}");
        }
    }
}
