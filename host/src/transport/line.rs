//! What the two halves of a socket share: the session that it acts for at the moment, and when
//! something was last written.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;

use crate::session::{Attachment, Connection};

/// The application data of a WebSocket ping (RFC 6455, section 5.5.2), which comes back with the pong:
/// the generation and the number of the last frame that was written before it.
const RECEIPT_BYTES: usize = 16;

/// Pings of the client that wait for their pongs. Of more, the oldest go without, which RFC 6455, section 5.5.3, leaves to
/// whoever is asked.
const MAX_PONGS: usize = 32;

#[derive(Debug)]
pub(crate) struct Line {
    pub connection: Arc<Connection>,
    attachment: ArcSwap<Attachment>,
    sent: Mutex<Instant>,
    ping: AtomicBool,
    /// What the client's pings carried.
    pongs: Mutex<VecDeque<Box<[u8]>>>,
}

impl Line {
    pub fn new(connection: Arc<Connection>, attachment: Attachment) -> Self {
        Self {
            connection,
            attachment: ArcSwap::from_pointee(attachment),
            sent: Mutex::new(Instant::now()),
            ping: AtomicBool::new(false),
            pongs: Mutex::new(VecDeque::new()),
        }
    }

    pub fn attachment(&self) -> Arc<Attachment> {
        self.attachment.load_full()
    }

    /// The socket acts for another session from here on. A receipt is asked for at once: it shows that
    /// the client has the token that it can come back with.
    pub fn attach(&self, attachment: Attachment) {
        self.attachment.store(Arc::new(attachment));
        self.ask_for_ping();
        self.connection.wake();
    }

    /// When something was last written.
    pub fn sent(&self) -> Instant {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note_sent(&self) {
        *self.sent.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Asks for a WebSocket ping. The caller wakes the writer.
    pub fn ask_for_ping(&self) {
        self.ping.store(true, Ordering::Relaxed);
    }

    /// Whether a ping was asked for since the last call.
    pub fn take_ping(&self) -> bool {
        self.ping.swap(false, Ordering::Relaxed)
    }

    /// Answers a ping of the client.
    pub fn answer_ping(&self, data: &[u8]) {
        let mut pongs = self.pongs.lock().unwrap_or_else(PoisonError::into_inner);
        if pongs.len() >= MAX_PONGS {
            pongs.pop_front();
        }
        pongs.push_back(data.into());
        drop(pongs);
        self.connection.wake();
    }

    /// Hands out what is to be answered, oldest first.
    pub fn take_pongs(&self, mut answer: impl FnMut(&[u8])) {
        let pongs = std::mem::take(&mut *self.pongs.lock().unwrap_or_else(PoisonError::into_inner));
        pongs.iter().for_each(|data| answer(data));
    }
}

/// What a ping carries.
pub(crate) fn receipt(generation: u64, seq: u64) -> [u8; RECEIPT_BYTES] {
    let mut data = [0; RECEIPT_BYTES];
    data[..8].copy_from_slice(&generation.to_be_bytes());
    data[8..].copy_from_slice(&seq.to_be_bytes());
    data
}

/// The generation and the number that a pong brings back. One that was not asked for says nothing.
pub(crate) fn read_receipt(data: &[u8]) -> Option<(u64, u64)> {
    let data: &[u8; RECEIPT_BYTES] = data.try_into().ok()?;
    let (generation, seq) = data.split_at(8);
    Some((u64::from_be_bytes(generation.try_into().ok()?), u64::from_be_bytes(seq.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_comes_back_as_it_went_and_other_pongs_say_nothing() {
        assert_eq!(read_receipt(&receipt(3, u64::MAX)), Some((3, u64::MAX)));
        assert_eq!(read_receipt(b""), None);
        assert_eq!(read_receipt(&[0; 17]), None);
    }
}
