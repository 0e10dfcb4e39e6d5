//! Resources: a text, bytes, one that changes, and a template of many.

use serde_json::json;
use switchboard_sdk::{Context, Error, Resource, ResourceResult, ResourceTemplate, Scope};

/// Its content changes by the tool `test_trigger_resource_change`.
pub(crate) const WATCHED: &str = "test://watched-resource";

/// How often it was changed.
pub(crate) const CHANGES: &str = "resource_changes";

const TEXT: &str = "test://static-text";
const BINARY: &str = "test://static-binary";
pub(crate) const TEMPLATE: &str = "test://template/{id}/data";

pub(crate) fn all() -> Vec<Resource> {
    let resource = |uri: &str, name: &str, mime_type: &str, description: &str| {
        Resource::new(uri, name).mime_type(mime_type).description(description)
    };
    vec![
        resource(TEXT, "static-text", "text/plain", "A text that never changes"),
        resource(BINARY, "static-binary", "image/png", "An image that never changes"),
        resource(WATCHED, "watched-resource", "text/plain", "A text that changes when a tool is called"),
    ]
}

pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let template = ResourceTemplate::new(TEMPLATE, "template").mime_type("application/json");
    vec![template.description("Data by its id")]
}

pub(crate) fn read(ctx: &Context, uri: &str) -> Result<ResourceResult, Error> {
    match uri {
        TEXT => Ok(ResourceResult::text(uri, "text/plain", "This is the content of the static text resource.")),
        BINARY => Ok(ResourceResult::binary(uri, "image/png", PIXEL)),
        WATCHED => {
            let count = ctx.state(Scope::Plugin).increment(CHANGES, 0)?;
            Ok(ResourceResult::text(uri, "text/plain", format!("It was changed {count} times.")))
        }
        _ => {
            let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
            let id = id.filter(|id| !id.is_empty() && !id.contains('/'));
            let id = id.ok_or_else(|| Error::resource_not_found(uri))?;
            let data = json!({ "id": id, "templateTest": true, "data": format!("Data for ID: {id}") });
            Ok(ResourceResult::text(uri, "application/json", data.to_string()))
        }
    }
}

/// One grey pixel as PNG.
const PIXEL: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00,
    0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x00, 0x00, 0x00, 0x00, 0x3a, 0x7e, 0x9b, 0x55, 0x00, 0x00, 0x00, 0x0a, 0x49,
    0x44, 0x41, 0x54, 0x78, 0xda, 0x63, 0x68, 0x00, 0x00, 0x00, 0x82, 0x00, 0x81, 0xda, 0x45, 0x08, 0x3b, 0x00, 0x00,
    0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
