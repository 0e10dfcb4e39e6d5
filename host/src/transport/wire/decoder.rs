//! From bytes to messages and control frames: RFC 6455, sections 5.4 and 5.5.
//!
//! A head is judged before its payload has come. Fragments are put together, within the bound on a message, and a text is
//! checked as its fragments come.

use std::ops::Range;

use super::{
    buffer::Input,
    close, deflate,
    frame::{Fault, Head, Kind, Opcode, head},
    mask::unmask,
    utf8,
};

#[derive(Debug)]
pub(super) struct Decoder {
    /// Of a message, and so of a frame.
    limit: usize,
    /// Whether messages may be compressed.
    deflates: bool,
    /// A message that has begun, and that has not come whole.
    message: Option<Box<Fragments>>,
}

#[derive(Debug)]
struct Fragments {
    kind: Kind,
    is_compressed: bool,
    bytes: Vec<u8>,
    /// How much of a text is known to be UTF-8.
    known: usize,
}

/// What came in, and where it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    Message(Kind, Content),
    Ping(Range<usize>),
    Pong(Range<usize>),
    Close(Option<u16>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// In the input.
    There(Range<usize>),
    Assembled(Vec<u8>),
}

/// What can be done with what is there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Found(Found),
    /// More has to come: so many bytes at the least, counted from the first that was not taken.
    Wants(usize),
}

impl Decoder {
    pub fn new(limit: usize, deflates: bool) -> Self {
        Self { limit, deflates, message: None }
    }

    /// Takes frames until one of them says something.
    pub fn step(&mut self, input: &mut Input) -> Result<Step, Fault> {
        loop {
            let Some(head) = head(input.unread())? else { return Ok(Step::Wants(0)) };
            let length = self.judge(&head)?;
            let end = head.start + length;
            if input.unread().len() < end {
                return Ok(Step::Wants(end));
            }
            let frame = input.take(end);
            let payload = frame.start + head.start..frame.end;
            unmask(input.at_mut(payload.clone()), head.mask);
            if let Some(found) = self.take(&head, payload, input)? {
                return Ok(Step::Found(found));
            }
        }
    }

    /// Whether this frame may come now. Returns how long its payload is.
    fn judge(&self, head: &Head) -> Result<usize, Fault> {
        if head.rsv1 && !(self.deflates && matches!(head.opcode, Opcode::Message(_))) {
            return Err(Fault::Protocol("a frame has a reserved bit of no extension"));
        }
        match (head.opcode, &self.message) {
            (Opcode::Continuation, None) => return Err(Fault::Protocol("a message begins with a continuation")),
            (Opcode::Message(_), Some(_)) => return Err(Fault::Protocol("a message begins before the last has ended")),
            _ => {}
        }
        let before = match head.opcode {
            Opcode::Continuation => self.message.as_ref().map_or(0, |message| message.bytes.len()),
            _ => 0,
        };
        let length = usize::try_from(head.length).ok().filter(|length| *length <= self.limit.saturating_sub(before));
        length.ok_or(Fault::TooBig { length: head.length.saturating_add(before as u64), limit: self.limit })
    }

    fn take(&mut self, head: &Head, payload: Range<usize>, input: &Input) -> Result<Option<Found>, Fault> {
        Ok(Some(match head.opcode {
            Opcode::Ping => Found::Ping(payload),
            Opcode::Pong => Found::Pong(payload),
            Opcode::Close => Found::Close(close::code(input.at(payload))?),
            Opcode::Message(kind) if head.fin && head.rsv1 => inflated(kind, input.at(payload), self.limit)?,
            Opcode::Message(kind) if head.fin => {
                check_whole(kind, input.at(payload.clone()))?;
                Found::Message(kind, Content::There(payload))
            }
            Opcode::Message(kind) => {
                let bytes = input.at(payload).to_vec();
                self.message = Some(Box::new(Fragments::begin(kind, head.rsv1, bytes)?));
                return Ok(None);
            }
            Opcode::Continuation => return self.append(input.at(payload), head.fin),
        }))
    }

    fn append(&mut self, piece: &[u8], fin: bool) -> Result<Option<Found>, Fault> {
        let Some(mut message) = self.message.take() else { return Ok(None) };
        message.bytes.extend_from_slice(piece);
        if fin {
            return message.end(self.limit).map(Some);
        }
        message.check()?;
        self.message = Some(message);
        Ok(None)
    }
}

impl Fragments {
    fn begin(kind: Kind, is_compressed: bool, bytes: Vec<u8>) -> Result<Self, Fault> {
        let mut message = Self { kind, is_compressed, bytes, known: 0 };
        message.check()?;
        Ok(message)
    }

    fn check(&mut self) -> Result<(), Fault> {
        if self.kind == Kind::Text && !self.is_compressed {
            self.known = utf8::check(&self.bytes, self.known)?;
        }
        Ok(())
    }

    fn end(self, limit: usize) -> Result<Found, Fault> {
        if self.is_compressed {
            return inflated(self.kind, &self.bytes, limit);
        }
        check_whole(self.kind, &self.bytes[self.known..])?;
        Ok(Found::Message(self.kind, Content::Assembled(self.bytes)))
    }
}

fn inflated(kind: Kind, bytes: &[u8], limit: usize) -> Result<Found, Fault> {
    let bytes = deflate::inflate(bytes, limit)?;
    check_whole(kind, &bytes)?;
    Ok(Found::Message(kind, Content::Assembled(bytes)))
}

fn check_whole(kind: Kind, bytes: &[u8]) -> Result<(), Fault> {
    if kind == Kind::Text && std::str::from_utf8(bytes).is_err() { Err(Fault::Utf8) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 300;

    /// A frame as a client sends it, with a mask that changes nothing.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(payload.len()).unwrap();
        let head = match length {
            0..=125 => vec![first, 0x80 | length as u8],
            _ => [&[first, 0x80 | 126], &length.to_be_bytes()[..]].concat(),
        };
        [&head[..], &[0; 4], payload].concat()
    }

    /// What is made of frames that come in one piece, and byte by byte.
    fn decoded(bytes: &[u8]) -> Vec<Result<String, Fault>> {
        let one_by_one = read(bytes.chunks(1), false);
        assert_eq!(read([bytes].into_iter(), false), one_by_one);
        one_by_one
    }

    fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, deflates: bool) -> Vec<Result<String, Fault>> {
        let mut decoder = Decoder::new(LIMIT, deflates);
        let (mut input, mut all) = (Input::default(), Vec::new());
        for piece in pieces {
            input = Input::holding(&[input.unread(), piece].concat());
            loop {
                match decoder.step(&mut input) {
                    Ok(Step::Wants(_)) => break,
                    Ok(Step::Found(found)) => all.push(Ok(said(&found, &input))),
                    Err(fault) => {
                        all.push(Err(fault));
                        return all;
                    }
                }
            }
        }
        all
    }

    fn said(found: &Found, input: &Input) -> String {
        let text = |range: &Range<usize>| String::from_utf8_lossy(input.at(range.clone())).into_owned();
        match found {
            Found::Message(kind, Content::There(range)) => format!("{kind:?} {}", text(range)),
            Found::Message(kind, Content::Assembled(bytes)) => format!("{kind:?} {}", String::from_utf8_lossy(bytes)),
            Found::Ping(range) => format!("ping {}", text(range)),
            Found::Pong(range) => format!("pong {}", text(range)),
            Found::Close(code) => format!("close {code:?}"),
        }
    }

    fn check(frames: &[Vec<u8>], expected: &[Result<&str, Fault>]) {
        let expected: Vec<_> = expected.iter().cloned().map(|one| one.map(str::to_owned)).collect();
        assert_eq!(decoded(&frames.concat()), expected);
    }

    #[test]
    fn messages_come_whole_or_in_fragments_with_control_frames_between_them() {
        check(
            &[frame(0x81, b"one"), frame(0x82, b"two"), frame(0x88, &1000_u16.to_be_bytes())],
            &[Ok("Text one"), Ok("Binary two"), Ok("close Some(1000)")],
        );
        let e = "\u{e9}".as_bytes();
        check(
            &[frame(0x01, &e[..1]), frame(0x89, b"?"), frame(0x00, b""), frame(0x80, &e[1..]), frame(0x8A, b"!")],
            &[Ok("ping ?"), Ok("Text \u{e9}"), Ok("pong !")],
        );
    }

    #[test]
    fn fragments_keep_their_order() {
        let protocol = |fault| [Err(Fault::Protocol(fault))];
        check(&[frame(0x80, b"x")], &protocol("a message begins with a continuation"));
        check(&[frame(0x01, b"x"), frame(0x81, b"y")], &protocol("a message begins before the last has ended"));
        check(&[frame(0xC1, b"x")], &protocol("a frame has a reserved bit of no extension"));
    }

    #[test]
    fn a_text_that_is_none_is_found_at_the_end_of_its_fragment() {
        check(&[frame(0x81, b"a\xFF")], &[Err(Fault::Utf8)]);
        check(&[frame(0x01, b"a\xFF")], &[Err(Fault::Utf8)]);
        check(&[frame(0x01, b"\xC3"), frame(0x80, b"")], &[Err(Fault::Utf8)]);
        check(&[frame(0x82, b"\xFF")], &[Ok("Binary \u{FFFD}")]);
    }

    #[test]
    fn the_bound_is_on_a_message_and_known_from_a_head() {
        check(&[frame(0x82, &[b'x'; LIMIT])], &[Ok(&format!("Binary {}", "x".repeat(LIMIT)))]);
        let too_big = |length| [Err(Fault::TooBig { length, limit: LIMIT })];
        let head = frame(0x82, &[0; LIMIT + 1])[..8].to_vec();
        check(&[head], &too_big(301));
        check(&[frame(0x02, &[0; 200]), frame(0x80, &[0; 101])[..6].to_vec()], &too_big(301));
    }

    #[test]
    fn compressed_messages_are_taken_where_they_were_agreed_upon() {
        // RFC 7692, section 7.2.3.1, whole and in two fragments with a ping between them.
        let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
        let frames = [
            frame(0xC1, &hello),
            frame(0x41, &hello[..3]),
            frame(0x89, b"?"),
            frame(0x80, &hello[3..]),
            frame(0x81, b"plain"),
        ]
        .concat();
        let expected = ["Text Hello", "ping ?", "Text Hello", "Text plain"].map(|text| Ok(text.to_owned()));
        assert_eq!(read(frames.chunks(1), true), expected);
        // The bit is the first frame's of a message, and no control frame's.
        for wrong in [[frame(0x41, &hello[..3]), frame(0xC0, &hello[3..])].concat(), frame(0xC9, b"")] {
            let fault = Err(Fault::Protocol("a frame has a reserved bit of no extension"));
            assert_eq!(read([&wrong[..]].into_iter(), true), [fault]);
        }
        // A text that is none once it is inflated: a stored block with one byte.
        let stored = frame(0xC1, &[0x00, 0x01, 0x00, 0xFE, 0xFF, 0xFF, 0x00]);
        assert_eq!(read([&stored[..]].into_iter(), true), [Err(Fault::Utf8)]);
    }
}
