//! What is in force and where it came from, for `config show` and the operator's pages, without secrets.

use serde_json::{Value as Json, json};

use super::{
    convert::FromValue as _,
    fault::Origin,
    raw::{Located, Value},
    setting::{Element, Kind, Setting},
};

/// What stands in the place of a secret.
pub(crate) const HIDDEN: &str = "(hidden)";

/// Names of members of a plugin's settings whose texts are not shown.
const SECRET_WORDS: &[&str] = &["secret", "token", "password", "passwd", "credential", "api_key", "apikey", "private"];

/// One setting's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Effective {
    pub path: String,
    /// In the form in which it could be written.
    pub value: Json,
    pub origin: Origin,
    /// Whether a change waits for the next start.
    pub fixed: bool,
}

impl Effective {
    pub fn new(path: String, setting: &Setting, located: &Located) -> Self {
        let value = match (&setting.kind, &located.value) {
            (Kind::Folder, Value::Text(text)) => std::path::PathBuf::from_value(located, &setting.kind)
                .map_or_else(|_| json!(text), |path| json!(path.to_string_lossy())),
            (Kind::List { of: Element::Key, .. }, value) => without_queries(value.to_json().unwrap_or_default()),
            (Kind::Object, value) => without_secrets(value.to_json().unwrap_or_default()),
            (_, value) => value.to_json().unwrap_or_default(),
        };
        Self { path, value, origin: located.origin.clone(), fixed: setting.fixed }
    }

    pub fn to_json(&self) -> Json {
        json!({ "setting": self.path, "value": self.value, "origin": self.origin.to_string() })
    }
}

/// Keys are named by reference, which is no secret; but an address may carry one after its `?`.
fn without_queries(keys: Json) -> Json {
    let Json::Array(keys) = keys else { return Json::Null };
    let shown = |key: Json| match key.as_str().and_then(|key| key.split_once('?')) {
        Some((address, _)) if key.as_str().is_some_and(|key| key.starts_with("http")) => {
            json!(format!("{address}?{HIDDEN}"))
        }
        _ => key,
    };
    keys.into_iter().map(shown).collect()
}

fn without_secrets(settings: Json) -> Json {
    match settings {
        Json::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = if value.is_string() && is_secret(&name) { json!(HIDDEN) } else { without_secrets(value) };
                (name, value)
            })
            .collect(),
        Json::Array(items) => items.into_iter().map(without_secrets).collect(),
        other => other,
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word)) || name == "key" || name.ends_with("_key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_under_names_of_secrets_are_hidden_at_any_depth() {
        let settings = json!({
            "model": "small", "max_tokens": 100, "api_key": "k1",
            "upstreams": [{ "url": "https://a.example", "Client-Secret": "k2", "key": "k3" }],
        });
        let shown = without_secrets(settings);
        assert_eq!(shown["model"], "small");
        assert_eq!(shown["max_tokens"], 100);
        assert_eq!(shown["upstreams"][0]["url"], "https://a.example");
        let text = shown.to_string();
        assert!(!text.contains("k1") && !text.contains("k2") && !text.contains("k3"), "{text}");
    }

    #[test]
    fn the_query_of_a_key_address_is_hidden() {
        let shown = without_queries(json!(["generated", "https://id.example/jwks?apikey=k1"]));
        assert_eq!(shown, json!(["generated", "https://id.example/jwks?(hidden)"]));
    }
}
