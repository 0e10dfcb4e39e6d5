//! `logging`: lines of a plugin, among the host's own, marked with where they come from.
//!
//! Lines over the limit are counted and dropped; text is bounded and cannot pretend to be a line of
//! its own.

use super::super::{
    bindings::logging::{Host, Level},
    call_state::CallState,
    guest_text::{MAX_LINE_BYTES, one_line},
    json_object,
};

/// Enough for a handful of values; a log is no place for payloads.
const MAX_FIELDS_BYTES: usize = 4 << 10;

impl Host for CallState {
    fn log(&mut self, at: Level, message: String, fields: String) {
        let Some(left) = self.log_lines_left.checked_sub(1) else {
            self.log_lines_dropped = self.log_lines_dropped.saturating_add(1);
            return;
        };
        self.log_lines_left = left;
        let message = one_line(&message, MAX_LINE_BYTES);
        let fields = checked_fields(&fields);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "switchboard::plugin::log",
                    plugin = %self.version.name,
                    plugin_version = %self.version.version,
                    connection_id = %self.context.caller.connection_id,
                    fields = %fields,
                    "{message}"
                )
            };
        }
        match at {
            Level::Debug => line!(debug),
            Level::Info => line!(info),
            Level::Warn => line!(warn),
            Level::Error => line!(error),
        }
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
