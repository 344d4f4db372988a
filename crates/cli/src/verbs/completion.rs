//! `kato completion`: scripts by which a shell completes what is typed.

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Exit;
use crate::output;

/// Print a script that makes a shell complete kato's verbs and options
///
/// bash: kato completion bash > ~/.local/share/bash-completion/completions/kato
/// zsh:  kato completion zsh > "${fpath[1]}/_kato"
/// fish: kato completion fish > ~/.config/fish/completions/kato.fish
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// Whose
    #[arg(value_enum)]
    shell: KnownShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

/// Runs the verb.
pub(crate) fn run(args: Args) -> anyhow::Result<Exit> {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kato", &mut script);
    output::print_raw(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
