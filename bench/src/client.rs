//! A light client for thousands of sockets: one event loop for each thread, and nothing allocated for a message.
//!
//! It knows WebSocket, and HTTP with kept connections, and nothing of what is sent through it: that is the work of a [`engine::Driver`].

pub mod connection;
pub mod engine;
pub mod frame;
pub mod http;
pub mod mcp;
pub mod template;
pub mod ticket;
pub mod timer;
pub mod token;
pub mod upgrade;
