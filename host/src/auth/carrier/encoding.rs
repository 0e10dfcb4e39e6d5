//! How tokens are wrapped on their way: base64 in subprotocols, percent signs in the query.

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

/// A token out of its base64, if it is in any. A raw one has dots, which no base64 alphabet has.
pub(super) fn unwrapped(text: String) -> Result<String, &'static str> {
    /// Both alphabets are read as the standard one. Encoders disagree on padding and on the bits
    /// behind the last byte; neither matters here, since the signature covers what comes out.
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    if text.contains('.') {
        return Ok(text);
    }
    let standard = text.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let bytes = LENIENT.decode(standard).map_err(|_| "is neither raw nor base64")?;
    String::from_utf8(bytes).ok().filter(|token| token.contains('.')).ok_or("is base64, but not of a JWT")
}

/// RFC 3986, section 2.1; `None` if an escape is broken or the result is not UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let [high, low, tail @ ..] = tail else { return None };
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            decoded.push(digit(*high)? << 4 | digit(*low)?);
            rest = tail;
        } else {
            decoded.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert, prop_assert_eq, proptest};

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_escaped_comes_out_again(bytes: String) {
            let escaped: String = bytes.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(percent_decoded(&escaped), Some(bytes));
        }

        #[test]
        fn no_text_is_too_strange_to_be_read(text: String) {
            let _ = percent_decoded(&text);
            if let Ok(token) = unwrapped(text) {
                prop_assert!(token.contains('.'));
            }
        }
    }
}
