//! A message that is sent a million times: masked once, with one number in it that is new each time.

use super::frame;

/// Stands in a template's text where the number goes.
pub const NUMBER: &str = "################";

/// Any will do: what it costs the server to unmask does not depend on it.
const MASK: [u8; 4] = [0x5b, 0xc6, 0x91, 0x2d];

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// A text frame, or a request, ready to be sent.
#[derive(Debug, Clone)]
pub struct Template {
    frame: Vec<u8>,
    /// The places of the number's digits, each with what it is masked with.
    digits: Vec<(usize, u8)>,
}

impl Template {
    /// From a text, in which [`NUMBER`] may stand any number of times.
    pub fn new(text: &str) -> Self {
        let mut frame = Vec::with_capacity(text.len() + 16);
        let start = frame::append(&mut frame, frame::TEXT, text.as_bytes(), MASK);
        let digits = places(text).map(|at| (start + at, MASK[at % MASK.len()])).collect();
        Self { frame, digits }
    }

    /// Of a text that is sent as it is.
    pub fn plain(text: &str) -> Self {
        Self { frame: text.as_bytes().to_vec(), digits: places(text).map(|at| (at, 0)).collect() }
    }

    /// The frame with this number in it.
    pub fn with(&mut self, number: u64) -> &[u8] {
        for (index, (at, mask)) in self.digits.iter().enumerate() {
            let shift = 60 - 4 * (index % NUMBER.len());
            let digit = DIGITS[usize::from((number >> shift) as u8 & 0xF)];
            self.frame[*at] = digit ^ mask;
        }
        &self.frame
    }
}

/// Where the digits of numbers go.
fn places(text: &str) -> impl Iterator<Item = usize> + '_ {
    text.match_indices(NUMBER).flat_map(|(at, _)| at..at + NUMBER.len())
}

/// The number behind a name in a message that came back, such as `"correlation_id":"`. The last one counts: what the
/// server adds stands behind what it was sent.
pub fn number_after(message: &[u8], name: &str) -> Option<u64> {
    let at = memchr::memmem::rfind(message, name.as_bytes())? + name.len();
    let digits = message.get(at..at + NUMBER.len())?;
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | u64::from(char::from(*digit).to_digit(16)?)))
}

/// The text behind a name, up to the next quotation mark.
pub fn text_after<'a>(message: &'a [u8], name: &str) -> Option<&'a str> {
    let rest = &message[memchr::memmem::find(message, name.as_bytes())? + name.len()..];
    std::str::from_utf8(&rest[..memchr::memchr(b'"', rest)?]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_masked_in_place_and_read_back() {
        let mut template = Template::new(&format!(r#"{{"type":"x","correlation_id":"{NUMBER}"}}"#));
        for number in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX] {
            let frame = template.with(number);
            let plain: Vec<u8> = frame[6..].iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
            assert_eq!(number_after(&plain, r#""correlation_id":""#), Some(number));
        }
    }

    #[test]
    fn fields_of_an_answer_are_found_without_parsing_it() {
        let message = br#"{"type":"error","payload":{"code":"BUSY","offset":3},"offset":17,"seq":4}"#;
        assert_eq!(text_after(message, r#""code":""#), Some("BUSY"));
        assert_eq!(number_after(message, r#""correlation_id":""#), None);
    }
}
