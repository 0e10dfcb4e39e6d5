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

    fn watch<'a>(&'a self, _: &'a CallContext, _: Watch) -> BoxFuture<'a, Result<(), ChangeError>> {
        std::future::ready(Ok(())).boxed()
    }

    fn unwatch(&self, _: &CallContext, _: &Subject, _: Span) -> bool {
        false
    }

    fn changed(&self, _: &Arc<str>, _: Subject) -> Result<(), ChangeError> {
        Ok(())
    }
}
