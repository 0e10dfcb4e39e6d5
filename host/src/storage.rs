//! What has to survive a graceful restart, in one file of the data folder: saved whole at the end of a
//! process, and taken back exactly once by the next. (What plugins remember has a file of its own, which is
//! written all the time: `shelves`.)
//!
//! It knows tables of bytes and nothing of what they mean. Invariants:
//!
//! - A save is all or nothing. All tables are one transaction in a file of their own, which takes the
//!   old one's place by rename once it is complete and on the disk.
//! - What was taken is gone from the folder before the caller sees it, so that no later crash can
//!   bring it back to life.
//! - No byte is believed that `save` did not write: the file is sealed with a digest over all of it,
//!   which is checked before the database looks at it. What does not pass is set aside, never fatal.
//! - One process has the store at a time, from [`Store::open`] until it is dropped.
//!
//! It is not written to while messages flow: see ADR 13. All functions block; call them where that is
//! no harm. Reading order: `database` (tables to redb and back), `seal`, `aside`.

use std::{
    any::Any,
    fs::{self, File, OpenOptions, TryLockError},
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
};

mod aside;
mod database;
pub(crate) mod key_file;
mod seal;
pub(crate) mod shelves;

pub(crate) use database::{Row, Rows, Tables};

/// The file in the data folder. Others have this name with something behind it: `.lock`, `.new` while
/// it is written, `.unreadable-SECONDS` when it was set aside.
pub(crate) const FILE_NAME: &str = "sessions.redb";

/// What is said when it cannot be believed.
const LOST: &str = "the sessions, stored answers and topic histories of the last run are lost, and its clients will get `resume_failed`";

/// The store of one data folder, held by this process.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// The lock ends when the file is closed, however the process ends.
    _lock: File,
}

/// Why something could not be saved, or could not be consumed and was therefore not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("{} is used by another process: give each process a data folder of its own", path.display())]
    InUse { path: PathBuf },
    #[error("{}: {fault}", path.display())]
    Io { path: PathBuf, fault: io::Error },
    #[error("{}: {fault}", path.display())]
    Database { path: PathBuf, fault: Box<redb::Error> },
    #[error("{}: the database panicked: {message}", path.display())]
    Panicked { path: PathBuf, message: String },
    #[error("{}: {what}", path.display())]
    Damaged { path: PathBuf, what: &'static str },
    #[error("{} has format {format}, and this version knows {known}: start the version that wrote it, or move the file away and begin without it", path.display())]
    Format { path: PathBuf, format: u32, known: u32 },
}

/// Why the content of a file is not believed.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Seal(#[from] seal::SealFault),
    #[error("{0}")]
    Database(#[from] Box<redb::Error>),
    #[error("the database panicked: {0}")]
    Panicked(String),
}

impl Store {
    /// Takes possession of the store of a data folder. Nothing is read yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] while another process has it, or the folder cannot be written to.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let path = data_dir.join(FILE_NAME);
        let lock_path = beside(&path, "lock");
        let lock = private_file(&lock_path).map_err(|fault| StoreError::Io { path: lock_path.clone(), fault })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse { path }),
            Err(TryLockError::Error(fault)) if fault.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %lock_path.display(), "this file system has no locks: nothing keeps a second process from using the same data folder");
            }
            Err(TryLockError::Error(fault)) => return Err(StoreError::Io { path: lock_path, fault }),
        }
        // What a process left that was killed while it saved. The file that it would have replaced is whole.
        let _ = fs::remove_file(beside(&path, "new"));
        Ok(Self { path, _lock: lock })
    }

    /// What the last process saved, if there is something. It is gone from the folder afterwards; so is
    /// a file that cannot be believed, which is set aside with a line in the log.
    ///
    /// # Errors
    ///
    /// The file is there and could not be removed, so that it would come back at the next start, too.
    pub fn take(&self) -> Result<Option<Tables>, StoreError> {
        let tables = match self.read() {
            Ok(None) => return Ok(None),
            Ok(Some(tables)) => {
                fs::remove_file(&self.path).map_err(|fault| self.io(fault))?;
                Some(tables)
            }
            Err(fault) => {
                aside::set_aside(&self.path, &fault, LOST).map_err(|fault| self.io(fault))?;
                None
            }
        };
        self.sync_folder()?;
        Ok(tables)
    }

    /// Saves these tables in place of whatever was there. Rows are written as the iterators yield them,
    /// so that no second copy of them is made; in the order of their keys it takes half the time. A key
    /// that comes twice in a table has the last value.
    ///
    /// # Errors
    ///
    /// The disk is full, the folder cannot be written to, or the database failed. What was saved before
    /// is as it was.
    pub fn save<'a>(&self, tables: impl IntoIterator<Item = (&'static str, Rows<'a>)>) -> Result<(), StoreError> {
        let new = beside(&self.path, "new");
        let written = self.write(&new, tables);
        if written.is_err() {
            // The next start removes it if this does not succeed.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn read(&self) -> Result<Option<Tables>, Unreadable> {
        let file = match OpenOptions::new().read(true).write(true).open(&self.path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(fault) => return Err(fault.into()),
        };
        seal::unseal(&file)?;
        drop(file);
        let tables = guarded(|| database::read(&self.path)).map_err(Unreadable::Panicked)?;
        Ok(Some(tables.map_err(Box::new)?))
    }

    fn write<'a>(
        &self,
        new: &Path,
        tables: impl IntoIterator<Item = (&'static str, Rows<'a>)>,
    ) -> Result<(), StoreError> {
        let path = || self.path.clone();
        let file = private_file(new).and_then(|file| file.set_len(0).map(|()| file)).map_err(|fault| self.io(fault))?;
        let copy = file.try_clone().map_err(|fault| self.io(fault))?;
        guarded(|| database::write(copy, tables))
            .map_err(|message| StoreError::Panicked { path: path(), message })?
            .map_err(|fault| StoreError::Database { path: path(), fault: Box::new(fault) })?;
        seal::seal(&file).map_err(|fault| self.io(fault))?;
        fs::rename(new, &self.path).map_err(|fault| self.io(fault))?;
        self.sync_folder()
    }

    /// So that a name that was changed or removed stays so when the power fails.
    fn sync_folder(&self) -> Result<(), StoreError> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        // Elsewhere, folders cannot be opened as files.
        if cfg!(unix) { File::open(folder).and_then(|folder| folder.sync_all()) } else { Ok(()) }
            .map_err(|fault| self.io(fault))
    }

    fn io(&self, fault: io::Error) -> StoreError {
        StoreError::Io { path: self.path.clone(), fault }
    }
}

/// redb asserts its own invariants with panics. Neither the start nor the end of the host is to fail by one.
fn guarded<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    // What a panic leaves behind is a file that is set aside, or was not put in place yet.
    panic::catch_unwind(AssertUnwindSafe(work)).map_err(|panic| message_of(&*panic))
}

fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("for no known reason").to_owned()
}

/// `sessions.redb` to `sessions.redb.SUFFIX`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

/// A file that only this user can read, from its first byte on. One that exists is opened as it is.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests;
