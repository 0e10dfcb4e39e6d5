//! permessage-deflate, RFC 7692: messages by themselves, without a context that goes on from one to the next.
//!
//! So no connection holds a compressor or a window; each thread has its own, and uses it for everybody. And what many are
//! sent is compressed once: the part that all of them have in common ends on a byte (section 7.2.3.6 has the block that
//! does it), and what only one of them gets follows as a block that is stored, not compressed.

use std::{cell::RefCell, collections::VecDeque};

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::frame::Fault;

/// What a sync flush ends with, and what a sender leaves out at the end of a message (section 7.2.1).
const FLUSHED: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// The head of a stored block, without its lengths; at the end of a message, the one of the block that is left out.
const STORED: u8 = 0x00;

/// Fast: what is sent while somebody waits for it, and is mostly short.
const LEVEL: u32 = 1;

/// Messages of which a thread knows the compressed form: those that topics are sending out at the moment. Each writer takes
/// all that waits for it before the next has its turn, so there have to be as many as wait.
const REMEMBERED: usize = 128;

/// Bytes of these messages, before they were compressed, together.
const REMEMBERED_BYTES: usize = 256 * 1024;

/// A larger one is known only until the next comes, so that little is held for nobody.
const MAX_REMEMBERED: usize = 64 * 1024;

/// The windows that there are compressors for. 4 KiB is as far back as JSON repeats itself mostly, is what fits into a
/// processor's first cache, and what some clients ask for; 512 bytes are the least that there can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Window {
    Usual,
    Least,
}

/// What comes and what goes on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Deflate {
    pub window: Window,
    /// Shorter messages are sent as they are. Zero compresses everything, also what becomes longer by it.
    pub min_bytes: usize,
}

impl Window {
    /// As an offer counts them (section 7.1.2.1).
    pub fn bits(self) -> u8 {
        match self {
            Self::Usual => 12,
            Self::Least => 9,
        }
    }

    /// The largest that is no larger than a client can read.
    pub fn within(bits: u8) -> Option<Self> {
        [Self::Usual, Self::Least].into_iter().find(|window| window.bits() <= bits)
    }
}

/// What a thread compresses with.
struct Compressor {
    window: Window,
    engine: Compress,
    /// The newest last.
    known: VecDeque<Known>,
    /// Bytes of those.
    held: usize,
}

/// A message that was compressed. That it is held is what keeps its place in memory from becoming another's.
struct Known {
    message: Bytes,
    length: usize,
    deflated: Vec<u8>,
}

thread_local! {
    static COMPRESSORS: RefCell<Vec<Compressor>> = const { RefCell::new(Vec::new()) };
    static INFLATER: RefCell<Option<Decompress>> = const { RefCell::new(None) };
}

/// The parts of a compressed message that is the beginning of a shared one, up to `length`, and a tail of its own. `None` if
/// it is better sent as it is.
pub(super) fn with_deflated<R>(
    deflate: Deflate,
    (message, length): (&Bytes, usize),
    tail: &[u8],
    put: impl FnOnce(Option<&[&[u8]]>) -> R,
) -> R {
    COMPRESSORS.with_borrow_mut(|compressors| {
        let place =
            compressors.iter().position(|compressor| compressor.window == deflate.window).unwrap_or_else(|| {
                compressors.push(Compressor::new(deflate.window));
                compressors.len() - 1
            });
        let body = compressors[place].deflated(message, length);
        // A stored block counts its bytes in sixteen bits, and a tail has a few dozen.
        let (Some(body), Ok(count)) = (body, u16::try_from(tail.len())) else { return put(None) };
        let (low, high) = (count.to_le_bytes(), (!count).to_le_bytes());
        let stored = [STORED, low[0], low[1], high[0], high[1]];
        let (whole, followed): ([&[u8]; 1], [&[u8]; 4]) =
            // Without a tail, the body's own end is the one to be left out.
            ([&body[..body.len() - FLUSHED.len()]], [body, &stored, tail, &[STORED]]);
        let parts: &[&[u8]] = if tail.is_empty() { &whole } else { &followed };
        let total: usize = parts.iter().map(|part| part.len()).sum();
        put((total < length + tail.len() || deflate.min_bytes == 0).then_some(parts))
    })
}

impl Compressor {
    fn new(window: Window) -> Self {
        let engine = Compress::new_with_window_bits(Compression::new(LEVEL), false, window.bits());
        Self { window, engine, known: VecDeque::new(), held: 0 }
    }

    /// Up to a whole byte, with the end of a flush.
    fn deflated(&mut self, message: &Bytes, length: usize) -> Option<&[u8]> {
        let is_same = |known: &Known| known.message.as_ptr() == message.as_ptr() && known.length == length;
        if let Some(place) = self.known.iter().rposition(is_same) {
            return self.known.get(place).map(|known| &known.deflated[..]);
        }
        let deflated = compress(&mut self.engine, &message[..length])?;
        // One that is large is gone with the next.
        if self.known.back().is_some_and(|last| last.length > MAX_REMEMBERED) {
            self.forget(VecDeque::pop_back);
        }
        while self.known.len() >= REMEMBERED || (self.held + length > REMEMBERED_BYTES && !self.known.is_empty()) {
            self.forget(VecDeque::pop_front);
        }
        self.held += length;
        self.known.push_back(Known { message: message.clone(), length, deflated });
        self.known.back().map(|known| &known.deflated[..])
    }

    fn forget(&mut self, one: fn(&mut VecDeque<Known>) -> Option<Known>) {
        self.held -= one(&mut self.known).map_or(0, |known| known.length);
    }
}

/// `None` if the engine does not do what it is there for; then the message is sent as it is.
fn compress(engine: &mut Compress, bytes: &[u8]) -> Option<Vec<u8>> {
    engine.reset();
    let mut out = Vec::with_capacity(bytes.len() / 2 + 64);
    loop {
        let rest = bytes.get(usize::try_from(engine.total_in()).ok()?..)?;
        engine.compress_vec(rest, &mut out, FlushCompress::Sync).ok()?;
        // Room that is left says that all of it is out.
        if out.len() < out.capacity() {
            return out.ends_with(&FLUSHED).then_some(out);
        }
        out.reserve(out.len());
    }
}

/// A message as it was before its client compressed it. No more than `limit` bytes are ever made of it.
pub(super) fn inflate(bytes: &[u8], limit: usize) -> Result<Vec<u8>, Fault> {
    INFLATER.with_borrow_mut(|inflater| {
        let engine = inflater.get_or_insert_with(|| Decompress::new(false));
        engine.reset(false);
        let mut out = Vec::new();
        // Behind a last block, a sender may have put one byte that fills up (section 7.2.3.4).
        for (piece, filling) in [(bytes, 1), (&FLUSHED[..], FLUSHED.len())] {
            if !inflate_piece(engine, piece, filling, &mut out, limit)? {
                break;
            }
        }
        Ok(out)
    })
}

/// Says whether more may follow: not behind a block that says that it is the last. Some senders end each message with one.
/// That blocks follow it all the same, as section 7.2.1 allows, nobody does, and it is refused rather than cut off.
fn inflate_piece(
    engine: &mut Decompress,
    piece: &[u8],
    filling: usize,
    out: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, Fault> {
    let begun = engine.total_in();
    let mut rest = piece;
    loop {
        if out.len() > limit {
            return Err(Fault::TooBig { length: out.len() as u64, limit });
        }
        if out.len() == out.capacity() {
            // One more than may be, so that too much is noticed and not cut off.
            out.reserve_exact(out.len().max(4 * piece.len()).max(64).min(limit + 1 - out.len()));
        }
        let before = (engine.total_in(), engine.total_out());
        let status = engine
            .decompress_vec(rest, out, FlushDecompress::Sync)
            .map_err(|_| Fault::Protocol("a compressed message is damaged"))?;
        if status == Status::StreamEnd {
            if out.len() > limit {
                return Err(Fault::TooBig { length: out.len() as u64, limit });
            }
            let used = usize::try_from(engine.total_in() - begun).unwrap_or(piece.len());
            if piece.len().saturating_sub(used) > filling {
                return Err(Fault::Protocol("a compressed message goes on behind its last block"));
            }
            return Ok(false);
        }
        let used = usize::try_from(engine.total_in() - begun).unwrap_or(piece.len());
        rest = &piece[used.min(piece.len())..];
        let has_room = out.len() < out.capacity();
        if rest.is_empty() && has_room {
            return Ok(true);
        }
        if has_room && before == (engine.total_in(), engine.total_out()) {
            // Neither took anything nor gave anything: it never will.
            return Err(Fault::Protocol("a compressed message is damaged"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100_000;

    fn deflated(window: Window, message: &Bytes, length: usize, tail: &[u8]) -> Option<Vec<u8>> {
        let deflate = Deflate { window, min_bytes: 1 };
        with_deflated(deflate, (message, length), tail, |parts| parts.map(<[&[u8]]>::concat))
    }

    fn text(length: usize) -> Bytes {
        let items = (0..).map(|number| format!(r#"{{"id":{number},"name":"a line of an order"}},"#));
        items.flat_map(String::into_bytes).take(length).collect()
    }

    #[test]
    fn what_many_get_is_compressed_once_and_each_has_a_tail_of_its_own() {
        for length in [600, 5_000, 40_000] {
            let message = text(length);
            for window in [Window::Usual, Window::Least] {
                for tail in [&b""[..], br#","seq":1}"#, br#","seq":18446744073709551615}"#] {
                    let sent = deflated(window, &message, length, tail).unwrap();
                    assert!(sent.len() < length / 2, "{} for {length}", sent.len());
                    assert_eq!(inflate(&sent, LIMIT).unwrap(), [&message[..], tail].concat());
                }
            }
        }
    }

    #[test]
    fn a_batch_is_known_to_the_writer_that_comes_next_and_what_is_held_is_bounded() {
        let mut compressor = Compressor::new(Window::Usual);
        let batch: Vec<Bytes> = (600..664).map(text).collect();
        let places = |compressor: &mut Compressor| -> Vec<*const u8> {
            batch.iter().map(|one| compressor.deflated(one, one.len()).unwrap().as_ptr()).collect()
        };
        let first = places(&mut compressor);
        assert_eq!(places(&mut compressor), first, "compressed again");
        for length in [200_000, 60_000, 60_000, 60_000, 60_000, 60_000] {
            let message = text(length);
            compressor.deflated(&message, length).unwrap();
            let held: usize = compressor.known.iter().map(|known| known.length).sum();
            assert_eq!(compressor.held, held);
            assert!(held <= REMEMBERED_BYTES.max(length), "{held}");
        }
    }

    #[test]
    fn what_would_grow_is_sent_as_it_is() {
        let step = |state: &u64| {
            let state = state ^ state << 13;
            let state = state ^ state >> 7;
            Some(state ^ state << 17)
        };
        let noise: Bytes = std::iter::successors(Some(1), step).take(2_000).map(|state| (state >> 32) as u8).collect();
        assert_eq!(deflated(Window::Usual, &noise, noise.len(), b"tail"), None);
    }

    #[test]
    fn another_message_in_the_place_of_one_that_is_gone_is_another() {
        for round in 0..50_u8 {
            let message = Bytes::from(vec![b'a' + round % 26; 700]);
            let sent = deflated(Window::Usual, &message, 700, b"}").unwrap();
            assert_eq!(inflate(&sent, LIMIT).unwrap()[..700], message);
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit_and_what_just_fits_passes() {
        let message = Bytes::from(vec![b'x'; 1_000_000]);
        let bomb = deflated(Window::Usual, &message, message.len(), b"").unwrap();
        assert!(bomb.len() < 10_000);
        assert_eq!(inflate(&bomb, LIMIT), Err(Fault::TooBig { length: LIMIT as u64 + 1, limit: LIMIT }));
        assert_eq!(inflate(&bomb, 999_999), Err(Fault::TooBig { length: 1_000_000, limit: 999_999 }));
        assert_eq!(inflate(&bomb, 1_000_000).unwrap(), message);
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        // Section 7.2.3: one block, stored, and with a final block.
        for example in [
            &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00][..],
            &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
            &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
            &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
        ] {
            assert_eq!(inflate(example, LIMIT).unwrap(), b"Hello", "{example:x?}");
        }
        assert_eq!(inflate(&[0x00], LIMIT).unwrap(), b"");
    }

    #[test]
    fn damage_and_a_last_block_end_without_a_spin() {
        // A last block that is empty, with nothing or one byte behind it.
        for last in [&[0x03, 0x00][..], &[0x03, 0x80], &[0x03, 0x00, 0x00]] {
            assert_eq!(inflate(last, LIMIT).unwrap(), b"");
        }
        // With more, it would be cut off.
        for more in [&[0x03, 0x00, 0x00, 0x00, 0xFF, 0xFF][..], &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x03, 0x00]]
        {
            assert!(matches!(inflate(more, LIMIT), Err(Fault::Protocol(_))), "{more:x?}");
        }
        // A block type that there is not; a distance to before the beginning; lengths that contradict each other.
        for damaged in [&[0x07][..], &[0x4b, 0x04, 0x62, 0x00], &[0x00, 0x05, 0x00, 0x00, 0x00]] {
            assert!(inflate(damaged, LIMIT).is_err(), "{damaged:x?}");
        }
    }

    #[test]
    fn a_window_is_no_larger_than_a_client_asks_for() {
        let bits = |asked| Window::within(asked).map(Window::bits);
        assert_eq!([15, 12, 11, 9, 8].map(bits), [Some(12), Some(12), Some(9), Some(9), None]);
    }
}
