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
