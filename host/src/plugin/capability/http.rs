//! `http`: requests to other servers, as far as the operator has granted them. What may leave, and how, is in
//! `egress`; here a call's own bounds are kept: how many, and until when.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::super::{
    bindings::http::{Host, HttpError, Request, Response},
    call_state::CallState,
    egress::{Answered, Egress, EgressFault, Outgoing},
};

impl Host for CallState {
    async fn send(&mut self, request: Request) -> Result<Response, HttpError> {
        let (egress, deadline) = self.begin_outbound()?;
        let outgoing = Outgoing {
            method: request.method,
            url: request.url,
            headers: request.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect(),
            body: request.body,
            timeout: request.timeout_ms.map(|millis| Duration::from_millis(millis.into())),
        };
        Ok(egress.send(outgoing, deadline).await?.into())
    }
}

impl CallState {
    /// Takes one of the requests that the call may make, and says until when it may last.
    pub(in crate::plugin) fn begin_outbound(&mut self) -> Result<(Arc<Egress>, Instant), EgressFault> {
        let Some(egress) = self.version.egress.clone() else {
            return Err(EgressFault::Other("the interface `http` is not granted".to_owned()));
        };
        let Some(left) = self.outbound_left.checked_sub(1) else {
            let problem = "`max_outbound_requests` of this call are used up";
            return Err(egress.refuse(EgressFault::LimitExceeded(problem.to_owned())));
        };
        self.outbound_left = left;
        Ok((egress, self.context.deadline.into()))
    }
}

impl From<Answered> for Response {
    fn from(Answered { status, headers, body }: Answered) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes()))).collect();
        Self { status, headers, body }
    }
}

impl From<EgressFault> for HttpError {
    fn from(fault: EgressFault) -> Self {
        match fault {
            EgressFault::Invalid(text) => Self::Invalid(text),
            EgressFault::HostNotGranted(_) | EgressFault::AddressNotGranted { .. } => {
                Self::NotGranted(fault.to_string())
            }
            EgressFault::Unreachable(text) => Self::Unreachable(text),
            EgressFault::TimedOut => Self::Timeout,
            EgressFault::TooLarge(text) => Self::TooLarge(text),
            EgressFault::LimitExceeded(text) => Self::LimitExceeded(text),
            EgressFault::Other(text) => Self::Other(text),
        }
    }
}
