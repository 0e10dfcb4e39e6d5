//! What a plugin gives for an item, checked before a client sees it.
//!
//! Clients refuse a whole answer for one member of the wrong type, and blame the server. So what is not a result
//! of MCP (revision 2026-07-28: `CallToolResult`, `ReadResourceResult`, `GetPromptResult`, `CompleteResult`,
//! `InputRequiredResult`) becomes a failure of the plugin, with words that say what is wrong. What is right is
//! handed on as it was written.

use serde_json::value::RawValue;

use self::content::{array, block, object, resource_contents};
use super::entry::tool::Tool;
use crate::plugin::json_object::Members;

mod completion;
mod content;
mod input_required;

pub(super) use completion::completed;

/// What a result turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Complete,
    /// A tool says of itself that it failed.
    ToolError,
    /// The user is asked first.
    InputRequired,
}

/// Checks what a tool gave.
pub(super) fn of_tool(tool: &Tool, text: &str) -> Result<Outcome, String> {
    let members = Members::parse(text)?;
    if asks(&members)? {
        return Ok(Outcome::InputRequired);
    }
    for (index, part) in array(&members, "content")?.into_iter().enumerate() {
        block(part).map_err(|problem| format!("`content[{index}]`: {problem}"))?;
    }
    let is_error = match members.get("isError").map(RawValue::get) {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err("`isError` is not true or false".into()),
    };
    match members.get("structuredContent") {
        // What a failed tool says of its failure need not look like its success.
        _ if is_error => Ok(Outcome::ToolError),
        Some(structured) => tool
            .check_output(structured.get())
            .map(|()| Outcome::Complete)
            .map_err(|fault| format!("`structuredContent` does not fit the `outputSchema` at {fault}")),
        None if tool.has_output() => Err("it has no `structuredContent`, though the tool has an `outputSchema`".into()),
        None => Ok(Outcome::Complete),
    }
}

/// Checks what the reading of a resource gave.
pub(super) fn of_resource(text: &str) -> Result<Outcome, String> {
    let members = Members::parse(text)?;
    if asks(&members)? {
        return Ok(Outcome::InputRequired);
    }
    for (index, part) in array(&members, "contents")?.into_iter().enumerate() {
        resource_contents(part).map_err(|problem| format!("`contents[{index}]`: {problem}"))?;
    }
    Ok(Outcome::Complete)
}

/// Checks what a prompt became.
pub(super) fn of_prompt(text: &str) -> Result<Outcome, String> {
    let members = Members::parse(text)?;
    if asks(&members)? {
        return Ok(Outcome::InputRequired);
    }
    content::optional_text(&members, "description")?;
    for (index, part) in array(&members, "messages")?.into_iter().enumerate() {
        prompt_message(part).map_err(|problem| format!("`messages[{index}]`: {problem}"))?;
    }
    Ok(Outcome::Complete)
}

fn prompt_message(text: &RawValue) -> Result<(), String> {
    let members = Members::parse(text.get())?;
    if !matches!(members.text("role").as_deref(), Some("user" | "assistant")) {
        return Err("`role` is not \"user\" or \"assistant\"".into());
    }
    block(object(&members, "content")?).map_err(|problem| format!("`content`: {problem}"))
}

/// Whether it is an `InputRequiredResult`, and a right one.
fn asks(members: &Members<'_>) -> Result<bool, String> {
    content::optional_object(members, "_meta")?;
    match members.get("resultType").map(RawValue::get) {
        None | Some("\"complete\"") => Ok(false),
        Some("\"input_required\"") => input_required::check(members).map(|()| true),
        Some(_) => Err("`resultType` is not \"complete\" or \"input_required\"".into()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::offers::Kind;
    use crate::tools::entry::{Entry, What, read};

    fn tool(output: Option<&Value>) -> std::sync::Arc<Entry> {
        let mut entry = json!({ "name": "t", "inputSchema": { "type": "object" } });
        if let Some(output) = output {
            entry["outputSchema"] = output.clone();
        }
        read(Kind::Tools, &json!([entry]).to_string()).unwrap().right.remove(0)
    }

    fn check(output: Option<&Value>, result: &Value) -> Result<Outcome, String> {
        let entry = tool(output);
        let What::Tool(tool) = &entry.what else { panic!("not a tool") };
        of_tool(tool, &result.to_string())
    }

    #[test]
    fn a_tools_result_has_an_array_of_content() {
        assert_eq!(check(None, &json!({ "content": [] })), Ok(Outcome::Complete));
        assert_eq!(check(None, &json!({ "content": [], "isError": true })), Ok(Outcome::ToolError));
        for wrong in [
            json!([]),
            json!({}),
            json!({ "content": {} }),
            json!({ "content": [], "isError": "yes" }),
            json!({ "content": [], "resultType": "task" }),
            json!({ "content": [], "_meta": 1 }),
            json!({ "content": [{ "type": "text" }] }),
        ] {
            assert!(check(None, &wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn structured_content_is_held_against_the_output_schema() {
        let number = json!({ "type": "number" });
        let with = |structured: Value| json!({ "content": [], "structuredContent": structured });
        assert_eq!(check(Some(&number), &with(json!(3))), Ok(Outcome::Complete));
        assert!(check(Some(&number), &with(json!("3"))).unwrap_err().contains("`outputSchema` at /: "));
        assert!(check(Some(&number), &json!({ "content": [] })).unwrap_err().contains("no `structuredContent`"));
        assert_eq!(check(Some(&number), &json!({ "content": [], "isError": true })), Ok(Outcome::ToolError));
        assert_eq!(check(None, &with(json!([null]))), Ok(Outcome::Complete), "any JSON value without a schema");
    }

    #[test]
    fn contents_of_resources_are_text_or_base64() {
        let read = |contents: Value| of_resource(&json!({ "contents": contents }).to_string());
        assert_eq!(
            read(json!([{ "uri": "a:b", "text": "" }, { "uri": "a:c", "blob": "AAE=" }])),
            Ok(Outcome::Complete)
        );
        for wrong in [
            json!({}),
            json!([{ "uri": "a:b" }]),
            json!([{ "text": "" }]),
            json!([{ "uri": "a:b", "text": "", "blob": "" }]),
            json!([{ "uri": "a:b", "blob": "not base64" }]),
            json!([{ "uri": "a:b", "text": "", "mimeType": null }]),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn messages_of_prompts_have_a_role_and_content() {
        let get = |messages: Value| of_prompt(&json!({ "messages": messages }).to_string());
        let text = json!({ "type": "text", "text": "hi" });
        assert_eq!(get(json!([{ "role": "assistant", "content": text }])), Ok(Outcome::Complete));
        for wrong in
            [json!([{ "role": "system", "content": text }]), json!([{ "role": "user", "content": [text] }]), json!(3)]
        {
            assert!(get(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn any_of_them_may_ask_the_user_first() {
        let asking = json!({ "resultType": "input_required", "requestState": "1" });
        assert_eq!(check(Some(&json!({})), &asking), Ok(Outcome::InputRequired));
        assert_eq!(of_resource(&asking.to_string()), Ok(Outcome::InputRequired));
        assert_eq!(of_prompt(&asking.to_string()), Ok(Outcome::InputRequired));
        assert!(of_prompt(&json!({ "resultType": "input_required" }).to_string()).is_err());
    }
}
