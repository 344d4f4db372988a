//! The `kato` program, and what came of running it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[path = "../../built.rs"]
mod built;

pub(crate) use built::kato;

/// What a command printed, and how it ended.
#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Insists on how it ended.
    #[track_caller]
    pub(crate) fn code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Insists that it failed with one error, which holds all of `words`.
    #[track_caller]
    pub(crate) fn one_error(&self, words: &[&str]) {
        assert_eq!(self.code, 1, "{self:?}");
        assert_eq!(self.err.matches("error: ").count(), 1, "{self:?}");
        assert!(!self.err.contains("panicked"), "{self:?}");
        for word in words {
            assert!(self.err.contains(word), "no {word:?} in {}", self.err);
        }
    }
}

/// The workspace's directory.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A `kato` that knows nothing of whoever runs the tests: its home is `home`.
pub(crate) fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(kato());
    command.args(arguments);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("KATO_") {
            command.env_remove(name);
        }
    }
    for name in ["XDG_STATE_HOME", "XDG_CONFIG_HOME"] {
        command.env_remove(name);
    }
    command.env("HOME", home).env("KATO_CONTEXT_FILE", home.join("contexts.toml"));
    command
}

/// Runs any command to its end.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> Ran {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")).into()
}
