//! The WebSocket protocol (RFC 6455, sections 5 to 8) as a server speaks it, on a TCP connection that has been upgraded.
//!
//! A connection that waits holds no buffer: bytes are read into one that belongs to the thread, once there are some. A
//! message that came in one frame is handed out where it was read. What is written is laid out behind one another, and
//! leaves together when the caller says so.
//!
//! It knows nothing of messages, and decides nothing: it never answers a ping or a close by itself. Reading order:
//! `frame`, `decoder`, `deflate`, `buffer`, `socket`.

mod buffer;
mod close;
mod decoder;
mod deflate;
mod frame;
mod mask;
mod socket;
mod utf8;

pub(crate) use deflate::{Deflate, Window};
pub(crate) use frame::{Fault, Kind};
pub(crate) use socket::{Event, ReadError, Receiver, Sender, Socket};
