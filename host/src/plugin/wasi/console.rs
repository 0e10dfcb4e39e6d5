//! stdout and stderr of a guest, as log lines of the call that is under way.
//!
//! A stream lives as long as the instance, and calls come and go: each write goes to whatever log is attached at
//! that moment. Writing never waits, and nothing is buffered but the line that has not ended.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    async_trait,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use super::super::call_log::{CallLog, Stream};

/// Bytes that a guest may write at once: what WASI's own streams allow.
const MAX_WRITE_BYTES: usize = 64 << 10;

/// Both streams of an instance.
#[derive(Clone)]
pub(super) struct Console(Arc<ArcSwap<CallLog>>);

impl Console {
    pub fn new(log: Arc<CallLog>) -> Self {
        Self(Arc::new(ArcSwap::new(log)))
    }

    /// From now on, what is written belongs there.
    pub fn attach(&self, log: &Arc<CallLog>) {
        if !Arc::ptr_eq(&self.0.load(), log) {
            self.0.store(log.clone());
        }
    }

    pub fn stream(&self, stream: Stream) -> Lines {
        Lines { console: self.clone(), stream }
    }
}

/// One of the two.
#[derive(Clone)]
pub(super) struct Lines {
    console: Console,
    stream: Stream,
}

#[async_trait]
impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.console.0.load().write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(MAX_WRITE_BYTES)
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl IsTerminal for Lines {
    /// So that nobody writes colours into a log.
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// For WASI 0.3, which is not linked: what is written there goes nowhere.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}
