//! What other plugins offer beside tools, and how it is found.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use serde_json::Value;

use super::{OfferedTool, World};
use crate::{
    CatalogueError, Completed, Completing, Completion, Item, Kind, Listing, Notice, Severity, ToolError, testing::rules,
};

/// Takes the name or URI, and the arguments.
pub(in crate::testing) type ItemCall = Rc<dyn Fn(&str, Value) -> Result<Value, CatalogueError>>;

pub(in crate::testing) type Complete = Rc<dyn Fn(&Completing) -> Result<Completion, CatalogueError>>;

#[derive(Clone)]
pub(in crate::testing) struct OfferedItem {
    pub description: Value,
    pub call: ItemCall,
}

#[derive(Default)]
pub(in crate::testing) struct Offers {
    pub resources: Vec<OfferedItem>,
    pub templates: Vec<OfferedItem>,
    pub prompts: Vec<OfferedItem>,
    pub completions: Vec<(Completed, Complete)>,
    /// What the caller gets in place of an item.
    pub failures: Vec<(Item, CatalogueError)>,
    pub private: bool,
}

/// What is sent beside the arguments; all but the state are texts of JSON objects.
#[derive(Debug, Clone)]
pub(in crate::testing) struct Inputs {
    pub responses: String,
    pub state: Option<String>,
    pub client_capabilities: String,
    pub meta: String,
}

impl Default for Inputs {
    fn default() -> Self {
        let empty = || "{}".to_owned();
        Self { responses: empty(), state: None, client_capabilities: empty(), meta: empty() }
    }
}

/// What whoever asked for an item wants to be told meanwhile.
#[derive(Clone, Default)]
pub(in crate::testing) struct Notices {
    pub on_progress: Option<Notice>,
    pub on_log: Option<(Severity, Notice)>,
}

impl Offers {
    /// What reads a URI: a resource that is listed, else the first template that it fits.
    pub fn reader_of(&self, uri: &str) -> Option<ItemCall> {
        let listed = self.resources.iter().find(|resource| resource.description["uri"] == uri);
        let fits = |template: &&OfferedItem| {
            template.description["uriTemplate"].as_str().is_some_and(|template| rules::fits_template(template, uri))
        };
        listed.or_else(|| self.templates.iter().find(fits)).map(|item| item.call.clone())
    }

    pub fn has_prompt(&self, name: &str) -> bool {
        self.prompts.iter().any(|prompt| prompt.description["name"] == name)
    }

    pub fn has_template(&self, template: &str) -> bool {
        self.templates.iter().any(|offered| offered.description["uriTemplate"] == template)
    }

    pub fn completer_of(&self, what: &Completed) -> Option<Complete> {
        self.completions.iter().find(|(of, _)| of == what).map(|(_, complete)| complete.clone())
    }
}

impl OfferedTool {
    /// The same call in the words of the catalogue.
    pub fn as_item(&self) -> ItemCall {
        let call = self.call.clone();
        Rc::new(move |_, arguments| {
            let result = call(arguments)?;
            serde_json::to_value(&result).map_err(|fault| CatalogueError::Other(fault.to_string()))
        })
    }
}

impl From<ToolError> for CatalogueError {
    fn from(error: ToolError) -> Self {
        match error {
            ToolError::UnknownTool(name) => Self::Unknown(name),
            ToolError::InvalidArguments(text) => Self::InvalidArguments(text),
            ToolError::Forbidden(reason) => Self::Forbidden(crate::Forbidden { reason, missing_scopes: Vec::new() }),
            ToolError::Failed(text) => Self::Failed(text),
            ToolError::Timeout => Self::Timeout,
            ToolError::Cycle(text) => Self::Cycle(text),
            ToolError::Other(text) => Self::Other(text),
        }
    }
}

impl World {
    pub fn list(&self, of: Kind) -> Listing {
        let descriptions = |items: &[OfferedItem]| items.iter().map(|item| item.description.clone()).collect();
        let (mut items, key): (Vec<Value>, &str) = match of {
            Kind::Tools => (self.tools.iter().map(|tool| tool.description.clone()).collect(), "name"),
            Kind::Resources => (descriptions(&self.offers.resources), "uri"),
            Kind::ResourceTemplates => (descriptions(&self.offers.templates), "uriTemplate"),
            Kind::Prompts => (descriptions(&self.offers.prompts), "name"),
        };
        items.sort_by(|one, other| one[key].as_str().cmp(&other[key].as_str()));
        let items = Value::Array(items).to_string();
        let mut hasher = DefaultHasher::new();
        items.hash(&mut hasher);
        Listing { items, generation: format!("{:016x}", hasher.finish()), private: self.offers.private }
    }
}
