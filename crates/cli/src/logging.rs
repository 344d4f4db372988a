//! What servers say while they run: lines on the standard error, as much as `KATO_LOG` asks for.

use std::ffi::OsStr;
use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// What is said unless `KATO_LOG` says otherwise. openraft warns of every call to a peer that is not up yet or not any
/// more, ten times a second, which is no news to whoever starts or stops a mesh; that a majority is missing is said once
/// by the coordinator itself.
const DEFAULT: &str = "info,openraft=error";

/// Starts logging. Once per process.
pub(crate) fn start() {
    let filter = EnvFilter::try_from_env("KATO_LOG").unwrap_or_else(|_| EnvFilter::new(DEFAULT));
    let terminal = std::io::stderr().is_terminal();
    let coloured = is_coloured(terminal, std::env::var_os("NO_COLOR").as_deref());
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(coloured)
        .init();
}

/// Whether somebody sees colours, and wants them: a set `NO_COLOR` that is not empty says no
/// (<https://no-color.org>).
fn is_coloured(terminal: bool, no_color: Option<&OsStr>) -> bool {
    terminal && no_color.is_none_or(OsStr::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        for (terminal, no_color, coloured) in [
            (true, None, true),
            (true, Some(""), true),
            (true, Some("1"), false),
            (false, None, false),
            (false, Some("1"), false),
        ] {
            assert_eq!(is_coloured(terminal, no_color.map(OsStr::new)), coloured, "{no_color:?}");
        }
    }
}
