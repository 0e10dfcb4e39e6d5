//! What a scenario found: a table for people, and the same and more as JSON.

use std::{fs, path::Path};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::process;

#[derive(Debug, Default)]
pub struct Report {
    pub scenario: &'static str,
    /// What it was asked to do.
    pub asked: Value,
    pub tables: Vec<Table>,
    /// Whatever else is known.
    pub data: Value,
}

#[derive(Debug, Default)]
pub struct Table {
    pub title: String,
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub fn new(title: impl Into<String>, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|&column| column.to_owned()).collect();
        Self { title: title.into(), columns, rows: Vec::new() }
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// In Markdown, with columns that line up.
    pub fn text(&self) -> String {
        let width = |index: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).chain(self.columns.get(index));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
            format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
        };
        let mut text = format!("{}\n\n{}", self.title, line(&self.columns));
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        text.push_str(&line(&rule));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }

    fn to_json(&self) -> Value {
        json!({ "title": self.title, "columns": self.columns, "rows": self.rows })
    }
}

impl Report {
    /// Prints the tables, and writes the rest where somebody wants it.
    pub fn publish(&self, file: Option<&Path>) -> anyhow::Result<()> {
        println!("\n{}: {}\n\n{}", self.scenario, process::machine(), self.text());
        let Some(file) = file else { return Ok(()) };
        let bytes = serde_json::to_vec_pretty(&self.to_json())?;
        fs::write(file, bytes).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// All tables.
    pub fn text(&self) -> String {
        self.tables.iter().map(Table::text).collect::<Vec<_>>().join("\n")
    }

    pub fn to_json(&self) -> Value {
        json!({
            "scenario": self.scenario,
            "asked": self.asked,
            "machine": process::machine(),
            "unix_seconds": process::unix_seconds(),
            "tables": self.tables.iter().map(Table::to_json).collect::<Vec<_>>(),
            "data": self.data,
        })
    }
}

/// The middle of a few values. Of an even number, the mean of the two in the middle.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 1) => values[middle],
        (middle, _) => f64::midpoint(values[middle - 1], values[middle]),
    }
}

/// With as many digits as say something.
pub fn short(value: f64) -> String {
    match value.abs() {
        _ if !value.is_finite() => "-".to_owned(),
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_found_in_any_order() {
        assert!((median([3.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median([4.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
        assert!(median([]).is_nan());
    }

    #[test]
    fn a_table_is_markdown_and_lines_up() {
        let mut table = Table::new("Title", &["a", "bb"]);
        table.row(["long".to_owned(), short(1.234)]);
        assert_eq!(table.text(), "Title\n\n| a    | bb   |\n| ---- | ---- |\n| long | 1.23 |\n");
    }
}
