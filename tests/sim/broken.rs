//! A promise that was broken, as a run says it: its name, a colon, and where.

/// What broke.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(crate) String);

impl Broken {
    /// Whether something happened that never may, and not merely nothing for too long.
    pub(crate) fn is_of_safety(&self) -> bool {
        !["progress:", "spins:", "panics:"].iter().any(|name| self.0.starts_with(name))
    }
}
