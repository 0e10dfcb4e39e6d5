//! Versions of plugins: which are kept, which one serves whom, and how that is changed.
//!
//! What outlives the process are components by their content (`store`) and, for each plugin, what is
//! meant to serve (`lineage`, kept by `book`). The directory's file and an operator's deployment are two ways
//! to the same: see ADR 17. Everything that changes what serves is carried out by the supervisor's task
//! (`command`, `carry_out`, `install`, `judge`), one after the other, and told of (`audit`).

use std::{io, path::Path, sync::Arc};

use tokio::task::spawn_blocking;

use self::{book::Book, lineage::Lineage, store::VersionStore};
use super::operation::OperationError;

pub(crate) mod audit;
pub(crate) mod beside;
mod book;
mod carry_out;
pub(crate) mod command;
mod files;
mod install;
pub(crate) mod judge;
pub(crate) mod lineage;
mod operations;
pub(crate) mod share;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod verdict;

/// What is kept of plugins across restarts.
pub(crate) struct Archive {
    pub store: Arc<VersionStore>,
    book: Arc<Book>,
    /// What the last process left, until it has been taken up.
    remembered: Vec<(Arc<str>, Lineage)>,
    /// Whether there may be components that nobody needs.
    untidy: bool,
}

impl Archive {
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let (store, book) = (VersionStore::open(data_dir)?, Book::open(data_dir)?);
        let remembered = book.read()?;
        Ok(Self { store: Arc::new(store), book: Arc::new(book), remembered, untidy: true })
    }

    /// Names the plugins that had a file when the last process heard of them.
    pub fn with_files(&self) -> Vec<Arc<str>> {
        let had_file = self.remembered.iter().filter(|(_, lineage)| lineage.file.is_some());
        had_file.map(|(name, _)| name.clone()).collect()
    }

    /// Returns when there is no lineage on the disk.
    async fn remove(&self, plugin: &Arc<str>) -> Result<(), OperationError> {
        let (book, plugin) = (self.book.clone(), plugin.clone());
        match spawn_blocking(move || book.remove(&plugin)).await {
            Ok(removed) => removed.map_err(|fault| OperationError::NotStored(fault.to_string())),
            Err(crash) => Err(OperationError::NotStored(crash.to_string())),
        }
    }

    /// Returns when the lineage is on the disk.
    async fn save(&self, plugin: &Arc<str>, lineage: &Lineage) -> Result<(), OperationError> {
        let (book, plugin, lineage) = (self.book.clone(), plugin.clone(), lineage.clone());
        let written = spawn_blocking(move || book.write(&plugin, &lineage)).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(fault)) => Err(OperationError::NotStored(fault.to_string())),
            Err(crash) => Err(OperationError::NotStored(crash.to_string())),
        }
    }
}
