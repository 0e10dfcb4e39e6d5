//! Content blocks and contents of resources: whether each has the members that its type needs.

use serde_json::value::RawValue;

use crate::plugin::json_object::Members;

/// Checks a content block.
pub(super) fn block(text: &RawValue) -> Result<(), String> {
    let members = Members::parse(text.get())?;
    optional_object(&members, "annotations")?;
    optional_object(&members, "_meta")?;
    match members.text("type").as_deref() {
        Some("text") => required_text(&members, "text"),
        Some("image" | "audio") => {
            required_text(&members, "mimeType")?;
            base64(&members, "data")
        }
        Some("resource") => {
            resource_contents(object(&members, "resource")?).map_err(|problem| format!("`resource`: {problem}"))
        }
        Some("resource_link") => {
            for optional in ["title", "description", "mimeType"] {
                optional_text(&members, optional)?;
            }
            required_text(&members, "uri")?;
            required_text(&members, "name")
        }
        Some(other) => Err(format!(
            "its type is {other:?}, and only text, image, audio, resource and resource_link are known to clients"
        )),
        None => Err("`type` is missing, or not a string".into()),
    }
}

/// Checks the contents of a resource.
pub(super) fn resource_contents(text: &RawValue) -> Result<(), String> {
    let members = Members::parse(text.get())?;
    required_text(&members, "uri")?;
    optional_text(&members, "mimeType")?;
    optional_object(&members, "_meta")?;
    match (members.get("text").is_some(), members.get("blob").is_some()) {
        (true, false) => required_text(&members, "text"),
        (false, true) => base64(&members, "blob"),
        (true, true) => Err("it has both `text` and `blob`".into()),
        (false, false) => Err("it has neither `text` nor `blob`".into()),
    }
}

/// The entries of a member that has to be an array.
pub(super) fn array<'text>(members: &Members<'text>, name: &str) -> Result<Vec<&'text RawValue>, String> {
    let list = members.get(name).filter(|value| value.get().starts_with('['));
    let list = list.ok_or_else(|| format!("it has no array `{name}`"))?;
    serde_json::from_str(list.get()).map_err(|fault| format!("`{name}`: {fault}"))
}

/// A member that has to be an object.
pub(super) fn object<'text>(members: &Members<'text>, name: &str) -> Result<&'text RawValue, String> {
    let value = members.get(name).filter(|value| value.get().starts_with('{'));
    value.ok_or_else(|| format!("`{name}` is missing, or not an object"))
}

pub(super) fn optional_object(members: &Members<'_>, name: &str) -> Result<(), String> {
    match members.get(name) {
        Some(value) if !value.get().starts_with('{') => Err(format!("`{name}` is not an object")),
        _ => Ok(()),
    }
}

pub(super) fn optional_text(members: &Members<'_>, name: &str) -> Result<(), String> {
    match members.get(name) {
        Some(value) if !value.get().starts_with('"') => Err(format!("`{name}` is not a string")),
        _ => Ok(()),
    }
}

fn required_text(members: &Members<'_>, name: &str) -> Result<(), String> {
    match members.get(name) {
        Some(value) if value.get().starts_with('"') => Ok(()),
        _ => Err(format!("`{name}` is missing, or not a string")),
    }
}

fn base64(members: &Members<'_>, name: &str) -> Result<(), String> {
    required_text(members, name)?;
    let text = members.get(name).map(RawValue::get).unwrap_or_default();
    // None of its characters needs an escape, but a slash may have one.
    let is_base64 = match text.contains('\\') {
        true => members.text(name).is_some_and(|text| is_base64(text.as_bytes())),
        false => is_base64(text.trim_matches('"').as_bytes()),
    };
    if is_base64 { Ok(()) } else { Err(format!("`{name}` is not base64")) }
}

/// As RFC 4648, section 4, has it, with its padding. Looked at and not decoded, because it may be megabytes.
fn is_base64(text: &[u8]) -> bool {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let (digits, _) = text.split_at(text.len() - padding);
    text.len().is_multiple_of(4)
        && digits.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(value: &Value) -> Result<(), String> {
        let text = value.to_string();
        block(serde_json::from_str(&text).unwrap())
    }

    #[test]
    fn each_type_has_the_members_that_it_needs() {
        let resource = json!({ "uri": "a:b", "text": "x" });
        for right in [
            json!({ "type": "text", "text": "x", "annotations": { "priority": 1 } }),
            json!({ "type": "image", "data": "AA==", "mimeType": "image/png" }),
            json!({ "type": "audio", "data": "", "mimeType": "audio/wav" }),
            json!({ "type": "resource", "resource": resource }),
            json!({ "type": "resource_link", "uri": "a:b", "name": "B" }),
        ] {
            assert_eq!(check(&right), Ok(()), "{right}");
            for member in right.as_object().unwrap().keys().filter(|key| *key != "annotations") {
                let mut less = right.clone();
                less.as_object_mut().unwrap().remove(member);
                assert!(check(&less).is_err(), "{less}");
                let mut other = right.clone();
                other[member] = json!(3);
                assert!(check(&other).is_err(), "{other}");
            }
        }
        assert!(check(&json!({ "type": "video", "data": "" })).unwrap_err().contains("known to clients"));
    }

    #[test]
    fn base64_is_the_standard_one_with_padding() {
        for right in ["", "AAAA", "AA==", "AAA=", "+/+/"] {
            assert!(is_base64(right.as_bytes()), "{right}");
        }
        for wrong in ["A", "AA", "AAA", "A===", "====", "AA=A", "-_-_", "AA A", "AAAA\n"] {
            assert!(!is_base64(wrong.as_bytes()), "{wrong}");
        }
        let escaped: &RawValue = serde_json::from_str(r#"{"type":"image","mimeType":"x","data":"\/\/\/\/"}"#).unwrap();
        assert_eq!(block(escaped), Ok(()));
    }
}
