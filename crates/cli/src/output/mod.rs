//! The one place that writes to the standard output, and the forms of an answer. Colour is written always;
//! anstream takes it out again where nobody would see it (no terminal, `NO_COLOR`).

// A text is put together once, for a person: `let _ = write!(…)` would save an allocation and cost the reader.
#![allow(clippy::format_push_string)]

pub(crate) mod candidates;
pub(crate) mod details;
pub(crate) mod explanation;
pub(crate) mod lists;
pub(crate) mod overview;
#[cfg(test)]
pub(crate) mod samples;
pub(crate) mod style;
pub(crate) mod table;
#[cfg(test)]
mod tests;
pub(crate) mod units;
pub(crate) mod what_if;

use std::io::{self, ErrorKind, Write};

use clap::ValueEnum;
use serde::Serialize;
use style::HINT;

/// Why an answer could not be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    #[error("cannot write to the standard output")]
    Write(#[from] io::Error),
    #[error("cannot write the answer as JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot write the answer as YAML")]
    Yaml(#[source] Box<serde_saphyr::ser::Error>),
}

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// The API's message in canonical protobuf JSON
    Json,
    /// The same in YAML
    Yaml,
}

impl Format {
    /// Whether programs read it.
    pub(crate) fn is_document(self) -> bool {
        matches!(self, Self::Json | Self::Yaml)
    }
}

/// Whether somebody still reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reader {
    There,
    /// The pipe is closed: `kato events -w | head -1`. What goes on for ever should end; what was about to be
    /// changed should still be changed.
    Gone,
}

/// Prints text that may have colours.
pub(crate) fn print(text: &str) -> Result<Reader, OutputError> {
    written(anstream::stdout().lock().write_all(text.as_bytes()))
}

/// Prints bytes as they are: the lines of a log belong to whoever wrote them.
pub(crate) fn print_raw(text: &str) -> Result<Reader, OutputError> {
    let mut stdout = io::stdout().lock();
    written(stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

fn written(result: io::Result<()>) -> Result<Reader, OutputError> {
    match result {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(error.into()),
    }
}

/// Prints a message as JSON, or as YAML; several make a stream of documents.
pub(crate) fn print_document(format: Format, message: &impl Serialize) -> Result<(), OutputError> {
    print_raw(&document(format, message)?)?;
    Ok(())
}

fn document(format: Format, message: &impl Serialize) -> Result<String, OutputError> {
    if format == Format::Yaml {
        let text = serde_saphyr::to_string(message);
        let text = text.map_err(|error| OutputError::Yaml(Box::new(error)))?;
        return Ok(format!("---\n{}\n", text.trim_end()));
    }
    Ok(format!("{}\n", serde_json::to_string_pretty(message)?))
}

/// Says something beside the answer, on the standard error.
pub(crate) fn note(text: &str) {
    anstream::eprintln!("{HINT}note:{HINT:#} {text}");
}

/// Says something beside the answer that somebody should look at.
pub(crate) fn warn(text: &str) {
    anstream::eprintln!("{}warning:{:#} {text}", style::WARN, style::WARN);
}

/// The lines without blanks at their ends, which only show when somebody copies them.
pub(crate) fn without_trailing_blanks(text: &str) -> String {
    text.lines().fold(String::new(), |all, line| all + line.trim_end() + "\n")
}

/// Text from elsewhere as one line that cannot command the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// The same for text of several lines.
pub(crate) fn plain_lines(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { ' ' } else { c }).collect()
}
