//! What plugins remember, on disk: small groups of rows (shelves) that are written while messages flow.
//!
//! It knows keys and bytes and nothing of what they mean. A shelf's key begins with its group's, and no key
//! is the beginning of another. Invariants:
//!
//! - A commit is all or nothing, and is on the disk when it returns. After a crash the file is as the last
//!   commit left it that returned, or as the one that was under way would have.
//! - The header of a shelf, the index of what is due and the sums of groups belong to the same commit as
//!   the rows, so they are exact.
//! - The whole file is checked before the first row is read. What does not pass is set aside.
//!
//! All functions block. Unlike [`super::Store`], the file stays: see ADR 22.

use std::{
    collections::BTreeMap,
    fs, io,
    ops::Bound,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, Table, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::{StoreError, guarded};

mod open;

/// The file in the data folder.
pub(crate) const FILE_NAME: &str = "state.redb";

type Bytes = &'static [u8];

const META: TableDefinition<'_, &str, u32> = TableDefinition::new("meta");
/// By shelf: its header.
const SHELVES: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("shelves");
/// By shelf and key: when it ends, and the value.
const ROWS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("rows");
/// By time and shelf: where something may have ended.
const DUE: TableDefinition<'_, Bytes, ()> = TableDefinition::new("due");
/// By group: its sums.
const GROUPS: TableDefinition<'_, Bytes, Bytes> = TableDefinition::new("groups");

/// Before the value of a row: when it ends, big-endian; zero for never.
const EXPIRY_BYTES: usize = size_of::<u64>();

/// The file, held by this process.
#[derive(Debug)]
pub(crate) struct ShelfFile {
    path: PathBuf,
    /// `None` once it was closed. Taken for writing only to close it or to open it again.
    database: RwLock<Option<Database>>,
}

/// What is known of a shelf without its rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub bytes: u64,
    pub entries: u64,
    /// Nothing in it ends before (Unix milliseconds).
    pub due: Option<u64>,
}

/// The sums of all shelves of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sums {
    pub bytes: u64,
    pub entries: u64,
    pub shelves: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub value: Arc<[u8]>,
    /// Unix milliseconds.
    pub expires: Option<u64>,
}

/// What becomes of a shelf in a commit.
#[derive(Debug)]
pub(crate) struct Change {
    pub group: Vec<u8>,
    pub shelf: Vec<u8>,
    /// Afterwards; `None`: nothing of it is left.
    pub header: Option<Header>,
    /// Those that are other than before, by key; `None`: gone.
    pub rows: Vec<(Box<str>, Option<Row>)>,
}

type Fallible<T> = Result<T, Box<redb::Error>>;

fn boxed(fault: impl Into<redb::Error>) -> Box<redb::Error> {
    Box::new(fault.into())
}

impl ShelfFile {
    /// Writes all of these changes, and returns when they are on the disk. A shelf is not named twice.
    ///
    /// # Errors
    ///
    /// Nothing was changed, or, if the disk itself failed, perhaps all of it. To write the same again is right in
    /// either case.
    pub fn commit(&self, mut changes: Vec<Change>) -> Result<(), StoreError> {
        // In the order of the trees it takes less time.
        changes.sort_unstable_by(|a, b| a.shelf.cmp(&b.shelf));
        self.with(|database| {
            let mut transaction = database.begin_write().map_err(boxed)?;
            transaction.set_durability(Durability::Immediate).map_err(boxed)?;
            write(&transaction, &changes)?;
            transaction.commit().map_err(boxed)
        })
    }

    /// All rows of a shelf.
    ///
    /// # Errors
    ///
    /// The disk failed, or the rows are not those that the header counts.
    pub fn load(&self, shelf: &[u8]) -> Result<Vec<(Box<str>, Row)>, StoreError> {
        let (header, rows) = self.with(|database| {
            let transaction = database.begin_read().map_err(boxed)?;
            let Some(header) = transaction.open_table(SHELVES).map_err(boxed)?.get(shelf).map_err(boxed)? else {
                return Ok((Header::default(), Vec::new()));
            };
            let header = decoded::<Header>(header.value());
            let table = transaction.open_table(ROWS).map_err(boxed)?;
            let mut rows = Vec::with_capacity(usize::try_from(header.entries).unwrap_or_default());
            for row in table.range::<&[u8]>(all_of(shelf, &after(shelf))).map_err(boxed)? {
                let (key, value) = row.map_err(boxed)?;
                rows.extend(row_of(&key.value()[shelf.len()..], value.value()));
            }
            Ok((header, rows))
        })?;
        if header.entries != rows.len() as u64 {
            return Err(StoreError::Damaged { path: self.path.clone(), what: "a shelf has not the rows that it had" });
        }
        Ok(rows)
    }

    /// Shelves in which something may have ended by then, at most so many, the most overdue first.
    pub fn due(&self, now: u64, most: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        self.with(|database| {
            let table = database.begin_read().map_err(boxed)?.open_table(DUE).map_err(boxed)?;
            let end = now.saturating_add(1).to_be_bytes();
            let due = table.range::<&[u8]>(..end.as_slice()).map_err(boxed)?.take(most);
            due.map(|row| Ok(row.map_err(boxed)?.0.value()[EXPIRY_BYTES..].to_vec())).collect()
        })
    }

    /// Shelves whose keys begin so, behind the last one, until they have this many rows together.
    pub fn list(&self, prefix: &[u8], last: Option<&[u8]>, rows: u64) -> Result<Vec<(Vec<u8>, Header)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read().map_err(boxed)?.open_table(SHELVES).map_err(boxed)?;
            let (mut found, mut counted) = (Vec::new(), 0_u64);
            let end = after(prefix);
            let (from, to) = all_of(prefix, &end);
            let bounds = (last.map_or(from, Bound::Excluded), to);
            for row in table.range::<&[u8]>(bounds).map_err(boxed)? {
                let (shelf, header) = row.map_err(boxed)?;
                let header = decoded::<Header>(header.value());
                found.push((shelf.value().to_vec(), header));
                counted = counted.saturating_add(header.entries);
                if counted >= rows {
                    break;
                }
            }
            Ok(found)
        })
    }

    /// By group.
    pub fn sums(&self) -> Result<Vec<(Vec<u8>, Sums)>, StoreError> {
        self.with(|database| {
            let table = database.begin_read().map_err(boxed)?.open_table(GROUPS).map_err(boxed)?;
            let rows = table.iter().map_err(boxed)?;
            rows.map(|row| row.map(|(group, sums)| (group.value().to_vec(), decoded(sums.value()))).map_err(boxed))
                .collect()
        })
    }

    /// Of the file.
    pub fn length(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    /// After this, nothing can be read or written. A file that was closed opens faster.
    pub fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        if let Err(message) = guarded(|| drop(database)) {
            tracing::error!(path = %self.path.display(), message, "the database panicked while it was closed");
        }
    }

    fn with<T>(&self, work: impl FnOnce(&Database) -> Fallible<T>) -> Result<T, StoreError> {
        let path = || self.path.clone();
        // Nothing that is guarded by it can be half changed.
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = &*database else {
            return Err(StoreError::Io { path: path(), fault: io::Error::other("it is closed") });
        };
        guarded(|| work(database))
            .map_err(|message| StoreError::Panicked { path: path(), message })?
            .map_err(|fault| StoreError::Database { path: path(), fault })
    }
}

fn write(transaction: &WriteTransaction, changes: &[Change]) -> Fallible<()> {
    let mut shelves = transaction.open_table(SHELVES).map_err(boxed)?;
    let mut rows = transaction.open_table(ROWS).map_err(boxed)?;
    let mut due = transaction.open_table(DUE).map_err(boxed)?;
    let mut deltas: BTreeMap<&[u8], Vec<(Header, Header)>> = BTreeMap::new();
    for change in changes {
        let shelf = change.shelf.as_slice();
        write_rows(&mut rows, change)?;
        let old = shelves.get(shelf).map_err(boxed)?.map(|header| decoded::<Header>(header.value()));
        if old != change.header {
            match change.header {
                Some(header) => _ = shelves.insert(shelf, encoded(&header).as_slice()).map_err(boxed)?,
                None => _ = shelves.remove(shelf).map_err(boxed)?,
            }
            let (before, now) = (old.and_then(|old| old.due), change.header.and_then(|header| header.due));
            if let Some(before) = before.filter(|_| before != now) {
                due.remove(due_key(before, shelf).as_slice()).map_err(boxed)?;
            }
            if let Some(now) = now.filter(|_| before != now) {
                due.insert(due_key(now, shelf).as_slice(), ()).map_err(boxed)?;
            }
        }
        let headers = (old.unwrap_or_default(), change.header.unwrap_or_default());
        deltas.entry(&change.group).or_default().push(headers);
    }
    let mut groups = transaction.open_table(GROUPS).map_err(boxed)?;
    for (group, headers) in deltas {
        let mut sums = groups.get(group).map_err(boxed)?.map(|sums| decoded::<Sums>(sums.value())).unwrap_or_default();
        headers.into_iter().for_each(|(old, new)| sums.replace(old, new));
        if sums == Sums::default() {
            groups.remove(group).map_err(boxed)?;
        } else {
            groups.insert(group, encoded(&sums).as_slice()).map_err(boxed)?;
        }
    }
    Ok(())
}

fn write_rows(table: &mut Table<'_, Bytes, Bytes>, change: &Change) -> Fallible<()> {
    if change.header.is_none() {
        let end = after(&change.shelf);
        return table.retain_in::<&[u8], _>(all_of(&change.shelf, &end), |_, _| false).map_err(boxed);
    }
    let mut name = change.shelf.clone();
    for (key, row) in &change.rows {
        name.truncate(change.shelf.len());
        name.extend_from_slice(key.as_bytes());
        match row {
            Some(Row { value, expires }) => {
                let expiry = expires.unwrap_or_default().to_be_bytes();
                let mut place = table.insert_reserve(name.as_slice(), EXPIRY_BYTES + value.len()).map_err(boxed)?;
                let (head, tail) = place.as_mut().split_at_mut(EXPIRY_BYTES);
                head.copy_from_slice(&expiry);
                tail.copy_from_slice(value);
            }
            None => _ = table.remove(name.as_slice()).map_err(boxed)?,
        }
    }
    Ok(())
}

impl Sums {
    fn replace(&mut self, old: Header, new: Header) {
        self.bytes = self.bytes.saturating_sub(old.bytes).saturating_add(new.bytes);
        self.entries = self.entries.saturating_sub(old.entries).saturating_add(new.entries);
        let shelves = |header: Header| u64::from(header.entries > 0);
        self.shelves = self.shelves.saturating_sub(shelves(old)).saturating_add(shelves(new));
    }
}

fn row_of(key: &[u8], value: &[u8]) -> Option<(Box<str>, Row)> {
    let (expires, value) = value.split_first_chunk::<EXPIRY_BYTES>()?;
    let expires = Some(u64::from_be_bytes(*expires)).filter(|expires| *expires > 0);
    Some((str::from_utf8(key).ok()?.into(), Row { value: value.into(), expires }))
}

fn due_key(due: u64, shelf: &[u8]) -> Vec<u8> {
    [&due.to_be_bytes(), shelf].concat()
}

/// The first key behind all that begin with this one.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let end = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut after = prefix[..=end].to_vec();
    after[end] += 1;
    Some(after)
}

fn all_of<'a>(prefix: &'a [u8], after: &'a Option<Vec<u8>>) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    (Bound::Included(prefix), after.as_deref().map_or(Bound::Unbounded, Bound::Excluded))
}

/// Numbers can be written.
fn encoded(value: &impl Serialize) -> Vec<u8> {
    postcard::to_allocvec(value).unwrap_or_default()
}

/// What was checked at the start is in form.
fn decoded<T: for<'a> Deserialize<'a> + Default>(bytes: &[u8]) -> T {
    postcard::from_bytes(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests;
