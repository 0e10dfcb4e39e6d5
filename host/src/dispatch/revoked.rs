//! The end of sessions whose token was revoked.
//!
//! A revocation is stored first, and then all sessions are looked at; a session is registered first, and
//! then looked at by itself. So whatever comes in between is seen by one of the two.

use std::sync::Arc;

use switchboard_protocol::CloseCode;

use super::Dispatcher;
use crate::session::Session;

impl Dispatcher {
    /// Ends every session whose token is revoked by now, and says how many that were.
    pub fn end_revoked(&self) -> usize {
        self.deliver.sessions.all().iter().filter(|session| self.end_if_revoked(session)).count()
    }

    /// To be called when a session has become known to others, or its token was replaced.
    pub(super) fn end_if_revoked(&self, session: &Arc<Session>) -> bool {
        if !self.auth.is_revoked(&session.principal()) {
            return false;
        }
        match session.connection() {
            // Its end is the session's, too.
            Some(connection) => connection.close(CloseCode::TokenRevoked),
            None if session.has_sockets() => self.deliver.end_detached(session),
            None => {
                self.end_session(session, "closed");
                true
            }
        }
    }
}
