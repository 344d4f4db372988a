//! How fresh an answer must be, and what is said of one that may be old.

use std::time::Duration;

use clap::{Args, ValueEnum};
use kato_proto::v1::{Consistency, ReadInfo};

use crate::output::{self, units};

/// The `--read` of every verb that looks.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ReadArgs {
    /// How fresh the answer must be [default: linearizable]
    #[arg(long, value_enum, value_name = "HOW")]
    read: Option<Freshness>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Freshness {
    /// It holds every change that was acknowledged before; needs a majority
    Linearizable,
    /// What one coordinator knows, even without a majority
    Stale,
}

impl ReadArgs {
    /// As the API says it.
    pub(crate) fn consistency(self) -> i32 {
        let consistency = match self.read {
            Some(Freshness::Stale) => Consistency::Stale,
            Some(Freshness::Linearizable) | None => Consistency::Linearizable,
        };
        consistency.into()
    }

    /// Whether the user left the choice to the verb.
    pub(crate) fn is_open(self) -> bool {
        self.read.is_none()
    }
}

/// Says of a stale answer how old it is and who gave it.
pub(crate) fn note_age(read: Option<&ReadInfo>) {
    if let Some(read) = read.filter(|read| read.stale) {
        let age = units::span(Duration::from_millis(read.age_ms));
        let who = output::plain(&read.answered_by);
        output::note(&format!(
            "stale: {who} answers, as of {age} ago (revision {})",
            read.revision
        ));
    }
}
