//! What is wrong with a unit file, said so that it can be put right without a manual: where it
//! stands, which key it is about, and what would be accepted instead.

use std::fmt;

use crate::Entry;
use crate::value::ValueError;

/// The most findings that one file is given; a file that is wrong everywhere is not a unit file.
pub const FINDINGS_MAX: usize = 50;

/// The longest message, in characters.
const MESSAGE_CHARS_MAX: usize = 400;

/// One thing to know about a unit file, shown as
/// `web@.service:12: [X-Kato] MaxLatency=: "fast" is not a duration: write 80ms or 0.2s`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{}: {}{message}", Line(*.line), Place { section, key })]
pub struct Finding {
    /// The file's name as it was given.
    pub file: String,
    /// The line that it is about, from 1; none where it is about something that is not there.
    pub line: Option<u32>,
    /// The section, without brackets.
    pub section: Option<String>,
    /// The key, without `=`.
    pub key: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

/// Shows `:12`, or nothing.
struct Line(Option<u32>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| write!(f, ":{line}"))
    }
}

/// Shows `[X-Kato] Count=: `, `[X-Kato]: `, or nothing.
struct Place<'a> {
    section: &'a Option<String>,
    key: &'a Option<String>,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.section, self.key) {
            (Some(section), Some(key)) => write!(f, "[{section}] {key}=: "),
            (Some(section), None) => write!(f, "[{section}]: "),
            (None, _) => Ok(()),
        }
    }
}

/// The findings of one file as they are made, at most [`FINDINGS_MAX`] of them.
#[derive(Debug)]
pub(crate) struct Findings {
    file: String,
    list: Vec<Finding>,
    dropped: usize,
}

impl Findings {
    /// No findings yet on the file of this name.
    pub(crate) fn new(file: &str) -> Self {
        Self { file: printable(file), list: Vec::new(), dropped: 0 }
    }

    /// Notes a finding on the file as a whole.
    pub(crate) fn on_file(&mut self, message: impl Into<String>) {
        self.push(None, None, None, &message.into());
    }

    /// Notes a finding on a line that is not an assignment.
    pub(crate) fn on_line(&mut self, line: u32, message: impl Into<String>) {
        self.push(Some(line), None, None, &message.into());
    }

    /// Notes a finding on a section's header.
    pub(crate) fn on_section(&mut self, line: u32, section: &str, message: impl Into<String>) {
        self.push(Some(line), Some(section), None, &message.into());
    }

    /// Notes a finding on a key; without a line if the key is missing from the file.
    pub(crate) fn on_key(
        &mut self,
        line: Option<u32>,
        section: &str,
        key: &str,
        message: impl Into<String>,
    ) {
        self.push(line, Some(section), Some(key), &message.into());
    }

    /// Notes that a value is wrong.
    pub(crate) fn on_value(&mut self, entry: &Entry, section: &str, error: &ValueError) {
        // systemd knows no comment behind a value, and most people do not know that.
        let comment = entry.value.contains(" #") || entry.value.contains("\t#");
        let hint = if comment { "; a comment needs a line of its own" } else { "" };
        self.on_key(Some(entry.line), section, &entry.key, format!("{error}{hint}"));
    }

    /// Takes over what another part of the crate found in the same file.
    pub(crate) fn extend(&mut self, other: Self) {
        for finding in other.list {
            self.add(finding);
        }
        self.dropped += other.dropped;
    }

    /// Whether nothing was found.
    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The findings in the order of the file's lines, those on the whole file first.
    pub(crate) fn finish(mut self) -> Vec<Finding> {
        self.list.sort_by_key(|finding| finding.line);
        if self.dropped > 0 {
            let message = format!("{} more findings: put these right first", self.dropped);
            self.list.push(Finding {
                file: self.file,
                line: None,
                section: None,
                key: None,
                message,
            });
        }
        self.list
    }

    fn push(&mut self, line: Option<u32>, section: Option<&str>, key: Option<&str>, message: &str) {
        let (section, key) = (section.map(printable), key.map(printable));
        let message = printable(message);
        self.add(Finding { file: self.file.clone(), line, section, key, message });
    }

    /// Takes over one finding.
    pub(crate) fn add(&mut self, finding: Finding) {
        if self.list.len() < FINDINGS_MAX {
            self.list.push(finding);
        } else {
            self.dropped += 1;
        }
    }
}

/// `text` as one line that a terminal can show: files quoted in a message may hold anything, of any
/// length. The middle goes, because the value stands in front and the remedy at the end.
fn printable(text: &str) -> String {
    let one_line = |c: char| {
        let control = c.is_control();
        control.then(|| c.escape_default()).into_iter().flatten().chain((!control).then_some(c))
    };
    let chars: Vec<char> = text.chars().flat_map(one_line).collect();
    if chars.len() <= MESSAGE_CHARS_MAX {
        return chars.into_iter().collect();
    }
    let (front, back) =
        (&chars[..MESSAGE_CHARS_MAX / 2], &chars[chars.len() - MESSAGE_CHARS_MAX / 2..]);
    front.iter().chain(['…'].iter()).chain(back).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_file_line_and_key() {
        let mut findings = Findings::new("web@.service");
        findings.on_key(Some(12), "X-Kato", "MaxLatency", "\"fast\" is not a duration");
        findings.on_section(9, "X-Kato", "wrong");
        findings.on_line(3, "wrong");
        findings.on_file("wrong");
        let shown: Vec<String> = findings.finish().iter().map(Finding::to_string).collect();
        assert_eq!(
            shown,
            [
                "web@.service: wrong",
                "web@.service:3: wrong",
                "web@.service:9: [X-Kato]: wrong",
                "web@.service:12: [X-Kato] MaxLatency=: \"fast\" is not a duration",
            ]
        );
    }

    #[test]
    fn a_message_is_one_short_line_whatever_the_file_holds() {
        let mut findings = Findings::new("a.service");
        findings.on_line(1, format!("\"{}\" \u{1b}[2J\n: write 1", "x".repeat(9_000)));
        let shown = findings.finish()[0].to_string();
        assert!(
            shown.starts_with("a.service:1: \"xxx")
                && shown.ends_with("x\" \\u{1b}[2J\\n: write 1")
        );
        assert!(shown.chars().count() < 420, "{shown}");
    }

    #[test]
    fn findings_are_bounded_and_say_so() {
        let mut findings = Findings::new("a.service");
        for line in 0..60 {
            findings.on_line(line, "wrong");
        }
        let list = findings.finish();
        assert_eq!(list.len(), FINDINGS_MAX + 1);
        assert_eq!(list[FINDINGS_MAX].message, "10 more findings: put these right first");
    }
}
