//! The table on disk: decisions in the order in which they were seen, and as many of the newest as it may have bytes.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use kato_core::{Decision, InstanceId, Revision, Timestamp};
use kato_proto::InvalidMessage;
use kato_proto::store::past::{Fate, Kept, PastDecision};
use redb::{
    Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction,
};

/// What all decisions that are kept take together at the most; the oldest go first.
const HISTORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// The database's page cache, in bytes: it is written often and read seldom.
const CACHE_BYTES: usize = 1024 * 1024;

/// Decisions by their number.
const DECISIONS: TableDefinition<u64, &[u8]> = TableDefinition::new("decisions");
const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("numbers");
/// The sum of their bytes.
const BYTES: &str = "bytes";
/// The revision of the last state that was looked at.
const SEEN: &str = "seen";

/// What was decided, on disk.
#[derive(Debug)]
pub struct History {
    database: Database,
    bytes_max: u64,
}

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The database says so.
    #[error("the table of decisions cannot be used")]
    Database(#[from] redb::Error),
    /// It cannot be opened, nor put aside.
    #[error("the table of decisions at {path} cannot be opened")]
    Open {
        /// Where it is.
        path: String,
        /// Why not.
        #[source]
        source: redb::Error,
    },
    /// What it holds cannot be read.
    #[error("the table of decisions is damaged")]
    Damaged(#[from] InvalidMessage),
    /// The work on it ended before its time.
    #[error("the table of decisions: {0}")]
    Broken(String),
}

macro_rules! from_database {
    ($($error:ident,)+) => {
        $(impl From<redb::$error> for HistoryError {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        })+
    };
}

from_database! { TransactionError, TableError, StorageError, CommitError, }

/// Up to where a coordinator has looked for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Seen {
    /// The state that it last kept something of.
    pub(crate) revision: Revision,
    /// When the last decision was made that it kept.
    pub(crate) at: Timestamp,
}

/// What the table says of an instance at a time.
#[derive(Debug)]
pub(crate) enum Found {
    /// Of the last decision about it until then.
    Past {
        at: Timestamp,
        /// When the next one was made.
        until: Option<Timestamp>,
        fate: Fate,
        decision: Option<Decision>,
    },
    /// Nothing; and when the oldest decision was made that it has, if it has one.
    Nothing(Option<Timestamp>),
}

impl History {
    /// Opens the table of a file, or makes it. One that is damaged is put aside: nothing rests on it.
    pub fn open(path: &Path) -> Result<Self, HistoryError> {
        let fails = |source| HistoryError::Open { path: path.display().to_string(), source };
        let opened = match database(path) {
            Err(error) if is_damage(&error) => {
                let aside = path.with_extension("damaged");
                tracing::error!(%error, aside = %aside.display(), "the table of decisions is begun anew");
                fs::rename(path, aside).map_err(|error| fails(redb::Error::Io(error)))?;
                database(path)
            }
            opened => opened,
        };
        Ok(Self { database: opened.map_err(fails)?, bytes_max: HISTORY_BYTES_MAX })
    }

    /// The same with another limit, for tests.
    #[cfg(test)]
    fn limited(self, bytes_max: u64) -> Self {
        Self { bytes_max, ..self }
    }

    /// What was looked at before.
    pub(crate) fn seen(&self) -> Result<Seen, HistoryError> {
        let read = self.database.begin_read()?;
        let numbers = match read.open_table(NUMBERS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Seen::default()),
            numbers => numbers?,
        };
        let revision = Revision(numbers.get(SEEN)?.map_or(0, |seen| seen.value()));
        let decisions = read.open_table(DECISIONS)?;
        let last = decisions.last()?;
        let last = last.map(|(_, bytes)| Kept::decode(bytes.value().to_vec())).transpose()?;
        Ok(Seen { revision, at: last.map_or(Timestamp::default(), |last| last.at) })
    }

    /// Keeps decisions, and notes up to which revision they were looked for.
    pub(crate) fn keep(
        &self,
        decisions: &[PastDecision],
        seen: Revision,
    ) -> Result<(), HistoryError> {
        if decisions.is_empty() {
            // Nothing would be found in between anyway.
            return Ok(());
        }
        let write = self.database.begin_write()?;
        self.write(&write, decisions, seen)?;
        Ok(write.commit()?)
    }

    fn write(
        &self,
        write: &WriteTransaction,
        decisions: &[PastDecision],
        seen: Revision,
    ) -> Result<(), HistoryError> {
        let mut table = write.open_table(DECISIONS)?;
        let mut numbers = write.open_table(NUMBERS)?;
        let mut bytes = numbers.get(BYTES)?.map_or(0, |bytes| bytes.value());
        let next = table.last()?.map_or(0, |(number, _)| number.value() + 1);
        for (number, decision) in (next..).zip(decisions) {
            let encoded = decision.encode();
            bytes += encoded.len() as u64;
            table.insert(number, &*encoded)?;
        }
        while bytes > self.bytes_max
            && let Some((_, oldest)) = table.pop_first()?
        {
            bytes -= oldest.value().len() as u64;
        }
        numbers.insert(BYTES, bytes)?;
        numbers.insert(SEEN, seen.0)?;
        Ok(())
    }

    /// What became of an instance by a time.
    pub(crate) fn find(&self, id: &InstanceId, by: Timestamp) -> Result<Found, HistoryError> {
        let read = self.database.begin_read()?;
        let table = match read.open_table(DECISIONS) {
            Err(TableError::TableDoesNotExist(_)) => return Ok(Found::Nothing(None)),
            table => table?,
        };
        let id = id.to_string();
        let (mut found, mut until, mut oldest): (Option<(Fate, Kept)>, _, Option<Timestamp>) =
            (None, None, None);
        // The order in which they were seen is that of time but for what was placed before a restore.
        for row in table.iter()?.rev() {
            let (_, bytes) = row?;
            let kept = Kept::decode(bytes.value().to_vec())?;
            oldest = Some(oldest.map_or(kept.at, |oldest| oldest.min(kept.at)));
            let Some(fate) = kept.fate_of(&id)? else { continue };
            if kept.at > by {
                until = Some(until.map_or(kept.at, |until: Timestamp| until.min(kept.at)));
            } else if found.as_ref().is_none_or(|(_, found)| found.at < kept.at) {
                found = Some((fate, kept));
            }
        }
        let Some((fate, kept)) = found else { return Ok(Found::Nothing(oldest)) };
        Ok(Found::Past { at: kept.at, until, fate, decision: kept.decision()? })
    }
}

/// Opens a database, which must not take the coordinator down with it.
fn database(path: &Path) -> Result<Database, redb::Error> {
    let open = || {
        let mut database = Database::builder().set_cache_size(CACHE_BYTES).create(path)?;
        if !database.check_integrity()? {
            let text = "its integrity check failed".to_owned();
            return Err(redb::Error::Corrupted(text));
        }
        Ok(database)
    };
    catch_unwind(AssertUnwindSafe(open))
        .unwrap_or_else(|_| Err(redb::Error::Corrupted("it cannot be read".to_owned())))
}

/// Whether an error says that the file is none that can be read, and not that the disk or somebody else is in the way.
fn is_damage(error: &redb::Error) -> bool {
    match error {
        redb::Error::Corrupted(_) | redb::Error::UpgradeRequired(_) => true,
        redb::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use kato_core::LATENCY_PRICE_DEFAULT;
    use tempfile::TempDir;

    use super::*;

    fn decision(at: u64) -> Decision {
        Decision {
            at: Timestamp(at),
            latency_price_micros_per_ms_hour: LATENCY_PRICE_DEFAULT,
            candidates: Vec::new(),
        }
    }

    fn past(at: u64, instance: &str, fate: Fate) -> PastDecision {
        let decision =
            (!matches!(fate, Fate::Waits | Fate::Deleted)).then(|| Arc::new(decision(at)));
        PastDecision { at: Timestamp(at), decision, fates: vec![(instance.parse().unwrap(), fate)] }
    }

    fn placed(cell: &str, epoch: u64) -> Fate {
        Fate::Placed(cell.parse().unwrap(), Revision(epoch))
    }

    fn fate(history: &History, instance: &str, by: u64) -> Option<(u64, Option<u64>, Fate)> {
        match history.find(&instance.parse().unwrap(), Timestamp(by)).unwrap() {
            Found::Past { at, until, fate, decision } => {
                assert_eq!(decision.is_none(), fate == Fate::Deleted);
                Some((at.0, until.map(|until| until.0), fate))
            }
            Found::Nothing(_) => None,
        }
    }

    #[test]
    fn what_held_at_a_time_is_found_whatever_was_decided_since() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("decisions.redb");
        let history = History::open(&path).unwrap();
        assert!(matches!(
            history.find(&"web@1".parse().unwrap(), Timestamp(1)).unwrap(),
            Found::Nothing(None)
        ));
        let none = Fate::NotPlaced(Some(Revision(5)));
        history.keep(&[past(10, "web@1", placed("cell-1.ewr", 5))], Revision(5)).unwrap();
        history
            .keep(
                &[past(20, "db@1", placed("cell-1.dub", 7)), past(30, "web@1", none.clone())],
                Revision(9),
            )
            .unwrap();
        drop(history);
        let history = History::open(&path).unwrap();
        assert_eq!(history.seen().unwrap(), Seen { revision: Revision(9), at: Timestamp(30) });
        history.keep(&[past(40, "web@1", placed("cell-1.dub", 11))], Revision(11)).unwrap();
        history.keep(&[past(50, "web@1", Fate::Deleted)], Revision(12)).unwrap();
        let ewr = placed("cell-1.ewr", 5);
        for (by, found) in [
            (9, None),
            (10, Some((10, Some(30), ewr.clone()))),
            (29, Some((10, Some(30), ewr))),
            (30, Some((30, Some(40), none))),
            (49, Some((40, Some(50), placed("cell-1.dub", 11)))),
            (1_000, Some((50, None, Fate::Deleted))),
        ] {
            assert_eq!(fate(&history, "web@1", by), found, "by {by}");
        }
        assert_eq!(fate(&history, "db@1", 1_000), Some((20, None, placed("cell-1.dub", 7))));
        assert_eq!(fate(&history, "web@2", 1_000), None);
    }

    #[test]
    fn the_oldest_go_first_and_the_file_does_not_grow() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("decisions.redb");
        let history = History::open(&path).unwrap().limited(2_000);
        let mut sizes = Vec::new();
        for at in 1..=400 {
            history.keep(&[past(at, "web@1", placed("cell-1.dub", at))], Revision(at)).unwrap();
            sizes.push(fs::metadata(&path).unwrap().len());
        }
        assert_eq!(fate(&history, "web@1", 400), Some((400, None, placed("cell-1.dub", 400))));
        let Found::Nothing(Some(oldest)) =
            history.find(&"web@1".parse().unwrap(), Timestamp(1)).unwrap()
        else {
            panic!("the first one is still there");
        };
        assert!((300..400).contains(&oldest.0), "{oldest:?}");
        assert_eq!(sizes[200], sizes[399]);
    }

    #[test]
    fn a_damaged_one_is_put_aside_and_one_in_use_is_not() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("decisions.redb");
        let history = History::open(&path).unwrap();
        history.keep(&[past(1, "web@1", placed("cell-1.dub", 1))], Revision(1)).unwrap();
        History::open(&path).unwrap_err();
        drop(history);
        let whole = fs::read(&path).unwrap();
        for damage in [&b"nonsense"[..], &whole[..whole.len() / 2], &vec![7; whole.len()]] {
            fs::write(&path, damage).unwrap();
            let history = History::open(&path).unwrap();
            assert_eq!(fate(&history, "web@1", 9), None);
            assert_eq!(fs::read(path.with_extension("damaged")).unwrap().len(), damage.len());
        }
        for at in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            // Whatever it finds, it does not panic.
            if let Ok(history) = History::open(&path) {
                let _ = history.find(&"web@1".parse().unwrap(), Timestamp(9));
            }
        }
    }
}
