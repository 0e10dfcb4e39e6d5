//! `catalogue`: what all plugins offer, with the caller's rights and what is left of its deadline.

use std::sync::Arc;

use super::{
    super::{
        bindings::catalogue::{
            CatalogueError as GuestError, Forbidden, Host, Item as GuestItem, Kind as GuestKind, Limited, Listing,
            Notice as GuestNotice, Request,
        },
        call_state::CallState,
        json_object,
        offers::{CatalogueError, Inputs, Item, ItemRequest, Kind, Notice, Notices},
    },
    messages::sendable_type,
};

impl Host for CallState {
    async fn list(&mut self, of: GuestKind) -> Result<Listing, GuestError> {
        let context = self.onward_within_depth().map_err(GuestError::Cycle)?;
        let effects = context.effects.clone();
        let offers = effects.offers().ok_or_else(nobody)?;
        // The other plugins have CPU time of their own; they must not use up this one's.
        let listed = self.meter.without(offers.list(&context, of.into())).await?;
        Ok(Listing {
            items: listed.items.to_string(),
            generation: listed.generation.to_string(),
            private: listed.private,
        })
    }

    async fn get(&mut self, what: GuestItem, how: Request) -> Result<String, GuestError> {
        let what = Item::from(what);
        self.check_granted(&what)?;
        let request = item_request(how)?;
        let context = self.onward_within_depth().map_err(GuestError::Cycle)?;
        let effects = context.effects.clone();
        let offers = effects.offers().ok_or_else(nobody)?;
        Ok(self.meter.without(offers.get(&context, &what, request)).await?)
    }

    async fn complete(
        &mut self,
        what: GuestItem,
        argument: String,
        value: String,
        known: String,
    ) -> Result<String, GuestError> {
        let what = Item::from(what);
        check("known", &known)?;
        let context = self.onward_within_depth().map_err(GuestError::Cycle)?;
        let effects = context.effects.clone();
        let offers = effects.offers().ok_or_else(nobody)?;
        Ok(self.meter.without(offers.complete(&context, &what, argument, value, known)).await?)
    }
}

impl CallState {
    /// `grants.tools` bounds what a plugin may call here as it does in `toolbox`.
    fn check_granted(&self, what: &Item) -> Result<(), GuestError> {
        let Item::Tool(name) = what else { return Ok(()) };
        if self.may_call_tool(name) {
            return Ok(());
        }
        let reason = "this plugin's `grants.tools` do not name the tool".to_owned();
        Err(GuestError::Forbidden(Forbidden { reason, missing_scopes: Vec::new() }))
    }
}

fn nobody() -> GuestError {
    let reason = "this call has no caller with whose rights anything could be used".to_owned();
    GuestError::Forbidden(Forbidden { reason, missing_scopes: Vec::new() })
}

fn check(what: &str, text: &str) -> Result<(), GuestError> {
    json_object::check(text).map_err(|problem| GuestError::InvalidArguments(format!("`{what}`: {problem}")))
}

fn item_request(how: Request) -> Result<ItemRequest, GuestError> {
    check("arguments", &how.arguments)?;
    check("responses", &how.responses)?;
    check("client-capabilities", &how.client_capabilities)?;
    check("meta", &how.meta)?;
    let on_log = match how.on_log {
        Some((least, wanted)) => Some((least.into(), notice(wanted)?)),
        None => None,
    };
    let inputs = Inputs {
        responses: how.responses,
        state: how.state,
        client_capabilities: how.client_capabilities,
        meta: how.meta,
    };
    Ok(ItemRequest {
        arguments: how.arguments,
        inputs: Arc::new(inputs),
        notices: Notices { on_progress: how.on_progress.map(notice).transpose()?, on_log },
    })
}

fn notice(wanted: GuestNotice) -> Result<Arc<Notice>, GuestError> {
    let invalid = |problem: String| GuestError::InvalidArguments(format!("a notice: {problem}"));
    let message_type = sendable_type(&wanted.type_).map_err(invalid)?;
    json_object::check(&wanted.payload).map_err(invalid)?;
    let payload: serde_json::Value =
        serde_json::from_str(&wanted.payload).map_err(|fault| invalid(fault.to_string()))?;
    if !payload.pointer(&wanted.into).is_some_and(serde_json::Value::is_object) {
        return Err(invalid(format!("its payload has no object at {:?}", wanted.into)));
    }
    Ok(Arc::new(Notice { message_type, payload, into: wanted.into }))
}

impl From<GuestKind> for Kind {
    fn from(kind: GuestKind) -> Self {
        match kind {
            GuestKind::Tools => Self::Tools,
            GuestKind::Resources => Self::Resources,
            GuestKind::ResourceTemplates => Self::ResourceTemplates,
            GuestKind::Prompts => Self::Prompts,
        }
    }
}

impl From<GuestItem> for Item {
    fn from(item: GuestItem) -> Self {
        match item {
            GuestItem::Tool(name) => Self::Tool(name),
            GuestItem::Resource(uri) => Self::Resource(uri),
            GuestItem::Prompt(name) => Self::Prompt(name),
            GuestItem::ResourceTemplate(template) => Self::ResourceTemplate(template),
        }
    }
}

impl From<CatalogueError> for GuestError {
    fn from(fault: CatalogueError) -> Self {
        match fault {
            CatalogueError::Unknown(name) => Self::Unknown(name),
            CatalogueError::InvalidArguments(text) => Self::InvalidArguments(text),
            CatalogueError::Forbidden { reason, missing_scopes } => {
                Self::Forbidden(Forbidden { reason, missing_scopes })
            }
            CatalogueError::Limited { reason, retry_after_ms } => Self::Limited(Limited { reason, retry_after_ms }),
            CatalogueError::Failed(text) => Self::Failed(text),
            CatalogueError::Timeout => Self::Timeout,
            CatalogueError::Cycle(text) => Self::Cycle(text),
        }
    }
}
