//! Mistakes that the simulator must find, each once made by somebody: a checker that finds nothing proves nothing.
//! They exist where the feature `flaws` is on, which is in the simulator's builds alone, and there only once one is chosen.

use std::str::FromStr;

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// A vote counts before it is on the disk.
    UnsyncedVote,
    /// A leader reads its own state without asking whether it still leads.
    StaleLeaderRead,
    /// A lease is granted without a ReadIndex.
    GrantWithoutReadIndex,
    /// A new leader takes an earlier one's wait for leases over, by the time of day.
    InheritedWait,
    /// A move keeps the epoch of the place before.
    KeptEpoch,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::UnsyncedVote,
        Self::StaleLeaderRead,
        Self::GrantWithoutReadIndex,
        Self::InheritedWait,
        Self::KeptEpoch,
    ];

    /// Its name in commands.
    pub fn name(self) -> &'static str {
        match self {
            Self::UnsyncedVote => "unsynced-vote",
            Self::StaleLeaderRead => "stale-leader-read",
            Self::GrantWithoutReadIndex => "grant-without-read-index",
            Self::InheritedWait => "inherited-wait",
            Self::KeptEpoch => "kept-epoch",
        }
    }

    /// Whether it is made. Without the feature this is `false`, and the compiler leaves the mistake out.
    pub fn is_made(self) -> bool {
        #[cfg(feature = "flaws")]
        return chosen::get() == Some(self);
        #[cfg(not(feature = "flaws"))]
        false
    }

    /// Makes it from now on, in the whole process.
    #[cfg(feature = "flaws")]
    pub fn make(self) {
        chosen::set(self);
    }
}

/// A mistake that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownFlaw(String);

impl std::error::Error for UnknownFlaw {}

impl std::fmt::Display for UnknownFlaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = Flaw::ALL.iter().map(|flaw| flaw.name()).collect();
        write!(f, "there is no flaw \"{}\": one of {}", self.0, names.join(", "))
    }
}

impl FromStr for Flaw {
    type Err = UnknownFlaw;

    fn from_str(text: &str) -> Result<Self, UnknownFlaw> {
        let found = Self::ALL.into_iter().find(|flaw| flaw.name() == text);
        found.ok_or_else(|| UnknownFlaw(text.to_owned()))
    }
}

/// The one that is made. A run has a process of its own, so one place is enough.
#[cfg(feature = "flaws")]
mod chosen {
    use std::sync::OnceLock;

    use super::Flaw;

    static CHOSEN: OnceLock<Flaw> = OnceLock::new();

    pub(super) fn get() -> Option<Flaw> {
        CHOSEN.get().copied()
    }

    pub(super) fn set(flaw: Flaw) {
        // The first choice holds.
        let _ = CHOSEN.set(flaw);
    }
}
