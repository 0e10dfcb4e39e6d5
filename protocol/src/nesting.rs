//! How deep brackets nest, known before any parser follows them.

use memchr::memchr2;

/// Whether brackets outside strings nest deeper than `limit`. Allocates nothing; text that is not JSON gets some answer,
/// and is refused by the parser afterwards.
#[must_use]
pub fn nests_deeper_than(text: &str, limit: u32) -> bool {
    let text = text.as_bytes();
    // A text with fewer brackets than that, which most messages are, is not deeper. To count them takes a hundredth of the
    // time that it takes to follow them.
    let few = u32::try_from(opening_brackets(text)).is_ok_and(|brackets| brackets <= limit);
    !few && follow(text, limit)
}

/// In strings as well.
fn opening_brackets(text: &[u8]) -> usize {
    /// What a sum of single bytes has room for: the compiler takes many of them at once.
    const BLOCK: usize = 128;
    // They differ from each other by the bit that makes small letters of capitals, and from all else by another.
    let in_block = |block: &[u8]| usize::from(block.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>());
    text.chunks(BLOCK).map(in_block).sum()
}

fn follow(text: &[u8], limit: u32) -> bool {
    let (mut rest, mut depth) = (text, 0_u32);
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'"' => rest = behind_string(after),
            b'{' | b'[' if depth == limit => return true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

fn behind_string(mut text: &[u8]) -> &[u8] {
    while let Some(at) = memchr2(b'"', b'\\', text) {
        let escaped = text[at] == b'\\';
        text = text.get(at + 1 + usize::from(escaped)..).unwrap_or_default();
        if !escaped {
            return text;
        }
    }
    &[]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One byte after the other.
    fn depth(text: &str) -> u32 {
        let (mut depth, mut deepest, mut in_string, mut escaped) = (0_u32, 0, false, false);
        for byte in text.bytes() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth = depth.saturating_sub(1),
                _ => {}
            }
            deepest = deepest.max(depth);
        }
        deepest
    }

    #[test]
    fn every_short_text_is_as_deep_as_it_is() {
        let mut texts = vec![String::new()];
        for _ in 0..7 {
            texts = texts
                .iter()
                .flat_map(|text| ["", "{", "]", "\"", "\\", "x"].map(|end| format!("{text}{end}")))
                .collect();
            texts.sort_unstable();
            texts.dedup();
        }
        for text in &texts {
            for limit in 0..=7 {
                assert_eq!(nests_deeper_than(text, limit), depth(text) > limit, "{text:?} and {limit}");
            }
        }
    }

    #[test]
    fn brackets_in_long_texts_are_counted_to_the_last() {
        for len in [127, 128, 129, 1_000] {
            assert_eq!(opening_brackets("[{".repeat(len).as_bytes()), 2 * len);
            assert_eq!(opening_brackets("]}azAZ\u{1b};".repeat(len).as_bytes()), 0);
            assert!(nests_deeper_than(&"[".repeat(len), 126));
            assert!(!nests_deeper_than(&"[]".repeat(len), 1));
            assert!(nests_deeper_than(&format!("{}[[", "[]".repeat(len)), 1));
        }
    }
}
