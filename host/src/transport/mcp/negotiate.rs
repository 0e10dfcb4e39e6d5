//! What a client says about bodies: which it sends, and which it takes.

use http::{
    HeaderMap, HeaderName,
    header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE},
};

pub(super) const JSON: &str = "application/json";
pub(super) const EVENT_STREAM: &str = "text/event-stream";

/// Whether a client takes this media type (RFC 9110, section 12.5.1). One that says nothing takes anything.
pub(super) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let mut ranges = items(headers, ACCEPT).peekable();
    if ranges.peek().is_none() {
        return !headers.contains_key(ACCEPT);
    }
    let (kind, _) = media_type.split_once('/').unwrap_or((media_type, ""));
    // The most exact range decides, as `text/*;q=0, text/event-stream` shows.
    let exactness = |range: &str| match range {
        _ if range.eq_ignore_ascii_case(media_type) => Some(2),
        "*/*" => Some(0),
        _ => range.strip_suffix("/*").filter(|wanted| wanted.eq_ignore_ascii_case(kind)).map(|_| 1),
    };
    let fitting = ranges.filter_map(|range| {
        let (name, parameters) = range.split_once(';').unwrap_or((range, ""));
        Some((exactness(name.trim())?, !is_refused(parameters)))
    });
    fitting.max().is_some_and(|(_, wanted)| wanted)
}

/// Whether the weight is zero.
fn is_refused(parameters: &str) -> bool {
    parameters.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
    })
}

/// Whether the body is JSON, and not compressed. In UTF-8, whatever else it claims (RFC 8259, section 8.1).
pub(super) fn sends_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let name = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_plain = items(headers, CONTENT_ENCODING).all(|coding| coding.eq_ignore_ascii_case("identity"));
    name.eq_ignore_ascii_case(JSON) && is_plain
}

/// The entries of a header that is a list.
fn items(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_client_takes_what_its_most_exact_range_says() {
        for (accept, json, stream) in [
            ("application/json, text/event-stream", true, true),
            ("text/event-stream,application/json;q=0.1", true, true),
            ("Application/JSON", true, false),
            ("*/*", true, true),
            ("text/*", false, true),
            ("application/*, text/event-stream", true, true),
            ("*/*, text/event-stream;q=0", true, false),
            ("text/*;q=0, text/event-stream", false, true),
            ("application/json;q=0.0, text/html", false, false),
            ("application/jsonx", false, false),
            ("", false, false),
        ] {
            let headers = headers(&[(ACCEPT, accept)]);
            assert_eq!((accepts(&headers, JSON), accepts(&headers, EVENT_STREAM)), (json, stream), "{accept}");
        }
        assert!(accepts(&HeaderMap::new(), JSON) && accepts(&HeaderMap::new(), EVENT_STREAM));
    }

    #[test]
    fn a_body_is_declared_as_json() {
        for (content_type, fits) in [
            ("application/json", true),
            ("Application/JSON; charset=utf-8", true),
            ("application/json-rpc", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(sends_json(&headers(&[(CONTENT_TYPE, content_type)])), fits, "{content_type}");
        }
        assert!(!sends_json(&HeaderMap::new()));
        let mut compressed = headers(&[(CONTENT_TYPE, JSON), (CONTENT_ENCODING, "gzip")]);
        assert!(!sends_json(&compressed));
        compressed.insert(CONTENT_ENCODING, HeaderValue::from_static("identity"));
        assert!(sends_json(&compressed));
        compressed.append(CONTENT_TYPE, HeaderValue::from_static(JSON));
        assert!(!sends_json(&compressed), "it is said twice");
    }
}
