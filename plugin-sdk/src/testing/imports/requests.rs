//! `requests`: thin doors to the open requests of the world.

use super::with;
use crate::{RequestError, testing::rules};

/// The longest name, in bytes.
const MAX_NAME_BYTES: usize = 256;

/// The statuses that answers can have.
const STATUSES: std::ops::RangeInclusive<u16> = 200..=599;

fn check(name: &str) -> Result<(), RequestError> {
    if (1..=MAX_NAME_BYTES).contains(&name.len()) {
        return Ok(());
    }
    let problem = format!("a name has 1 to {MAX_NAME_BYTES} bytes, and this one has {}", name.len());
    Err(RequestError::Invalid(problem))
}

pub(crate) fn begin(name: &str) -> Result<(), RequestError> {
    check(name)?;
    with(|world| world.begin_request(name))
}

pub(crate) fn cancel(name: &str) -> bool {
    with(|world| world.cancel_request(name))
}

pub(crate) fn leave_open(for_ms: u32, otherwise: &str) -> Result<(), RequestError> {
    let otherwise = rules::object(otherwise).map_err(RequestError::Invalid)?;
    with(|world| world.leave_request_open(for_ms, otherwise))
}

pub(crate) fn resume(name: &str) -> Result<(), RequestError> {
    check(name)?;
    with(|world| world.resume_request(name))
}

pub(crate) fn show(status: u16, missing_scopes: &[String]) {
    if STATUSES.contains(&status) {
        with(|world| world.show_request(status, missing_scopes));
    }
}
