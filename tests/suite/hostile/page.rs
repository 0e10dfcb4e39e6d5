//! Writes what was seen into docs/sandbox.md, or holds the page to it.

use std::fs;

use super::seen::Row;
use crate::harness::repository;

/// Set, the page is written instead of compared.
const UPDATE: &str = "SWITCHBOARD_UPDATE_DOCS";

/// Panics if the page does not show these rows.
pub fn is_fresh(called: &[Row], loaded: &[Row]) {
    let path = repository().join("docs/sandbox.md");
    let page = fs::read_to_string(&path).expect("the page is there");
    let written = replaced(&replaced(&page, "calls", &table("attack", called)), "files", &table("file", loaded));
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, written).expect("the page is written");
        return;
    }
    for (found, expected) in page.lines().zip(written.lines()) {
        assert_eq!(found, expected, "docs/sandbox.md is not what the tests see: run them with {UPDATE}=1");
    }
    assert_eq!(page.lines().count(), written.lines().count(), "docs/sandbox.md has other rows: run with {UPDATE}=1");
}

fn table(first: &str, rows: &[Row]) -> String {
    let head = format!(
        "| {first} | what holds it | what the caller saw | what the operator saw |\n| --- | --- | --- | --- |\n"
    );
    let line = |row: &Row| format!("| {} | {} | {} | {} |\n", row.attack, row.held_by, row.caller, row.operator);
    rows.iter().fold(head, |table, row| table + &line(row))
}

/// The page with another table between the marks of this name.
fn replaced(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: written by the tests -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).expect("the page marks where a table begins");
    let (_, after) = rest.split_once(&end).expect("the page marks where a table ends");
    format!("{before}{begin}\n{table}\n{end}{after}")
}
