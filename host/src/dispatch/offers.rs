//! The host's side of what plugins offer.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};

use super::deliver::Deliver;
use crate::plugin::{
    effects::CallContext,
    offers::{CatalogueError, ChangeError, Item, ItemRequest, Kind, Listed, Offers, Span, Subject, Watch},
};

fn not_yet<T>() -> Result<T, CatalogueError> {
    Err(CatalogueError::Failed("the catalogue is not there".into()))
}

impl Offers for Deliver {
    fn list<'a>(&'a self, _: &'a CallContext, _: Kind) -> BoxFuture<'a, Result<Listed, CatalogueError>> {
        std::future::ready(not_yet()).boxed()
    }

    fn get<'a>(
        &'a self,
        _: &'a CallContext,
        _: &'a Item,
        _: ItemRequest,
    ) -> BoxFuture<'a, Result<String, CatalogueError>> {
        std::future::ready(not_yet()).boxed()
    }

    fn complete<'a>(
        &'a self,
        _: &'a CallContext,
        _: &'a Item,
        _: String,
        _: String,
        _: String,
    ) -> BoxFuture<'a, Result<String, CatalogueError>> {
        std::future::ready(not_yet()).boxed()
    }

    fn watch<'a>(&'a self, context: &'a CallContext, watch: Watch) -> BoxFuture<'a, Result<(), ChangeError>> {
        self.begin_watch(context, watch).boxed()
    }

    fn unwatch(&self, context: &CallContext, of: &Subject, during: Span) -> bool {
        self.end_watch(context, of, during)
    }

    fn changed(&self, plugin: &Arc<str>, what: Subject) -> Result<(), ChangeError> {
        self.offer_changed(plugin, what);
        Ok(())
    }
}
