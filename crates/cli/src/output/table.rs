//! Aligned columns without borders, as kubectl prints them: easy to read, to cut and to grep.

use std::io::Write;

use anstyle::Style;
use tabwriter::TabWriter;

use super::style::{PLAIN, STRONG, paint};
use super::{plain, units, without_trailing_blanks};

/// One field of a row.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl Cell {
    /// A cell in a colour.
    pub(crate) fn styled(text: impl AsRef<str>, style: Style) -> Self {
        Self { text: plain(text.as_ref()), style }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::styled(text, PLAIN)
    }
}

/// A column: its cells, one for each row.
struct Column {
    header: &'static str,
    right: bool,
    cells: Vec<Cell>,
}

/// A table that is put together column by column.
pub(crate) struct Table {
    columns: Vec<Column>,
    rows: usize,
}

impl Table {
    /// A table of so many rows.
    pub(crate) fn new(rows: usize) -> Self {
        Self { columns: Vec::new(), rows }
    }

    /// Adds a column of words.
    pub(crate) fn left(self, header: &'static str, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.column(header, false, cells.into_iter().collect())
    }

    /// Adds a column of figures.
    pub(crate) fn right(self, header: &'static str, cells: impl IntoIterator<Item = Cell>) -> Self {
        self.column(header, true, cells.into_iter().collect())
    }

    /// Adds a column of amounts in micro-dollars, with as many decimals as the finest one needs, so that the
    /// points stand below each other.
    pub(crate) fn money(
        self,
        header: &'static str,
        amounts: impl IntoIterator<Item = Option<i64>>,
    ) -> Self {
        let amounts: Vec<Option<i64>> = amounts.into_iter().collect();
        let fine = amounts.iter().flatten().any(|amount| units::is_fine(*amount));
        let show = |amount: Option<i64>| match amount {
            Some(amount) => units::money_beside(amount, fine),
            None => "-".to_owned(),
        };
        self.right(header, amounts.into_iter().map(|amount| show(amount).into()))
    }

    fn column(mut self, header: &'static str, right: bool, cells: Vec<Cell>) -> Self {
        debug_assert_eq!(cells.len(), self.rows, "column {header}");
        self.columns.push(Column { header, right, cells });
        self
    }

    /// The table as text; only its header where it has no rows.
    pub(crate) fn render(&self) -> String {
        let mut writer = TabWriter::new(Vec::new()).padding(3).minwidth(0).ansi(true);
        let widths: Vec<usize> = self.columns.iter().map(Column::width).collect();
        let line = |row: Option<usize>| {
            let fields = self.columns.iter().zip(&widths).map(|(column, width)| {
                let (text, style) = match row {
                    Some(row) => (column.cells[row].text.as_str(), column.cells[row].style),
                    None => (column.header, STRONG),
                };
                let before = if column.right { width - text.chars().count() } else { 0 };
                format!("{}{}", " ".repeat(before), paint(style, text))
            });
            fields.collect::<Vec<_>>().join("\t")
        };
        for row in std::iter::once(None).chain((0..self.rows).map(Some)) {
            // Writing to memory does not fail.
            let _ = writeln!(writer, "{}", line(row));
        }
        let _ = writer.flush();
        let text = writer.into_inner().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        without_trailing_blanks(&text)
    }
}

impl Column {
    fn width(&self) -> usize {
        let cells = self.cells.iter().map(|cell| cell.text.chars().count());
        cells.chain([self.header.chars().count()]).max().unwrap_or(0)
    }
}
