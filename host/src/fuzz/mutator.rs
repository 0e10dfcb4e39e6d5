//! Changes bytes at random, the same way each time: flips, cuts, repeats, words of the format, parts of others.
//!
//! Where the bytes are Wasm, whole sections are moved, too, at the outermost level and within: a parser that
//! is only shown noise gives up at the first byte.

/// A generator of numbers that look random (xorshift64, Marsaglia 2003): no more is needed, and a seed names a case.
pub(crate) struct Mutator(u64);

impl Mutator {
    pub fn new(seed: u64) -> Self {
        // Never zero, where it would stay; and neighbours are far apart.
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % end.max(1)
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// One of the seeds, changed up to so many times.
    pub fn case(&mut self, seeds: &[Vec<u8>], words: &[&str], most: usize) -> Vec<u8> {
        let mut bytes = self.pick(seeds).clone();
        for _ in 0..=self.below(most) {
            self.change(&mut bytes, seeds, words);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[&str]) {
        let at = self.below(bytes.len() + 1);
        let end = at + self.below((bytes.len() - at).min(64) + 1);
        match self.below(10) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
            2 if at < bytes.len() => bytes[at] = *self.pick(&[0, 1, 0x7f, 0x80, 0xff, b'"', b'{', b'[', b'\n']),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let piece = bytes[at..end].to_vec();
                let times = 1 + self.below(40);
                bytes.splice(at..at, piece.repeat(times));
            }
            5 if !words.is_empty() => {
                let word = self.pick(words).bytes();
                bytes.splice(at..end.min(at + 8), word);
            }
            6 => {
                let other = self.pick(seeds).clone();
                let from = self.below(other.len() + 1);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
            7 => {
                let other = self.pick(seeds).clone();
                let from = self.below(other.len() + 1);
                let to = from + self.below((other.len() - from).min(200) + 1);
                bytes.splice(at..at, other[from..to].iter().copied());
            }
            _ => self.move_section(bytes),
        }
    }

    /// Removes, repeats or exchanges sections, and keeps what is within as it is.
    fn move_section(&mut self, bytes: &mut Vec<u8>) {
        let Some(mut sections) = sections(bytes) else { return };
        let (one, other) = (self.below(sections.len()), self.below(sections.len()));
        match self.below(12) {
            0 => drop(sections.remove(one)),
            1 => sections.insert(other, sections[one].clone()),
            2 => sections.swap(one, other),
            3..=5 => self.change_byte(&mut sections[one].1),
            _ => {
                // Into a core module or a component that is a section here.
                let nested = |(id, body): &&mut (u8, Vec<u8>)| matches!(id, 1 | 4) && body.starts_with(b"\0asm");
                let nested: Vec<&mut (u8, Vec<u8>)> = sections.iter_mut().filter(|section| nested(section)).collect();
                let chosen = self.below(nested.len());
                match nested.into_iter().nth(chosen) {
                    Some((_, module)) => self.move_section(module),
                    None => self.change_byte(&mut sections[one].1),
                }
            }
        }
        let mut joined = bytes[..8].to_vec();
        for (id, body) in sections {
            joined.push(id);
            joined.extend(leb128(body.len()));
            joined.extend(body);
        }
        *bytes = joined;
    }

    /// To a neighbour, or to another sign: a number stays a number and a name a name.
    fn change_byte(&mut self, bytes: &mut [u8]) {
        if bytes.is_empty() {
            return;
        }
        let at = self.below(bytes.len());
        bytes[at] = match self.below(3) {
            0 => bytes[at].wrapping_add(1),
            1 => bytes[at].wrapping_sub(1),
            _ => bytes[at] ^ (1 << self.below(7)),
        };
    }
}

/// The sections of a module or component, if there are any, and all is there.
fn sections(bytes: &[u8]) -> Option<Vec<(u8, Vec<u8>)>> {
    let mut rest = bytes.strip_prefix(b"\0asm")?.get(4..)?;
    let mut sections = Vec::new();
    while let Some((&id, after)) = rest.split_first() {
        let mut length = 0_usize;
        let mut shift = 0;
        let mut body = after;
        loop {
            let (&byte, after) = body.split_first()?;
            body = after;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
            if shift > 28 {
                return None;
            }
        }
        sections.push((id, body.get(..length)?.to_vec()));
        rest = body.get(length..)?;
    }
    (!sections.is_empty()).then_some(sections)
}

fn leb128(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = u8::try_from(value & 0x7f).unwrap_or(0);
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}
