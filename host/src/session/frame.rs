//! An encoded message on its way to a client.

use bytes::Bytes;
use switchboard_protocol::MessageType;

/// An encoded message. The bytes are shared by all of its receivers.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub bytes: Bytes,
    /// Of several of one kind that wait, only the newest is delivered.
    pub volatile: Option<Volatile>,
}

/// What makes two messages of one kind, of which the newer says all that the older one said.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Volatile {
    /// Their type, as their sender says.
    Type(MessageType),
    /// That one watch causes both, by its number. Their type may be that of many others.
    Watch(u64),
}

impl Frame {
    pub fn kept(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), volatile: None }
    }
}

/// What is to be written next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    pub bytes: Bytes,
    /// Its position in the session; a frame of the connection alone has none.
    pub seq: Option<u64>,
}
