//! The seal at the end of a saved file: which format it has, and a digest over all that stands before.
//!
//! redb checks its own checksums only after a crash, and trusts a file that was closed in order. A
//! flipped bit in such a file is another session's content, or a panic, or a tree without an end. With
//! the seal, redb sees nothing but what it wrote.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
};

use sha2::{Digest as _, Sha256};

/// Of the tables and rows, too: another one is set aside rather than guessed at.
const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"swbdsave";

/// Magic, format (little-endian), digest.
const SEAL_BYTES: usize = MAGIC.len() + size_of::<u32>() + DIGEST_BYTES;
const DIGEST_BYTES: usize = 32;

/// Hashed at a time.
const PIECE_BYTES: usize = 64 << 10;

/// Why a seal is not believed.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum SealFault {
    #[error("it does not end with a seal: it was cut short, or a start was killed while it took the content back")]
    Missing,
    #[error("it has format {found}, and this version of the program reads format {FORMAT}")]
    Format { found: u32 },
    #[error("its content is not what was saved: the digest differs")]
    Digest,
    #[error("it cannot be read: {0:?}")]
    Io(io::ErrorKind),
}

impl From<io::Error> for SealFault {
    fn from(fault: io::Error) -> Self {
        Self::Io(fault.kind())
    }
}

/// Ends the file with a seal, and returns when all of it is on the disk.
pub(super) fn seal(file: &File) -> io::Result<()> {
    let digest = digest(file, file.metadata()?.len(), FORMAT)?;
    // Reading has come to the end of the content.
    let mut file = file;
    file.write_all(MAGIC)?;
    file.write_all(&FORMAT.to_le_bytes())?;
    file.write_all(&digest)?;
    file.sync_all()
}

/// Checks the seal and takes it off: redb wants the file as it wrote it, and a file without a seal is
/// not taken a second time.
pub(super) fn unseal(file: &File) -> Result<(), SealFault> {
    let content = file.metadata()?.len().checked_sub(SEAL_BYTES as u64).ok_or(SealFault::Missing)?;
    let mut seal = [0; SEAL_BYTES];
    let mut reader = file;
    reader.seek(SeekFrom::Start(content))?;
    reader.read_exact(&mut seal)?;
    let found = seal.strip_prefix(MAGIC).and_then(|rest| rest.split_first_chunk()).ok_or(SealFault::Missing)?;
    let (format, expected) = (u32::from_le_bytes(*found.0), found.1);
    // A damaged number is told from another version's: that one has its digest right.
    if digest(file, content, format)?.as_slice() != expected {
        return Err(SealFault::Digest);
    }
    if format != FORMAT {
        return Err(SealFault::Format { found: format });
    }
    file.set_len(content)?;
    Ok(file.sync_all()?)
}

/// Of the format and the first bytes of a file, whose position is behind them afterwards.
fn digest(mut file: &File, length: u64, format: u32) -> io::Result<[u8; DIGEST_BYTES]> {
    file.seek(SeekFrom::Start(0))?;
    let mut rest = file.take(length);
    let mut hash = Sha256::new_with_prefix(format.to_le_bytes());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match rest.read(&mut piece)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&piece[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        seal(&file).unwrap();
        file
    }

    #[test]
    fn what_was_sealed_is_unsealed_once() {
        let file = sealed(b"content");
        assert_eq!(unseal(&file), Ok(()));
        assert_eq!(file.metadata().unwrap().len(), 7);
        assert_eq!(unseal(&file), Err(SealFault::Missing));
    }

    #[test]
    fn another_version_is_told_from_damage() {
        let mut file = sealed(b"content");
        file.set_len(7).unwrap();
        let digest = digest(&file, 7, FORMAT + 1).unwrap();
        file.write_all(MAGIC).unwrap();
        file.write_all(&(FORMAT + 1).to_le_bytes()).unwrap();
        file.write_all(&digest).unwrap();
        assert_eq!(unseal(&file), Err(SealFault::Format { found: FORMAT + 1 }));
        // The number alone changed.
        file.seek(SeekFrom::Start(7 + MAGIC.len() as u64)).unwrap();
        file.write_all(&(FORMAT + 2).to_le_bytes()).unwrap();
        assert_eq!(unseal(&file), Err(SealFault::Digest));
    }
}
