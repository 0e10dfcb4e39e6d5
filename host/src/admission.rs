//! Stand-in.
use std::{net::IpAddr, sync::Arc, time::Duration};

use switchboard_protocol::ErrorCode;
use tokio_util::sync::CancellationToken;

use crate::{auth::Principal, config::LiveConfig, telemetry::Metrics};

pub(crate) struct Admission;
pub(crate) struct ConnectionSlot;
pub(crate) struct UserSlot(CancellationToken);

#[derive(Debug)]
pub(crate) struct Refused {
    pub code: ErrorCode,
    pub detail: String,
    pub retry_after: Option<Duration>,
}

impl Admission {
    pub fn new(_config: LiveConfig, _metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self)
    }
    pub fn check_origin(&self, _headers: &http::HeaderMap) -> Result<(), Refused> {
        Ok(())
    }
    pub fn reserve(self: &Arc<Self>, _peer: IpAddr) -> Result<ConnectionSlot, Refused> {
        Ok(ConnectionSlot)
    }
    pub fn admit_user(self: &Arc<Self>, _principal: &Principal, _connection_id: &str) -> Result<UserSlot, Refused> {
        Ok(UserSlot(CancellationToken::new()))
    }
}

impl UserSlot {
    pub fn evicted(&self) -> CancellationToken {
        self.0.clone()
    }
}
