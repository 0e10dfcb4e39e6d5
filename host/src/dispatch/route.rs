//! From a message to the handler that it goes to, on one snapshot of the registry.

use switchboard_protocol::ClientMessage;

use super::{Refused, reply};
use crate::{
    plugin::{Handler, Ordering, Registry, Route, Who},
    session::inbox::Lane,
};

/// Finds the handler, and makes sure that the payload is what it declared.
pub(super) fn find(registry: &Registry, message: &ClientMessage<'_>, who: &Who<'_>) -> Result<Handler, Refused> {
    let handler = match registry.route(&message.message_type, who) {
        Route::Handler(handler) => handler,
        Route::Disabled { plugin } => {
            return Err(Refused::to(message, reply::disabled(&message.message_type, &plugin)));
        }
        Route::Unavailable { plugin, reason, retry_after } => {
            tracing::debug!(%plugin, %reason, "no version can serve");
            let reply = reply::unavailable(&message.message_type, &plugin, retry_after);
            return Err(Refused::to(message, reply));
        }
        Route::Unknown { nearest } => {
            return Err(Refused::to(message, reply::unknown_type(&message.message_type, &nearest)));
        }
    };
    handler
        .handled
        .check_payload(message.payload_text())
        .map_err(|fault| Refused::to(message, reply::schema(&fault)))?;
    Ok(handler)
}

/// What the message waits behind.
pub(super) fn lane(handler: &Handler, message: &ClientMessage<'_>) -> Lane {
    match handler.handled.ordering {
        Ordering::Serial => Lane::Serial(message.message_type.clone()),
        Ordering::Concurrent => Lane::Concurrent,
    }
}
