//! The plugin as a client sees it: messages in, messages out. What all tests share is here.

mod corners;
mod input_required;
mod items;
mod legacy;
mod listen;
mod lists;
mod modern;
mod server_requests;

use serde_json::{Value, json};
use switchboard_sdk::{
    Ask, CatalogueError, Completed, Completing, Completion, Context, Error, Forbidden, Item, Limited, Manifest, Plugin,
    Prompt, PromptResult, Resource, ResourceResult, ResourceTemplate, Severity, Tool, ToolError, ToolResult,
    testing::{Outcome, TestHost},
};

use crate::{JsonRpc, TYPE};

/// Another plugin that offers one of everything.
#[derive(Default)]
struct Desk;

/// Which a client has to be able to do for all that [`Desk`] asks.
fn able() -> Value {
    json!({ "elicitation": { "form": {}, "url": {} }, "sampling": { "tools": {} }, "roots": {} })
}

impl Plugin for Desk {
    fn manifest() -> Manifest {
        Manifest::new("desk", "1.0.0").tools().resources().prompts().completions()
    }

    fn tools(&mut self, _: &Context) -> Result<Vec<Tool>, Error> {
        let any = |name: &str| Tool::with_schema(name, "", json!({ "type": "object" }));
        let numbers = json!({ "type": "object", "properties": { "n": { "type": "number" } }, "$comment": "kept" });
        Ok(vec![
            Tool::with_schema("echo", "Says it back.", numbers),
            any("ask"),
            any("ask_all"),
            any("ask_forever"),
            any("wait"),
            any("tell"),
            any("list").with("outputSchema", json!({ "type": "array" })),
            any("object").with("outputSchema", json!({ "type": "object" })),
        ])
    }

    fn call_tool(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let inputs = ctx.inputs();
        let form = json!({ "type": "object", "properties": {} });
        match (name, inputs.state().as_deref()) {
            ("echo", _) => ToolResult::structured("done", &arguments),
            ("ask", None) => Ok(Ask::new().elicit_with_schema("name", "Who?", form).state("round 1").into()),
            ("ask", Some("round 1")) => Ok(Ask::new().roots("roots").state("round 2").into()),
            ("ask_all", _) if inputs.responses().is_empty() => Ok(Ask::new()
                .elicit_with_schema("form", "Who?", form)
                .request("page", "elicitation/create", json!({ "mode": "url", "message": "", "url": "https://x" }))
                .sample("model", json!({ "messages": [], "maxTokens": 1, "tools": [] }))
                .roots("roots")
                .into()),
            ("ask_forever", _) => Ok(Ask::new().roots("roots").into()),
            ("wait", None) => Ok(Ask::new().state("later").into()),
            ("tell", _) => {
                ctx.progress().report(1.0, Some(2.0), Some("half"))?;
                for how in [Severity::Debug, Severity::Info, Severity::Error] {
                    ctx.progress().log(how, Some("desk"), &json!("line"))?;
                }
                Ok(ToolResult::text("told"))
            }
            ("list", _) => ToolResult::structured("[]", &json!([1])),
            _ => {
                let seen = json!({
                    "responses": inputs.responses(), "state": inputs.state(), "meta": inputs.meta(),
                    "can": inputs.client_capabilities(),
                });
                let mut result = ToolResult::structured("done", &seen)?;
                result.other.insert("_meta".into(), json!({ "own": true }));
                result.other.insert("resultType".into(), "complete".into());
                Ok(result)
            }
        }
    }

    fn resources(&mut self, _: &Context) -> Result<Vec<Resource>, Error> {
        Ok(vec![Resource::new("test://note", "note"), Resource::new("test://locked", "locked")])
    }

    fn resource_templates(&mut self, _: &Context) -> Result<Vec<ResourceTemplate>, Error> {
        Ok(vec![ResourceTemplate::new("test://notes/{number}", "notes")])
    }

    fn read_resource(&mut self, ctx: &Context, uri: &str) -> Result<ResourceResult, Error> {
        match uri {
            "test://notes/0" => Err(Error::resource_not_found(uri)),
            "test://locked" if ctx.inputs().response("roots").is_none() => Ok(Ask::new().roots("roots").into()),
            _ => Ok(ResourceResult::text(uri, "text/plain", "text")),
        }
    }

    fn prompts(&mut self, _: &Context) -> Result<Vec<Prompt>, Error> {
        Ok(vec![Prompt::new("greet", "").argument("name", "", true), Prompt::new("sad", "")])
    }

    fn get_prompt(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<PromptResult, Error> {
        if name == "sad" {
            return Err(Error::new("SAD", "no prompt today"));
        }
        if arguments["name"] == "ask" && ctx.inputs().responses().is_empty() {
            return Ok(Ask::new().roots("roots").into());
        }
        Ok(PromptResult::user(arguments["name"].as_str().unwrap_or_default()))
    }

    fn complete(&mut self, _: &Context, asked: &Completing) -> Result<Completion, Error> {
        let known = asked.known.keys().cloned().collect::<String>();
        let of = match &asked.what {
            Completed::Prompt(name) | Completed::ResourceTemplate(name) => name,
        };
        Ok(Completion::of([format!("{of} {} {}{known}", asked.argument, asked.value)]))
    }
}

fn desk() -> TestHost {
    let forbidden = |scopes: &[&str]| {
        let missing_scopes = scopes.iter().map(ToString::to_string).collect();
        CatalogueError::Forbidden(Forbidden { reason: "not for you".into(), missing_scopes })
    };
    let limited = || CatalogueError::Limited(Limited { reason: "too often".into(), retry_after_ms: 1500 });
    TestHost::new()
        .offers_of::<Desk>()
        .fails(Item::Tool("slow".into()), CatalogueError::Timeout)
        .fails(Item::Tool("scoped".into()), forbidden(&["admin", "tools"]))
        .fails(Item::Tool("closed".into()), forbidden(&[]))
        .fails(Item::Tool("busy".into()), limited())
        .fails(Item::Prompt("busy".into()), limited())
        .fails(Item::Prompt("closed".into()), forbidden(&[]))
        .fails(Item::Resource("test://scoped".into()), forbidden(&["admin"]))
}

fn send(host: &mut TestHost, message: Value) -> Outcome {
    host.handle::<JsonRpc>(TYPE, message)
}

/// A request of a legacy revision.
fn legacy(host: &mut TestHost, method: &str, params: Value) -> Outcome {
    send(host, json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }))
}

/// A request of the modern era by a client that can do everything.
fn modern(host: &mut TestHost, method: &str, params: Value) -> Outcome {
    modern_with(host, method, params, json!({}))
}

fn modern_with(host: &mut TestHost, method: &str, mut params: Value, more: Value) -> Outcome {
    let mut meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": able(),
    });
    for (key, value) in more.as_object().unwrap() {
        meta[key] = value.clone();
    }
    params["_meta"] = meta;
    legacy(host, method, params)
}

#[track_caller]
fn check_error(outcome: &Outcome, code: i32, status: Option<u16>, words: &str) -> Value {
    let answer = outcome.answer();
    assert_eq!(answer["error"]["code"], code, "{answer}");
    let message = answer["error"]["message"].as_str().unwrap();
    assert!(message.contains(words), "{answer}");
    assert_eq!(outcome.shown.as_ref().map(|shown| shown.status), status, "{answer}");
    answer["error"]["data"].clone()
}

#[track_caller]
fn check_failure(outcome: &Outcome, words: &str) {
    let answer = outcome.answer();
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert!(answer["result"]["content"][0]["text"].as_str().unwrap().contains(words), "{answer}");
    assert_eq!(outcome.shown, None, "{answer}");
}

/// A tool of the test's own.
fn any_tool(host: TestHost, name: &str) -> TestHost {
    host.tool(name, |_| Err::<ToolResult, _>(ToolError::Timeout))
}
