//! No two requests of one session with the same id at the same time: their answers could not be told apart.
//!
//! An instance lives for one message, so what is in flight stands in `state`, with a time to live that
//! outlasts a call that was interrupted before it could tidy up.

use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::value::RawValue;
use switchboard_sdk::{Context, Scope};

use crate::rpc::{Fault, Request, Response, code};

/// Longer ids are known by their hash: a key has at most 256 bytes.
const LONGEST_KEPT_ID: usize = 128;

/// The only methods that take long enough for a second request to come in between.
const METHODS_THAT_WAIT: &[&str] = &["tools/call", "tools/list"];

/// Answers the request unless another with its id is under way.
pub(crate) fn only_one<'a>(
    ctx: &Context,
    request: &Request<'a>,
    answer: impl FnOnce() -> Result<Box<RawValue>, Fault>,
) -> Response<'a> {
    if !METHODS_THAT_WAIT.contains(&request.method.as_str()) {
        return Response::new(request.id, answer());
    }
    let state = ctx.state(Scope::Connection);
    let key = key_of(request.id);
    let result = match state.compare_and_set(&key, None, b"1", Some(ctx.deadline())) {
        Ok(true) => {
            let result = answer();
            // If this fails, the entry runs out by itself.
            let _ = state.delete(&key);
            result
        }
        Ok(false) => Err(Fault::new(code::INVALID_REQUEST, "another request with this `id` is still under way")),
        Err(error) => Err(Fault::internal(error)),
    };
    Response::new(request.id, result)
}

/// The same for the same id, however the client escapes its characters.
fn key_of(id: &RawValue) -> String {
    let (kind, id) = match serde_json::from_str::<String>(id.get()) {
        Ok(text) => ("text", text),
        Err(_) => ("number", id.get().to_owned()),
    };
    if id.len() <= LONGEST_KEPT_ID {
        return format!("in_flight {kind} {id}");
    }
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    format!("in_flight {kind} hash {:016x}", hasher.finish())
}
