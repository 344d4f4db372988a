//! The syntax of unit files (systemd.syntax(7)): sections, assignments, comments and continued lines,
//! read as systemd reads them, but with the line number of everything kept and nothing skipped in
//! silence. Where systemd logs a line and ignores it, this reader has a finding.

use std::fmt;

use kato_core::UNIT_BYTES_MAX;

use crate::finding::{Finding, Findings};

/// The most assignments one unit file may have.
pub const ENTRIES_MAX: usize = 2_000;

/// What systemd strips from both ends of a line, a key and a value.
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

/// A unit file as written: sections in order, repeated ones kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitFile {
    /// The file's name, for findings.
    pub name: String,
    /// The sections in order.
    pub sections: Vec<Section>,
}

/// A header and the assignments up to the next header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The name without brackets.
    pub name: String,
    /// The header's line, from 1.
    pub line: u32,
    /// The assignments in order.
    pub entries: Vec<Entry>,
}

/// One `Key=Value`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What stands before the first `=`.
    pub key: String,
    /// What stands after it, continued lines joined by a space.
    pub value: String,
    /// The line that it begins on, from 1.
    pub line: u32,
}

impl UnitFile {
    /// Reads a unit file, or says everything that is wrong with its syntax.
    pub fn parse(name: &str, text: &str) -> Result<Self, Vec<Finding>> {
        let (file, findings) = Self::read(name, text);
        if findings.is_empty() { Ok(file) } else { Err(findings.finish()) }
    }

    /// Reads what can be read of a unit file, with everything that is wrong with its syntax, so that
    /// later checks can add to the list instead of waiting for the next attempt.
    pub(crate) fn read(name: &str, text: &str) -> (Self, Findings) {
        let mut reader = Reader {
            sections: Vec::new(),
            findings: Findings::new(name),
            ignoring: false,
            entries: 0,
            blank_after_backslash: None,
        };
        if text.len() > UNIT_BYTES_MAX {
            reader.findings.on_file(format!(
                "the file has {} bytes; the limit is {UNIT_BYTES_MAX}: move data out of the unit",
                text.len()
            ));
        } else {
            reader.text(text);
        }
        (Self { name: name.to_owned(), sections: reader.sections }, reader.findings)
    }

    /// The assignments of every section of this name, in order.
    pub fn entries<'a>(&'a self, section: &str) -> impl Iterator<Item = &'a Entry> {
        let sections: Vec<&Section> = self.sections.iter().filter(|s| s.name == section).collect();
        sections.into_iter().flat_map(|section| &section.entries)
    }

    /// The first header of this name.
    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.name == name)
    }

    /// The assignment that counts for a key with one value: the last, and none if that is empty.
    pub fn last(&self, section: &str, key: &str) -> Option<&Entry> {
        let last = self.entries(section).filter(|entry| entry.key == key).last();
        last.filter(|entry| !entry.value.is_empty())
    }

    /// The assignments that count for a key with many values: those after the last empty one.
    pub fn list(&self, section: &str, key: &str) -> Vec<&Entry> {
        let mut list = Vec::new();
        for entry in self.entries(section).filter(|entry| entry.key == key) {
            if entry.value.is_empty() {
                list.clear();
            } else {
                list.push(entry);
            }
        }
        list
    }
}

impl fmt::Display for UnitFile {
    /// The file without comments, continued lines joined. Reading it again gives the same sections.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, section) in self.sections.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            writeln!(f, "{gap}[{}]", section.name)?;
            for Entry { key, value, .. } in &section.entries {
                // A backslash at the very end would continue the line; a blank after it does not.
                let guard = if ends_with_escape(&format!("{key}={value}")) { " " } else { "" };
                writeln!(f, "{key}={value}{guard}")?;
            }
        }
        Ok(())
    }
}

/// The text of a file read as bytes: unit files are UTF-8.
pub fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Vec<Finding>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let line = 1 + before.matches('\n').count();
        let mut findings = Findings::new(name);
        findings.on_line(
            u32::try_from(line).unwrap_or(u32::MAX),
            "the line is not UTF-8: save the file in that encoding",
        );
        findings.finish()
    })
}

/// Whether the last character is a backslash that no other backslash escapes.
fn ends_with_escape(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The reader's state between lines.
struct Reader {
    sections: Vec<Section>,
    findings: Findings,
    /// Whether the lines belong to a header that could not be read, and were reported with it.
    ignoring: bool,
    entries: usize,
    /// The last line that ends in a backslash and blanks, which looks continued and is not.
    blank_after_backslash: Option<u32>,
}

impl Reader {
    fn text(&mut self, text: &str) {
        // The line that a continued one began on, and what it has so far.
        let mut continued: Option<(u32, String)> = None;
        for (index, line) in lines(text.strip_prefix('\u{feff}').unwrap_or(text)).enumerate() {
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if line.trim_start_matches(BLANK).starts_with(['#', ';']) {
                continue;
            }
            let (first, mut joined) = continued.take().unwrap_or((number, String::new()));
            joined.push_str(line);
            if ends_with_escape(&joined) {
                joined.pop();
                joined.push(' ');
                continued = Some((first, joined));
            } else {
                self.line(first, joined.trim_matches(BLANK));
                if ends_with_escape(line.trim_end_matches(BLANK)) {
                    self.blank_after_backslash = Some(number);
                }
            }
        }
        if let Some((first, joined)) = continued {
            self.line(first, joined.trim_matches(BLANK));
        }
    }

    /// Takes one logical line, stripped.
    fn line(&mut self, number: u32, line: &str) {
        if line.is_empty() {
            return;
        }
        if line.starts_with('[') {
            self.header(number, line);
        } else if !self.ignoring {
            self.assignment(number, line);
        }
    }

    fn header(&mut self, number: u32, line: &str) {
        let name = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        self.ignoring = false;
        match name {
            Some(name) if is_section_name(name) => {
                let section = Section { name: name.to_owned(), line: number, entries: Vec::new() };
                self.sections.push(section);
            }
            _ => {
                self.ignoring = true;
                let shown = excerpt(line);
                self.findings.on_line(
                    number,
                    format!("{shown} is not a section header: write a name in brackets alone on its line, such as [Service]"),
                );
            }
        }
    }

    fn assignment(&mut self, number: u32, line: &str) {
        let Some((key, value)) = line.split_once('=') else {
            let message = self.no_assignment(number, line);
            self.findings.on_line(number, message);
            return;
        };
        let (key, value) = (key.trim_matches(BLANK), value.trim_matches(BLANK));
        if key.is_empty() {
            self.findings
                .on_line(number, "no key stands before the \"=\": write Key=Value, or remove it");
            return;
        }
        let Some(section) = self.sections.last_mut() else {
            self.findings.on_line(
                number,
                format!(
                    "{} stands before the first section: add a header such as [Service] above it",
                    excerpt(line)
                ),
            );
            return;
        };
        self.entries += 1;
        if self.entries == ENTRIES_MAX + 1 {
            self.findings.on_line(
                number,
                format!("the file has more than {ENTRIES_MAX} assignments: remove some"),
            );
        }
        if self.entries <= ENTRIES_MAX {
            let (key, value) = (key.to_owned(), value.to_owned());
            section.entries.push(Entry { key, value, line: number });
        }
    }

    fn no_assignment(&self, number: u32, line: &str) -> String {
        let shown = excerpt(line);
        match self.blank_after_backslash {
            Some(above) if above + 1 == number => format!(
                "{shown} has no \"=\": line {above} does not continue, because blanks follow its backslash; remove them"
            ),
            _ => format!(
                "{shown} has no \"=\": write Key=Value, begin a comment with #, or end the line above with a backslash"
            ),
        }
    }
}

/// Whether a header may hold this name. systemd takes any; a bracket or an unprintable character in
/// one is always an accident.
fn is_section_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_control() || c == '[' || c == ']')
}

/// The beginning of a line in quotes, short enough to read in a message.
fn excerpt(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    let more = if text.chars().nth(CHARS_MAX).is_some() { "…" } else { "" };
    format!("\"{}{more}\"", text.chars().take(CHARS_MAX).collect::<String>())
}

/// The physical lines. As in systemd's `read_line`, any combination of one line feed, one carriage
/// return and one NUL ends a line.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take().filter(|text| !text.is_empty())?;
        let Some(end) = text.find(['\n', '\r', '\0']) else { return Some(text) };
        let mut seen = Vec::with_capacity(3);
        let after = text[end..].trim_start_matches(|c| {
            let ends = matches!(c, '\n' | '\r' | '\0') && !seen.contains(&c);
            seen.push(c);
            ends
        });
        rest = Some(after);
        Some(&text[..end])
    })
}

#[cfg(test)]
mod tests;
