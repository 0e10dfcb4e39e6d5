//! Which of a client's offers to compress is taken: RFC 7692, sections 5 and 7.1.
//!
//! Offers come in the order of the client's preference. One that has a parameter which is not known, is given twice, or has a value
//! that it cannot have, is declined, as is one that asks for what the server does not do; the next may be good.
//! None that is good means none of it, and the connection goes on without.

use axum::http::{HeaderMap, HeaderValue, header::SEC_WEBSOCKET_EXTENSIONS};

use super::wire::Window;

const NAME: &str = "permessage-deflate";

/// Without one, a client may have any window (section 7.1.2.1).
const MAX_BITS: u8 = 15;

/// What the answer always says: each message stands for itself, in both directions (section 7.1.1).
const ALWAYS: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

/// What was agreed upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub window: Window,
    /// For the header of the answer.
    pub answer: HeaderValue,
}

/// What one offer says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Offer {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    server_max_window_bits: Option<u8>,
    client_max_window_bits: Option<Option<u8>>,
}

pub(super) fn agree(headers: &HeaderMap) -> Option<Agreed> {
    let lines = headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().filter_map(|line| line.to_str().ok());
    let mut offers = lines.flat_map(|line| line.split(',')).filter_map(Offer::read);
    offers.find_map(|offer| offer.answered())
}

impl Offer {
    /// `None` for another extension, and for one that is to be declined.
    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let mut offer = Self::default();
        parts.next().filter(|name| *name == NAME)?;
        for parameter in parts {
            let (name, value) = match parameter.split_once('=') {
                Some((name, value)) => (name.trim_end(), Some(value.trim_start())),
                None => (parameter, None),
            };
            let is_new = match (name, value) {
                ("server_no_context_takeover", None) => !std::mem::replace(&mut offer.server_no_context_takeover, true),
                ("client_no_context_takeover", None) => !std::mem::replace(&mut offer.client_no_context_takeover, true),
                ("server_max_window_bits", Some(value)) => offer.server_max_window_bits.replace(bits(value)?).is_none(),
                ("client_max_window_bits", value) => {
                    let value = value.map_or(Some(None), |value| bits(value).map(Some))?;
                    offer.client_max_window_bits.replace(value).is_none()
                }
                _ => false,
            };
            if !is_new {
                return None;
            }
        }
        Some(offer)
    }

    /// A client may keep its own window as it likes: what comes is read with the largest.
    fn answered(&self) -> Option<Agreed> {
        let window = Window::within(self.server_max_window_bits.unwrap_or(MAX_BITS))?;
        let answer = match self.server_max_window_bits {
            Some(_) => HeaderValue::try_from(format!("{ALWAYS}; server_max_window_bits={}", window.bits())).ok()?,
            None => HeaderValue::from_static(ALWAYS),
        };
        Some(Agreed { window, answer })
    }
}

/// From 8 to 15, without a zero before it (section 7.1.2). Quotation marks are the header's, not the value's.
fn bits(value: &str) -> Option<u8> {
    let plain = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
    let digits = !plain.is_empty() && !plain.starts_with('0') && plain.bytes().all(|byte| byte.is_ascii_digit());
    plain.parse().ok().filter(|bits| digits && (8..=MAX_BITS).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is answered to these header lines.
    fn check(lines: &[&'static str], expected: Option<&str>) {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(SEC_WEBSOCKET_EXTENSIONS, HeaderValue::from_static(line));
        }
        let agreed = agree(&headers);
        let answer = agreed.as_ref().map(|agreed| agreed.answer.to_str().unwrap().replace(ALWAYS, "always"));
        assert_eq!(answer.as_deref(), expected, "{lines:?}");
    }

    #[test]
    fn an_offer_is_taken_with_windows_that_the_client_can_read() {
        check(&["permessage-deflate"], Some("always"));
        check(&["permessage-deflate; client_max_window_bits"], Some("always"));
        check(&["permessage-deflate;client_max_window_bits=8;server_no_context_takeover"], Some("always"));
        check(
            &["permessage-deflate; server_max_window_bits=12; client_max_window_bits=12"],
            Some("always; server_max_window_bits=12"),
        );
        check(&["permessage-deflate; server_max_window_bits = \"15\""], Some("always; server_max_window_bits=12"));
        check(&["permessage-deflate; server_max_window_bits=10"], Some("always; server_max_window_bits=9"));
    }

    #[test]
    fn what_cannot_be_honoured_is_declined_and_the_next_offer_counts() {
        for declined in [
            "permessage-deflate; server_max_window_bits=8",
            "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=09",
            "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; client_max_window_bits=7",
            "permessage-deflate; client_no_context_takeover=1",
            "permessage-deflate; client_no_context_takeover; client_no_context_takeover",
            "permessage-deflate; mystery",
            "permessage-deflate;",
            "x-webkit-deflate-frame",
            "",
        ] {
            check(&[declined], None);
        }
        check(&["permessage-deflate; server_max_window_bits=8, permessage-deflate"], Some("always"));
        check(&["other; a=1", "permessage-deflate; client_max_window_bits"], Some("always"));
        check(&[], None);
    }
}
