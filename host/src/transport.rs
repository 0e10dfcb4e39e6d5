//! The edge that faces clients: HTTP, the upgrade, and sockets.
//!
//! Nothing above this module knows of axum, hyper or WebSocket frames. Reading order: `listener`
//! (bytes to requests, with `places` and `seat`), `http` (the routes), `upgrade` (who may have a socket, with `negotiation`),
//! `mcp` (the same for requests over HTTP), `websocket` (the life of one, with `reader`, `writer`, `line` and
//! `heartbeat`), `wire` (its frames), and `codec` (frames of each
//! subprotocol).

use std::sync::Arc;

mod codec;
mod heartbeat;
pub(crate) mod http;
mod line;
pub(crate) mod listener;
pub(crate) mod mcp;
mod negotiation;
mod places;
mod reader;
mod refusal;
mod seat;
mod upgrade;
mod websocket;
mod wire;
mod writer;

use crate::{
    admission::Admission, auth::Authenticator, config::LiveConfig, dispatch::Dispatcher, plugin::Plugins,
    shutdown::Shutdown, telemetry::Metrics,
};

/// What becomes of the messages on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    /// Plugins handle them.
    Route,
    /// They go back as they came: how a suite of conformance examines the socket. No setting leads here.
    Echo,
}

/// What the routes need. One per host.
pub(crate) struct Edge {
    pub service: Service,
    pub config: LiveConfig,
    pub metrics: Arc<Metrics>,
    pub auth: Arc<Authenticator>,
    pub admission: Arc<Admission>,
    pub plugins: Arc<Plugins>,
    pub dispatcher: Arc<Dispatcher>,
    pub shutdown: Shutdown,
    pub mcp: mcp::Mcp,
}

impl Edge {
    /// Whether the host should get traffic, or why not.
    pub fn readiness(&self) -> Result<(), String> {
        if self.shutdown.is_draining() {
            return Err("the server is shutting down".into());
        }
        self.plugins.readiness()
    }
}
