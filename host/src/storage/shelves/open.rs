//! From a file that some process left to one that can be believed: repaired after a crash, checked, of a
//! format that is known, and no larger than it has to be.

use std::{
    fs, io,
    path::Path,
    sync::Arc,
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use redb::{Builder, Database, DatabaseError, ReadableDatabase as _, StorageError};

use super::{DUE, FILE_NAME, Fallible, GROUPS, META, ROWS, SHELVES, ShelfFile, boxed};
use crate::storage::{StoreError, aside, guarded, private_file};

/// Of the tables and their rows.
const FORMAT: u32 = 1;

const FORMAT_KEY: &str = "format";

/// For pages, of which redb would otherwise use up to a gigabyte. The shelves in use are in the host's own
/// cache; this holds the inner nodes of the trees.
const CACHE_BYTES: usize = 16 << 20;

/// A smaller file is not worth the time that it takes to compact it.
const COMPACT_FROM: u64 = 64 << 20;

/// It is compacted if so many times as large as what is in it.
const COMPACT_FACTOR: u64 = 2;

/// Why the content of a file is not believed.
#[derive(Debug, thiserror::Error)]
enum Unbelievable {
    #[error("{0}")]
    Database(Box<redb::Error>),
    #[error("its checksums do not fit")]
    Checksums,
    #[error("the database panicked: {0}")]
    Panicked(String),
}

impl ShelfFile {
    /// Opens the file of a data folder, or makes it. One that is damaged is set aside, with a line in the
    /// log, and an empty one takes its place.
    ///
    /// # Errors
    ///
    /// Another process has it, it comes from a newer version, or the folder or the disk cannot be used. It is as it
    /// was then.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        let database = match open(&path) {
            Ok(database) => database,
            Err(Refused::Usable(fault)) => return Err(fault),
            Err(Refused::Damaged(fault)) => {
                aside::set_aside(&path, &fault, "what plugins remembered for users and for themselves is lost")
                    .map_err(|fault| StoreError::Io { path: path.clone(), fault })?;
                open(&path).map_err(|refused| refused.into_error(&path))?
            }
        };
        Ok(Self { path, database: RwLock::new(Some(database)) })
    }

    /// Opens it anew after the disk has failed, since redb does nothing more after that.
    pub fn open_again(&self) -> Result<(), StoreError> {
        let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
        // Two of them never have the file at the same time.
        if let Err(message) = guarded(|| drop(database.take())) {
            return Err(StoreError::Panicked { path: self.path.clone(), message });
        }
        *database = Some(open(&self.path).map_err(|refused| refused.into_error(&self.path))?);
        Ok(())
    }
}

/// Why a file could not be opened.
enum Refused {
    /// There is nothing wrong with its content.
    Usable(StoreError),
    Damaged(Unbelievable),
}

impl Refused {
    fn into_error(self, path: &Path) -> StoreError {
        let path = path.to_owned();
        match self {
            Self::Usable(fault) => fault,
            Self::Damaged(Unbelievable::Database(fault)) => StoreError::Database { path, fault },
            Self::Damaged(Unbelievable::Panicked(message)) => StoreError::Panicked { path, message },
            Self::Damaged(Unbelievable::Checksums) => StoreError::Damaged { path, what: "its checksums do not fit" },
        }
    }

    fn from_database(path: &Path, fault: DatabaseError) -> Self {
        let path = path.to_owned();
        match fault {
            DatabaseError::DatabaseAlreadyOpen => Self::Usable(StoreError::InUse { path }),
            DatabaseError::Storage(StorageError::Io(fault)) if !is_about_content(&fault) => {
                Self::Usable(StoreError::Io { path, fault })
            }
            fault => Self::Damaged(Unbelievable::Database(boxed(fault))),
        }
    }
}

/// Whether the disk did what it was asked for, and what came was wrong.
fn is_about_content(fault: &io::Error) -> bool {
    matches!(fault.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::Other)
}

fn open(path: &Path) -> Result<Database, Refused> {
    let begun = Instant::now();
    let io = |fault| Refused::Usable(StoreError::Io { path: path.to_owned(), fault });
    // Private from its first byte on.
    drop(private_file(path).map_err(io)?);
    let repaired = Arc::new(AtomicBool::new(false));
    let database = guarded(|| open_checked(path, &repaired))
        .map_err(|message| Refused::Damaged(Unbelievable::Panicked(message)))??;
    tracing::info!(
        path = %path.display(),
        bytes = fs::metadata(path).map_or(0, |metadata| metadata.len()),
        repaired = repaired.load(Ordering::Relaxed),
        took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "opened what plugins remember"
    );
    Ok(database)
}

fn open_checked(path: &Path, repaired: &Arc<AtomicBool>) -> Result<Database, Refused> {
    let note = repaired.clone();
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES).set_repair_callback(move |_| note.store(true, Ordering::Relaxed));
    let mut database = builder.create(path).map_err(|fault| Refused::from_database(path, fault))?;
    // A repair has looked at every page. After an orderly end redb believes what it finds.
    if !repaired.load(Ordering::Relaxed) {
        match database.check_integrity() {
            Ok(true) => {}
            Ok(false) => return Err(Refused::Damaged(Unbelievable::Checksums)),
            Err(fault) => return Err(Refused::from_database(path, fault)),
        }
    }
    let damaged = |fault| Refused::Damaged(Unbelievable::Database(fault));
    match format_of(&database).map_err(damaged)? {
        Some(FORMAT) => {}
        None => prepare(&database).map_err(damaged)?,
        Some(format) => {
            return Err(Refused::Usable(StoreError::Format { path: path.to_owned(), format, known: FORMAT }));
        }
    }
    compact(path, &mut database).map_err(damaged)?;
    Ok(database)
}

/// `None` for a new file.
fn format_of(database: &Database) -> Fallible<Option<u32>> {
    let transaction = database.begin_read().map_err(boxed)?;
    match transaction.open_table(META) {
        Ok(table) => Ok(table.get(FORMAT_KEY).map_err(boxed)?.map(|format| format.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(fault) => Err(boxed(fault)),
    }
}

/// Makes all tables, so that readers find them.
fn prepare(database: &Database) -> Fallible<()> {
    let transaction = database.begin_write().map_err(boxed)?;
    transaction.open_table(META).map_err(boxed)?.insert(FORMAT_KEY, FORMAT).map_err(boxed)?;
    for table in [SHELVES, ROWS, GROUPS] {
        transaction.open_table(table).map_err(boxed)?;
    }
    transaction.open_table(DUE).map_err(boxed)?;
    transaction.commit().map_err(boxed)
}

/// Gives back what is free within the file, if that is most of it. Here, because nobody else has it yet; it takes about
/// the time that it takes to write what is in it.
fn compact(path: &Path, database: &mut Database) -> Fallible<()> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |metadata| metadata.len());
    let before = length(path);
    if before < COMPACT_FROM {
        return Ok(());
    }
    let transaction = database.begin_write().map_err(boxed)?;
    let stats = transaction.stats().map_err(boxed)?;
    transaction.abort().map_err(boxed)?;
    if (stats.stored_bytes() + stats.metadata_bytes()).saturating_mul(COMPACT_FACTOR) > before {
        return Ok(());
    }
    let begun = Instant::now();
    database.compact().map_err(boxed)?;
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(path = %path.display(), before, after = length(path), took_ms, "compacted what plugins remember");
    Ok(())
}
