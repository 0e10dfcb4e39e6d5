//! `progress`: what whoever waits for a result is told meanwhile. What the message looks like, the
//! plugin that asked for the item has decided.

use serde_json::{Map, Value};

use super::super::{
    bindings::progress::{Host, ProgressError, Severity as GuestSeverity},
    call_state::CallState,
    effects::{Delivery, Emission, Target},
    offers::{Notice, Severity},
};

impl Host for CallState {
    fn report(&mut self, progress: f64, total: Option<f64>, message: Option<String>) -> Result<bool, ProgressError> {
        if !progress.is_finite() || total.is_some_and(|total| !total.is_finite()) {
            return Err(ProgressError::Invalid("progress and total have to be finite numbers".into()));
        }
        if self.progress.is_some_and(|last| progress <= last) {
            return Err(ProgressError::Invalid("progress has to increase".into()));
        }
        self.progress = Some(progress);
        let Some(notice) = self.context.notices.on_progress.clone() else { return Ok(false) };
        let mut members = Map::new();
        members.insert("progress".into(), progress.into());
        if let Some(total) = total {
            members.insert("total".into(), total.into());
        }
        if let Some(message) = message {
            members.insert("message".into(), message.into());
        }
        self.notify(&notice, members)
    }

    fn log(&mut self, how: GuestSeverity, logger: Option<String>, data: String) -> Result<bool, ProgressError> {
        let data: Value = serde_json::from_str(&data)
            .map_err(|fault| ProgressError::Invalid(format!("`data` is not JSON: {fault}")))?;
        let severity = Severity::from(how);
        let Some((_, notice)) = self.context.notices.on_log.clone().filter(|(least, _)| severity >= *least) else {
            return Ok(false);
        };
        let mut members = Map::new();
        members.insert("level".into(), severity.as_str().into());
        if let Some(logger) = logger {
            members.insert("logger".into(), logger.into());
        }
        members.insert("data".into(), data);
        self.notify(&notice, members)
    }
}

impl CallState {
    /// Whether the caller is there to hear it.
    fn notify(&mut self, notice: &Notice, members: Map<String, Value>) -> Result<bool, ProgressError> {
        let mut payload = notice.payload.clone();
        if let Some(Value::Object(object)) = payload.pointer_mut(&notice.into) {
            object.extend(members);
        }
        let payload = payload.to_string();
        self.emissions.take(payload.len()).map_err(ProgressError::LimitExceeded)?;
        let emission = Emission {
            to: Target::Caller,
            message_type: notice.message_type.clone(),
            payload,
            delivery: Delivery::Kept,
            correlation_id: self.context.correlation_id.clone(),
        };
        Ok(self.context.effects.send(&self.context.caller, emission).is_ok())
    }
}

impl From<GuestSeverity> for Severity {
    fn from(severity: GuestSeverity) -> Self {
        match severity {
            GuestSeverity::Debug => Self::Debug,
            GuestSeverity::Info => Self::Info,
            GuestSeverity::Notice => Self::Notice,
            GuestSeverity::Warning => Self::Warning,
            GuestSeverity::Error => Self::Error,
            GuestSeverity::Critical => Self::Critical,
            GuestSeverity::Alert => Self::Alert,
            GuestSeverity::Emergency => Self::Emergency,
        }
    }
}
