//! What log lines show in the place of what must not be in them.

/// Parameters of a request's query that authenticate.
const SECRET_PARAMETERS: &[&str] = &["token", "ticket", "access_token", "jwt"];

/// Anything may be a token that is longer than any name of ours.
const LONGEST_NAME: usize = 32;

/// Stands for a value that is there, and stays unseen.
const REDACTED: &str = "(redacted)";

/// A query with the values of all parameters hidden that authenticate, however their names are encoded,
/// and of those that look like a token under any name.
pub(crate) fn redact_query(query: &str) -> String {
    let mut shown = String::with_capacity(query.len());
    for parameter in query.split_inclusive(['&', ';']) {
        let (parameter, separator) = match parameter.strip_suffix(['&', ';']) {
            Some(rest) => (rest, &parameter[rest.len()..]),
            None => (parameter, ""),
        };
        match parameter.split_once('=') {
            Some((name, value)) if is_secret(name) || looks_like_token(value) => {
                shown.push_str(&format!("{}={REDACTED}", short_name(name)));
            }
            Some((name, value)) => shown.push_str(&format!("{}={value}", short_name(name))),
            None => shown.push_str(&short_name(parameter)),
        }
        shown.push_str(separator);
    }
    shown
}

fn short_name(name: &str) -> String {
    if name.len() > LONGEST_NAME || looks_like_token(name) { REDACTED.to_owned() } else { name.to_owned() }
}

fn is_secret(name: &str) -> bool {
    let name = percent_decoded(name);
    SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret.as_bytes()))
}

/// A JWT starts with the base64 of `{"`.
fn looks_like_token(value: &str) -> bool {
    percent_decoded(value).starts_with(b"eyJ")
}

fn percent_decoded(text: &str) -> Vec<u8> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let digits = (byte == b'%').then(|| Some((hex(ahead.next()?)?, hex(ahead.next()?)?))).flatten();
        match digits {
            Some((high, low)) => {
                decoded.push(high * 16 + low);
                bytes = ahead;
            }
            None => decoded.push(byte),
        }
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_authenticate_are_hidden_and_others_are_shown() {
        for (query, shown) in [
            ("", ""),
            ("a=1&b=2", "a=1&b=2"),
            ("token=s3cret", "token=(redacted)"),
            ("a=1&ticket=s3cret&b=2", "a=1&ticket=(redacted)&b=2"),
            ("a=1;TOKEN=s3cret=;b", "a=1;TOKEN=(redacted);b"),
            ("%74oken=s3cret", "%74oken=(redacted)"),
            ("access_token=s3cret&token=", "access_token=(redacted)&token=(redacted)"),
            ("tok%65n=s3cret&x=%zz%", "tok%65n=(redacted)&x=%zz%"),
        ] {
            assert_eq!(redact_query(query), shown, "{query}");
        }
    }

    #[test]
    fn a_token_is_hidden_wherever_it_stands() {
        for query in
            ["q=eyJhbGciOi.J9.x", "eyJhbGciOi.J9.x", "eyJhbGciOi.J9.x=", "a&q=%65yJhbGciOi.J9.x", &"Zm9v".repeat(20)]
        {
            let shown = redact_query(query);
            assert!(shown.contains("(redacted)") && !shown.contains("J9") && !shown.contains("Zm9vZm"), "{shown}");
        }
    }
}
