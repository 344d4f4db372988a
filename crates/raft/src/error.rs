//! What can go wrong with the mesh's agreement.

use std::io;
use std::path::PathBuf;

use kato_proto::InvalidMessage;

/// Why a request to the mesh failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Nothing was done: no coordinator leads, or it has lost sight of the majority. Trying again may help.
    #[error("the mesh cannot decide now: {0}")]
    Unavailable(String),
    /// It was handed over, and its fate is unknown: it may still be applied.
    #[error("the answer of the mesh was lost: the request may or may not have been applied")]
    Unknown,
    /// A queue is full. Nothing was done.
    #[error("too many requests wait for the mesh, at most {0}")]
    Overloaded(usize),
    /// The request is larger than a log entry may be. Nothing was done.
    #[error("the request takes {bytes} bytes in the log, at most {max} fit")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The leader's disk is almost full, and no other member can lead. Nothing was done.
    #[error("{0}")]
    DiskFull(String),
    /// The mesh version does not cover a command yet. Nothing was done.
    #[error(
        "this needs mesh version {needs}, the mesh is at version {mesh}: it is raised once every \
         coordinator runs a kato that knows it"
    )]
    NotYet {
        /// The version that it needs.
        needs: u32,
        /// The mesh's.
        mesh: u32,
    },
    /// This coordinator has stopped taking part.
    #[error("this coordinator has stopped taking part in the mesh: {0}")]
    Stopped(String),
}

/// Why what lies on disk cannot be used. A store that shows damage is never repaired by forgetting.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk failed.
    #[error("{what} at {}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process uses the store.
    #[error("the log is in use by another process")]
    InUse,
    /// The database refused.
    #[error("the log's database is damaged or cannot be read")]
    Database(#[source] Box<redb::Error>),
    /// The database cannot be opened or read back.
    #[error(
        "{} is damaged or cannot be read; do not put an older copy back: join this coordinator under a new id, with an \
         empty directory",
        path.display()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the database said.
        #[source]
        source: Box<redb::Error>,
    },
    /// The log could not be written: the disk is full, or fails. What was acknowledged is there.
    #[error("the log cannot be written")]
    Write(#[source] Box<redb::Error>),
    /// A record is damaged.
    #[error(
        "{what} is damaged: {reason}; do not put an older copy back: join this coordinator under a new id, with an \
         empty directory"
    )]
    Damaged {
        /// Which record.
        what: String,
        /// How that shows.
        reason: String,
    },
    /// It is in order, and shorter than what this member has acknowledged.
    #[error(
        "this member has lost what it acknowledged: {found} (noted in {}); do not put an older copy back: join this \
         coordinator under a new id, with an empty directory",
        path.display()
    )]
    Lost {
        /// Where that is noted.
        path: PathBuf,
        /// What is missing.
        found: String,
    },
    /// A restore is to begin, and something is there.
    #[error("{} is not empty: a mesh is restored into an empty directory", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A restore was begun here and not ended.
    #[error("a restore into {} did not end: empty it, and restore again", path.display())]
    HalfRestored {
        /// The directory.
        path: PathBuf,
    },
    /// The store belongs to another member.
    #[error("the store belongs to member {found} of the mesh, the configuration says {configured}")]
    WrongMember {
        /// Who wrote it.
        found: u64,
        /// Who opens it.
        configured: u64,
    },
    /// A newer Káto wrote it.
    #[error(
        "{what} was written by a newer kato (format {found}), this one knows up to {known}: \
         start the newer binary"
    )]
    TooNew {
        /// Which record.
        what: String,
        /// The format found.
        found: u32,
        /// The newest known.
        known: u32,
    },
    /// An older Káto wrote it, in a format that is not read any more.
    #[error(
        "{what} was written by an older kato (format {found}), this one knows from {oldest} on: \
         start the older binary, or join this coordinator under a new id with an empty directory"
    )]
    TooOld {
        /// Which record.
        what: String,
        /// The format found.
        found: u32,
        /// The oldest known.
        oldest: u32,
    },
    /// It is whole, and needs another Káto.
    #[error("{what} cannot be used")]
    Version {
        /// Which record.
        what: String,
        /// What it needs.
        #[source]
        source: InvalidMessage,
    },
    /// Raft refused to start on it.
    #[error("raft does not start on this store: {0}")]
    Raft(String),
}

impl StoreError {
    /// What was read whole and cannot be understood: because another Káto wrote it, or by damage that no checksum saw.
    pub(crate) fn unreadable(what: String, error: InvalidMessage) -> Self {
        match error {
            InvalidMessage::TooNew { .. } | InvalidMessage::TooOld { .. } => {
                Self::Version { what, source: error }
            }
            damage => Self::Damaged { what, reason: damage.to_string() },
        }
    }

    /// Whether it is not damaged: another Káto reads it.
    pub(crate) fn is_of_other_version(&self) -> bool {
        matches!(self, Self::TooNew { .. } | Self::TooOld { .. } | Self::Version { .. })
    }
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::DatabaseAlreadyOpen => Self::InUse,
            other => Self::Database(Box::new(other)),
        }
    }
}

impl From<StoreError> for io::Error {
    /// openraft keeps an error's text and no more, so that holds the causes too.
    fn from(error: StoreError) -> Self {
        Self::other(chain(&error))
    }
}

/// An error and its causes, in one line. A cause that its error has quoted already is not said twice.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
