//! The scripted history, and what each of its steps leaves behind.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use futures_util::{FutureExt, stream};
use kato_core::version::NEWEST;
use kato_core::{Batch, Command, State, Timestamp};
use kato_proto::store;
use openraft::EntryPayload;
use openraft::storage::{
    EntryResponder, IOFlushed, RaftLogReader, RaftLogStorage, RaftSnapshotBuilder, RaftStateMachine,
};
use openraft::vote::leader_id_adv::LeaderId;
use openraft_rt::{AsyncRuntime, Oneshot};

use super::disk::RigDisk;
use crate::machine::Machine;
use crate::store::LogStore;
use crate::types::{Entry, LogId, Record, Runtime, TypeConfig, Vote};
use crate::{Flush, StoreError};

/// The member whose store it is.
pub(crate) const MEMBER: u64 = 7;

/// One thing that Raft asks of its store.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Vote(Vote),
    Append(Vec<Entry>),
    /// Needs not be durable before the next change.
    Committed(LogId),
    TruncateAfter(u64),
    Purge(LogId),
    /// Apply up to here and write a snapshot.
    Snapshot(u64),
}

/// What was acknowledged.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) vote: Option<Vote>,
    pub(crate) committed: Option<LogId>,
    lazy: Option<LogId>,
    pub(crate) purged: Option<LogId>,
    pub(crate) entries: BTreeMap<u64, Entry>,
    /// The state in the newest snapshot, and the last entry in it.
    pub(crate) snapshot: Option<(u64, State)>,
    applied: State,
}

pub(crate) fn id(term: u64, index: u64) -> LogId {
    LogId::new(LeaderId { term, node_id: MEMBER }, index)
}

pub(crate) fn vote(term: u64, committed: bool) -> Vote {
    Vote { leader_id: LeaderId { term, node_id: MEMBER }, committed }
}

fn batch(index: u64, bytes: usize) -> Batch {
    let command = if index.is_multiple_of(2) {
        Command::Suspend { machines: Vec::new(), reason: "x".repeat(bytes) }
    } else {
        crate::alone::register(&format!("dc-{index}")).remove(0)
    };
    Batch { at: Timestamp(index), commands: vec![command] }
}

pub(crate) fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let record = Record(store::encode_batch(&batch(index, bytes)));
    Entry { log_id: id(term, index), payload: EntryPayload::Normal(record) }
}

/// A history of `rounds` terms: each has votes, entries of all sizes, a tail that the next leader truncates, a
/// snapshot, and a purge behind it.
pub(super) fn script(rounds: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut next = 0;
    let append = |steps: &mut Vec<Step>, term, sizes: &[usize], next: &mut u64| {
        let entries = sizes.iter().zip(*next..).map(|(bytes, index)| entry(term, index, *bytes));
        steps.push(Step::Append(entries.collect()));
        *next += sizes.len() as u64;
    };
    for term in 1..=rounds {
        steps.push(Step::Vote(vote(term, false)));
        if term > 1 {
            next -= 2;
            steps.push(Step::TruncateAfter(next - 1));
        }
        steps.push(Step::Vote(vote(term, true)));
        append(&mut steps, term, &[10], &mut next);
        append(&mut steps, term, &[300, 300, 5_000], &mut next);
        steps.push(Step::Committed(id(term, next - 1)));
        append(&mut steps, term, &[60_000, 20], &mut next);
        steps.push(Step::Committed(id(term, next - 1)));
        if term % 2 == 0 {
            steps.push(Step::Snapshot(next - 1));
            append(&mut steps, term, &[40], &mut next);
            steps.push(Step::Purge(id(term, next - 3)));
        }
        // Not committed: the next leader has others in their place.
        append(&mut steps, term, &[500, 9_000], &mut next);
    }
    steps
}

impl Model {
    /// What there is once `step` was acknowledged.
    pub(super) fn after(&self, step: &Step) -> Self {
        let mut model = self.clone();
        if let Step::Committed(id) = step {
            model.lazy = Some(*id);
            return model;
        }
        if let Step::Snapshot(upto) = step {
            let from = self.snapshot.as_ref().map_or(0, |(index, _)| index + 1);
            for (index, entry) in self.entries.range(from..=*upto) {
                let EntryPayload::Normal(record) = &entry.payload else { continue };
                assert_eq!(entry.log_id.index, *index);
                model.applied.apply(&store::decode_batch(&record.0, NEWEST).unwrap());
            }
            model.snapshot = Some((*upto, model.applied.clone()));
            return model;
        }
        model.committed = model.lazy.or(model.committed);
        match step {
            Step::Vote(vote) => model.vote = Some(*vote),
            Step::Append(entries) => {
                model.entries.extend(entries.iter().map(|e| (e.log_id.index, e.clone())));
            }
            Step::TruncateAfter(last) => drop(model.entries.split_off(&(last + 1))),
            Step::Purge(upto) => {
                model.entries = model.entries.split_off(&(upto.index + 1));
                model.purged = Some(*upto);
            }
            Step::Committed(_) | Step::Snapshot(_) => {}
        }
        model
    }

    /// The models before the first step, and after each.
    pub(super) fn all(steps: &[Step]) -> Vec<Self> {
        let mut models = vec![Self::default()];
        for step in steps {
            models.push(models[models.len() - 1].after(step));
        }
        models
    }

    /// Without what needs not be there after a crash.
    fn durable(&self) -> Self {
        Self { lazy: None, applied: State::default(), ..self.clone() }
    }

    /// Whether a store holds exactly this.
    pub(super) fn is(&self, found: &Self) -> bool {
        self.durable() == *found
    }

    pub(super) fn brief(&self) -> String {
        let indexes: Vec<u64> = self.entries.keys().copied().collect();
        let ends = (indexes.first(), indexes.last(), indexes.len());
        let index = |id: Option<LogId>| id.map(|id| id.index);
        format!(
            "vote {:?}, committed {:?}, purged {:?}, entries {ends:?}, snapshot {:?}",
            self.vote,
            index(self.committed),
            index(self.purged),
            self.snapshot.as_ref().map(|snapshot| snapshot.0)
        )
    }
}

/// A store that is open.
pub(crate) struct Store {
    log: LogStore,
    machine: Machine,
}

/// Nothing in an inline store waits, but for others to have their turn.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let answered = (0..1_000).find_map(|_| future.as_mut().now_or_never());
    answered.expect("an inline store answers at once")
}

impl Store {
    pub(crate) fn open(disk: &RigDisk) -> Result<Self, StoreError> {
        let disk = Arc::new(disk.clone());
        let log = LogStore::open(disk.clone(), MEMBER, Flush::Inline)?;
        let machine = Machine::open(disk, log.extent(), NEWEST)?;
        Ok(Self { log, machine })
    }

    /// Does a step; `Ok` is the acknowledgement.
    pub(super) fn step(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Vote(vote) => now(self.log.save_vote(vote)),
            Step::Append(entries) => {
                let (done, acknowledged) =
                    <<Runtime as AsyncRuntime>::Oneshot as Oneshot>::channel();
                let callback = IOFlushed::<TypeConfig>::signal(done);
                now(self.log.append(entries.clone(), callback))?;
                now(acknowledged).expect("every append is answered")
            }
            Step::Committed(id) => now(self.log.save_committed(Some(*id))),
            Step::TruncateAfter(last) => {
                let last = self.entries()?.get(last).map(|entry| entry.log_id);
                now(self.log.truncate_after(last))
            }
            Step::Purge(upto) => now(self.log.purge(*upto)),
            Step::Snapshot(upto) => {
                let (applied, _) = now(self.machine.applied_state())?;
                let from = applied.map_or(0, |id| id.index + 1);
                let entries = now(self.log.try_get_log_entries(from..=*upto))?;
                let entries = entries.into_iter().map(|entry| Ok((entry, None)));
                let entries: Vec<io::Result<EntryResponder<TypeConfig>>> = entries.collect();
                now(self.machine.apply(stream::iter(entries)))?;
                now(now(self.machine.get_snapshot_builder()).build_snapshot()).map(drop)
            }
        }
    }

    fn entries(&mut self) -> io::Result<BTreeMap<u64, Entry>> {
        let entries = now(self.log.try_get_log_entries(0..))?;
        Ok(entries.into_iter().map(|entry| (entry.log_id.index, entry)).collect())
    }

    /// What the store holds.
    pub(super) fn found(&mut self) -> Model {
        let extent = self.log.extent();
        let (applied, _) = now(self.machine.applied_state()).unwrap();
        Model {
            vote: now(self.log.read_vote()).unwrap(),
            committed: extent.committed,
            purged: extent.purged,
            entries: self.entries().unwrap(),
            snapshot: applied.map(|id| (id.index, self.machine.subscribe().borrow().state.clone())),
            ..Model::default()
        }
    }
}

/// Runs the steps from `first` on; the number of those that were acknowledged, and the error that stopped them.
pub(crate) fn run(disk: &RigDisk, store: &mut Store, steps: &[Step]) -> (usize, Option<io::Error>) {
    for (number, step) in steps.iter().enumerate() {
        disk.begin(number);
        if let Err(error) = store.step(step) {
            return (number, Some(error));
        }
    }
    (steps.len(), None)
}
