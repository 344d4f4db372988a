//! A member whose log is shorter than what it has acknowledged: damage of the very last write that no checksum told
//! from a write cut short (`store/head.rs`), or a directory that somebody put back from a copy. Its log is in order, so
//! only the leader can know: each append says what the leader has seen this member acknowledge. A member that finds less
//! stops, notes it on its disk, and does not start again: it must come back under a new number.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use openraft::vote::leader_id_adv::LeaderId;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::store::Observer;
use crate::types::{NodeId, Vote};
use crate::{Disk, Error, StoreError};

/// The file that says that this store may not be used any more.
const LOST: &str = "lost";

/// What a leader has seen others acknowledge, in its own term. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Acknowledged(Arc<Mutex<BTreeMap<NodeId, Seen>>>);

/// By whom it was seen, and the last entry.
type Seen = (LeaderId<u64, NodeId>, u64);

impl Acknowledged {
    /// Notes that a member has acknowledged everything up to an entry.
    pub(crate) fn note(&self, by: NodeId, leader: &Vote, upto: u64) {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = seen.entry(by).or_insert((leader.leader_id, upto));
        // In another term entries may be gone that were acknowledged in this one.
        *known =
            (leader.leader_id, if known.0 == leader.leader_id { known.1.max(upto) } else { upto });
    }

    /// The last entry that a member has acknowledged to this leader.
    pub(crate) fn by(&self, member: NodeId, leader: &Vote) -> Option<u64> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&member).filter(|(by, _)| *by == leader.leader_id).map(|(_, upto)| *upto)
    }
}

/// Compares this member's log with what its leader has seen acknowledged.
#[derive(Clone)]
pub(crate) struct Lost {
    disk: Arc<dyn Disk>,
    log: Observer,
    found: watch::Sender<Option<String>>,
}

impl Lost {
    /// Refuses a store on which entries were found missing before.
    pub(crate) fn open(disk: Arc<dyn Disk>, log: Observer) -> Result<Self, StoreError> {
        match disk.read(LOST) {
            Ok(found) => Err(StoreError::Lost {
                path: disk.path(LOST),
                found: String::from_utf8_lossy(&found).trim().to_owned(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Self { disk, log, found: watch::Sender::new(None) })
            }
            Err(source) => {
                Err(StoreError::Io { what: "cannot read", path: disk.path(LOST), source })
            }
        }
    }

    /// This member's vote, if it has ever given one.
    pub(crate) fn vote(&self) -> Option<Vote> {
        self.log.position()?.0
    }

    /// Refuses an append of a leader that has seen more than there is.
    pub(crate) fn check(&self, leader: &Vote, acknowledged: Option<u64>) -> Result<(), String> {
        let Some(acknowledged) = acknowledged else { return Ok(()) };
        let Some((vote, last)) = self.log.position() else { return Ok(()) };
        // What one leader saw, another one may have had removed since.
        let follows = vote.is_some_and(|vote| vote.leader_id == leader.leader_id);
        if !follows || last >= Some(acknowledged) {
            return Ok(());
        }
        let ends =
            last.map_or_else(|| "is empty".to_owned(), |last| format!("ends at entry {last}"));
        let text = format!(
            "its log {ends}, and member {} has seen it acknowledge entry {acknowledged}",
            leader.leader_id.node_id
        );
        if self.found.send_replace(Some(text.clone())).is_none()
            && let Err(error) = self.disk.write(LOST, format!("{text}\n").as_bytes())
        {
            tracing::error!(%error, "cannot note that entries are missing");
        }
        Err(format!("this member has lost what it acknowledged: {text}"))
    }

    /// Ends with an error once entries are missing.
    pub(crate) async fn watch(self, shutdown: CancellationToken) -> Result<(), Error> {
        let mut found = self.found.subscribe();
        let path = self.disk.path(LOST);
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            found = found.wait_for(Option::is_some) => {
                let Ok(found) = found else { return Ok(()) };
                let found = found.clone().unwrap_or_default();
                Err(Error::Stopped(StoreError::Lost { path, found }.to_string()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flush;
    use crate::rig::RigDisk;
    use crate::rig::history::{MEMBER, Step, Store, entry, run, vote};

    #[test]
    fn what_one_leader_saw_says_nothing_of_another_ones_term() {
        let seen = Acknowledged::default();
        let (first, second) = (vote(1, true), vote(2, true));
        seen.note(3, &first, 9);
        seen.note(3, &first, 7);
        assert_eq!((seen.by(3, &first), seen.by(4, &first)), (Some(9), None));
        assert_eq!(seen.by(3, &second), None);
        seen.note(3, &second, 8);
        assert_eq!((seen.by(3, &first), seen.by(3, &second)), (None, Some(8)));
    }

    #[test]
    fn a_shorter_log_is_noticed_by_its_own_leader_alone_and_not_forgotten() {
        let disk = RigDisk::default();
        let mut store = Store::open(&disk).unwrap();
        let steps =
            [Step::Vote(vote(2, true)), Step::Append(vec![entry(2, 0, 10), entry(2, 1, 10)])];
        assert_eq!(run(&disk, &mut store, &steps).0, 2);
        drop(store);
        let store = Arc::new(disk.clone());
        let log = crate::store::LogStore::open(store, MEMBER, Flush::Inline).unwrap();
        let lost = Lost::open(Arc::new(disk.clone()), log.observer()).unwrap();
        for (leader, acknowledged) in
            [(2, None), (2, Some(1)), (2, Some(0)), (1, Some(9)), (3, Some(9))]
        {
            lost.check(&vote(leader, true), acknowledged).unwrap();
        }
        let text = lost.check(&vote(2, true), Some(2)).unwrap_err();
        assert!(
            text.contains("its log ends at entry 1, and member 7 has seen it acknowledge entry 2")
        );
        let again = Lost::open(Arc::new(disk), log.observer()).map(drop).unwrap_err().to_string();
        assert!(again.contains("acknowledge entry 2 (noted in rig/lost)"), "{again}");
        assert!(again.contains("join this coordinator under a new id"), "{again}");
    }
}
