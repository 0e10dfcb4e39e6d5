//! The official Rust client of MCP, over HTTP: `mcp-rust-client URL discover|initialize`, with the token in `MCP_TOKEN`.
//!
//! It says what it has found, a line of JSON for each step, as all programs of `tests/mcp` do.
#![allow(deprecated, reason = "sampling, roots and log messages are what older servers and clients have")]

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use rmcp::{
    ClientHandler, ClientServiceExt, RoleClient, ServiceError,
    model::{
        ClientConfig, ClientRequest, CreateMessageRequestParams, CreateMessageResult, ElicitRequestParams,
        ElicitResult, ErrorData, ListRootsResult, LoggingMessageNotificationParam, ProgressNotificationParam,
        ProtocolVersion, ResourceUpdatedNotificationParam, ServerNotification, SubscriptionFilter,
    },
    service::{ClientLifecycleMode, NotificationContext, PeerRequestOptions, RequestContext, RunningService},
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use serde_json::{Value, json};
use tokio::sync::{Mutex, Notify};

const WATCHED: &str = "test://watched-resource";

/// How long any step may take. Only a server that does not answer uses it up.
const PATIENCE: Duration = Duration::from_secs(60);

/// While a call that never ends is under way.
const OTHER_CALLS: usize = 3;

/// What came in beside the answers.
#[derive(Default)]
struct Heard {
    progress: Mutex<Vec<Value>>,
    progressed: Notify,
    logs: Mutex<Vec<Value>>,
    tools: Notify,
    resource: Notify,
}

#[derive(Clone, Default)]
struct Handler(Arc<Heard>);

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        made(json!({
            "protocolVersion": "2025-11-25",
            "capabilities": { "elicitation": { "form": {} }, "sampling": {}, "roots": {} },
            "clientInfo": { "name": "tests", "version": "1.0.0" },
        }))
    }

    async fn create_elicitation(
        &self,
        _request: ElicitRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(made(json!({ "action": "accept", "content": { "username": "ada", "email": "ada@example.com" } })))
    }

    async fn create_message(
        &self,
        _request: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let content = json!({ "type": "text", "text": "Paris" });
        Ok(made(json!({ "role": "assistant", "content": content, "model": "a test" })))
    }

    async fn list_roots(&self, _context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(made(json!({ "roots": [{ "uri": "file:///tests", "name": "tests" }] })))
    }

    async fn on_progress(&self, params: ProgressNotificationParam, _context: NotificationContext<RoleClient>) {
        self.0.progress.lock().await.push(json!([params.progress, params.total]));
        self.0.progressed.notify_one();
    }

    async fn on_logging_message(
        &self,
        params: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.logs.lock().await.push(params.data);
    }

    async fn on_tool_list_changed(&self, _context: NotificationContext<RoleClient>) {
        self.0.tools.notify_one();
    }

    async fn on_resource_updated(
        &self,
        params: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        if params.uri == WATCHED {
            self.0.resource.notify_one();
        }
    }
}

type Client = RunningService<RoleClient, Handler>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, url, mode] = &arguments[..] else { bail!("arguments are a URL, and discover or initialize") };
    let modern = mode == "discover";
    let token = std::env::var("MCP_TOKEN").context("MCP_TOKEN is not set")?;
    let config = StreamableHttpClientTransportConfig::with_uri(url.as_str()).auth_header(token);
    let lifecycle = if modern {
        ClientLifecycleMode::Discover { preferred_versions: vec![ProtocolVersion::V_2026_07_28] }
    } else {
        ClientLifecycleMode::Initialize
    };
    let handler = Handler::default();
    let heard = Arc::clone(&handler.0);
    let transport = StreamableHttpClientTransport::from_config(config);
    let client = handler.serve_with_lifecycle(transport, lifecycle).await?;
    let info = client.peer_info().context("the server says nothing of itself")?;
    say("connected", json!({ "version": info.protocol_version, "server": info.server_info }));
    tools(&client, &heard, modern).await?;
    others(&client).await?;
    cancel(&client, &heard).await?;
    watch(&client, &heard, modern).await?;
    client.cancel().await?;
    say("done", json!({}));
    Ok(())
}

async fn tools(client: &Client, heard: &Heard, modern: bool) -> anyhow::Result<()> {
    say("tools", json!({ "names": names(client).await? }));
    let called = call(client, "test_simple_text", json!({})).await?;
    say("called", json!({ "texts": texts(&called["content"]), "error": called["isError"] == true }));
    let failed = call(client, "test_error_handling", json!({})).await?;
    say("failed", json!({ "texts": texts(&failed["content"]), "error": failed["isError"] == true }));
    let structured = call(client, "test_structured_content", json!({})).await?;
    say("structured", json!({ "value": structured["structuredContent"] }));

    call(client, "test_tool_with_progress", json!({})).await?;
    say("progress", json!({ "reports": *heard.progress.lock().await }));
    let meta = if modern {
        json!({ "io.modelcontextprotocol/logLevel": "info" })
    } else {
        client.set_level(made(json!({ "level": "info" }))).await?;
        json!({})
    };
    let params = json!({ "name": "test_tool_with_logging", "arguments": {}, "_meta": meta });
    client.call_tool(made(params)).await?;
    say("logged", json!({ "lines": *heard.logs.lock().await }));

    for (step, tool, arguments) in [
        ("elicited", "test_elicitation", json!({ "message": "Who?" })),
        ("sampled", "test_sampling", json!({ "prompt": "Capital?" })),
        ("rooted", "test_input_required_result_list_roots", json!({})),
    ] {
        let result = call(client, tool, arguments).await?;
        say(step, json!({ "texts": texts(&result["content"]) }));
    }
    Ok(())
}

async fn others(client: &Client) -> anyhow::Result<()> {
    let resources = client.list_all_resources().await?;
    say("resources", json!({ "uris": resources.iter().map(|each| each.uri.as_str()).collect::<Vec<_>>() }));
    let templates = client.list_all_resource_templates().await?;
    say("templates", json!({ "uris": templates.iter().map(|each| each.uri_template.as_str()).collect::<Vec<_>>() }));
    let read = read(client, "test://static-text").await?;
    say("read", json!({ "texts": texts(&read["contents"]) }));
    let bytes = self::read(client, "test://static-binary").await?;
    say("bytes", json!({ "blob": bytes["contents"][0]["blob"] }));
    let prompts = client.list_all_prompts().await?;
    say("prompts", json!({ "names": prompts.iter().map(|each| each.name.as_str()).collect::<Vec<_>>() }));
    let params = json!({ "name": "test_prompt_with_arguments", "arguments": { "arg1": "one", "arg2": "two" } });
    let prompt = serde_json::to_value(client.get_prompt(made(params)).await?)?;
    let contents: Vec<Value> =
        prompt["messages"].as_array().into_iter().flatten().map(|message| message["content"].clone()).collect();
    say("prompt", json!({ "texts": texts(&Value::Array(contents)) }));
    let values = client.complete_prompt_simple("test_prompt_with_arguments", "arg1", "test").await?;
    say("completed", json!({ "values": values }));
    Ok(())
}

/// Gives a call up that never ends; others go on meanwhile.
async fn cancel(client: &Client, heard: &Heard) -> anyhow::Result<()> {
    let request: ClientRequest =
        made(json!({ "method": "tools/call", "params": { "name": "test_endless", "arguments": {} } }));
    let before = heard.progress.lock().await.len();
    let endless = client.send_cancellable_request(request, PeerRequestOptions::no_options()).await?;
    while heard.progress.lock().await.len() == before {
        within("the endless call to begin", heard.progressed.notified()).await?;
    }
    for _ in 0..OTHER_CALLS {
        call(client, "test_simple_text", json!({})).await?;
    }
    endless.cancel(Some("enough".to_owned())).await?;
    say("cancelled", json!({}));
    let after = call(client, "test_simple_text", json!({})).await?;
    say("afterwards", json!({ "texts": texts(&after["content"]) }));
    Ok(())
}

/// Sees the list of tools change, which the test does when it reads `watching`, and a resource.
async fn watch(client: &Client, heard: &Heard, modern: bool) -> anyhow::Result<()> {
    if modern {
        let filter: SubscriptionFilter = made(json!({ "toolsListChanged": true, "resourceSubscriptions": [WATCHED] }));
        let mut changes = client.listen(filter).await?;
        say("watching", json!({}));
        let is_list = |each: &ServerNotification| matches!(each, ServerNotification::ToolListChangedNotification(_));
        while !within("the list to change", changes.next()).await??.as_ref().is_some_and(is_list) {}
        say("relisted", json!({ "names": names(client).await? }));
        call(client, "test_trigger_resource_change", json!({})).await?;
        let is_resource =
            |each: &ServerNotification| matches!(each, ServerNotification::ResourceUpdatedNotification(_));
        while !within("the resource to change", changes.next()).await??.as_ref().is_some_and(is_resource) {}
        changes.cancel().await?;
    } else {
        client.subscribe(made(json!({ "uri": WATCHED }))).await?;
        say("watching", json!({}));
        within("the list to change", heard.tools.notified()).await?;
        say("relisted", json!({ "names": names(client).await? }));
        call(client, "test_trigger_resource_change", json!({})).await?;
        within("the resource to change", heard.resource.notified()).await?;
    }
    say("updated", json!({ "texts": texts(&read(client, WATCHED).await?["contents"]) }));
    Ok(())
}

async fn names(client: &Client) -> Result<Vec<String>, ServiceError> {
    Ok(client.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect())
}

async fn call(client: &Client, name: &str, arguments: Value) -> anyhow::Result<Value> {
    let params = made(json!({ "name": name, "arguments": arguments }));
    Ok(serde_json::to_value(within(name, client.call_tool(params)).await??)?)
}

async fn read(client: &Client, uri: &str) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(within(uri, client.read_resource(made(json!({ "uri": uri })))).await??)?)
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> anyhow::Result<T> {
    tokio::time::timeout(PATIENCE, future).await.with_context(|| format!("waited too long for {what}"))
}

/// The types of the client have no public constructors for all of their members; their JSON is the specification's.
fn made<T: serde::de::DeserializeOwned>(value: Value) -> T {
    match serde_json::from_value(value) {
        Ok(made) => made,
        Err(fault) => unreachable!("a constant of this program does not fit: {fault}"),
    }
}

fn texts(blocks: &Value) -> Vec<&str> {
    blocks.as_array().into_iter().flatten().filter_map(|block| block["text"].as_str()).collect()
}

fn say(step: &str, mut found: Value) {
    found["step"] = step.into();
    println!("{found}");
}
