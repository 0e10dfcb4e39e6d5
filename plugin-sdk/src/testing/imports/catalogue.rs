//! `catalogue`: what the test says that other plugins offer, with the checks of the real host.

use serde_json::Value;

use super::{progress, with};
use crate::{
    CatalogueError, Completed, Completing, Item, ItemRequest, Kind, Listing,
    testing::{
        call::within_call,
        rules,
        world::offers::{Inputs, ItemCall, Notices},
    },
};

pub(crate) fn list(of: Kind) -> Result<Listing, CatalogueError> {
    with(|world| Ok(world.list(of)))
}

pub(crate) fn get(what: &Item, how: &ItemRequest) -> Result<String, CatalogueError> {
    let arguments = check("arguments", &how.arguments)?;
    for (name, text) in
        [("responses", &how.responses), ("client-capabilities", &how.client_capabilities), ("meta", &how.meta)]
    {
        check(name, text)?;
    }
    for notice in how.on_progress.iter().chain(how.on_log.iter().map(|(_, notice)| notice)) {
        progress::check(notice).map_err(|fault| CatalogueError::InvalidArguments(format!("a notice: {fault}")))?;
    }
    let call = with(|world| find(world, what, &arguments))?;
    let inputs = Inputs {
        responses: how.responses.clone(),
        state: how.state.clone(),
        client_capabilities: how.client_capabilities.clone(),
        meta: how.meta.clone(),
    };
    let notices = Notices { on_progress: how.on_progress.clone(), on_log: how.on_log.clone() };
    // Without a borrow of the world: whoever offers it may call the host itself.
    within_call(inputs, notices, || call(arguments)).map(|result| result.to_string())
}

/// An item that needs nothing but its arguments.
type Bound = Box<dyn Fn(Value) -> Result<Value, CatalogueError>>;

/// What gets the item, if its arguments fit.
fn find(world: &mut super::World, what: &Item, arguments: &Value) -> Result<Bound, CatalogueError> {
    if let Some((_, failure)) = world.offers.failures.iter().find(|(item, _)| item == what) {
        return Err(failure.clone());
    }
    let bound = |call: ItemCall, name: &str| -> Bound {
        let name = name.to_owned();
        Box::new(move |arguments| call(&name, arguments))
    };
    match what {
        Item::Tool(name) => {
            let tool = world.tools.iter().find(|tool| tool.description["name"] == **name).cloned();
            let tool = tool.ok_or_else(|| CatalogueError::Unknown(name.clone()))?;
            rules::check_schema(&tool.description["inputSchema"], arguments)
                .map_err(CatalogueError::InvalidArguments)?;
            Ok(bound(tool.as_item(), name))
        }
        Item::Resource(uri) => {
            let read = world.offers.reader_of(uri).ok_or_else(|| CatalogueError::Unknown(uri.clone()))?;
            Ok(bound(read, uri))
        }
        Item::Prompt(name) => {
            let prompt = world.offers.prompts.iter().find(|prompt| prompt.description["name"] == **name).cloned();
            let prompt = prompt.ok_or_else(|| CatalogueError::Unknown(name.clone()))?;
            rules::check_prompt_arguments(&prompt.description, arguments).map_err(CatalogueError::InvalidArguments)?;
            Ok(bound(prompt.call, name))
        }
        Item::ResourceTemplate(template) => {
            Err(CatalogueError::Other(format!("a resource template can only be completed, and {template:?} is one")))
        }
    }
}

pub(crate) fn complete(what: &Item, argument: &str, value: &str, known: &str) -> Result<String, CatalogueError> {
    let known = match check("known", known)? {
        Value::Object(known) => known,
        _ => serde_json::Map::new(),
    };
    let (offered, asked) = match what {
        Item::Prompt(name) => (with(|world| world.offers.has_prompt(name)), Completed::Prompt(name.clone())),
        Item::ResourceTemplate(template) => {
            (with(|world| world.offers.has_template(template)), Completed::ResourceTemplate(template.clone()))
        }
        Item::Tool(name) | Item::Resource(name) => return Err(CatalogueError::Unknown(name.clone())),
    };
    if !offered {
        let (Item::Prompt(name) | Item::ResourceTemplate(name) | Item::Tool(name) | Item::Resource(name)) = what;
        return Err(CatalogueError::Unknown(name.clone()));
    }
    let asked = Completing { what: asked, argument: argument.to_owned(), value: value.to_owned(), known };
    let complete = with(|world| world.offers.completer_of(&asked.what));
    let completion = match complete {
        Some(complete) => within_call(Inputs::default(), Notices::default(), || complete(&asked))?,
        None => crate::Completion::default(),
    };
    serde_json::to_string(&completion).map_err(|fault| CatalogueError::Other(fault.to_string()))
}

fn check(what: &str, text: &str) -> Result<Value, CatalogueError> {
    rules::object(text).map_err(|fault| CatalogueError::InvalidArguments(format!("`{what}`: {fault}")))
}
