//! The plugin's side of [`crate::fuzz`]: bytes of a component, and the documents of a guest.

use std::sync::Arc;

use super::{artifact::Captured, json_object::Members, manifest::Manifest, schema::Schema, validate::validate};

#[cfg(test)]
mod tests;

pub(crate) fn component(bytes: &[u8]) {
    let _ = validate(Captured::new(Arc::from("fuzz"), bytes.to_vec()));
}

pub(crate) fn manifest(text: &str) {
    let Ok(manifest) = Manifest::parse(text) else { return };
    for handled in &manifest.handles {
        let _ = handled.check_payload(text);
    }
}

pub(crate) fn schema(schema: &str, value: &str) {
    let Ok(document) = serde_json::from_str(schema) else { return };
    let Ok(schema) = Schema::compile(document) else { return };
    let _ = schema.check_text(value);
}

pub(crate) fn object(text: &str) {
    let Ok(members) = Members::parse(text) else { return };
    let stamped = members.with(&[("seq", 1.into())]);
    // Whatever the guest wrote, it stays an object with the host's member in it.
    assert!(Members::parse(&stamped).is_ok_and(|members| members.get("seq").is_some_and(|seq| seq.get() == "1")));
}
