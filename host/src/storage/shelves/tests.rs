//! The file by itself: what was committed is there, whatever happens afterwards, and nothing else ever is.

use std::fs;

use tempfile::TempDir;

use super::*;

fn header(entries: u64, due: Option<u64>) -> Option<Header> {
    Some(Header { bytes: entries * 10, entries, due })
}

fn row(value: &[u8]) -> Option<Row> {
    Some(Row { value: value.into(), expires: None })
}

fn change(shelf: &str, header: Option<Header>, rows: &[(&str, Option<Row>)]) -> Change {
    Change {
        group: vec![shelf.as_bytes()[0]],
        shelf: shelf.into(),
        header,
        rows: rows.iter().map(|(key, row)| ((*key).into(), row.clone())).collect(),
    }
}

fn opened() -> (TempDir, ShelfFile) {
    let folder = tempfile::tempdir().unwrap();
    let file = ShelfFile::open(folder.path()).unwrap();
    (folder, file)
}

fn keys(file: &ShelfFile, shelf: &str) -> Vec<String> {
    file.load(shelf.as_bytes()).unwrap().into_iter().map(|(key, _)| key.into()).collect()
}

/// With content on several pages, and closed.
fn filled() -> (TempDir, PathBuf) {
    let (folder, file) = opened();
    for n in 0..40 {
        let rows: Vec<(Box<str>, Option<Row>)> =
            (0..5).map(|key| (format!("key {key}").into(), row(&[n; 200]))).collect();
        let change = Change { group: b"g".to_vec(), shelf: vec![b'g', n], header: header(5, None), rows };
        file.commit(vec![change]).unwrap();
    }
    file.close();
    let path = folder.path().join(FILE_NAME);
    (folder, path)
}

fn is_as_filled(file: &ShelfFile) -> bool {
    (0..40).all(|n| {
        let rows = file.load(&[b'g', n]).unwrap();
        rows.len() == 5 && rows.iter().all(|(_, row)| *row.value == [n; 200])
    })
}

fn set_aside(folder: &TempDir) -> usize {
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with("state.redb.unreadable-")).count()
}

#[test]
fn rows_headers_sums_and_what_is_due_belong_together() {
    let (_folder, file) = opened();
    file.commit(vec![
        change("a1", header(2, Some(50)), &[("k", row(b"1")), ("l", row(b"2"))]),
        change("a2", header(1, Some(60)), &[("k", row(b"3"))]),
        change("b1", header(1, None), &[("k", row(b"4"))]),
    ])
    .unwrap();
    assert_eq!(keys(&file, "a1"), ["k", "l"]);
    assert_eq!(keys(&file, "a"), [""; 0]);
    assert_eq!((file.due(49, 9).unwrap().len(), file.due(50, 9).unwrap()), (0, vec![b"a1".to_vec()]));
    assert_eq!((file.due(60, 9).unwrap().len(), file.due(60, 1).unwrap().len()), (2, 1));
    let sums = |bytes, entries, shelves| Sums { bytes, entries, shelves };
    assert_eq!(file.sums().unwrap(), [(b"a".to_vec(), sums(30, 3, 2)), (b"b".to_vec(), sums(10, 1, 1))]);

    file.commit(vec![change("a1", header(1, Some(70)), &[("l", None)]), change("a2", None, &[])]).unwrap();
    assert_eq!((keys(&file, "a1"), keys(&file, "a2")), (vec!["k".to_owned()], Vec::new()));
    assert_eq!((file.due(69, 9).unwrap().len(), file.due(70, 9).unwrap().len()), (0, 1));
    assert_eq!(file.sums().unwrap()[0].1, sums(10, 1, 1));
    file.commit(vec![change("a1", None, &[]), change("b1", None, &[])]).unwrap();
    assert_eq!((file.sums().unwrap(), file.due(u64::MAX, 9).unwrap()), (Vec::new(), Vec::new()));
}

#[test]
fn shelves_are_listed_in_pieces_without_those_of_others() {
    let (_folder, file) = opened();
    file.commit(["a1", "a2", "a3", "b1"].map(|shelf| change(shelf, header(2, None), &[])).into()).unwrap();
    let list = |prefix: &str, last: Option<&str>, rows| -> Vec<String> {
        let listed = file.list(prefix.as_bytes(), last.map(str::as_bytes), rows).unwrap();
        listed.into_iter().map(|(shelf, _)| String::from_utf8(shelf).unwrap()).collect()
    };
    assert_eq!(list("a", None, 3), ["a1", "a2"]);
    assert_eq!(list("a", Some("a2"), 3), ["a3"]);
    assert_eq!(list("a", Some("a3"), 3), [""; 0]);
    assert_eq!(list("a2", None, 9), ["a2"], "one that is itself the beginning");
}

#[test]
fn what_was_committed_is_there_after_a_crash_at_any_later_moment() {
    let (folder, file) = opened();
    for n in 1..=20_u64 {
        let name = format!("key {n:03}");
        file.commit(vec![change("a1", header(n, None), &[(&name, row(&[7; 300]))])]).unwrap();
        let copy = tempfile::tempdir().unwrap();
        fs::copy(folder.path().join(FILE_NAME), copy.path().join(FILE_NAME)).unwrap();
        let after = ShelfFile::open(copy.path()).unwrap();
        assert_eq!((keys(&after, "a1").len() as u64, set_aside(&copy)), (n, 0));
    }
}

#[test]
fn a_file_that_is_damaged_is_set_aside_and_an_empty_one_takes_its_place() {
    let (_folder, path) = filled();
    let whole = fs::read(&path).unwrap();
    let garbage = vec![b'?'; whole.len()];
    let zeros = vec![0; whole.len()];
    for damaged in [garbage, zeros, whole[..whole.len() / 2].to_vec(), whole[..100].to_vec()] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), &damaged).unwrap();
        let file = ShelfFile::open(folder.path()).unwrap();
        assert_eq!((file.sums().unwrap(), set_aside(&folder)), (Vec::new(), 1), "{} bytes", damaged.len());
        file.commit(vec![change("a1", header(1, None), &[("k", row(b"1"))])]).unwrap();
    }
}

#[test]
fn a_byte_that_changed_is_noticed_or_does_no_harm() {
    let (_folder, path) = filled();
    let whole = fs::read(&path).unwrap();
    let mut noticed = 0;
    // Within the pages that hold rows, every few hundred bytes.
    for at in (whole.len() / 8..whole.len()).step_by(whole.len() / 60) {
        let folder = tempfile::tempdir().unwrap();
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(folder.path().join(FILE_NAME), damaged).unwrap();
        let file = ShelfFile::open(folder.path()).unwrap();
        let aside = set_aside(&folder);
        noticed += aside;
        assert!(aside == 1 || is_as_filled(&file), "byte {at} changed what is read");
    }
    assert!(noticed > 0, "no byte that matters was tried");
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let (folder, path) = filled();
    let database = Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(META).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = ShelfFile::open(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::Format { format: 2, known: 1, .. }), "{refused}");
    assert_eq!(set_aside(&folder), 0);
}

#[test]
fn a_file_that_another_one_has_is_refused_and_left_alone() {
    let (folder, file) = opened();
    let refused = ShelfFile::open(folder.path()).unwrap_err();
    assert!(matches!(refused, StoreError::InUse { .. }), "{refused}");
    assert_eq!(set_aside(&folder), 0);
    file.close();
    ShelfFile::open(folder.path()).unwrap();
}

#[test]
fn only_its_user_can_read_the_file() {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let (folder, _file) = opened();
        let mode = fs::metadata(folder.path().join(FILE_NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn a_file_that_is_mostly_empty_becomes_smaller_when_it_is_opened() {
    let (folder, file) = opened();
    let large = || row(&vec![7; 1 << 20]);
    for n in 0..100_u64 {
        let name = format!("key {n:03}");
        file.commit(vec![change("a1", header(n + 1, None), &[(&name, large())])]).unwrap();
    }
    let gone: Vec<(Box<str>, Option<Row>)> = (0..99).map(|n| (format!("key {n:03}").into(), None)).collect();
    file.commit(vec![Change { group: b"a".to_vec(), shelf: b"a1".to_vec(), header: header(1, None), rows: gone }])
        .unwrap();
    file.close();
    let before = file.length();
    let file = ShelfFile::open(folder.path()).unwrap();
    assert!(file.length() < before / 4, "{before} bytes became {}", file.length());
    assert_eq!(keys(&file, "a1"), ["key 099"]);
}
