//! The head of a frame, RFC 6455, section 5.2: read as a client sends it, written as a server does.

/// A frame that goes out is whole: the server sends no fragments.
const FIN: u8 = 0x80;

/// Of the first frame of a message: it is compressed (RFC 7692, section 6).
const RSV1: u8 = 0x40;
const OTHER_RSV: u8 = 0x30;
const MASKED: u8 = 0x80;

/// Section 5.5.
pub(super) const MAX_CONTROL: usize = 125;

/// What a client did that RFC 6455 forbids, or that is not taken from it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Protocol(&'static str),
    #[error("a text, or the reason of a close, is not UTF-8")]
    Utf8,
    #[error("a message has {length} bytes or more, and {limit} are allowed")]
    TooBig { length: u64, limit: usize },
}

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Binary,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation,
    Message(Kind),
    Close,
    Ping,
    Pong,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub fin: bool,
    pub rsv1: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    /// Where the payload begins.
    pub start: usize,
    pub length: u64,
}

impl Opcode {
    fn of(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Message(Kind::Text),
            0x2 => Self::Message(Kind::Binary),
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }

    fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Message(Kind::Text) => 0x1,
            Self::Message(Kind::Binary) => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    pub fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// The head at the start of what came in; `None` if not all of it is there. What is wrong with it is said as soon as the
/// byte has come that shows it.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, Fault> {
    let Some(&first) = bytes.first() else { return Ok(None) };
    if first & OTHER_RSV != 0 {
        return Err(Fault::Protocol("a frame has reserved bits of no extension"));
    }
    let opcode = Opcode::of(first & 0x0F).ok_or(Fault::Protocol("a frame has an unknown opcode"))?;
    let fin = first & FIN != 0;
    if opcode.is_control() && !fin {
        return Err(Fault::Protocol("a control frame is fragmented"));
    }
    let Some(&second) = bytes.get(1) else { return Ok(None) };
    if second & MASKED == 0 {
        return Err(Fault::Protocol("a frame of the client is not masked"));
    }
    let short = second & !MASKED;
    if opcode.is_control() && usize::from(short) > MAX_CONTROL {
        return Err(Fault::Protocol("a control frame is longer than 125 bytes"));
    }
    let Some((length, at)) = length(short, bytes)? else { return Ok(None) };
    let Some(&mask) = bytes.get(at..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
    Ok(Some(Head { fin, rsv1: first & RSV1 != 0, opcode, mask, start: at + mask.len(), length }))
}

/// The payload's length, and where what follows it begins.
fn length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Fault> {
    let rest = &bytes[2..];
    let (length, at) = match short {
        126 => (rest.first_chunk().map(|two| u64::from(u16::from_be_bytes(*two))), 4),
        127 => (rest.first_chunk().map(|eight| u64::from_be_bytes(*eight)), 10),
        short => (Some(u64::from(short)), 2),
    };
    if length.is_some_and(|length| length > i64::MAX as u64) {
        return Err(Fault::Protocol("a length has its most significant bit set"));
    }
    // In more bytes than it needs, which section 5.2 forbids to senders, a length is as clear.
    Ok(length.map(|length| (length, at)))
}

/// Appends the head of a frame that is whole.
pub(super) fn put_head(out: &mut Vec<u8>, opcode: Opcode, is_compressed: bool, length: usize) {
    out.push(FIN | if is_compressed { RSV1 } else { 0 } | opcode.bits());
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(short),
        (_, Ok(middle)) => {
            out.push(126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn masked(head: &[u8]) -> Vec<u8> {
        [head, &MASK].concat()
    }

    #[test]
    fn a_head_is_known_once_its_last_byte_has_come() {
        let cases: [(&[u8], u64); 4] = [
            (&[0x81, 0x85], 5),
            (&[0x81, 0xFE, 0x01, 0x00], 256),
            (&[0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0], 65_536),
            (&[0x81, 0xFD], 125),
        ];
        for (start, length) in cases {
            let bytes = masked(start);
            for end in 0..bytes.len() {
                assert_eq!(head(&bytes[..end]), Ok(None), "{bytes:?} up to {end}");
            }
            let expected = Head {
                fin: true,
                rsv1: false,
                opcode: Opcode::Message(Kind::Text),
                mask: MASK,
                start: bytes.len(),
                length,
            };
            assert_eq!(head(&bytes), Ok(Some(expected)));
        }
    }

    #[test]
    fn what_no_client_may_send_is_refused_at_the_byte_that_shows_it() {
        let cases: [&[u8]; 9] = [
            &[0xA1],
            &[0x91],
            &[0x83],
            &[0x8B],
            &[0x09],
            &[0x81, 0x05],
            &[0x89, 0xFE],
            &[0x88, 0xFF],
            &[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in cases {
            assert!(matches!(head(bytes), Err(Fault::Protocol(_))), "{bytes:x?}");
        }
    }

    #[test]
    fn heads_are_written_in_their_shortest_form() {
        let written = |length| {
            let mut out = Vec::new();
            put_head(&mut out, Opcode::Message(Kind::Binary), false, length);
            out
        };
        assert_eq!(written(0), [0x82, 0]);
        assert_eq!(written(125), [0x82, 125]);
        assert_eq!(written(126), [0x82, 126, 0, 126]);
        assert_eq!(written(65_535), [0x82, 126, 0xFF, 0xFF]);
        assert_eq!(written(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }
}
