//! What other plugins offer, as the toolbox and the catalogue of the plugin under test have it.

use std::{rc::Rc, time::Duration};

use serde_json::{Value, json};

use super::{
    TestHost, offering,
    outcome::Sent,
    rules,
    world::{
        OfferedTool,
        offers::{ItemCall, OfferedItem},
        requests::Open,
    },
};
use crate::{
    CatalogueError, Completed, Completing, Completion, Error, Item, Plugin, Prompt, PromptResult, Resource,
    ResourceResult, ResourceTemplate, Subject, Tool, ToolError, ToolResult,
};

/// The name of the plugin that offers what the test offers by itself.
const TEST: &str = "test";

impl TestHost {
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
        description["x-plugin"] = TEST.into();
        self.world.borrow_mut().tools.push(OfferedTool { description, call: Rc::new(call) });
        self
    }

    /// A resource of another plugin, and how it is read.
    #[must_use]
    pub fn resource(self, resource: &Resource, read: impl Fn(&str) -> Result<ResourceResult, Error> + 'static) -> Self {
        let description = resource.to_value();
        rules::check_resource(&description, "uri");
        let item = offered(TEST, description, reader(read));
        self.world.borrow_mut().offers.resources.push(item);
        self
    }

    /// Resources of another plugin that have a template, and how they are read.
    #[must_use]
    pub fn resource_template(
        self,
        template: &ResourceTemplate,
        read: impl Fn(&str) -> Result<ResourceResult, Error> + 'static,
    ) -> Self {
        let description = template.to_value();
        rules::check_resource(&description, "uriTemplate");
        let item = offered(TEST, description, reader(read));
        self.world.borrow_mut().offers.templates.push(item);
        self
    }

    /// A prompt of another plugin, and what becomes of its arguments.
    #[must_use]
    pub fn prompt(self, prompt: &Prompt, get: impl Fn(Value) -> Result<PromptResult, Error> + 'static) -> Self {
        let description = prompt.to_value();
        rules::check_prompt(&description);
        let call: ItemCall = Rc::new(move |name, arguments| {
            let result = get(arguments).map_err(|error| offering::failure(name, &error))?;
            serde_json::to_value(&result).map_err(|fault| CatalogueError::Other(fault.to_string()))
        });
        self.world.borrow_mut().offers.prompts.push(offered(TEST, description, call));
        self
    }

    /// How arguments of a prompt or resource template of another plugin are completed.
    #[must_use]
    pub fn completion(self, of: Completed, complete: impl Fn(&Completing) -> Completion + 'static) -> Self {
        let complete = Rc::new(move |asked: &Completing| Ok(complete(asked)));
        self.world.borrow_mut().offers.completions.push((of, complete));
        self
    }

    /// All tools of another plugin.
    #[must_use]
    pub fn tools_of<P: Plugin>(mut self) -> Self {
        let plugin = rules::name_of(&rules::checked_manifest::<P>());
        for mut description in self.list_tools::<P>() {
            description["x-plugin"] = plugin.clone().into();
            let described = description.clone();
            let call = move |arguments| offering::tool_within_call::<P>(&described, &arguments);
            self.world.borrow_mut().tools.push(OfferedTool { description, call: Rc::new(call) });
        }
        self
    }

    /// All that another plugin's manifest says it offers: tools, resources, prompts and completions.
    #[must_use]
    pub fn offers_of<P: Plugin>(mut self) -> Self {
        let manifest = rules::checked_manifest::<P>();
        let plugin = rules::name_of(&manifest);
        if manifest["tools"] == true {
            self = self.tools_of::<P>();
        }
        if manifest["resources"] == true {
            let read: ItemCall = Rc::new(|uri, _| offering::resource_within_call::<P>(uri));
            let resources = self.list_resources::<P>().into_iter();
            let resources = resources.map(|description| offered(&plugin, description, read.clone()));
            self.world.borrow_mut().offers.resources.extend(resources.collect::<Vec<_>>());
            let templates = self.list_resource_templates::<P>().into_iter();
            let templates = templates.map(|description| offered(&plugin, description, read.clone()));
            self.world.borrow_mut().offers.templates.extend(templates.collect::<Vec<_>>());
        }
        if manifest["prompts"] == true {
            let get: ItemCall = Rc::new(|name, arguments| offering::prompt_within_call::<P>(name, &arguments));
            let prompts = self.list_prompts::<P>().into_iter();
            let prompts = prompts.map(|description| offered(&plugin, description, get.clone()));
            self.world.borrow_mut().offers.prompts.extend(prompts.collect::<Vec<_>>());
        }
        if manifest["completions"] == true {
            let mut world = self.world.borrow_mut();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let prompts = world.offers.prompts.iter().map(|prompt| (&prompt.description, "name"));
            let templates = world.offers.templates.iter().map(|template| (&template.description, "uriTemplate"));
            let own = prompts.chain(templates).filter(|(description, _)| description["x-plugin"] == *plugin);
            let completed: Vec<Completed> = own
                .map(|(description, key)| match key {
                    "name" => Completed::Prompt(text(&description[key])),
                    _ => Completed::ResourceTemplate(text(&description[key])),
                })
                .collect();
            for of in completed {
                world.offers.completions.push((of, Rc::new(offering::completion_within_call::<P>)));
            }
        }
        self
    }

    /// The catalogue fails in this way when it is asked for the item, which need not be offered.
    #[must_use]
    pub fn fails(self, what: Item, error: CatalogueError) -> Self {
        self.world.borrow_mut().offers.failures.push((what, error));
        self
    }

    /// What is offered depends on who asks.
    #[must_use]
    pub fn private_lists(self) -> Self {
        self.world.borrow_mut().offers.private = true;
        self
    }

    /// A request of the current user's session that another call is busy with, so that it can be met and cancelled.
    #[must_use]
    pub fn request_under_way(self, name: &str) -> Self {
        let key = (super::call::context_of(&self.caller).session_id, name.to_owned());
        self.world.borrow_mut().requests.insert(key, Open::UnderWay);
        self
    }

    /// The names of the requests of the current user's session that are not answered, and for how long they still
    /// stay open if a time was set.
    #[must_use]
    pub fn open_requests(&self) -> Vec<(String, Option<Duration>)> {
        let session = super::call::context_of(&self.caller).session_id;
        let world = self.world.borrow();
        let left = |open: &Open| match open {
            Open::UnderWay => None,
            Open::Left { how, .. } => how.until.map(|until| until.saturating_sub(world.now)),
        };
        let own = world.requests.iter().filter(|((of_session, _), _)| *of_session == session);
        own.map(|((_, name), open)| (name.clone(), left(open))).collect()
    }

    /// What the host answered because requests were left open for too long, since this was asked last.
    pub fn answered_by_host(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.world.borrow_mut().answered_by_host)
    }

    /// Something has changed for the current user: what the user's session is sent by whoever watches it.
    pub fn change(&mut self, what: &Subject) -> Vec<Sent> {
        let session = super::call::context_of(&self.caller).session_id;
        self.world.borrow().watchers(&session, what)
    }
}

fn offered(plugin: &str, mut description: Value, call: ItemCall) -> OfferedItem {
    description["x-plugin"] = plugin.into();
    OfferedItem { description, call }
}

fn reader(read: impl Fn(&str) -> Result<ResourceResult, Error> + 'static) -> ItemCall {
    Rc::new(move |uri, _| {
        let result = read(uri).map_err(|error| offering::failure(uri, &error))?;
        serde_json::to_value(&result).map_err(|fault| CatalogueError::Other(fault.to_string()))
    })
}
