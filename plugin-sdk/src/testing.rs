//! The same plugin, natively, against a host in memory: for `cargo test`, in milliseconds.
//!
//! ```
//! # use switchboard_sdk::{Context, Error, Manifest, Message, Plugin};
//! # #[derive(Default)] struct Counter;
//! # impl Plugin for Counter {
//! #     fn manifest() -> Manifest { switchboard_sdk::manifest!().handles("count", |t| t) }
//! #     fn handle(&mut self, ctx: &Context, _: Message) -> Result<Option<Message>, Error> {
//! #         let count = ctx.state(switchboard_sdk::Scope::User).increment("count", 1)?;
//! #         Message::answer("counted", &serde_json::json!({ "count": count }))
//! #     }
//! # }
//! use serde_json::json;
//! use switchboard_sdk::testing::TestHost;
//!
//! let mut host = TestHost::new().user("alice");
//! host.handle::<Counter>("count", json!({}));
//! assert_eq!(host.handle::<Counter>("count", json!({})).answer()["count"], 2);
//!
//! let mut host = host.user("bob");
//! assert_eq!(host.handle::<Counter>("count", json!({})).answer()["count"], 1);
//! ```
//!
//! It applies the rules of the real host: payloads, settings and tool arguments are checked against
//! their schemas, types of the host cannot be claimed or sent, a run's events are stamped and end in exactly
//! one terminal event, a value of the plugin lives for one call. What the real host would refuse to
//! load (a manifest, settings, a tool) panics here, since a test cannot go on from that. It does not
//! apply an operator's limits and grants, and does not interrupt what runs too long.
#![allow(clippy::panic, reason = "a panic is how a test helper fails a test")]

mod call;
pub(crate) mod imports;
mod outcome;
mod rules;
mod world;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Plugin, Tool, ToolError, ToolResult,
    bindings::switchboard::plugin::types::Transport,
    http::{HttpError, Request, Response},
};

pub use outcome::{LogLine, Outcome, Published, RunEvent, Sent};
use world::{OfferedTool, Server, World};

/// A host in memory. What plugins store, and who is subscribed to what, stays from one call to the next.
pub struct TestHost {
    world: Rc<RefCell<World>>,
    caller: Caller,
}

/// On whose behalf calls are made.
#[derive(Debug, Clone)]
struct Caller {
    subject: String,
    tenant: Option<String>,
    scopes: Vec<String>,
    claims: Value,
    transport: Transport,
    message_id: Option<String>,
}

impl Default for TestHost {
    fn default() -> Self {
        Self::new()
    }
}

impl TestHost {
    /// A host with one connection, of the user `tester`, no settings and no tools. Its clock stands at the
    /// beginning of 2026, UTC.
    #[must_use]
    pub fn new() -> Self {
        let caller = Caller {
            subject: "tester".to_owned(),
            tenant: None,
            scopes: Vec::new(),
            claims: json!({}),
            transport: Transport::Websocket,
            message_id: None,
        };
        Self { world: Rc::new(RefCell::new(World::default())), caller }
    }

    /// Calls are made by this user from now on, over a connection and session of the user's own.
    #[must_use]
    pub fn user(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.caller.subject);
        self
    }

    /// The caller's tenant.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.caller.tenant = Some(tenant.to_owned());
        self
    }

    /// Adds a scope to the caller's token.
    #[must_use]
    pub fn scope(mut self, scope: &str) -> Self {
        self.caller.scopes.push(scope.to_owned());
        self
    }

    /// The claims that plugins may see: an object.
    #[must_use]
    pub fn claims(mut self, claims: Value) -> Self {
        self.caller.claims = claims;
        self
    }

    /// Where messages come in.
    #[must_use]
    pub fn transport(mut self, transport: Transport) -> Self {
        self.caller.transport = transport;
        self
    }

    /// The `id` of the messages that come in.
    #[must_use]
    pub fn message_id(mut self, id: &str) -> Self {
        self.caller.message_id = Some(id.to_owned());
        self
    }

    /// The plugin's settings: an object.
    #[must_use]
    pub fn settings(self, settings: Value) -> Self {
        self.world.borrow_mut().settings = settings;
        self
    }

    /// What `host_stats` answers.
    #[must_use]
    pub fn stats(self, stats: Value) -> Self {
        self.world.borrow_mut().stats = stats;
        self
    }

    /// Another user of the caller's tenant has a connection and can be sent messages.
    #[must_use]
    pub fn online(self, subject: &str) -> Self {
        self.world.borrow_mut().online.insert(subject.to_owned());
        self
    }

    /// Nobody may do anything with this topic.
    #[must_use]
    pub fn forbid_topic(self, topic: &str) -> Self {
        self.world.borrow_mut().forbidden_topics.insert(topic.to_owned());
        self
    }

    /// The run of each call counts as cancelled once it has emitted this many events.
    #[must_use]
    pub fn cancel_run_after(self, events: usize) -> Self {
        self.world.borrow_mut().cancel_after = Some(events);
        self
    }

    /// A run of the caller that is under way in another call, so that it can be cancelled.
    #[must_use]
    pub fn foreign_run(self, run_id: &str) -> Self {
        self.world.borrow_mut().other_runs.insert(run_id.to_owned());
        self
    }

    /// A tool of another plugin that takes any object.
    #[must_use]
    pub fn tool(self, name: &str, call: impl Fn(Value) -> Result<ToolResult, ToolError> + 'static) -> Self {
        let tool = Tool::with_schema(name, "", json!({ "type": "object" }));
        self.described_tool(tool, call)
    }

    /// A tool of another plugin, with description and schema.
    #[must_use]
    pub fn described_tool(self, tool: Tool, call: impl Fn(Value) -> Result<ToolResult, ToolError> + 'static) -> Self {
        let mut description = tool.to_value();
        rules::check_tool(&description);
        description["x-plugin"] = "test".into();
        self.world.borrow_mut().tools.push(OfferedTool { description, call: Rc::new(call) });
        self
    }

    /// What a request to a URL gets; with a `*` at its end, to all URLs that begin so. The first that fits answers,
    /// and what none fits is refused as if the operator had not granted it.
    #[must_use]
    pub fn http(self, url: &str, answer: impl Fn(&Request) -> Result<Response, HttpError> + 'static) -> Self {
        let server = Server { url: url.to_owned(), answer: Rc::new(answer) };
        self.world.borrow_mut().servers.push(server);
        self
    }

    /// All tools of another plugin.
    #[must_use]
    pub fn tools_of<P: Plugin>(mut self) -> Self {
        let plugin = rules::name_of(&rules::checked_manifest::<P>());
        for mut description in self.list_tools::<P>() {
            let name = description["name"].as_str().unwrap_or_default().to_owned();
            description["x-plugin"] = plugin.clone().into();
            let call = move |arguments| call::tool_within_call::<P>(&name, &arguments);
            self.world.borrow_mut().tools.push(OfferedTool { description, call: Rc::new(call) });
        }
        self
    }

    /// Moves the clock.
    pub fn advance(&mut self, time: Duration) {
        self.world.borrow_mut().advance(time);
    }

    /// Lets the plugin handle a message of the current user.
    pub fn handle<P: Plugin>(&mut self, kind: &str, payload: Value) -> Outcome {
        self.handle_text::<P>(kind, &payload.to_string())
    }

    /// The same with the payload's text exactly as it stands on the wire.
    pub fn handle_text<P: Plugin>(&mut self, kind: &str, payload: &str) -> Outcome {
        call::handle::<P>(&self.world, &self.caller, kind, payload)
    }

    /// The plugin's tools, as the host would list them.
    pub fn list_tools<P: Plugin>(&mut self) -> Vec<Value> {
        call::list_tools::<P>(&self.world, &self.caller)
    }

    /// Calls one of the plugin's tools, after checking the arguments as the host does.
    ///
    /// # Errors
    ///
    /// What a caller in the toolbox would get.
    pub fn call_tool<P: Plugin>(&mut self, name: &str, arguments: Value) -> Result<ToolResult, ToolError> {
        call::call_tool::<P>(&self.world, &self.caller, name, &arguments)
    }

    /// Tells the plugin that the current user connected.
    pub fn connect<P: Plugin>(&mut self) -> Outcome {
        call::connect::<P>(&self.world, &self.caller)
    }

    /// Tells the plugin that the current user's connection ended.
    pub fn disconnect<P: Plugin>(&mut self, reason: &str) -> Outcome {
        call::disconnect::<P>(&self.world, &self.caller, reason)
    }

    /// Tells the plugin of a publication.
    pub fn event<P: Plugin>(&mut self, topic: &str, kind: &str, payload: Value) -> Outcome {
        call::event::<P>(&self.world, &self.caller, topic, kind, &payload)
    }

    /// Runs the plugin's self-test.
    ///
    /// # Errors
    ///
    /// What the plugin found.
    pub fn self_test<P: Plugin>(&mut self) -> Result<(), String> {
        call::self_test::<P>(&self.world, &self.caller)
    }

    /// Who is subscribed to what: topics or patterns by session.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeMap<String, Vec<String>> {
        lists(&self.world.borrow().subscriptions)
    }

    /// Who is told who comes and goes: topics by session.
    #[must_use]
    pub fn presence_subscriptions(&self) -> BTreeMap<String, Vec<String>> {
        lists(&self.world.borrow().watched)
    }
}

fn lists(sets: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, Vec<String>> {
    let filled = sets.iter().filter(|(_, topics)| !topics.is_empty());
    filled.map(|(session, topics)| (session.clone(), topics.iter().cloned().collect())).collect()
}
