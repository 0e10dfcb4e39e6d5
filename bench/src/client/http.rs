//! The client's side of HTTP/1.1 on connections that are kept: one request at a time, and its whole response.
//!
//! Bodies end as RFC 9112, section 6, has them end: by their length, or by their last chunk. A response that ends with its
//! connection is none for a client that keeps it.

use std::borrow::Cow;

use memchr::memmem;

/// No response that is measured is longer.
const MAX_RESPONSE: usize = 16 << 20;

/// What stands at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Response<'a> {
    Whole {
        status: u16,
        head: &'a str,
        body: Cow<'a, [u8]>,
        /// Where the next one starts.
        end: usize,
    },
    /// Not all of it is there.
    Partial,
    /// Not a response after which the connection could be used.
    Broken,
}

pub fn response(bytes: &[u8]) -> Response<'_> {
    let Some(start) = memmem::find(bytes, b"\r\n\r\n").map(|end| end + 4) else {
        return if bytes.len() > MAX_RESPONSE { Response::Broken } else { Response::Partial };
    };
    let Ok(head) = std::str::from_utf8(&bytes[..start]) else { return Response::Broken };
    let Some(status) = head.split(' ').nth(1).and_then(|word| word.parse().ok()) else { return Response::Broken };
    let rest = &bytes[start..];
    let body = if field(head, "transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        chunks(rest)
    } else {
        // A response without either has no body on a connection that goes on: 202 and 204, here.
        field(head, "content-length").map_or(Ok(0), str::parse).map_or(Body::Broken, |length| sized(rest, length))
    };
    match body {
        Body::Whole { bytes, length } => Response::Whole { status, head, body: bytes, end: start + length },
        Body::Partial => Response::Partial,
        Body::Broken => Response::Broken,
    }
}

/// The value of a header field, whatever the case of its name.
pub fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

enum Body<'a> {
    Whole { bytes: Cow<'a, [u8]>, length: usize },
    Partial,
    Broken,
}

fn sized(bytes: &[u8], length: usize) -> Body<'_> {
    match bytes.get(..length) {
        Some(bytes) => Body::Whole { bytes: bytes.into(), length },
        None if length > MAX_RESPONSE => Body::Broken,
        None => Body::Partial,
    }
}

/// RFC 9112, section 7.1. Nobody here sends extensions or trailers; one that did would be broken, and counted.
fn chunks(bytes: &[u8]) -> Body<'_> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some(line) = memmem::find(&bytes[at..], b"\r\n") else { return Body::Partial };
        let size =
            std::str::from_utf8(&bytes[at..at + line]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(size) = size.filter(|size| *size <= MAX_RESPONSE) else { return Body::Broken };
        let start = at + line + 2;
        let Some(chunk) = bytes.get(start..start + size + 2) else { return Body::Partial };
        let Some(chunk) = chunk.strip_suffix(b"\r\n") else { return Body::Broken };
        at = start + size + 2;
        if chunk.is_empty() {
            return Body::Whole { bytes: body.into(), length: at };
        }
        body.extend_from_slice(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(text: &str) -> (u16, String, usize) {
        match response(text.as_bytes()) {
            Response::Whole { status, body, end, .. } => (status, String::from_utf8_lossy(&body).into_owned(), end),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_body_ends_by_its_length_or_by_its_last_chunk() {
        let sized = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(whole(&format!("{sized}HTTP/1.1 ")), (200, "hello".to_owned(), sized.len()));
        let chunked = "HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n";
        assert_eq!(whole(chunked), (400, "hello".to_owned(), chunked.len()));
        let empty = "HTTP/1.1 202 Accepted\r\nmcp-session-id: a\r\n\r\n";
        assert_eq!(whole(empty), (202, String::new(), empty.len()));
        for text in [sized, chunked, empty] {
            (0..text.len()).for_each(|cut| assert_eq!(response(&text.as_bytes()[..cut]), Response::Partial));
        }
    }

    #[test]
    fn what_no_client_could_go_on_after_is_broken() {
        for text in ["nonsense\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"] {
            assert_eq!(response(text.as_bytes()), Response::Broken, "{text}");
        }
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in ["x\r\n", "1\r\nab\r\n", "1;a=b\r\na\r\n"] {
            assert_eq!(response(format!("{chunked}{body}").as_bytes()), Response::Broken, "{body}");
        }
    }

    #[test]
    fn fields_have_names_of_any_case() {
        assert_eq!(field("HTTP/1.1 200 OK\r\nMcp-Session-Id:  7 \r\n\r\n", "mcp-session-id"), Some("7"));
        assert_eq!(field("HTTP/1.1 200 OK\r\n\r\n", "mcp-session-id"), None);
    }
}
