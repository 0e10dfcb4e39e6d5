//! Messages to clients: the interface `messages`.

use serde::Serialize;

use crate::{Context, Error, host, message::object_text};

pub use crate::bindings::switchboard::plugin::messages::{Delivery, SendError, Target};

/// Messages to clients; see [`Context::messages`].
///
/// How many messages and bytes one call may send is limited by the operator.
#[derive(Debug, Clone, Copy)]
pub struct Messages<'a>(#[allow(dead_code, reason = "ties the handle to the call")] &'a Context);

impl<'a> Messages<'a> {
    pub(super) fn new(ctx: &'a Context) -> Self {
        Self(ctx)
    }

    /// Sends a message to the caller now, marked with the request's correlation id.
    ///
    /// # Errors
    ///
    /// As for [`Messages::send_as`]; never `UNREACHABLE`: what a caller who left would have got is dropped.
    pub fn reply<P: Serialize + ?Sized>(self, kind: &str, payload: &P) -> Result<(), Error> {
        match self.send_as(&Target::Caller, kind, payload, Delivery::Kept) {
            Err(error) if error.code == "UNREACHABLE" => Ok(()),
            sent => sent.map(|_| ()),
        }
    }

    /// Sends a message to all connections of a user of the caller's tenant. Returns their number.
    ///
    /// # Errors
    ///
    /// As for [`Messages::send_as`].
    pub fn to_user<P: Serialize + ?Sized>(self, subject: &str, kind: &str, payload: &P) -> Result<u32, Error> {
        self.send_as(&Target::User(subject.to_owned()), kind, payload, Delivery::Kept)
    }

    /// Sends a message to a connection of the caller's tenant.
    ///
    /// # Errors
    ///
    /// As for [`Messages::send_as`].
    pub fn to_connection<P: Serialize + ?Sized>(self, id: &str, kind: &str, payload: &P) -> Result<(), Error> {
        self.send_as(&Target::Connection(id.to_owned()), kind, payload, Delivery::Kept).map(|_| ())
    }

    /// Sends a message. Returns the number of connections that it was queued for.
    ///
    /// # Errors
    ///
    /// `MESSAGE_INVALID` (not in the form of a message type, or a type of the host), `UNREACHABLE` (no such
    /// connection, or a user without connections), `LIMIT_EXCEEDED`, `NOT_GRANTED`, `INTERNAL`.
    pub fn send_as<P: Serialize + ?Sized>(
        self,
        to: &Target,
        kind: &str,
        payload: &P,
        how: Delivery,
    ) -> Result<u32, Error> {
        let payload = object_text(kind, payload)?;
        host::messages::send(to, kind, &payload, how).map_err(Error::from)
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Invalid(text) => Self::new("MESSAGE_INVALID", text),
            SendError::Unreachable => Self::new("UNREACHABLE", "nobody is there to receive the message"),
            SendError::LimitExceeded(text) => Self::new("LIMIT_EXCEEDED", text),
            SendError::NotGranted(text) => Self::new("NOT_GRANTED", text).permanent(),
            SendError::Other(text) => Self::internal(text),
        }
    }
}
