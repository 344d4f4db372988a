//! The few colours, by what they mean.

use anstyle::{AnsiColor, Style};

/// Something is wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Something may soon be wrong.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
/// Advice.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default().bold();
/// What was chosen, what counts.
pub(crate) const STRONG: Style = Style::new().bold();
/// What runs as it should.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// What matters least.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// Nothing special.
pub(crate) const PLAIN: Style = Style::new();

/// The text in a style.
pub(crate) fn paint(style: Style, text: &str) -> String {
    if style == PLAIN || text.is_empty() {
        text.to_owned()
    } else {
        format!("{style}{text}{style:#}")
    }
}
