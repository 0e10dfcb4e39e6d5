//! Tools that need something from the client first: `input_required` in each of its forms.
//!
//! What is missing or does not fit is asked for again.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Ask, Context, Error, Tool, ToolResult};

use crate::{forms, without_arguments};

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Color {
    color: String,
}

#[derive(Deserialize, JsonSchema)]
struct Confirmation {
    ok: bool,
}

/// What a call that was asked to confirm is reminded of.
const ASKED: &str = "asked to confirm";

/// Before the name that the first round gave.
const SECOND_ROUND: &str = "second round for ";

pub(crate) fn tools() -> Vec<Tool> {
    let text =
        |name: &str| json!({ "type": "object", "properties": { name: { "type": "string" } }, "required": [name] });
    let mut tools = vec![
        Tool::with_schema("test_sampling", "Asks the client's model", text("prompt")),
        Tool::with_schema("test_elicitation", "Asks the user with a message", text("message")),
    ];
    let others = [
        ("test_elicitation_sep1034_defaults", "Asks with a form that has defaults"),
        ("test_elicitation_sep1330_enums", "Asks with a form that has every kind of choice"),
        ("test_missing_capability", "Asks the client's model, even if there is none"),
        ("test_streaming_elicitation", "Reports progress, then asks the user"),
        ("test_input_required_result_elicitation", "Asks the user for a name"),
        ("test_input_required_result_sampling", "Asks the client's model for a capital"),
        ("test_input_required_result_list_roots", "Asks for the client's roots"),
        ("test_input_required_result_request_state", "Asks the user to confirm, and remembers that it did"),
        ("test_input_required_result_tampered_state", "Asks the user to confirm, and trusts no other memory"),
        ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
        ("test_input_required_result_multi_round", "Asks for one thing after the other"),
        ("test_input_required_result_capabilities", "Asks for what the client can do"),
    ];
    tools.extend(others.map(|(name, description)| without_arguments(name, description)));
    tools
}

pub(crate) fn call(ctx: &Context, name: &str, arguments: &Value) -> Option<Result<ToolResult, Error>> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    Some(Ok(match name {
        "test_sampling" => sampling(ctx, argument("prompt")),
        "test_missing_capability" => sampling(ctx, "Say something."),
        "test_elicitation" => elicitation(ctx, argument("message"), forms::account()),
        "test_elicitation_sep1034_defaults" => elicitation(ctx, "Please look through this form.", forms::defaults()),
        "test_elicitation_sep1330_enums" => elicitation(ctx, "Please choose.", forms::choices()),
        "test_streaming_elicitation" => return Some(streaming(ctx)),
        "test_input_required_result_elicitation" => user_name(ctx),
        "test_input_required_result_sampling" => sampling(ctx, "What is the capital of France?"),
        "test_input_required_result_list_roots" => roots(ctx),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => confirmation(ctx),
        "test_input_required_result_multiple_inputs" => three_things(ctx),
        "test_input_required_result_multi_round" => rounds(ctx),
        "test_input_required_result_capabilities" => what_it_can(ctx),
        _ => return None,
    }))
}

fn sampling(ctx: &Context, prompt: &str) -> ToolResult {
    match said(ctx, "answer") {
        Some(text) => ToolResult::text(format!("LLM response: {text}")),
        None => Ask::new().sample("answer", question(prompt)).into(),
    }
}

fn question(prompt: &str) -> Value {
    json!({ "messages": [{ "role": "user", "content": { "type": "text", "text": prompt } }], "maxTokens": 100 })
}

/// The text of a model.
fn said(ctx: &Context, key: &str) -> Option<String> {
    let response = ctx.inputs().response(key)?;
    let content = response.get("content")?;
    let block = content.as_array().map_or(Some(content), |blocks| blocks.first())?;
    Some(block.get("text")?.as_str()?.to_owned())
}

fn elicitation(ctx: &Context, message: &str, schema: Value) -> ToolResult {
    let response = ctx.inputs().response("answer").filter(|response| response.get("action").is_some());
    let Some(response) = response else {
        return Ask::new().elicit_with_schema("answer", message, schema).into();
    };
    let member = |name: &str| response.get(name).cloned().unwrap_or_default();
    ToolResult::text(format!("User response: action={}, content={}", member("action"), member("content")))
}

fn streaming(ctx: &Context) -> Result<ToolResult, Error> {
    ctx.progress().report(1.0, Some(2.0), Some("About to ask"))?;
    Ok(user_name(ctx))
}

fn user_name(ctx: &Context) -> ToolResult {
    match ctx.inputs().form::<Name>("user_name") {
        Ok(Some(Name { name })) => ToolResult::text(format!("Hello, {name}!")),
        _ => Ask::new().elicit::<Name>("user_name", "What is your name?").into(),
    }
}

fn roots(ctx: &Context) -> ToolResult {
    match listed(ctx) {
        Some(roots) => ToolResult::text(format!("The roots are {roots}")),
        None => Ask::new().roots("client_roots").into(),
    }
}

fn listed(ctx: &Context) -> Option<Value> {
    ctx.inputs().response("client_roots")?.get("roots").filter(|roots| roots.is_array()).cloned()
}

fn confirmation(ctx: &Context) -> ToolResult {
    let confirmed = matches!(ctx.inputs().form("confirm"), Ok(Some(Confirmation { ok: true })));
    if confirmed && ctx.inputs().state().as_deref() == Some(ASKED) {
        return ToolResult::text("state-ok");
    }
    Ask::new().elicit::<Confirmation>("confirm", "Please confirm").state(ASKED).into()
}

fn three_things(ctx: &Context) -> ToolResult {
    let name = ctx.inputs().form::<Name>("user_name");
    match (name, said(ctx, "greeting"), listed(ctx)) {
        (Ok(Some(Name { name })), Some(greeting), Some(roots)) => {
            ToolResult::text(format!("{greeting} {name} has the roots {roots}"))
        }
        _ => Ask::new()
            .elicit::<Name>("user_name", "What is your name?")
            .sample("greeting", question("Write a greeting"))
            .roots("client_roots")
            .state(ASKED)
            .into(),
    }
}

fn rounds(ctx: &Context) -> ToolResult {
    let state = ctx.inputs().state().unwrap_or_default();
    let first = state.strip_prefix(SECOND_ROUND).map(str::to_owned);
    match (first, ctx.inputs().form::<Color>("step2")) {
        (Some(name), Ok(Some(Color { color }))) => return ToolResult::text(format!("{name} likes {color}")),
        (Some(name), _) => return second_round(&name),
        (None, _) => {}
    }
    match ctx.inputs().form::<Name>("step1") {
        Ok(Some(Name { name })) => second_round(&name),
        _ => Ask::new().elicit::<Name>("step1", "Step 1: What is your name?").state("first round").into(),
    }
}

fn second_round(name: &str) -> ToolResult {
    let state = format!("{SECOND_ROUND}{name}");
    Ask::new().elicit::<Color>("step2", "Step 2: What is your favourite colour?").state(state).into()
}

fn what_it_can(ctx: &Context) -> ToolResult {
    let can = ctx.inputs().client_capabilities();
    let answered = ctx.inputs().responses().len();
    if answered > 0 || !(can.contains_key("sampling") || can.contains_key("elicitation")) {
        return ToolResult::text(format!("{answered} questions were answered"));
    }
    let mut ask = Ask::new();
    if can.contains_key("sampling") {
        ask = ask.sample("answer", question("Say something."));
    }
    if can.contains_key("elicitation") {
        ask = ask.elicit::<Name>("user_name", "What is your name?");
    }
    ask.into()
}
