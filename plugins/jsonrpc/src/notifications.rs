//! What clients tell without wanting an answer, whatever it is.

use serde::Deserialize;
use serde_json::{json, value::RawValue};
use switchboard_sdk::{Context, Error, Level, Span, Subject};

use crate::{
    TYPE, listen,
    rpc::{Notification, id},
};

#[derive(Deserialize)]
struct Cancelled<'a> {
    #[serde(borrow, rename = "requestId")]
    request_id: &'a RawValue,
}

/// What is not known, or malformed, is ignored (basic/utilities/cancellation, error handling).
pub(crate) fn heard(ctx: &Context, notification: &Notification<'_>) {
    match notification.method.as_str() {
        "notifications/cancelled" => {
            let params = notification.params.map(RawValue::get);
            let cancelled = params.and_then(|params| serde_json::from_str::<Cancelled<'_>>(params).ok());
            if let Some(Cancelled { request_id }) = cancelled {
                // It may have been answered already.
                let _ = ctx.requests().cancel(&id::name_of(request_id));
            }
        }
        // Not earlier: before this, a client expects nothing but the answer to `initialize`.
        "notifications/initialized" => {
            for subject in [Subject::Tools, Subject::Prompts, Subject::Resources] {
                let (method, _) = listen::notification(&subject);
                let payload = json!({ "jsonrpc": "2.0", "method": method });
                if let Err(error) = ctx.changes().watch(&subject, Span::Session, TYPE, &payload) {
                    let fields = json!({ "subject": format!("{subject:?}"), "error": Error::from(error).message });
                    ctx.log(Level::Warn, "the client will not be told of changes", fields);
                }
            }
        }
        _ => {}
    }
}
