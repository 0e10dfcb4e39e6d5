//! What a guest hands back, checked before anyone believes it.

use std::time::Duration;

use switchboard_protocol::MessageType;

use super::{
    bindings::types,
    failure::{CallFailure, Refusal},
    guest_text::{MAX_LINE_BYTES, one_line},
    instance::GuestMessage,
    json_object,
};

/// As the wire has it for ids and correlation ids.
const MAX_ID_BYTES: usize = 256;

/// As the contract says.
const MAX_CODE_CHARACTERS: usize = 64;

/// In place of a code that is none.
const PLUGIN_REFUSED: &str = "PLUGIN_REFUSED";

/// An answer to a message.
pub(super) fn message(answer: types::Message, max_bytes: usize) -> Result<GuestMessage, CallFailure> {
    let invalid = |problem: String| CallFailure::AnswerInvalid(problem);
    let message_type = MessageType::parse(&answer.type_)
        .map_err(|fault| invalid(format!("its type is not a message type: {fault}")))?;
    if message_type.is_reserved() {
        return Err(invalid(format!("its type `{message_type}` belongs to the host")));
    }
    json(&answer.payload, max_bytes).map_err(|problem| invalid(format!("its payload: {problem}")))?;
    for (field, id) in [("id", &answer.id), ("correlation-id", &answer.correlation_id)] {
        if id.as_ref().is_some_and(|id| id.len() > MAX_ID_BYTES) {
            return Err(invalid(format!("its {field} has more than {MAX_ID_BYTES} bytes")));
        }
    }
    Ok(GuestMessage {
        message_type,
        payload: answer.payload,
        id: answer.id,
        correlation_id: answer.correlation_id,
        timestamp: answer.timestamp,
    })
}

fn json(text: &str, max_bytes: usize) -> Result<(), String> {
    size(text, max_bytes)?;
    json_object::check(text)
}

/// Bounds what is not an answer to a message by the same setting.
pub(super) fn size(text: &str, max_bytes: usize) -> Result<(), String> {
    if text.len() > max_bytes {
        return Err(format!("it has {} bytes, and `max_emitted_bytes` is {max_bytes}", text.len()));
    }
    Ok(())
}

/// A refusal is shown to the caller, so its parts are made presentable instead of being refused.
pub(super) fn refusal(refusal: types::Refusal) -> Refusal {
    Refusal {
        code: code(refusal.code),
        message: one_line(&refusal.message, MAX_LINE_BYTES),
        recoverable: refusal.recoverable,
        help: refusal.help.map(|help| one_line(&help, MAX_LINE_BYTES)),
        retry_after: refusal.retry_after_ms.map(|ms| Duration::from_millis(ms.into())),
    }
}

/// A version that says of itself that it is not fit.
pub(super) fn self_test_refusal(reason: &str) -> Refusal {
    Refusal {
        code: "SELF_TEST_FAILED".into(),
        message: one_line(reason, MAX_LINE_BYTES),
        recoverable: false,
        help: None,
        retry_after: None,
    }
}

/// A version that cannot hand over, or take over, what an instance knows.
pub(super) fn handover_refusal(reason: &str) -> Refusal {
    Refusal { code: "HANDOVER_FAILED".into(), ..self_test_refusal(reason) }
}

fn code(code: String) -> String {
    let allowed = |c: char| matches!(c, 'A'..='Z' | '0'..='9' | '_');
    let begins_well = code.starts_with(|c: char| c.is_ascii_uppercase());
    if begins_well && code.len() <= MAX_CODE_CHARACTERS && code.chars().all(allowed) {
        code
    } else {
        PLUGIN_REFUSED.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(type_: &str, payload: &str) -> types::Message {
        types::Message { type_: type_.into(), payload: payload.into(), id: None, correlation_id: None, timestamp: 0.0 }
    }

    fn problem(answer: types::Message) -> String {
        match message(answer, 100) {
            Err(CallFailure::AnswerInvalid(problem)) => problem,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_answer_is_a_message_of_an_allowed_type_with_an_object_of_bounded_size() {
        assert!(message(answer("pong", "{}"), 100).is_ok());
        assert!(problem(answer("Pong", "{}")).contains("type"));
        assert!(problem(answer("error", "{}")).contains("belongs to the host"));
        assert!(problem(answer("pong", "[]")).contains("object"));
        assert!(problem(answer("pong", &format!("{{{}}}", " ".repeat(100)))).contains("max_emitted_bytes"));
        let long = types::Message { id: Some("x".repeat(257)), ..answer("pong", "{}") };
        assert!(problem(long).contains("its id"));
    }

    #[test]
    fn a_refusal_has_a_code_in_upper_snake_case_or_gets_one() {
        for good in ["NOT_FOUND", "E1", &"X".repeat(64)] {
            assert_eq!(code(good.into()), good);
        }
        for bad in ["", "not_found", "A B", "_A", "1A", &"X".repeat(65), "É"] {
            assert_eq!(code(bad.into()), PLUGIN_REFUSED, "{bad:?}");
        }
    }

    #[test]
    fn a_refusal_stays_on_one_line_and_within_bounds() {
        let refused = refusal(types::Refusal {
            code: "NO".into(),
            message: "a\nb".into(),
            recoverable: true,
            help: Some("y".repeat(5_000)),
            retry_after_ms: Some(5),
        });
        assert_eq!(refused.message, "a b");
        assert!(refused.help.unwrap().len() < 1_100);
        assert_eq!(refused.retry_after, Some(Duration::from_millis(5)));
    }
}
