//! `messages`: to the caller, and with the operator's leave to others of the caller's tenant.

use switchboard_protocol::MessageType;

use super::super::{
    bindings::messages::{Delivery as GuestDelivery, Host, SendError, Target as GuestTarget},
    call_state::CallState,
    effects::{Delivery, Emission, Target},
    json_object,
};

/// Longer than any connection id or subject that the host lets in.
const MAX_ADDRESSEE_BYTES: usize = 1_024;

impl Host for CallState {
    fn send(&mut self, to: GuestTarget, type_: String, payload: String, how: GuestDelivery) -> Result<u32, SendError> {
        let to = self.checked_target(to)?;
        let message_type = sendable_type(&type_).map_err(SendError::Invalid)?;
        json_object::check(&payload).map_err(|problem| SendError::Invalid(format!("the payload: {problem}")))?;
        self.emissions.take(payload.len()).map_err(SendError::LimitExceeded)?;
        let correlation_id = if to == Target::Caller { self.context.correlation_id.clone() } else { None };
        let delivery = match how {
            GuestDelivery::Kept => Delivery::Kept,
            GuestDelivery::Volatile => Delivery::Volatile,
        };
        let emission = Emission { to, message_type, payload, delivery, correlation_id };
        self.context.effects.send(&self.context.caller, emission).map_err(|_| SendError::Unreachable)
    }
}

impl CallState {
    fn checked_target(&self, to: GuestTarget) -> Result<Target, SendError> {
        let (target, length) = match to {
            GuestTarget::Caller => return Ok(Target::Caller),
            GuestTarget::Connection(id) => (Target::Connection(id.clone()), id.len()),
            GuestTarget::User(subject) => (Target::User(subject.clone()), subject.len()),
        };
        if !self.version.grants.send_to_others {
            return Err(SendError::NotGranted(
                "`grants.send_to_others` is needed to send to anyone but the caller".into(),
            ));
        }
        if length > MAX_ADDRESSEE_BYTES {
            return Err(SendError::Unreachable);
        }
        Ok(target)
    }
}

/// A type that a plugin may send or publish.
pub(super) fn sendable_type(name: &str) -> Result<MessageType, String> {
    let message_type = MessageType::parse(name).map_err(|fault| format!("the type is not a message type: {fault}"))?;
    if message_type.is_reserved() {
        return Err(format!("the type `{message_type}` belongs to the host"));
    }
    Ok(message_type)
}
