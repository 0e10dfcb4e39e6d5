//! A message, in or out, with its payload as text until somebody wants it as a type.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, bindings::switchboard::plugin::types, json_words::in_words};

/// A message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its type: 1 to 128 characters of `a-z 0-9 _ . -`.
    pub kind: String,
    /// The text of a JSON object, exactly as it came in or goes out.
    pub payload: String,
    /// The sender's own id of this message.
    pub id: Option<String>,
    /// What an answer is to be marked with. Left out of an answer, the host sets it.
    pub correlation_id: Option<String>,
    /// Unix time in seconds; the host overwrites it on the way out.
    pub timestamp: f64,
}

impl Message {
    /// A message to go out.
    ///
    /// # Errors
    ///
    /// `INTERNAL` if the payload does not become a JSON object (a map with keys that are no strings, a
    /// number, a list ...).
    pub fn new<P: Serialize + ?Sized>(kind: impl Into<String>, payload: &P) -> Result<Self, Error> {
        let kind = kind.into();
        let payload = object_text(&kind, payload)?;
        Ok(Self { kind, payload, id: None, correlation_id: None, timestamp: 0.0 })
    }

    /// The same in the form that [`Plugin::handle`](crate::Plugin::handle) returns.
    ///
    /// # Errors
    ///
    /// As for [`Message::new`].
    pub fn answer<P: Serialize + ?Sized>(kind: impl Into<String>, payload: &P) -> Result<Option<Self>, Error> {
        Self::new(kind, payload).map(Some)
    }

    /// The payload as a type.
    ///
    /// # Errors
    ///
    /// `PAYLOAD_INVALID`, naming the path of what does not fit.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P, Error> {
        from_json(&self.payload)
    }
}

/// Reads a JSON text; the error names the path.
pub(crate) fn from_json<P: DeserializeOwned>(text: &str) -> Result<P, Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut reader)
        .map_err(|fault| Error::invalid_payload(&fault.path().to_string(), in_words(fault.inner())))?;
    reader.end().map_err(|fault| Error::invalid_payload("", in_words(&fault)))?;
    Ok(value)
}

/// The text of a payload, which has to be an object.
pub(crate) fn object_text<P: Serialize + ?Sized>(kind: &str, payload: &P) -> Result<String, Error> {
    let text = serde_json::to_string(payload)
        .map_err(|fault| Error::internal(format_args!("the payload of {kind:?} cannot be written as JSON: {fault}")))?;
    if text.starts_with('{') {
        Ok(text)
    } else {
        Err(Error::internal(format_args!("the payload of {kind:?} has to be a JSON object")))
    }
}

impl From<types::Message> for Message {
    fn from(message: types::Message) -> Self {
        let types::Message { type_, payload, id, correlation_id, timestamp } = message;
        Self { kind: type_, payload, id, correlation_id, timestamp }
    }
}

impl From<Message> for types::Message {
    fn from(message: Message) -> Self {
        let Message { kind, payload, id, correlation_id, timestamp } = message;
        Self { type_: kind, payload, id, correlation_id, timestamp }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Order {
        items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        count: u32,
    }

    fn incoming(payload: &str) -> Message {
        Message { kind: "order".into(), payload: payload.into(), id: None, correlation_id: None, timestamp: 0.0 }
    }

    #[test]
    fn a_payload_that_fits_becomes_its_type() {
        let order: Order = incoming(r#"{"items":[{"count":3}]}"#).payload().unwrap();
        assert_eq!(order.items[0].count, 3);
    }

    #[test]
    fn a_payload_that_does_not_fit_is_refused_with_the_path() {
        let error = incoming(r#"{"items":[{"count":3},{"count":"x"}]}"#).payload::<Order>().unwrap_err();
        assert_eq!(error.code, "PAYLOAD_INVALID");
        assert!(
            error.message.starts_with("`items[1].count`: it is \"x\", and has to be a whole number"),
            "{}",
            error.message
        );
    }

    #[test]
    fn only_objects_can_be_payloads() {
        assert!(Message::new("x", &json!({})).is_ok());
        assert_eq!(Message::new("x", &json!([1])).unwrap_err().code, "INTERNAL");
        assert_eq!(Message::new("x", &BTreeMap::from([((1, 2), 3)])).unwrap_err().code, "INTERNAL");
    }
}
