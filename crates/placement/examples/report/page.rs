//! Prints tables: the first column to the left, the others to the right, so that figures stand below each other.

use std::io::{self, Write};

/// Where the report is printed.
pub(crate) struct Page {
    out: io::StdoutLock<'static>,
}

impl Page {
    pub(crate) fn new() -> Self {
        Self { out: io::stdout().lock() }
    }

    /// Begins a table.
    pub(crate) fn title(&mut self, name: &str, tells: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}: {tells}", name.to_uppercase())
    }

    /// A line of plain text: what was measured, and how.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}")?;
        self.out.flush()
    }

    /// Rows below their headings.
    pub(crate) fn table<const N: usize>(
        &mut self,
        headings: [&str; N],
        rows: &[[String; N]],
    ) -> io::Result<()> {
        let mut widths = headings.map(|heading| heading.chars().count());
        for (width, column) in widths.iter_mut().zip(0..) {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            *width = lengths.fold(*width, usize::max);
        }
        writeln!(self.out)?;
        self.row(&headings.map(str::to_owned), &widths)?;
        self.row(&widths.map(|width| "-".repeat(width)), &widths)?;
        for row in rows {
            self.row(row, &widths)?;
        }
        self.out.flush()
    }

    fn row<const N: usize>(&mut self, row: &[String; N], widths: &[usize; N]) -> io::Result<()> {
        let mut line = String::from(" ");
        for (column, (text, width)) in row.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width - text.chars().count());
            let parts = if column == 0 { [text, &padding] } else { [&padding, text] };
            line.extend([" ", parts[0], parts[1], " "]);
        }
        writeln!(self.out, "{}", line.trim_end())
    }
}
