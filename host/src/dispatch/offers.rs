//! The host's side of what plugins offer.

use std::sync::Arc;

use futures_util::{FutureExt as _, future::BoxFuture};

use super::deliver::Deliver;
use crate::plugin::{
    effects::CallContext,
    offers::{CatalogueError, ChangeError, Item, ItemRequest, Kind, Listed, Offers, Span, Subject, Watch},
};

impl Offers for Deliver {
    fn list<'a>(&'a self, context: &'a CallContext, of: Kind) -> BoxFuture<'a, Result<Listed, CatalogueError>> {
        Box::pin(async move { self.toolbox.list(&self.plugins.registry(), context, of).await })
    }

    fn get<'a>(
        &'a self,
        context: &'a CallContext,
        what: &'a Item,
        request: ItemRequest,
    ) -> BoxFuture<'a, Result<String, CatalogueError>> {
        Box::pin(async move { self.toolbox.get(&self.plugins.registry(), context, what, request).await })
    }

    fn complete<'a>(
        &'a self,
        context: &'a CallContext,
        what: &'a Item,
        argument: String,
        value: String,
        known: String,
    ) -> BoxFuture<'a, Result<String, CatalogueError>> {
        Box::pin(async move {
            self.toolbox.complete(&self.plugins.registry(), context, what, &argument, &value, known).await
        })
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
