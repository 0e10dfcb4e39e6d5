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
//! What a plugin offers is called in the same way, with what a client sends beside the arguments:
//!
//! ```
//! # use switchboard_sdk::{Ask, Context, Error, Manifest, Plugin, Tool, ToolResult, testing::TestHost};
//! # use serde_json::{Value, json};
//! # #[derive(Default)] struct Greeter;
//! # impl Plugin for Greeter {
//! #     fn manifest() -> Manifest { switchboard_sdk::manifest!().tools() }
//! #     fn tools(&mut self, _: &Context) -> Result<Vec<Tool>, Error> {
//! #         Ok(vec![Tool::with_schema("greet", "Greets.", json!({ "type": "object" }))])
//! #     }
//! #     fn call_tool(&mut self, ctx: &Context, _: &str, _: Value) -> Result<ToolResult, Error> {
//! #         let Some(form) = ctx.inputs().response("who") else {
//! #             let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
//! #             return Ok(Ask::new().elicit_with_schema("who", "Your name?", schema).into());
//! #         };
//! #         Ok(ToolResult::text(format!("Hello, {}!", form["content"]["name"].as_str().unwrap_or("you"))))
//! #     }
//! # }
//! let mut host = TestHost::new();
//! let asked = host.call_tool::<Greeter>("greet", json!({})).unwrap();
//! assert_eq!(asked.other["resultType"], "input_required");
//!
//! let mut host = host.responses(&json!({ "who": { "action": "accept", "content": { "name": "Ada" } } }));
//! assert_eq!(host.call_tool::<Greeter>("greet", json!({})).unwrap().joined_text(), "Hello, Ada!");
//! ```
//!
//! It applies the rules of the real host: payloads, settings and arguments are checked against
//! their schemas, types of the host cannot be claimed or sent, a run's events are stamped and end in exactly
//! one terminal event, requests have names of their own, seals are opened only for whom and what they were made, a
//! value of the plugin lives for one call. What the real host would refuse to
//! load (a manifest, settings, a tool) panics here, since a test cannot go on from that. It does not
//! apply an operator's limits and grants, and does not interrupt what runs too long. Time passes only by
//! [`TestHost::advance`], and what is offered changes only for those who watch, by [`TestHost::change`].
#![allow(clippy::panic, reason = "a panic is how a test helper fails a test")]

mod call;
pub(crate) mod imports;
mod offering;
mod others;
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
    Plugin,
    bindings::switchboard::plugin::types::Transport,
    http::{HttpError, Request, Response},
};

pub use outcome::{LogLine, Outcome, Published, Report, RunEvent, Sent, Shown};
use world::{Server, World, offers::Inputs};

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
    inputs: Inputs,
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
            inputs: Inputs::default(),
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

    /// What a request to a URL gets; with a `*` at its end, to all URLs that begin so. The first that fits answers,
    /// and what none fits is refused as if the operator had not granted it.
    #[must_use]
    pub fn http(self, url: &str, answer: impl Fn(&Request) -> Result<Response, HttpError> + 'static) -> Self {
        let server = Server { url: url.to_owned(), answer: Rc::new(answer) };
        self.world.borrow_mut().servers.push(server);
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

#[cfg(test)]
mod tests;
