//! The Origin header (RFC 6454, section 7), which tells whose page opens a socket. A browser sends it
//! truthfully; whoever is not a browser needs a token like everybody else.

use http::{HeaderMap, header::ORIGIN};
use switchboard_protocol::ErrorCode;

use super::Refused;
use crate::config::OriginConfig;

/// How much of an origin an error repeats.
const SHOWN_CHARACTERS: usize = 100;

pub(super) fn check(headers: &HeaderMap, config: &OriginConfig) -> Result<(), Refused> {
    let mut origins = headers.get_all(ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (None, _) if config.allow_missing => Ok(()),
        (None, _) => Err(refused("the request has no Origin header".to_owned())),
        (Some(_), Some(_)) => Err(refused("the request has more than one Origin header".to_owned())),
        (Some(origin), None) => {
            let origin = origin.to_str().map_err(|_| refused("the Origin header is not ASCII".to_owned()))?;
            if config.allow.iter().any(|pattern| pattern.matches(origin)) {
                return Ok(());
            }
            let shown: String = origin.chars().take(SHOWN_CHARACTERS).collect();
            Err(refused(format!("the origin {shown:?} is not allowed")))
        }
    }
}

fn refused(detail: String) -> Refused {
    Refused { code: ErrorCode::OriginRefused, detail, retry_after: None }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::config::OriginPattern;

    fn outcome(origins: &[&'static str], allow_missing: bool) -> Result<(), String> {
        let mut headers = HeaderMap::new();
        for origin in origins {
            headers.append(ORIGIN, HeaderValue::from_bytes(origin.as_bytes()).unwrap());
        }
        let allow = ["https://a.example", "https://b.example"].map(|text| OriginPattern::parse(text).unwrap()).to_vec();
        check(&headers, &OriginConfig { allow, allow_missing }).map_err(|refused| {
            assert_eq!(refused.code, ErrorCode::OriginRefused);
            refused.detail
        })
    }

    #[test]
    fn any_pattern_lets_an_origin_in_and_no_pattern_keeps_it_out() {
        assert_eq!(outcome(&["https://b.example"], false), Ok(()));
        assert_eq!(
            outcome(&["https://evil.example"], true).unwrap_err(),
            r#"the origin "https://evil.example" is not allowed"#
        );
        assert!(outcome(&["null"], true).is_err());
    }

    #[test]
    fn a_missing_origin_is_a_matter_of_configuration_and_a_doubled_one_is_not() {
        assert_eq!(outcome(&[], true), Ok(()));
        assert!(outcome(&[], false).unwrap_err().contains("no Origin"));
        assert!(outcome(&["https://a.example", "https://b.example"], true).unwrap_err().contains("more than one"));
        assert!(outcome(&["https://é.example"], true).unwrap_err().contains("not ASCII"));
    }
}
