//! What can be typed: the root of the command line. The arguments of each verb stand with the verb.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::failure::Exit;
use crate::verbs;

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 would change or placed only in part, 64 \
    wrong usage.\nAll of it: docs/cli.md";

/// Runs systemd units where their users are, for the least money.
#[derive(Debug, Parser)]
#[command(name = "kato", version, after_help = EXIT_CODES)]
#[command(subcommand_value_name = "VERB")]
#[command(subcommand_help_heading = "Verbs", max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) connection: ConnectionArgs,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// Whom to call, and as whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Connection")]
#[allow(clippy::doc_markdown)] // clap prints these texts; backticks would show.
pub(crate) struct ConnectionArgs {
    /// Coordinators, tried in this order; several with commas [env: KATO_ADDR]
    #[arg(long, global = true, value_name = "HOST:PORT", value_delimiter = ',')]
    pub(crate) address: Vec<String>,
    /// The mesh's root certificate [env: KATO_CACERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Your certificate [env: KATO_CLIENT_CERT]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key [env: KATO_CLIENT_KEY]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// A mesh of the context file [env: KATO_CONTEXT]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// How long an answer may take, such as 15s [default: 15s]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
}

/// One module each, in `verbs`.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Apply(verbs::apply::Args),
    Plan(verbs::plan::Args),
    Get(verbs::get::Args),
    Describe(verbs::describe::Args),
    Explain(verbs::explain::Args),
    Status(verbs::status::Args),
    Logs(verbs::logs::Args),
    Events(verbs::events::Args),
    Budget(verbs::budget::Args),
    Delete(verbs::delete::Args),
    Version(verbs::version::Args),
    Completion(verbs::completion::Args),
    Pki(verbs::pki::Args),
    Debug(verbs::debug::Args),
    Restore(verbs::restore::Args),
    Dev(verbs::dev::Args),
    Coordinator(verbs::coordinator::Args),
    Agent(verbs::agent::Args),
    #[command(hide = true)]
    Shim(verbs::shim::ShimArgs),
    #[command(hide = true)]
    ExecUnit(verbs::shim::ExecArgs),
}

/// Reads a command line.
pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(words)
}

/// Says what is wrong with a command line, or the help that it asked for.
pub(crate) fn explain(wrong: &clap::Error) -> Exit {
    // clap indents the blank lines between a help and its values, too.
    let text = crate::output::without_trailing_blanks(&wrong.render().ansi().to_string());
    if wrong.use_stderr() {
        // One word for advice, whoever gives it.
        anstream::eprint!("{}", text.replace("tip:", "hint:"));
        return Exit::Usage;
    }
    match crate::output::print(&text) {
        Ok(_) => Exit::Done,
        Err(error) => crate::failure::report(&error.into()),
    }
}

/// Reads `500ms`, `15s`, `2m` or a number of seconds.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "write a time such as 500ms, 15s or 2m".to_owned();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let millis = match &text[digits..] {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    millis.filter(|m| *m > 0).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn times_are_read_with_their_units() {
        for (text, millis) in [("500ms", 500), ("15s", 15_000), ("2m", 120_000), ("3", 3000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
        }
        for bad in ["", "s", "-1s", "1h", "0s", "1.5s", "99999999999999999999s"] {
            assert!(duration(bad).is_err(), "{bad:?} was taken");
        }
    }

    /// Every help text in one golden file: what a change does to them is seen at once.
    #[test]
    fn helps() {
        let mut root = Cli::command().term_width(100);
        root.build();
        let mut text = root.render_help().to_string();
        collect(&root, &mut text);
        insta::assert_snapshot!(text);
    }

    fn collect(command: &clap::Command, text: &mut String) {
        // `help` knows every verb again.
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
            let mut verb = verb.clone().term_width(100);
            let name = verb.get_bin_name().unwrap_or_default().to_owned();
            let shown = verb.render_long_help().to_string();
            // The connection's options are the same everywhere; the root's help above has them.
            let own = shown.split("\nConnection:\n").next().unwrap();
            text.extend(["\n===== ", &name, " --help\n", own.trim_end(), "\n"]);
            collect(&verb, text);
        }
    }
}
