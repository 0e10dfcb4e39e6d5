//! The messages that are between a client and the host: those that the host answers, and those that it
//! sends unasked.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use serde::Deserialize;
use serde_json::json;
use switchboard_protocol::{ClientMessage, CloseCode, ErrorCode, Heartbeat, Reconnect, TokenExpiring, unix_seconds};

use super::{Dispatcher, Refused, Step, discovery, reply};
use crate::session::{Session, inbox::Lane};

const REFRESH_TOKEN: &str = "refresh_token";

#[derive(Deserialize)]
struct RefreshToken {
    token: String,
}

impl Dispatcher {
    /// A reserved type: one that the client may send, or one that it may not.
    pub(super) fn host_message(
        self: &Arc<Self>,
        session: &Arc<Session>,
        message: &ClientMessage<'_>,
    ) -> Result<Step, Refused> {
        if message.message_type.as_str() != REFRESH_TOKEN {
            return Err(Refused::to(message, reply::reserved(&message.message_type)));
        }
        // The decoder's own words could quote the token.
        let RefreshToken { token } = serde_json::from_str(message.payload_text())
            .map_err(|_| Refused::to(message, reply::payload("/payload/token: a string is needed".into())))?;
        let correlation_id = message.answer_correlation().map(Into::into);
        let job = self.clone().refresh(session.clone(), token, correlation_id);
        Ok(Step::Run(Lane::Serial(message.message_type.clone()), job.boxed()))
    }

    async fn refresh(self: Arc<Self>, session: Arc<Session>, token: String, correlation_id: Option<Arc<str>>) {
        let current = session.principal();
        match self.auth.refresh(&session.connection_id, &token, &current).await {
            Ok(principal) => {
                let payload = json!({ "expires_at": principal.expires_at });
                session.renew(principal);
                self.end_if_revoked(&session);
                self.deliver.host_message(&session, "token_refreshed", payload, correlation_id.as_deref());
            }
            Err(failure) => {
                self.deliver.error(&session, reply::auth(&failure), correlation_id.as_deref());
                if failure.code == ErrorCode::IdentityMismatch {
                    session.outbox.close(CloseCode::IdentityMismatch);
                }
            }
        }
    }

    /// The server is quiet, not lost.
    pub fn heartbeat(&self, session: &Session) {
        let heartbeat = Heartbeat { server_time: unix_seconds(SystemTime::now()) };
        self.deliver.host_message(session, "heartbeat", heartbeat, None);
    }

    /// `exp` in Unix seconds.
    pub fn token_expiring(&self, session: &Session, exp: u64) {
        let expires_at = unix_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(exp));
        self.deliver.host_message(session, "token_expiring", TokenExpiring { expires_at }, None);
    }

    /// The host is going away; come back after the delay.
    pub fn reconnect(&self, session: &Session, delay: Duration) {
        let delay_ms = discovery::millis(delay);
        self.deliver.host_message(session, "reconnect", Reconnect { delay_ms }, None);
    }

    /// A JSON-RPC object that did not come from a plugin.
    pub fn jsonrpc(&self, session: &Session, object: &serde_json::Value) {
        self.deliver.host_message(session, "jsonrpc", object, None);
    }
}
