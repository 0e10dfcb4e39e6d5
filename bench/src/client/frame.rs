//! The client's side of RFC 6455, section 5: frames that are masked go out, frames that are not come in.
//!
//! No fragments and no extensions: the server sends neither to a client that offered none. Both would be an error here, and
//! an error ends the connection, which is counted.

/// Section 5.2.
pub const TEXT: u8 = 0x1;
pub const BINARY: u8 = 0x2;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;

const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// Nothing that is measured sends larger ones; a length beyond this is a broken stream.
const MAX_PAYLOAD: usize = 64 << 20;

/// What stands at the start of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Head {
    /// A frame: its opcode, where its payload starts, and where it ends.
    Frame { opcode: u8, start: usize, end: usize },
    /// Not all of it is there.
    Partial,
    /// Not a frame that a server may send here.
    Broken,
}

/// Reads the head of the first frame in a buffer.
pub fn head(bytes: &[u8]) -> Head {
    let [first, second, rest @ ..] = bytes else { return Head::Partial };
    if second & MASKED != 0 || first & FIN == 0 || first & 0x70 != 0 {
        return Head::Broken;
    }
    let (start, length) = match second {
        126 => match rest.first_chunk::<2>() {
            Some(bytes) => (4, u64::from(u16::from_be_bytes(*bytes))),
            None => return Head::Partial,
        },
        127 => match rest.first_chunk::<8>() {
            Some(bytes) => (10, u64::from_be_bytes(*bytes)),
            None => return Head::Partial,
        },
        length => (2, u64::from(*length)),
    };
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= MAX_PAYLOAD) else {
        return Head::Broken;
    };
    let end = start + length;
    if bytes.len() < end { Head::Partial } else { Head::Frame { opcode: first & 0x0F, start, end } }
}

/// Appends a masked frame. Returns where its payload begins.
pub fn append(out: &mut Vec<u8>, opcode: u8, payload: &[u8], mask: [u8; 4]) -> usize {
    out.push(FIN | opcode);
    let length = payload.len();
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => out.push(MASKED | short),
        (_, Ok(middle)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    let start = out.len();
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    #[test]
    fn a_masked_hello_is_the_one_of_the_rfc() {
        let mut out = Vec::new();
        append(&mut out, TEXT, b"Hello", MASK);
        assert_eq!(out, [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58]);
    }

    #[test]
    fn lengths_take_one_three_or_nine_bytes() {
        for (length, head) in [(125, 6), (126, 8), (65_535, 8), (65_536, 14)] {
            let mut out = Vec::new();
            assert_eq!(append(&mut out, BINARY, &vec![0; length], MASK), head);
            assert_eq!(out.len(), head + length);
        }
    }

    #[test]
    fn the_head_of_a_servers_frame_is_read_when_all_of_it_is_there() {
        let frame = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
        assert_eq!(head(&frame), Head::Frame { opcode: TEXT, start: 2, end: 7 });
        for cut in 0..frame.len() {
            assert_eq!(head(&frame[..cut]), Head::Partial);
        }
        let mut long = vec![0x82, 126, 0x01, 0x00];
        assert_eq!(head(&long), Head::Partial);
        long.resize(4 + 256, 0);
        assert_eq!(head(&long), Head::Frame { opcode: BINARY, start: 4, end: 260 });
    }

    #[test]
    fn what_a_server_may_not_send_is_broken() {
        assert_eq!(head(&[0x81, 0x85]), Head::Broken);
        assert_eq!(head(&[0x01, 0x01, 0x00]), Head::Broken);
        assert_eq!(head(&[0xC1, 0x01, 0x00]), Head::Broken);
        assert_eq!(head(&[0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0]), Head::Broken);
    }
}
