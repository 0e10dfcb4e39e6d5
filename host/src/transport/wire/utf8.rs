//! Whether a text that comes in pieces is UTF-8 so far: what is wrong is known at the end of its piece, not of the text.

use super::frame::Fault;

/// How much of a text is known to be UTF-8, given how much of it was known before. Up to three bytes at the end may be the
/// beginning of a character.
pub(super) fn check(text: &[u8], known: usize) -> Result<usize, Fault> {
    match std::str::from_utf8(&text[known..]) {
        Ok(_) => Ok(text.len()),
        Err(fault) if fault.error_len().is_none() => Ok(known + fault.valid_up_to()),
        Err(_) => Err(Fault::Utf8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_may_be_split_anywhere_and_a_wrong_byte_is_found_where_it_is() {
        let text = "a\u{e9}\u{20ac}\u{1f600}z".as_bytes();
        let mut known = 0;
        for end in 0..=text.len() {
            known = check(&text[..end], known).unwrap();
            assert!(end - known < 4);
        }
        assert_eq!(known, text.len());
        assert_eq!(check(b"ab\xFF", 2), Err(Fault::Utf8));
        // A surrogate is known by its second byte.
        assert_eq!(check(b"\xED", 0), Ok(0));
        assert_eq!(check(b"\xED\xA0", 0), Err(Fault::Utf8));
    }
}
