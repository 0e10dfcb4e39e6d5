//! The one trait that a plugin implements. Everything but the manifest has a default.

use serde_json::Value;

use crate::{
    Completing, Completion, Context, Error, Manifest, Message, Prompt, PromptResult, Resource, ResourceResult,
    ResourceTemplate, Tool, ToolResult,
};

/// A plugin.
///
/// With isolation `message`, which a manifest asks for that says nothing, a value is made for each message and forgotten after it: what
/// is to be remembered goes into [`Context::state`]. With `session` and `shared` isolation one
/// value serves many calls, one at a time, which is why the methods take `&mut self`.
///
/// A panic anywhere ends the call: its message goes to the host's log, the caller gets
/// `PLUGIN_CRASHED`, and nobody else notices.
pub trait Plugin: Default + 'static {
    /// What the plugin says about itself. Called once when it is loaded, without any import: calling
    /// the host here fails the load.
    fn manifest() -> Manifest;

    /// Handles one message of a type that the manifest claims. The result is the answer, if there is
    /// exactly one; anything more, or earlier, goes through [`Context::messages`].
    ///
    /// # Errors
    ///
    /// An [`Error`] reaches the caller as a message of type `error`.
    fn handle(&mut self, ctx: &Context, message: Message) -> Result<Option<Message>, Error> {
        let _ = ctx;
        Err(Error::new("NOT_HANDLED", format!("this plugin does not handle messages of type {:?}", message.kind)))
    }

    /// The tools that it offers to agents and MCP clients. The manifest says so with
    /// [`Manifest::tools`], else nobody asks.
    ///
    /// # Errors
    ///
    /// An [`Error`] means that it offers none at the moment; the host logs it.
    fn tools(&mut self, ctx: &Context) -> Result<Vec<Tool>, Error> {
        let _ = ctx;
        Ok(Vec::new())
    }

    /// Calls one of its tools. The host has checked the arguments against the tool's input schema.
    ///
    /// # Errors
    ///
    /// An [`Error`] reaches the model as a result with `isError`: its text should tell it what to do better.
    fn call_tool(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<ToolResult, Error> {
        let _ = (ctx, arguments);
        Err(Error::new("UNKNOWN_TOOL", format!("this plugin has no tool {name:?}")))
    }

    /// The resources that it offers to MCP clients. The manifest says so with [`Manifest::resources`], else nobody
    /// asks. Asked on nobody's behalf, once for each version and again after [`Changes::changed`](crate::Changes).
    ///
    /// # Errors
    ///
    /// An [`Error`] means that it offers none at the moment; the host logs it.
    fn resources(&mut self, ctx: &Context) -> Result<Vec<Resource>, Error> {
        let _ = ctx;
        Ok(Vec::new())
    }

    /// The patterns of the URIs of those that are too many to list.
    ///
    /// # Errors
    ///
    /// An [`Error`] means that it offers none at the moment; the host logs it.
    fn resource_templates(&mut self, ctx: &Context) -> Result<Vec<ResourceTemplate>, Error> {
        let _ = ctx;
        Ok(Vec::new())
    }

    /// Reads a resource that it lists, or that fits one of its templates.
    ///
    /// # Errors
    ///
    /// [`Error::resource_not_found`] if there is none with this URI.
    fn read_resource(&mut self, ctx: &Context, uri: &str) -> Result<ResourceResult, Error> {
        let _ = ctx;
        Err(Error::resource_not_found(uri))
    }

    /// The prompts that it offers to MCP clients. The manifest says so with [`Manifest::prompts`], else nobody asks.
    ///
    /// # Errors
    ///
    /// An [`Error`] means that it offers none at the moment; the host logs it.
    fn prompts(&mut self, ctx: &Context) -> Result<Vec<Prompt>, Error> {
        let _ = ctx;
        Ok(Vec::new())
    }

    /// Writes one of its prompts. The host has checked that the required arguments are there; all are strings.
    ///
    /// # Errors
    ///
    /// An [`Error`] reaches the client as an error of the request.
    fn get_prompt(&mut self, ctx: &Context, name: &str, arguments: Value) -> Result<PromptResult, Error> {
        let _ = (ctx, arguments);
        Err(Error::new("UNKNOWN_PROMPT", format!("this plugin has no prompt {name:?}")))
    }

    /// What could complete an argument of a prompt or of a resource template. The manifest says so with
    /// [`Manifest::completions`], else nobody asks.
    ///
    /// # Errors
    ///
    /// An [`Error`] reaches the client as an error of the request.
    fn complete(&mut self, ctx: &Context, asked: &Completing) -> Result<Completion, Error> {
        let _ = (ctx, asked);
        Ok(Completion::default())
    }

    /// A client connected. Needs [`Manifest::on_connect`].
    fn on_connect(&mut self, ctx: &Context) {
        let _ = ctx;
    }

    /// A client's connection ended; `reason` is one word (`closed`, `lost`, `timeout`, `expired`,
    /// `evicted`, `draining`). Needs [`Manifest::on_disconnect`].
    fn on_disconnect(&mut self, ctx: &Context, reason: &str) {
        let _ = (ctx, reason);
    }

    /// A message was published to a topic that the manifest asked to see ([`Manifest::on_topic`]).
    fn on_event(&mut self, ctx: &Context, topic: &str, message: Message) {
        let _ = (ctx, topic, message);
    }

    /// Called once before this version takes traffic, with its settings.
    ///
    /// # Errors
    ///
    /// The text says what is wrong; the version that is serving stays.
    fn self_test(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// What this instance leaves to the session's next one, of this version or another; only for isolation `session`.
    ///
    /// # Errors
    ///
    /// The text says why there is nothing; the next instance then starts afresh.
    fn export_state(&mut self) -> Result<Vec<u8>, String> {
        Err("this plugin hands nothing over".to_owned())
    }

    /// Takes over what an instance of `from_version` left, which can be this version.
    ///
    /// # Errors
    ///
    /// The text says why that is not possible. Before a version serves, this keeps it from serving unless the
    /// operator allows it; later, the instance starts afresh.
    fn import_state(&mut self, from_version: &str, state: &[u8]) -> Result<(), String> {
        let _ = state;
        Err(format!("this plugin takes nothing over from version {from_version}"))
    }
}
