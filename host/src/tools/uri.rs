//! URIs of resources, as far as the host looks at them: whether they are absolute and whole (RFC 3986).

/// The longest URI: as much as browsers and proxies take in an address, and a fifth of what a header may have.
pub(super) const MAX_URI_BYTES: usize = 2_048;

/// Checks an absolute URI. What is wrong with it is a clause that follows its name.
pub(super) fn check(uri: &str) -> Result<(), &'static str> {
    if uri.len() > MAX_URI_BYTES {
        return Err("has more than 2048 bytes");
    }
    let (_, rest) = split_scheme(uri).ok_or("does not begin with a scheme")?;
    if rest.is_empty() {
        return Err("has nothing behind its scheme");
    }
    if uri.bytes().all(is_uri_byte) { Ok(()) } else { Err("has characters that have to be percent-encoded") }
}

/// The scheme, and what follows its colon.
pub(super) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once(':')?;
    let begins = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_scheme = begins && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b));
    is_scheme.then_some((scheme, rest))
}

/// Whether it can stand in a URI (section 2): reserved, unreserved, or the sign of an encoded one.
pub(super) fn is_uri_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_is_absolute_whole_and_bounded() {
        for good in ["file:///a/b%20c", "urn:isbn:1", "x-y+z.1://host/?q=[1]#f", "a:b"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["", "a", "a:", ":b", "1a:b", "a b:c", "file:///a b", "file:///ä", "file:///{a}", "a:\n"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(check(&format!("a:{}", "b".repeat(MAX_URI_BYTES - 2))).is_ok());
        assert!(check(&format!("a:{}", "b".repeat(MAX_URI_BYTES - 1))).is_err());
    }
}
