//! The four lists, page by page, as the catalogue has them for the caller.

use serde::Deserialize;
use switchboard_sdk::{Context, Error, Kind};

use crate::{
    Settings,
    rpc::Fault,
    text::{Members, to_raw},
};

/// The host's own addition, which MCP does not know.
const HOST_MEMBER: &str = "x-plugin";

#[derive(Deserialize)]
pub(crate) struct ListParams {
    cursor: Option<String>,
}

pub(crate) struct Page {
    kind: Kind,
    pub items: Vec<Members>,
    next_cursor: Option<String>,
    /// Whether the list depends on who asks.
    pub private: bool,
}

impl Page {
    pub(crate) fn into_members(self) -> Result<Members, Fault> {
        let mut members = Members::new();
        members.insert(member(self.kind).to_owned(), to_raw(&self.items)?);
        if let Some(cursor) = &self.next_cursor {
            members.insert("nextCursor".to_owned(), to_raw(cursor)?);
        }
        Ok(members)
    }
}

pub(crate) fn page(ctx: &Context, settings: &Settings, kind: Kind, asked: ListParams) -> Result<Page, Fault> {
    let listing = ctx.catalogue().list(kind).map_err(|error| Fault::internal(Error::from(error).message))?;
    let mut items: Vec<Members> = serde_json::from_str(&listing.items).map_err(Fault::internal)?;
    for item in &mut items {
        item.remove(HOST_MEMBER);
    }
    let first = match &asked.cursor {
        None => 0,
        Some(cursor) => position(cursor, kind, &listing.generation, items.len())?,
    };
    let end = items.len().min(first + settings.page_size.max(1));
    let next_cursor = (end < items.len()).then(|| format!("{}.{end}.{}", member(kind), listing.generation));
    items.truncate(end);
    items.drain(..first);
    Ok(Page { kind, items, next_cursor, private: listing.private })
}

/// A cursor names the list that it is of: in another one it would skip entries, or show them twice.
fn position(cursor: &str, kind: Kind, generation: &str, length: usize) -> Result<usize, Fault> {
    let parsed = cursor
        .split_once('.')
        .filter(|(of, _)| *of == member(kind))
        .and_then(|(_, rest)| rest.split_once('.'))
        .and_then(|(position, of)| Some((position.parse::<usize>().ok()?, of)));
    match parsed {
        Some((_, of)) if of != generation => {
            Err(Fault::invalid_params("the list has changed since this `cursor`: ask for it again from the start"))
        }
        Some((position, _)) if (1..length).contains(&position) => Ok(position),
        _ => Err(Fault::invalid_params("this `cursor` did not come from this server, or is of another list")),
    }
}

/// The member of the result that has the list.
fn member(kind: Kind) -> &'static str {
    match kind {
        Kind::Tools => "tools",
        Kind::Resources => "resources",
        Kind::ResourceTemplates => "resourceTemplates",
        Kind::Prompts => "prompts",
    }
}
