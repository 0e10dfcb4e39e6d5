//! The messages that are between a client and the host: those that the host answers, and those that it
//! sends unasked.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use futures_util::FutureExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use switchboard_protocol::{
    Ack, ClientMessage, CloseCode, ErrorCode, Heartbeat, Reconnect, Resume, ServerMessage, TokenExpiring, unix_seconds,
};

use super::{Dispatcher, Refused, Step, discovery, reply};
use crate::session::{Attachment, Session, inbox::Lane};

/// What a client asks for that comes back.
pub(crate) struct ResumeAsked {
    pub request: Resume,
    pub correlation_id: Option<Arc<str>>,
}

/// The type of acknowledgements.
pub(super) const ACK: &str = "ack";

/// The type that a client which comes back says first.
pub(super) const RESUME: &str = "resume";

#[derive(Deserialize)]
struct RefreshToken {
    token: String,
}

impl Dispatcher {
    /// A reserved type: one that the client may send, or one that it may not.
    pub(super) fn host_message(
        self: &Arc<Self>,
        attachment: &Attachment,
        message: &ClientMessage<'_>,
    ) -> Result<Step, Refused> {
        match message.message_type.as_str() {
            ACK => ack(attachment, message),
            RESUME => ask_to_resume(message),
            "refresh_token" => self.ask_to_refresh(&attachment.session, message),
            _ => Err(Refused::to(message, reply::reserved(&message.message_type))),
        }
    }

    fn ask_to_refresh(self: &Arc<Self>, session: &Arc<Session>, message: &ClientMessage<'_>) -> Result<Step, Refused> {
        // The decoder's own words could quote the token.
        let RefreshToken { token } = serde_json::from_str(message.payload_text())
            .map_err(|_| Refused::to(message, reply::payload("/payload/token: a string is needed".into())))?;
        let correlation_id = message.answer_correlation().map(Into::into);
        let job = self.clone().refresh(session.clone(), token, correlation_id);
        Ok(Step::Run(Lane::Serial(message.message_type.clone()), job.boxed()))
    }

    async fn refresh(self: Arc<Self>, session: Arc<Session>, token: String, correlation_id: Option<Arc<str>>) {
        let current = session.principal();
        match self.auth.refresh(&session.connection_id(), &token, &current).await {
            Ok(principal) => {
                let payload = json!({ "expires_at": principal.expires_at });
                self.renew(&session, Arc::new(principal));
                self.end_if_revoked(&session);
                self.deliver.host_message(&session, "token_refreshed", payload, correlation_id.as_deref());
            }
            Err(failure) => {
                self.deliver.error(&session, reply::auth(&failure), correlation_id.as_deref());
                if failure.code == ErrorCode::IdentityMismatch
                    && let Some(connection) = session.connection()
                {
                    connection.close(CloseCode::IdentityMismatch);
                }
            }
        }
    }

    /// The server is quiet, not lost.
    pub fn heartbeat(&self, session: &Session) {
        let heartbeat = Heartbeat { server_time: unix_seconds(SystemTime::now()) };
        control(session, "heartbeat", heartbeat);
    }

    /// `exp` in Unix seconds.
    pub fn token_expiring(&self, session: &Session, exp: u64) {
        let expires_at = unix_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(exp));
        control(session, "token_expiring", TokenExpiring { expires_at });
    }

    /// The host is going away; come back after the delay.
    pub fn reconnect(&self, session: &Session, delay: Duration) {
        let delay_ms = discovery::millis(delay);
        control(session, "reconnect", Reconnect { delay_ms });
    }

    /// A JSON-RPC object that did not come from a plugin.
    pub fn jsonrpc(&self, session: &Session, object: &serde_json::Value) {
        self.deliver.host_message(session, "jsonrpc", object, None);
    }
}

/// A message of the connection alone, which no resumption brings back.
pub(super) fn control(session: &Session, message_type: &str, payload: impl Serialize) {
    match ServerMessage::new(message_type, payload).encode() {
        Ok(bytes) => session.push_control(bytes),
        Err(problem) => tracing::error!(%problem, message_type, "a message of the host cannot be written"),
    }
}

fn ack(attachment: &Attachment, message: &ClientMessage<'_>) -> Result<Step, Refused> {
    let Ack { seq } =
        serde_json::from_str(message.payload_text()).map_err(|_| Refused::to(message, reply::ack_malformed()))?;
    match attachment.ack(seq) {
        Ok(()) => Ok(Step::Done),
        Err(_) => Err(Refused::to(message, reply::ack_ahead(seq, attachment.written()))),
    }
}

fn ask_to_resume(message: &ClientMessage<'_>) -> Result<Step, Refused> {
    // The decoder's own words could quote the token.
    let request = serde_json::from_str(message.payload_text())
        .map_err(|_| Refused::to(message, reply::resume_malformed(&wrong_field(message.payload_text()))))?;
    Ok(Step::Resume(ResumeAsked { request, correlation_id: message.answer_correlation().map(Into::into) }))
}

/// Which field of a `resume` is wrong, without its value.
fn wrong_field(payload: &str) -> String {
    let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(payload).unwrap_or_default();
    let texts = ["session_id", "resume_token", "epoch"];
    match texts.into_iter().find(|name| !fields.get(*name).is_some_and(serde_json::Value::is_string)) {
        Some(name) => format!("/payload/{name}: a string is needed"),
        None => "/payload/last_seq: a whole number from 0 on is needed".to_owned(),
    }
}
