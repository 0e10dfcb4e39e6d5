//! Uses what other plugins offer: lists, gets, completes, and calls tools, as its caller.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use switchboard_sdk::{CatalogueError, Item, ItemRequest, Kind, Limited};
use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};

/// The plugin.
#[derive(Debug, Default)]
pub struct Browser;

#[derive(Deserialize)]
struct Browse {
    op: String,
    /// `tools`, `resources`, `resource-templates` or `prompts`.
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default = "nothing")]
    arguments: Value,
    #[serde(default = "nothing")]
    responses: Value,
    state: Option<String>,
    #[serde(default)]
    argument: String,
    #[serde(default)]
    value: String,
}

fn nothing() -> Value {
    json!({})
}

impl Plugin for Browser {
    fn manifest() -> Manifest {
        switchboard_sdk::manifest!().handles("browse", |t| t.emits(["browsed"]).concurrent())
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let asked: Browse = message.payload()?;
        let item = item(&asked);
        let catalogue = ctx.catalogue();
        let answer = match asked.op.as_str() {
            "list" => catalogue.list(kind(&asked.kind)).map(|listing| {
                let items: Value = serde_json::from_str(&listing.items).unwrap_or_default();
                json!({ "items": items, "generation": listing.generation, "private": listing.private })
            }),
            "get" => catalogue.get(&item, &request(&asked)).map(|text| json!({ "result": raw(text) })),
            "complete" => catalogue
                .complete(&item, &asked.argument, &asked.value, "{}")
                .map(|text| json!({ "completion": raw(text) })),
            _ => Ok(match ctx.toolbox().call(&asked.name, &asked.arguments) {
                Ok(result) => json!({ "result": result }),
                Err(fault) => json!({ "error": Error::from(fault).to_string() }),
            }),
        };
        Message::answer("browsed", &answer.unwrap_or_else(fault))
    }
}

switchboard_sdk::register_plugin!(Browser);

fn raw(text: String) -> Value {
    RawValue::from_string(text).ok().and_then(|raw| serde_json::to_value(raw).ok()).unwrap_or_default()
}

fn kind(name: &str) -> Kind {
    match name {
        "tools" => Kind::Tools,
        "resources" => Kind::Resources,
        "prompts" => Kind::Prompts,
        _ => Kind::ResourceTemplates,
    }
}

fn item(asked: &Browse) -> Item {
    let name = asked.name.clone();
    match kind(&asked.kind) {
        Kind::Tools => Item::Tool(name),
        Kind::Resources => Item::Resource(name),
        Kind::Prompts => Item::Prompt(name),
        Kind::ResourceTemplates => Item::ResourceTemplate(name),
    }
}

fn request(asked: &Browse) -> ItemRequest {
    ItemRequest {
        arguments: asked.arguments.to_string(),
        responses: asked.responses.to_string(),
        state: asked.state.clone(),
        client_capabilities: "{}".into(),
        meta: r#"{"from":"browser"}"#.into(),
        on_progress: None,
        on_log: None,
    }
}

fn fault(fault: CatalogueError) -> Value {
    let (what, more) = match &fault {
        CatalogueError::Unknown(_) => ("unknown", json!(null)),
        CatalogueError::InvalidArguments(_) => ("invalid_arguments", json!(null)),
        CatalogueError::Forbidden(forbidden) => ("forbidden", json!(forbidden.missing_scopes)),
        CatalogueError::Limited(Limited { retry_after_ms, .. }) => ("limited", json!(retry_after_ms)),
        CatalogueError::Failed(_) => ("failed", json!(null)),
        CatalogueError::Timeout => ("timeout", json!(null)),
        CatalogueError::Cycle(_) => ("cycle", json!(null)),
        CatalogueError::Other(_) => ("other", json!(null)),
    };
    json!({ "error": what, "more": more, "text": Error::from(fault).to_string() })
}
