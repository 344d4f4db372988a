//! How a command ends, and how it says what went wrong: `error: …` with its causes, each once, then a
//! blank line and `hint: …`.

use std::error::Error;
use std::fmt::Write;
use std::process::ExitCode;

use crate::client::ClientError;
use crate::output;
use crate::output::style::{BAD, HINT};
use crate::settings::SettingsError;
use crate::verbs::VerbError;
use crate::verbs::debug::DebugError;
use crate::verbs::dev::DevError;
use crate::verbs::pki::PkiVerbError;

/// The exit codes of every verb; docs/cli.md has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done; or nothing would change.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Something would change, or some instances found no place.
    Partly = 2,
    /// The command line is wrong.
    Usage = 64,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What an error has to say beyond its text and its causes.
#[derive(Debug, Default)]
struct Advice {
    details: Vec<String>,
    hint: Option<String>,
    usage: bool,
}

/// Prints the error and says how the process ends.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    anstream::eprint!("{}", render(error));
    if advice(error).usage { Exit::Usage } else { Exit::Failed }
}

/// The error as it is printed.
pub(crate) fn render(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut last = String::new();
    for (level, cause) in error.chain().enumerate() {
        let shown = output::plain_lines(&cause.to_string());
        // A library may repeat its cause in its own text.
        if level > 0 && last.contains(&shown) {
            continue;
        }
        let line = match level {
            0 => format!("{BAD}error:{BAD:#} {}", indented(&shown, "  ")),
            _ => format!("  caused by: {}", indented(&shown, "    ")),
        };
        let _ = writeln!(text, "{line}");
        last = shown;
    }
    let advice = advice(error);
    for detail in &advice.details {
        let shown = output::plain_lines(detail);
        // What is wrong alone is the error's own text.
        if !last.contains(&shown) {
            let _ = writeln!(text, "  {}", indented(&shown, "    "));
        }
    }
    if let Some(hint) = &advice.hint {
        let _ = writeln!(text, "\n{HINT}hint:{HINT:#} {}", indented(hint, "      "));
    }
    text
}

/// The text with its second and further lines moved in.
fn indented(text: &str, by: &str) -> String {
    text.trim_end().replace('\n', &format!("\n{by}"))
}

/// What the outermost error that knows advice says.
fn advice(error: &anyhow::Error) -> Advice {
    error.chain().find_map(known).unwrap_or_default()
}

fn known(error: &(dyn Error + 'static)) -> Option<Advice> {
    if let Some(error) = error.downcast_ref::<ClientError>() {
        return Some(Advice { details: error.details(), hint: error.hint(), usage: false });
    }
    if let Some(error) = error.downcast_ref::<SettingsError>() {
        return Some(Advice { hint: error.hint(), ..Advice::default() });
    }
    if let Some(error) = error.downcast_ref::<PkiVerbError>() {
        return Some(Advice { hint: error.hint(), ..Advice::default() });
    }
    if let Some(error) = error.downcast_ref::<DevError>() {
        return Some(Advice { hint: error.hint(), ..Advice::default() });
    }
    if let Some(error) = error.downcast_ref::<DebugError>() {
        return Some(Advice { hint: error.hint(), ..Advice::default() });
    }
    let error = error.downcast_ref::<VerbError>()?;
    Some(Advice { details: Vec::new(), hint: error.hint(), usage: error.is_usage() })
}
