//! Requests to other servers and their answers; see [`Context::http`](crate::Context::http).

pub use crate::{
    bindings::switchboard::plugin::http::HttpError,
    context::http::{Http, Outgoing, Request, Response},
};
