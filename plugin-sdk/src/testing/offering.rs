//! The plugin's own offer: its lists, and its tools, resources, prompts and completions as the host calls them.

use serde_json::Value;

use super::{
    Caller, TestHost,
    call::{Shared, begin, begin_within_call, context_of, finish, refused},
    imports::within,
    outcome::Report,
    rules,
};
use crate::{
    CatalogueError, Completed, Completing, Completion, Error, Plugin, ToolError, ToolResult,
    bindings::switchboard::plugin::types::{self, Refusal},
    exports,
};

impl TestHost {
    /// What the client sends as answers to what the plugin asked for ([`Inputs::responses`](crate::Inputs::responses)):
    /// an object. For all calls from now on.
    #[must_use]
    pub fn responses(mut self, responses: &Value) -> Self {
        self.caller.inputs.responses = responses.to_string();
        self
    }

    /// What the plugin gave as its state the last time ([`Inputs::state`](crate::Inputs::state)).
    #[must_use]
    pub fn request_state(mut self, state: &str) -> Self {
        self.caller.inputs.state = Some(state.to_owned());
        self
    }

    /// What the client can do ([`Inputs::client_capabilities`](crate::Inputs::client_capabilities)): an object.
    #[must_use]
    pub fn client_capabilities(mut self, capabilities: &Value) -> Self {
        self.caller.inputs.client_capabilities = capabilities.to_string();
        self
    }

    /// The request's `_meta` ([`Inputs::meta`](crate::Inputs::meta)): an object.
    #[must_use]
    pub fn meta(mut self, meta: &Value) -> Self {
        self.caller.inputs.meta = meta.to_string();
        self
    }

    /// What tools, resources and prompts told whoever waits for them, since this was asked last.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.world.borrow_mut().reports)
    }

    /// The plugin's tools, as the host would list them.
    pub fn list_tools<P: Plugin>(&mut self) -> Vec<Value> {
        let tools = listed::<P>(&self.world, &self.caller, "tools", exports::list_tools);
        tools.iter().for_each(rules::check_tool);
        tools
    }

    /// The plugin's resources, as the host would list them.
    pub fn list_resources<P: Plugin>(&mut self) -> Vec<Value> {
        let resources = listed::<P>(&self.world, &self.caller, "resources", exports::list_resources);
        resources.iter().for_each(|resource| rules::check_resource(resource, "uri"));
        resources
    }

    /// The plugin's resource templates, as the host would list them.
    pub fn list_resource_templates<P: Plugin>(&mut self) -> Vec<Value> {
        let templates = listed::<P>(&self.world, &self.caller, "resources", exports::list_resource_templates);
        templates.iter().for_each(|template| rules::check_resource(template, "uriTemplate"));
        templates
    }

    /// The plugin's prompts, as the host would list them.
    pub fn list_prompts<P: Plugin>(&mut self) -> Vec<Value> {
        let prompts = listed::<P>(&self.world, &self.caller, "prompts", exports::list_prompts);
        prompts.iter().for_each(rules::check_prompt);
        prompts
    }

    /// Calls one of the plugin's tools, after checking the arguments as the host does.
    ///
    /// # Errors
    ///
    /// What a caller in the toolbox would get.
    pub fn call_tool<P: Plugin>(&mut self, name: &str, arguments: Value) -> Result<ToolResult, ToolError> {
        let tools = self.list_tools::<P>();
        let tool = tools.iter().find(|tool| tool["name"] == name);
        let tool = tool.ok_or_else(|| ToolError::UnknownTool(name.to_owned()))?;
        rules::check_schema(&tool["inputSchema"], &arguments).map_err(ToolError::InvalidArguments)?;
        let result = self.call::<P, _>(|plugin, context| tool_result(plugin, context, name, &arguments));
        check_output(tool, result?)
    }

    /// Reads one of the plugin's resources. The result has the form of MCP's `ReadResourceResult`, or of
    /// `InputRequiredResult`.
    ///
    /// # Errors
    ///
    /// What the plugin refused with; `PLUGIN_ANSWER_INVALID` if the host would not accept the result.
    pub fn read_resource<P: Plugin>(&mut self, uri: &str) -> Result<Value, Error> {
        self.call::<P, _>(|plugin, context| read(plugin, context, uri))
    }

    /// Gets one of the plugin's prompts, after checking the arguments as the host does. The result has the form of
    /// MCP's `GetPromptResult`, or of `InputRequiredResult`.
    ///
    /// # Errors
    ///
    /// What the plugin refused with; `ARGUMENTS_INVALID`; `PLUGIN_ANSWER_INVALID` if the host would not accept the
    /// result.
    pub fn get_prompt<P: Plugin>(&mut self, name: &str, arguments: &Value) -> Result<Value, Error> {
        let prompts = self.list_prompts::<P>();
        let prompt = prompts.iter().find(|prompt| prompt["name"] == name);
        let prompt = prompt.ok_or_else(|| Error::new("UNKNOWN_PROMPT", format!("there is no prompt {name:?}")))?;
        rules::check_prompt_arguments(prompt, arguments).map_err(|fault| Error::new("ARGUMENTS_INVALID", fault))?;
        self.call::<P, _>(|plugin, context| prompt_result(plugin, context, name, arguments))
    }

    /// Asks what could complete an argument of a prompt or resource template.
    ///
    /// # Errors
    ///
    /// What the plugin refused with.
    pub fn complete<P: Plugin>(&mut self, asked: &Completing) -> Result<Completion, Error> {
        self.call::<P, _>(|plugin, context| completion(plugin, context, asked))
    }

    fn call<P: Plugin, R>(&mut self, body: impl FnOnce(&mut P, types::Context) -> R) -> R {
        let context = context_of(&self.caller);
        begin::<P>(&self.world, &self.caller, context.clone());
        let result = within(&self.world, || body(&mut P::default(), context));
        finish(&self.world, Ok(None));
        result
    }
}

fn listed<P: Plugin>(
    world: &Shared,
    caller: &Caller,
    offer: &str,
    list: fn(&mut P, types::Context) -> Result<String, Refusal>,
) -> Vec<Value> {
    if rules::checked_manifest::<P>()[offer] != true {
        panic!("the manifest does not say that there are {offer}: add `.{offer}()`");
    }
    let context = context_of(caller);
    begin::<P>(world, caller, context.clone());
    let listed = within(world, || list(&mut P::default(), context));
    finish(world, Ok(None));
    match listed {
        Ok(text) => serde_json::from_str(&text).unwrap_or_default(),
        Err(refusal) => panic!("the plugin does not list its {offer}: {}", refused(refusal)),
    }
}

fn tool_result<P: Plugin>(
    plugin: &mut P,
    context: types::Context,
    name: &str,
    arguments: &Value,
) -> Result<ToolResult, ToolError> {
    let text = exports::call_tool(plugin, context, name, &arguments.to_string())
        .map_err(|refusal| ToolError::Failed(refused(refusal).to_string()))?;
    let value: Value = serde_json::from_str(&text).map_err(|fault| ToolError::Failed(fault.to_string()))?;
    rules::check_result(&value, |_| Ok(())).map_err(ToolError::Failed)?;
    serde_json::from_value(value).map_err(|fault| ToolError::Failed(fault.to_string()))
}

fn read<P: Plugin>(plugin: &mut P, context: types::Context, uri: &str) -> Result<Value, Error> {
    checked(exports::read_resource(plugin, context, uri), rules::check_contents)
}

fn prompt_result<P: Plugin>(
    plugin: &mut P,
    context: types::Context,
    name: &str,
    arguments: &Value,
) -> Result<Value, Error> {
    checked(exports::get_prompt(plugin, context, name, &arguments.to_string()), rules::check_messages)
}

fn checked(result: Result<String, Refusal>, check: fn(&Value) -> Result<(), String>) -> Result<Value, Error> {
    let invalid = |fault: String| Error::new("PLUGIN_ANSWER_INVALID", fault);
    let value: Value = serde_json::from_str(&result.map_err(refused)?).map_err(|fault| invalid(fault.to_string()))?;
    rules::check_result(&value, check).map_err(invalid)?;
    Ok(value)
}

fn completion<P: Plugin>(plugin: &mut P, context: types::Context, asked: &Completing) -> Result<Completion, Error> {
    let Completing { what, argument, value, known } = asked.clone();
    let known = Value::Object(known).to_string();
    let text = exports::complete(plugin, context, what, argument, value, &known).map_err(refused)?;
    let mut completion: Completion =
        serde_json::from_str(&text).map_err(|fault| Error::new("PLUGIN_ANSWER_INVALID", fault.to_string()))?;
    if completion.values.len() > Completion::MAX_VALUES {
        completion.values.truncate(Completion::MAX_VALUES);
        completion.has_more = true;
    }
    Ok(completion)
}

/// A tool that promised an `outputSchema` has to keep to it.
fn check_output(tool: &Value, result: ToolResult) -> Result<ToolResult, ToolError> {
    if let (Some(schema), Some(content)) = (tool.get("outputSchema"), &result.structured_content)
        && !result.is_error
    {
        rules::check_schema(schema, content)
            .map_err(|fault| ToolError::Failed(format!("the result does not fit `outputSchema`: {fault}")))?;
    }
    Ok(result)
}

/// A tool of `P`, called by a plugin that is itself being called.
pub(super) fn tool_within_call<P: Plugin>(description: &Value, arguments: &Value) -> Result<ToolResult, ToolError> {
    let name = description["name"].as_str().unwrap_or_default();
    let result = call_within::<P, _>(|plugin, context| tool_result(plugin, context, name, arguments));
    check_output(description, result?)
}

pub(super) fn resource_within_call<P: Plugin>(uri: &str) -> Result<Value, CatalogueError> {
    call_within::<P, _>(|plugin, context| read(plugin, context, uri)).map_err(|error| failure(uri, &error))
}

pub(super) fn prompt_within_call<P: Plugin>(name: &str, arguments: &Value) -> Result<Value, CatalogueError> {
    call_within::<P, _>(|plugin, context| prompt_result(plugin, context, name, arguments))
        .map_err(|error| failure(name, &error))
}

pub(super) fn completion_within_call<P: Plugin>(asked: &Completing) -> Result<Completion, CatalogueError> {
    let (Completed::Prompt(name) | Completed::ResourceTemplate(name)) = &asked.what;
    call_within::<P, _>(|plugin, context| completion(plugin, context, asked)).map_err(|error| failure(name, &error))
}

fn call_within<P: Plugin, R>(body: impl FnOnce(&mut P, types::Context) -> R) -> R {
    let (world, context) = begin_within_call::<P>();
    let result = body(&mut P::default(), context);
    finish(&world, Ok(None));
    result
}

/// A refusal in the words of the catalogue.
pub(super) fn failure(name: &str, error: &Error) -> CatalogueError {
    match error.code.as_str() {
        "RESOURCE_NOT_FOUND" => CatalogueError::Unknown(name.to_owned()),
        _ => CatalogueError::Failed(error.to_string()),
    }
}
