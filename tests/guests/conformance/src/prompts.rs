//! Prompts, and what could complete their arguments.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use switchboard_sdk::{Ask, Completed, Completing, Completion, Context, Error, Prompt, PromptResult};

use crate::{resources::TEMPLATE, showing::PNG};

/// What any argument could be.
const WORDS: [&str; 5] = ["test", "testament", "testimony", "text", "tree"];

/// More than one answer may hold.
const MANY: u32 = 250;

#[derive(Deserialize, JsonSchema)]
struct Answer {
    context: String,
}

pub(crate) fn all() -> Vec<Prompt> {
    vec![
        Prompt::new("test_simple_prompt", "A prompt without arguments").with("title", "Simple prompt".into()),
        Prompt::new("test_prompt_with_arguments", "A prompt with two arguments")
            .argument("arg1", "The first", true)
            .argument("arg2", "The second", true),
        Prompt::new("test_prompt_with_embedded_resource", "A prompt that holds a resource").argument(
            "resourceUri",
            "The URI of the resource",
            true,
        ),
        Prompt::new("test_prompt_with_image", "A prompt that holds an image"),
        Prompt::new("test_input_required_result_prompt", "A prompt that asks the user first"),
    ]
}

pub(crate) fn get(ctx: &Context, name: &str, arguments: &Value) -> Result<PromptResult, Error> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    Ok(match name {
        "test_simple_prompt" => PromptResult::user("This is a simple prompt for testing."),
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            PromptResult::user(format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({ "uri": argument("resourceUri"), "mimeType": "text/plain",
                "text": "Embedded resource content for testing." });
            PromptResult::user("Please process the embedded resource.")
                .message("user", json!({ "type": "resource", "resource": resource }))
        }
        "test_prompt_with_image" => PromptResult::user("Please describe the image.")
            .message("user", json!({ "type": "image", "data": PNG, "mimeType": "image/png" })),
        "test_input_required_result_prompt" => match ctx.inputs().form::<Answer>("user_context") {
            Ok(Some(Answer { context })) => PromptResult::user(format!("Go on with {context}.")),
            _ => Ask::new().elicit::<Answer>("user_context", "What context should the prompt use?").into(),
        },
        "test_dynamic_prompt" => PromptResult::user("This prompt is not always there."),
        _ => return Err(Error::new("UNKNOWN_PROMPT", format!("this plugin has no prompt {name:?}"))),
    })
}

/// The words that begin with what was typed; of a template's ids, all that do.
pub(crate) fn complete(asked: &Completing) -> Completion {
    let begins = |word: &String| word.starts_with(&asked.value);
    match &asked.what {
        Completed::ResourceTemplate(template) if template == TEMPLATE => {
            Completion::of((1..=MANY).map(|id| id.to_string()).filter(begins))
        }
        _ => Completion::of(WORDS.map(str::to_owned).into_iter().filter(begins)),
    }
}
