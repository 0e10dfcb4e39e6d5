//! Watches what plugins offer on behalf of its callers, and changes what it offers itself, as it is told.

use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{
    Context, Error, Manifest, Message, Plugin, Resource, ResourceResult, Scope, Span, Subject, Tool, ToolResult,
};

/// Where the names of its tools are.
const TOOLS: &str = "tools";

/// The plugin.
#[derive(Debug, Default)]
pub struct Lookout;

#[derive(Deserialize)]
struct Asked {
    /// `tools`, `prompts`, `resources`, or a URI.
    subject: String,
    /// The request that is left open, and watches.
    name: Option<String>,
    /// What is sent.
    #[serde(default = "nothing")]
    note: Value,
}

#[derive(Deserialize)]
struct Offer {
    tools: Vec<String>,
    /// How often it says so.
    times: u32,
}

fn nothing() -> Value {
    json!({})
}

impl Plugin for Lookout {
    fn manifest() -> Manifest {
        ["watch", "unwatch", "leave", "change", "offer"]
            .into_iter()
            .fold(switchboard_sdk::manifest!(), |manifest, kind| {
                manifest.handles(kind, |t| t.emits(["done", "changed"]))
            })
            .tools()
            .resources()
    }

    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        if message.kind == "offer" {
            let offer: Offer = message.payload()?;
            ctx.state(Scope::Plugin).set(TOOLS, &offer.tools)?;
            for _ in 0..offer.times {
                ctx.changes().changed(&Subject::Tools)?;
            }
            return Message::answer("done", &json!({}));
        }
        let asked: Asked = message.payload()?;
        let of = subject(&asked.subject);
        let did = match message.kind.as_str() {
            "watch" => return watch(ctx, &asked, &of),
            "unwatch" => ctx.changes().unwatch(&of, Span::Session),
            "leave" => ctx.requests().cancel(asked.name.as_deref().unwrap_or_default()),
            _ => {
                ctx.changes().changed(&of)?;
                true
            }
        };
        Message::answer("done", &json!({ "did": did }))
    }

    fn tools(&mut self, ctx: &Context) -> Result<Vec<Tool>, Error> {
        let names: Vec<String> = ctx.state(Scope::Plugin).get(TOOLS)?.unwrap_or_default();
        let schema = || json!({ "type": "object" });
        Ok(names.iter().map(|name| Tool::with_schema(name, "Comes and goes.", schema())).collect())
    }

    fn call_tool(&mut self, _ctx: &Context, name: &str, _arguments: Value) -> Result<ToolResult, Error> {
        Ok(ToolResult::text(name))
    }

    fn resources(&mut self, _ctx: &Context) -> Result<Vec<Resource>, Error> {
        Ok(vec![Resource::new("lookout://weather", "weather"), Resource::new("lookout://sea", "sea")])
    }

    fn read_resource(&mut self, _ctx: &Context, uri: &str) -> Result<ResourceResult, Error> {
        Ok(ResourceResult::text(uri, "text/plain", "calm"))
    }
}

switchboard_sdk::register_plugin!(Lookout);

/// For as long as the session, or a request that is left open until it is called off.
fn watch(ctx: &Context, asked: &Asked, of: &Subject) -> Result<Option<Message>, Error> {
    let Some(name) = &asked.name else {
        ctx.changes().watch(of, Span::Session, "changed", &asked.note)?;
        return Message::answer("done", &json!({}));
    };
    ctx.requests().begin(name)?;
    ctx.changes().watch(of, Span::Request, "changed", &asked.note)?;
    ctx.requests().leave_open(None, &json!({}))?;
    Ok(None)
}

fn subject(name: &str) -> Subject {
    match name {
        "tools" => Subject::Tools,
        "prompts" => Subject::Prompts,
        "resources" => Subject::Resources,
        uri => Subject::Resource(uri.to_owned()),
    }
}
