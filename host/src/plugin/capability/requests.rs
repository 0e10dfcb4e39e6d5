//! `requests`: the request that a handler answers, where it is more than one call.

use super::super::{
    bindings::requests::{Host, RequestError as GuestError},
    call_state::CallState,
    json_object,
    request::RequestError,
};

const MAX_NAME_BYTES: usize = 256;

/// The statuses that answers can have.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

/// Scopes that one answer can name.
const MAX_SCOPES: usize = 64;

impl Host for CallState {
    fn begin(&mut self, name: String) -> Result<(), GuestError> {
        check_name(&name)?;
        let request = self.context.request.as_ref().ok_or(GuestError::Unknown)?;
        Ok(request.begin(&name)?)
    }

    fn cancel(&mut self, name: String) -> bool {
        self.context.request.as_ref().is_some_and(|request| request.cancel(&name))
    }

    fn leave_open(&mut self, for_ms: u32, otherwise: String) -> Result<(), GuestError> {
        json_object::check(&otherwise).map_err(|problem| GuestError::Invalid(format!("`otherwise`: {problem}")))?;
        self.emissions.take(otherwise.len()).map_err(GuestError::LimitExceeded)?;
        let request = self.context.request.as_ref().ok_or(GuestError::Unknown)?;
        Ok(request.leave_open(for_ms, otherwise)?)
    }

    fn resume(&mut self, name: String) -> Result<(), GuestError> {
        check_name(&name)?;
        let request = self.context.request.as_ref().ok_or(GuestError::Unknown)?;
        // What is sent from here on belongs to the other request.
        self.context.correlation_id = request.resume(&name)?;
        Ok(())
    }

    fn show(&mut self, status: u16, missing_scopes: Vec<String>) {
        if let Some(request) = self.context.request.as_ref().filter(|_| STATUSES.contains(&status)) {
            request.show(status, missing_scopes.into_iter().take(MAX_SCOPES).collect());
        }
    }
}

fn check_name(name: &str) -> Result<(), GuestError> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    let problem = format!("a name has 1 to {MAX_NAME_BYTES} bytes, and this one has {}", name.len());
    Err(GuestError::Invalid(problem))
}

impl From<RequestError> for GuestError {
    fn from(fault: RequestError) -> Self {
        match fault {
            RequestError::UnderWay => Self::UnderWay,
            RequestError::Unknown => Self::Unknown,
            RequestError::LimitExceeded(text) => Self::LimitExceeded(text),
        }
    }
}
