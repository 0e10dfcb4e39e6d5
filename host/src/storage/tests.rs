//! What is saved comes back once; what was harmed, at whatever byte and whatever moment, never does.

use std::{cell::Cell, fs, path::Path};

use proptest::{collection::vec, prelude::ProptestConfig, prop_assert_eq, proptest, sample::Index};
use tempfile::TempDir;

use super::*;

fn store() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

type Content = Vec<(&'static str, Vec<(Vec<u8>, Vec<u8>)>)>;

/// Tables that are told from those of another seed, large enough for several pages.
fn content(seed: u8) -> Content {
    let rows = |count: u8, length: usize| (0..count).map(|key| (vec![key], vec![seed ^ key; length])).collect();
    vec![("sessions", rows(40, 900)), ("answers", rows(7, 10)), ("nothing", Vec::new())]
}

fn save(store: &Store, content: Content) -> Result<(), StoreError> {
    store.save(content.into_iter().map(|(name, rows)| (name, Box::new(rows.into_iter()) as Rows<'_>)))
}

/// What the next process takes from this folder.
fn take(folder: &Path) -> Option<Content> {
    let mut tables = Store::open(folder).unwrap().take().unwrap()?;
    let taken = ["sessions", "answers", "nothing"].map(|name| (name, tables.remove(name)));
    assert_eq!(tables, Tables::default(), "no other tables were saved");
    Some(taken.into())
}

fn files(folder: &Path, mark: &str) -> usize {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.contains(mark)).count()
}

/// As a process that is killed at this moment leaves it.
fn copy_of(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// A folder whose saved file has these bytes.
fn folder_with(bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(FILE_NAME), bytes).unwrap();
    folder
}

fn saved_bytes() -> Vec<u8> {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    fs::read(folder.path().join(FILE_NAME)).unwrap()
}

#[track_caller]
fn assert_set_aside(bytes: &[u8]) {
    let folder = folder_with(bytes);
    assert_eq!(take(folder.path()), None);
    assert_eq!(files(folder.path(), "unreadable"), 1);
    assert_eq!(take(folder.path()), None, "it is not looked at again");
    assert_eq!(files(folder.path(), "unreadable"), 1);
}

#[test]
fn what_was_saved_is_taken_once() {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    drop(store);
    assert_eq!(take(folder.path()), Some(content(1)));
    assert_eq!(take(folder.path()), None);
    assert_eq!(files(folder.path(), ""), 1, "only the lock is left");
}

#[test]
fn a_folder_that_nothing_was_saved_in_gives_nothing() {
    assert_eq!(store().1.take().unwrap(), None);
}

#[test]
fn a_save_replaces_what_was_saved_before() {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    save(&store, content(2)).unwrap();
    drop(store);
    assert_eq!(take(folder.path()), Some(content(2)));
}

#[cfg(unix)]
#[test]
fn its_files_are_private_from_their_first_byte_on() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, store) = store();
    let modes = || {
        let entries = fs::read_dir(folder.path()).unwrap();
        entries.map(|entry| entry.unwrap().metadata().unwrap().permissions().mode() & 0o777).collect::<Vec<_>>()
    };
    let while_saving = Cell::new(Vec::new());
    let row = std::iter::once_with(|| {
        while_saving.set(modes());
        (vec![1_u8], vec![2_u8])
    });
    store.save([("sessions", Box::new(row) as Rows<'_>)]).unwrap();
    assert_eq!(while_saving.take(), [0o600; 2], "the lock and the new file");
    assert_eq!(modes(), [0o600; 2]);
}

#[test]
fn a_second_process_is_told_that_the_folder_is_in_use() {
    let (folder, store) = store();
    let refused = Store::open(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("data folder of its own"), "{refused}");
    drop(store);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_save_that_fails_is_an_error_and_leaves_what_was_there() {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    let in_the_way = folder.path().join("sessions.redb.new");
    fs::create_dir(&in_the_way).unwrap();
    let refused = save(&store, content(2)).unwrap_err();
    assert!(matches!(refused, StoreError::Io { .. }), "{refused}");
    fs::remove_dir(in_the_way).unwrap();
    drop(store);
    assert_eq!(take(folder.path()), Some(content(1)));
}

#[test]
fn a_folder_that_is_gone_is_an_error() {
    let (folder, store) = store();
    let path = folder.path().to_owned();
    drop(folder);
    assert!(save(&store, content(1)).is_err());
    assert!(Store::open(&path).is_err());
}

#[test]
fn a_folder_in_the_place_of_the_file_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(FILE_NAME)).unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.take().unwrap(), None);
    assert_eq!(files(folder.path(), "unreadable"), 1);
}

#[test]
fn a_panic_while_rows_are_made_is_an_error_and_leaves_what_was_there() {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    let rows = (0..10_u8).map(|key| if key < 5 { (vec![key], vec![]) } else { panic!("on purpose") });
    let failed = store.save([("sessions", Box::new(rows) as Rows<'_>)]).unwrap_err();
    assert!(failed.to_string().contains("on purpose"), "{failed}");
    assert_eq!(files(folder.path(), "new"), 0);
    drop(store);
    assert_eq!(take(folder.path()), Some(content(1)));
}

#[test]
fn killed_at_any_row_of_a_save_the_old_state_is_whole() {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    let killed = Cell::new(0);
    let tables = content(2).into_iter().map(|(name, rows)| {
        let rows = rows.into_iter().inspect(|_| {
            let copy = copy_of(folder.path());
            assert_eq!(files(copy.path(), "new"), 1);
            assert_eq!(take(copy.path()), Some(content(1)));
            assert_eq!(files(copy.path(), "new"), 0, "the next start clears up");
            killed.set(killed.get() + 1);
        });
        (name, Box::new(rows) as Rows<'_>)
    });
    store.save(tables).unwrap();
    assert_eq!(killed.get(), 47);
    drop(store);
    assert_eq!(take(folder.path()), Some(content(2)));
}

#[test]
fn killed_before_the_rename_the_old_state_is_whole() {
    let (folder, store) = store();
    save(&store, content(1)).unwrap();
    fs::write(folder.path().join("sessions.redb.new"), saved_bytes()).unwrap();
    drop(store);
    assert_eq!(take(folder.path()), Some(content(1)));
}

#[test]
fn cut_at_any_page_it_is_set_aside() {
    let bytes = saved_bytes();
    let page = 4096;
    let cuts = (0..bytes.len()).step_by(page * 16).chain([1, 64, 511, page, bytes.len() - 1]);
    cuts.for_each(|length| assert_set_aside(&bytes[..length]));
}

#[test]
fn killed_while_it_was_taken_it_is_not_taken_again() {
    let folder = folder_with(&saved_bytes());
    let file = OpenOptions::new().read(true).write(true).open(folder.path().join(FILE_NAME)).unwrap();
    seal::unseal(&file).unwrap();
    assert_eq!(take(folder.path()), None);
    assert_eq!(files(folder.path(), "unreadable"), 1);
}

#[test]
fn what_redb_cannot_read_is_set_aside_even_under_a_good_seal() {
    let unsealed = &saved_bytes()[..];
    for content in [&b"anything"[..], &[0; 100_000], unsealed] {
        let folder = folder_with(content);
        let file = OpenOptions::new().read(true).write(true).open(folder.path().join(FILE_NAME)).unwrap();
        seal::seal(&file).unwrap();
        assert_eq!(take(folder.path()), None);
        assert_eq!(files(folder.path(), "unreadable"), 1);
    }
}

#[test]
fn a_table_of_another_kind_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let file = private_file(&folder.path().join(FILE_NAME)).unwrap();
    let database = redb::Builder::new().create_file(file.try_clone().unwrap()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<u8, u8>::new("sessions")).unwrap().insert(1, 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    seal::seal(&file).unwrap();
    assert_eq!(take(folder.path()), None);
    assert_eq!(files(folder.path(), "unreadable"), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_that_change_make_it_unreadable(
        flips in vec((proptest::num::u8::ANY, 1..=255_u8, proptest::arbitrary::any::<Index>()), 1..4),
        cut in proptest::option::of(proptest::arbitrary::any::<Index>()),
    ) {
        let original = saved_bytes();
        let mut bytes = original.clone();
        for (near_the_start, mask, at) in flips {
            // Half of them among the headers and roots, where they do the most.
            let at = if near_the_start < 128 { at.index(512) } else { at.index(bytes.len()) };
            bytes[at] ^= mask;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let expected = (bytes == original).then(|| content(1));
        let folder = folder_with(&bytes);
        prop_assert_eq!(take(folder.path()), expected.clone());
        prop_assert_eq!(files(folder.path(), "unreadable"), usize::from(expected.is_none()));
    }
}
