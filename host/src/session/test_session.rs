//! Sessions for unit tests.

use std::{sync::Arc, time::Duration};

use prometheus_client::metrics::counter::Counter;
use tokio_util::task::TaskTracker;

use super::{
    Connection, Handlers, Parts, Session,
    core::Core,
    detached::Detached,
    requests::Requests,
    ring::{Bounds, Ring},
    state::State,
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

pub(crate) fn with_detached(id: &str, principal: &Principal, detached: &Arc<Detached>) -> Arc<Session> {
    let parts = Parts {
        id: id.into(),
        principal: principal.clone(),
        resumable: true,
        handlers: Handlers::new(4, TaskTracker::new()),
        requests: Requests::new(4),
        core: Core::new(Ring::new(BOUNDS), "epoch", TokenDigest::of(TOKEN)),
        detached: detached.clone(),
        conflated: Counter::default(),
    };
    Arc::new(Session::new(parts, Arc::new(Connection::new(format!("ws_{id}").into(), State::Open))))
}
