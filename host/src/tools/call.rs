//! One use of an item: found, allowed, counted, called, and what came back checked.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::Instrument as _;

use super::{
    Found, Toolbox,
    entry::{What, prompt},
    failure,
    result::{self, Outcome},
    rights, uri,
    usage::{Exceeded, Key, Running},
};
use crate::{
    config::item_rule::ItemRule,
    plugin::{
        Registry,
        effects::{CallContext, ToolError},
        json_object,
        offers::{CatalogueError, Inputs, Item, ItemRequest, Kind, Notices},
    },
};

impl Toolbox {
    /// Calls a tool, reads a resource or gets a prompt, by the name that the list has for it. The result is the JSON
    /// object that the plugin gave.
    pub async fn get(
        &self,
        registry: &Registry,
        context: &CallContext,
        what: &Item,
        request: ItemRequest,
    ) -> Result<String, CatalogueError> {
        self.get_with_outcome(registry, context, what, request).await.map(|(text, _)| text)
    }

    /// Calls a tool on behalf of a plugin that knows nothing of questions to the user.
    pub async fn call(
        &self,
        registry: &Registry,
        context: &CallContext,
        name: &str,
        arguments: String,
    ) -> Result<String, ToolError> {
        let what = Item::Tool(name.to_owned());
        let request = ItemRequest { arguments, inputs: Arc::new(Inputs::default()), notices: Notices::default() };
        match self.get_with_outcome(registry, context, &what, request).await? {
            (text, Outcome::Complete | Outcome::ToolError) => Ok(text),
            (_, Outcome::InputRequired) => Err(ToolError::Failed(format!(
                "the tool {name:?} wants to ask the user something first, which cannot be done from here; do without it"
            ))),
        }
    }

    async fn get_with_outcome(
        &self,
        registry: &Registry,
        context: &CallContext,
        what: &Item,
        request: ItemRequest,
    ) -> Result<(String, Outcome), CatalogueError> {
        let found = self.find(registry, context, what).await?;
        let method = match what {
            Item::Tool(_) => "tools/call",
            Item::Resource(_) | Item::ResourceTemplate(_) => "resources/read",
            Item::Prompt(_) => "prompts/get",
        };
        let version = found.version.clone();
        let mut record = self.records.begin(version, context, what, method, &request.arguments);
        let span = record.span();
        let result = self.get_found(&found, context, what, request).instrument(span).await;
        let (outcome, result) = match result {
            Ok((text, outcome)) => (Ok(outcome), Ok((text, outcome))),
            Err(fault) => (Err(fault.clone()), Err(fault)),
        };
        record.end(&outcome);
        result
    }

    /// What is offered to the caller, or hidden from them for their rights.
    pub(super) async fn find(
        &self,
        registry: &Registry,
        context: &CallContext,
        what: &Item,
    ) -> Result<Found, CatalogueError> {
        let (kind, name) = match what {
            Item::Tool(name) => (Kind::Tools, name),
            Item::Resource(uri) => (Kind::Resources, uri),
            Item::Prompt(name) => (Kind::Prompts, name),
            Item::ResourceTemplate(template) => (Kind::ResourceTemplates, template),
        };
        let unknown = || CatalogueError::Unknown(name.clone());
        let mut offered = self.catalogue(registry, context, kind).await?.get(name).cloned();
        if offered.is_none() && kind == Kind::Resources && uri::check(name).is_ok() {
            let templates = self.catalogue(registry, context, Kind::ResourceTemplates).await?;
            offered = templates.template_for(name).cloned();
        }
        let offered = offered.ok_or_else(unknown)?;
        let version = offered.version.upgrade().ok_or_else(unknown)?;
        Ok(Found { version, offered })
    }

    async fn get_found(
        &self,
        found: &Found,
        context: &CallContext,
        what: &Item,
        request: ItemRequest,
    ) -> Result<(String, Outcome), CatalogueError> {
        refuse_circle(&context.chain, &found.version.name)?;
        let rules = self.check_rights(found, context, what)?;
        let _running =
            rules.iter().map(|rule| self.begin(found, context, what, rule)).collect::<Result<Vec<_>, _>>()?;
        let ItemRequest { arguments, inputs, notices } = request;
        check_arguments(found, &arguments)?;
        let deadline = rules.iter().filter_map(|rule| rule.timeout).fold(context.deadline, earlier);
        let onward = CallContext { inputs, notices, deadline, ..context.clone() };
        let (version, entry) = (&found.version, &found.offered.entry);
        let called = match what {
            Item::Tool(_) => version.call_tool(onward, &entry.name, arguments).await,
            Item::Prompt(_) => version.get_prompt(onward, &entry.name, arguments).await,
            Item::Resource(uri) => version.read_resource(onward, uri).await,
            Item::ResourceTemplate(_) => {
                let reason = "a template is not read itself; read a URI that it describes";
                return Err(CatalogueError::InvalidArguments(reason.into()));
            }
        };
        let text = called.map_err(|fault| failure::in_words(what, &fault))?;
        let outcome = match &entry.what {
            What::Tool(tool) => result::of_tool(tool, &text),
            What::Prompt(_) => result::of_prompt(&text),
            What::Resource | What::Template(_) => result::of_resource(&text),
        };
        match outcome {
            Ok(outcome) => Ok((text, outcome)),
            Err(problem) => {
                tracing::warn!(problem, "what a plugin gave is no result");
                let told = format!("{} gave what is no result: {problem}; do without it", failure::named(what));
                Err(CatalogueError::Failed(told))
            }
        }
    }

    /// The rules that the caller fulfils, or which scopes they lack.
    pub(super) fn check_rights(
        &self,
        found: &Found,
        context: &CallContext,
        what: &Item,
    ) -> Result<Vec<Arc<ItemRule>>, CatalogueError> {
        let rules = self.rules_for(found, what);
        rights::check(what, rules.iter().map(Arc::as_ref), &context.caller.principal)?;
        Ok(rules)
    }

    /// The rules for an item. What is read by a template has to be allowed as what it is, too.
    fn rules_for(&self, found: &Found, what: &Item) -> Vec<Arc<ItemRule>> {
        let mut rules: Vec<Arc<ItemRule>> = found.offered.rule.iter().cloned().collect();
        if let (Item::Resource(uri), What::Template(_)) = (what, &found.offered.entry.what)
            && let Some(own) = self.rules(Kind::Resources).of_uri(uri)
            && !rules.contains(own)
        {
            rules.push(own.clone());
        }
        rules
    }

    fn begin(
        &self,
        found: &Found,
        context: &CallContext,
        what: &Item,
        rule: &ItemRule,
    ) -> Result<Running, CatalogueError> {
        let item = match what {
            Item::Tool(_) => format!("tool {}__{}", found.offered.plugin, found.offered.entry.name),
            Item::Prompt(_) => format!("prompt {}__{}", found.offered.plugin, found.offered.entry.name),
            // Of URIs there is no end.
            Item::Resource(_) | Item::ResourceTemplate(_) => format!("resources {rule}"),
        };
        let principal = &context.caller.principal;
        let key = Key { tenant: principal.tenant.clone(), subject: principal.subject.clone(), item };
        self.usage.begin(key, rule, Instant::now()).map_err(|exceeded| limited(what, &exceeded))
    }
}

fn limited(what: &Item, exceeded: &Exceeded) -> CatalogueError {
    CatalogueError::Limited {
        reason: format!("{} is used too much: {}", failure::named(what), exceeded.reason),
        // Rounded up, so that who waits for it does not come too early.
        retry_after_ms: u32::try_from(exceeded.retry_after.as_millis() + 1).unwrap_or(u32::MAX),
    }
}

fn earlier(deadline: Instant, within: Duration) -> Instant {
    Instant::now().checked_add(within).map_or(deadline, |end| deadline.min(end))
}

pub(super) fn refuse_circle(chain: &[Arc<str>], plugin: &Arc<str>) -> Result<(), CatalogueError> {
    if !chain.contains(plugin) {
        return Ok(());
    }
    Err(CatalogueError::Cycle(format!("calls go in a circle: {} > {plugin}", chain.join(" > "))))
}

fn check_arguments(found: &Found, arguments: &str) -> Result<(), CatalogueError> {
    let invalid = |problem: String| CatalogueError::InvalidArguments(problem);
    json_object::check(arguments).map_err(|problem| invalid(format!("the arguments: {problem}")))?;
    match &found.offered.entry.what {
        What::Tool(tool) => tool
            .check_arguments(arguments)
            .map_err(|fault| invalid(format!("the arguments do not fit the inputSchema at {fault}"))),
        What::Prompt(known) => prompt::check(known, arguments)
            .map_err(|fault| invalid(format!("the arguments do not fit the prompt at {fault}"))),
        What::Resource | What::Template(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_of_calls_is_refused_and_named() {
        let chain: Vec<Arc<str>> = ["agent", "notes"].map(Into::into).to_vec();
        assert!(refuse_circle(&chain, &"tools".into()).is_ok());
        let fault = refuse_circle(&chain, &"agent".into()).unwrap_err();
        assert_eq!(fault.to_string(), "calls go in a circle: agent > notes > agent");
    }

    #[test]
    fn who_waits_as_long_as_told_does_not_come_too_early() {
        let exceeded = Exceeded { reason: "5/s".into(), retry_after: Duration::from_micros(1_500) };
        let CatalogueError::Limited { reason, retry_after_ms } = limited(&Item::Tool("t".into()), &exceeded) else {
            panic!("another fault")
        };
        assert_eq!((reason.as_str(), retry_after_ms), ("the tool \"t\" is used too much: 5/s", 2));
    }
}
