//! `progress`: what is reported is kept for the test, and told as whoever asked for the item wants to hear it.

use serde_json::{Map, Value, json};

use super::with;
use crate::{
    Notice, ProgressError, Severity,
    testing::{outcome::Report, world::World},
};

pub(crate) fn report(progress: f64, total: Option<f64>, message: Option<&str>) -> Result<bool, ProgressError> {
    if !progress.is_finite() || total.is_some_and(|total| !total.is_finite()) {
        return Err(ProgressError::Invalid("progress and total have to be finite numbers".to_owned()));
    }
    with(|world| {
        let call = world.call();
        if call.progress.is_some_and(|last| progress <= last) {
            return Err(ProgressError::Invalid("progress has to increase".to_owned()));
        }
        call.progress = Some(progress);
        let notice = call.notices.on_progress.clone();
        world.reports.push(Report::Progress { progress, total, message: message.map(ToOwned::to_owned) });
        let Some(notice) = notice else { return Ok(false) };
        let mut members = json!({ "progress": progress });
        if let Some(total) = total {
            members["total"] = total.into();
        }
        if let Some(message) = message {
            members["message"] = message.into();
        }
        notify(world, &notice, members);
        Ok(true)
    })
}

pub(crate) fn log(how: Severity, logger: Option<&str>, data: &str) -> Result<bool, ProgressError> {
    let data: Value =
        serde_json::from_str(data).map_err(|fault| ProgressError::Invalid(format!("`data` is not JSON: {fault}")))?;
    with(|world| {
        let wanted = world.call().notices.on_log.clone().filter(|(least, _)| how >= *least);
        world.reports.push(Report::Log { severity: how, logger: logger.map(ToOwned::to_owned), data: data.clone() });
        let Some((_, notice)) = wanted else { return Ok(false) };
        let mut members = json!({ "level": word(how), "data": data });
        if let Some(logger) = logger {
            members["logger"] = logger.into();
        }
        notify(world, &notice, members);
        Ok(true)
    })
}

/// Fills the notice in and sends it to the caller, who is the same for all calls within one.
fn notify(world: &mut World, notice: &Notice, members: Value) {
    let mut payload: Value = serde_json::from_str(&notice.payload).unwrap_or_default();
    if let (Some(Value::Object(object)), Value::Object(members)) = (payload.pointer_mut(&notice.into), members) {
        object.extend(members);
    }
    world.send_to_caller(&notice.type_, payload);
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Debug => "debug",
        Severity::Info => "info",
        Severity::Notice => "notice",
        Severity::Warning => "warning",
        Severity::Error => "error",
        Severity::Critical => "critical",
        Severity::Alert => "alert",
        Severity::Emergency => "emergency",
    }
}

/// Whether the members of what is reported have a place in the notice.
pub(super) fn check(notice: &Notice) -> Result<(), String> {
    crate::testing::rules::check_type(&notice.type_)?;
    let payload = crate::testing::rules::object(&notice.payload)?;
    match payload.pointer(&notice.into) {
        Some(Value::Object(Map { .. })) => Ok(()),
        _ => Err(format!("its payload has no object at {:?}", notice.into)),
    }
}
