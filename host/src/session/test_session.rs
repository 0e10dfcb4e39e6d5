//! Sessions for unit tests.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio_util::task::TaskTracker;

use super::{
    Connection, Handlers, Parts, Session, Streams,
    core::Core,
    detached::Detached,
    requests::Requests,
    ring::{Bounds, Ring},
    state::State,
    streams::Waiting,
    token::TokenDigest,
};
use crate::auth::Principal;

/// The resume token of every session that is made here.
pub(crate) const TOKEN: &str = "rt_test";

pub(crate) const BOUNDS: Bounds = Bounds {
    window_bytes: 1000,
    window_frames: 16,
    kept_for: Duration::from_secs(60),
    waiting_bytes: 1000,
    waiting_frames: 16,
};

/// Attached to the connection `ws_` and its id.
pub(crate) fn session(id: &str, tenant: Option<&str>, subject: &str) -> Arc<Session> {
    with_detached(id, &Principal::named(tenant, subject), &Arc::new(Detached::new(usize::MAX)))
}

/// Without a socket; so many bytes of what belongs to no exchange wait, or there is no place for it.
pub(crate) fn without_socket(id: &str, waiting: Option<usize>) -> Arc<Session> {
    let streams = Streams::new(waiting.map(|bytes| Waiting { bytes, frames: 16 }));
    let parts = parts(id, &Principal::named(None, "alice"), &Arc::new(Detached::new(usize::MAX)));
    Arc::new(Session::without_socket(parts, format!("http_{id}").into(), streams))
}

pub(crate) fn with_detached(id: &str, principal: &Principal, detached: &Arc<Detached>) -> Arc<Session> {
    let connection = Connection::new(format!("ws_{id}").into(), State::Open);
    Arc::new(Session::new(parts(id, principal, detached), Arc::new(connection)))
}

fn parts(id: &str, principal: &Principal, detached: &Arc<Detached>) -> Parts {
    Parts {
        id: id.into(),
        principal: principal.clone(),
        resumable: true,
        handlers: Handlers::new(4, TaskTracker::new()),
        requests: Requests::new(4),
        core: Core::new(Ring::new(BOUNDS), "epoch", TokenDigest::of(TOKEN)),
        detached: detached.clone(),
        conflated: Counter::default(),
    }
}
