//! Rows for people, in columns, and with nothing in them that a terminal would obey.

use std::{io::Write as _, time::Duration};

use anyhow::Context as _;
use serde::Serialize;

/// Between two columns.
const GAP: usize = 2;

/// Puts rows below their headings.
pub(crate) fn table<const N: usize>(headings: [&str; N], rows: &[[String; N]]) -> String {
    let headings = headings.map(str::to_owned);
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(|cell| plain(cell))).collect();
    let all = || std::iter::once(&headings).chain(&rows);
    let width = |column: usize| all().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().enumerate().map(|(column, cell)| format!("{cell:<width$}", width = width(column) + GAP));
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}

/// On one line, whatever it holds.
pub(crate) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|letter| if letter.is_control() { letter.escape_debug().collect() } else { vec![letter] })
        .collect()
}

/// Prints a text, or the answer itself for machines.
pub(crate) fn print(json: bool, answer: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
    let text = if json { format!("{}\n", serde_json::to_string(answer)?) } else { text() };
    std::io::stdout().lock().write_all(text.as_bytes()).context("the answer could not be written")
}

/// How long ago, in the largest unit that fits.
pub(crate) fn ago(unix_seconds: f64, now: f64) -> String {
    let seconds = Duration::try_from_secs_f64(now - unix_seconds).unwrap_or_default().as_secs();
    match seconds {
        0..60 => format!("{seconds}s ago"),
        60..3_600 => format!("{}m ago", seconds / 60),
        3_600..86_400 => format!("{}h ago", seconds / 3_600),
        _ => format!("{}d ago", seconds / 86_400),
    }
}

/// Unix seconds.
pub(crate) fn now() -> f64 {
    switchboard_protocol::unix_seconds(std::time::SystemTime::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_drive_no_terminal() {
        let rows = [["a".to_owned(), "x\u{1b}[1m".to_owned()], ["longer".to_owned(), String::new()]];
        assert_eq!(table(["NAME", "B"], &rows), "NAME    B\na       x\\u{1b}[1m\nlonger\n");
    }

    #[test]
    fn ages_have_one_unit() {
        for (age, text) in
            [(0.4, "0s ago"), (61.0, "1m ago"), (7_300.0, "2h ago"), (200_000.0, "2d ago"), (-5.0, "0s ago")]
        {
            assert_eq!(ago(1_000_000.0 - age, 1_000_000.0), text);
        }
    }
}
