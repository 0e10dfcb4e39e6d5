//! Tables to a redb file, and back.
//!
//! A file is written once, by one transaction, and read once. So redb is asked for what a plain file
//! would need by hand: pages that are written while rows still come in, and tables that are
//! found by name.

use std::{collections::BTreeMap, fs::File, path::Path};

use redb::{Builder, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition, TableHandle as _};

/// Memory for pages, of which redb would otherwise use up to a gigabyte: at the end of a process, just
/// when its sessions fill the rest. Enough to hold all inner nodes and to write in large pieces.
const CACHE_BYTES: usize = 16 << 20;

/// A key and a value.
pub(crate) type Row = (Vec<u8>, Vec<u8>);

/// The rows of one table, made as they are asked for.
pub(crate) type Rows<'a> = Box<dyn Iterator<Item = Row> + 'a>;

/// Everything that was saved, to be taken apart table by table.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tables(BTreeMap<String, Vec<Row>>);

impl Tables {
    /// The rows of a table in the order of their keys; none if it was not saved. Consume them as they
    /// are decoded, and nothing is held twice for long.
    pub fn remove(&mut self, table: &str) -> Vec<Row> {
        self.0.remove(table).unwrap_or_default()
    }
}

type Table<'a> = TableDefinition<'a, &'static [u8], &'static [u8]>;

/// Fills an empty file, and returns when the content is on the disk.
pub(super) fn write<'a>(
    file: File,
    tables: impl IntoIterator<Item = (&'static str, Rows<'a>)>,
) -> Result<(), redb::Error> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).create_file(file)?;
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    for (name, rows) in tables {
        let mut table = transaction.open_table(Table::new(name))?;
        for (key, value) in rows {
            table.insert(key.as_slice(), value.as_slice())?;
        }
    }
    transaction.commit()?;
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Tables, redb::Error> {
    let database = Builder::new().set_cache_size(CACHE_BYTES).open_read_only(path)?;
    let transaction = database.begin_read()?;
    let mut tables = BTreeMap::new();
    for handle in transaction.list_tables()? {
        let table = transaction.open_table(Table::new(handle.name()))?;
        let rows = table.iter()?.map(|row| row.map(|(key, value)| (key.value().to_vec(), value.value().to_vec())));
        tables.insert(handle.name().to_owned(), rows.collect::<Result<_, _>>()?);
    }
    Ok(Tables(tables))
}
