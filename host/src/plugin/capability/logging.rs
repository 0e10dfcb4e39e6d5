//! `logging`: lines of a plugin, among the host's own, marked with where they come from.
//!
//! Lines over the limit are counted and dropped; text is bounded and cannot pretend to be a line of
//! its own.

use super::super::{
    bindings::logging::{self, Host},
    call_log::Level,
    call_state::CallState,
    guest_text::{MAX_LINE_BYTES, one_line},
    json_object,
};

/// Enough for a handful of values; a log is no place for payloads.
const MAX_FIELDS_BYTES: usize = 4 << 10;

impl Host for CallState {
    fn log(&mut self, at: logging::Level, message: String, fields: String) {
        let level = match at {
            logging::Level::Debug => Level::Debug,
            logging::Level::Info => Level::Info,
            logging::Level::Warn => Level::Warn,
            logging::Level::Error => Level::Error,
        };
        self.log.line(level, &message, || checked_fields(&fields));
    }
}

/// What is not an object, or too much of one, is shown as such instead of being lost.
fn checked_fields(fields: &str) -> String {
    if fields.is_empty() || (fields.len() <= MAX_FIELDS_BYTES && json_object::check(fields).is_ok()) {
        return one_line(fields, MAX_FIELDS_BYTES);
    }
    format!("(not a JSON object of at most {MAX_FIELDS_BYTES} bytes) {}", one_line(fields, MAX_LINE_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_an_object_or_shown_not_to_be() {
        assert_eq!(checked_fields(""), "");
        assert_eq!(checked_fields("{\"a\":1}"), "{\"a\":1}");
        assert!(checked_fields("a=1").starts_with("(not a JSON object"));
        assert!(checked_fields(&"x".repeat(100_000)).len() < 2_000);
    }
}
