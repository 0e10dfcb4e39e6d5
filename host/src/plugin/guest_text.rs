//! Text from a guest, made fit for log lines and error messages: bounded, on one line, and without
//! characters that would do something to a terminal.

/// Enough for a sentence; what is longer is cut.
pub(crate) const MAX_LINE_BYTES: usize = 1_024;

/// A backtrace of Wasm frames for the operator.
pub(crate) const MAX_BACKTRACE_BYTES: usize = 8 << 10;

/// Control characters become spaces, and what is too long ends with an ellipsis.
pub(crate) fn one_line(text: &str, max_bytes: usize) -> String {
    cut(text, max_bytes, |c| c.is_control())
}

/// The same, but lines stay lines.
pub(crate) fn lines(text: &str, max_bytes: usize) -> String {
    cut(text, max_bytes, |c| c.is_control() && c != '\n')
}

fn cut(text: &str, max_bytes: usize, harmful: impl Fn(char) -> bool) -> String {
    let mut end = text.len().min(max_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let kept = text.get(..end).unwrap_or_default();
    // Besides control characters, those that reorder or separate lines: they can forge a log line.
    let disguises = |c| matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut safe: String = kept.chars().map(|c| if harmful(c) || disguises(c) { ' ' } else { c }).collect();
    if end < text.len() {
        safe.push('…');
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_guests_cannot_forge_a_line_or_drive_a_terminal() {
        assert_eq!(one_line("a\nb\r\u{1b}[31mc\u{202e}d", 100), "a b  [31mc d");
        assert_eq!(lines("a\nb\tc", 100), "a\nb c");
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        assert_eq!(one_line("aéé", 4), "aé…");
        assert_eq!(one_line("aéé", 5), "aéé");
    }
}
