//! A disk in memory that remembers every operation, so that a test can cut the power at each of them, and that
//! fails when told to.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastrand::Rng;
use redb::{Builder, Database, DatabaseError, StorageBackend};

use super::draft::{RigDraft, RigSource};
use crate::Disk;
use crate::disk::{Draft, Source};

/// The page that a torn write stops at, and the sector that a disk writes whole.
const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

/// A disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RigDisk {
    state: Arc<Mutex<State>>,
    /// The outages that this handle has seen. After another one it can do nothing any more.
    outages: u64,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// As the running process sees it.
    seen: Content,
    /// As it is after a power cut that loses everything unsynced.
    durable: Arc<Content>,
    /// What was done since the last sync, in order.
    pending: Vec<Op>,
    /// Every moment before an operation, if they are kept.
    moments: Option<Vec<Moment>>,
    /// The step of the script that runs.
    step: usize,
    operations: u64,
    fault: Option<Fault>,
    /// What is left, in bytes; none for as much as anybody wants.
    free: Option<u64>,
    /// Whether somebody has the log open.
    locked: bool,
    /// How often what used the disk was ended without being asked.
    outages: u64,
}

/// What lies on the disk.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// The log's database.
    pub log: Vec<u8>,
    /// Everything else, by name.
    pub files: BTreeMap<String, Vec<u8>>,
}

#[derive(Debug, Clone)]
pub(super) enum Op {
    Write(usize, Arc<[u8]>),
    SetLen(usize),
    Note(String, usize, Arc<[u8]>),
    /// A whole file gets its name.
    Keep(String, Arc<[u8]>),
}

/// The disk just before an operation.
#[derive(Debug, Clone)]
pub struct Moment {
    /// The step of the script that ran.
    pub step: usize,
    durable: Arc<Content>,
    pending: Vec<Op>,
}

/// What becomes of writes that were not synced when the power went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// All are lost.
    Lost,
    /// The first ones are kept, a random number of them.
    Prefix,
    /// So, and the next one is torn at a page, or a sector if it is no longer than a page.
    Torn,
    /// Any are kept, whatever their order: disks reorder between syncs.
    Scattered,
    /// All are kept: the process was killed, the system was not.
    Killed,
}

/// From operation `at` on, or at it alone, the disk fails.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// The number of the first operation that fails.
    pub at: u64,
    /// The system's number of the error.
    pub error: i32,
    /// Whether all later ones fail too.
    pub lasting: bool,
}

impl Content {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Write(offset, data) => put(&mut self.log, *offset, data),
            Op::SetLen(len) => self.log.resize(*len, 0),
            Op::Note(name, offset, data) => {
                put(self.files.entry(name.clone()).or_default(), *offset, data);
            }
            Op::Keep(name, data) => drop(self.files.insert(name.clone(), data.to_vec())),
        }
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    let end = offset + data.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[offset..end].copy_from_slice(data);
}

impl Moment {
    /// The disk as the power cut left it.
    pub fn cut(&self, cut: Cut, chance: &mut Rng) -> Content {
        let mut content = Content::clone(&self.durable);
        let kept = chance.usize(..=self.pending.len());
        for (place, op) in self.pending.iter().enumerate() {
            let keep = match cut {
                Cut::Lost => false,
                Cut::Killed => true,
                Cut::Scattered => chance.bool(),
                Cut::Prefix | Cut::Torn => place < kept,
            };
            match op {
                _ if keep => content.apply(op),
                Op::Write(offset, data) if cut == Cut::Torn && place == kept => {
                    let unit = if data.len() > PAGE_BYTES { PAGE_BYTES } else { SECTOR_BYTES };
                    let whole = chance.usize(..data.len().div_ceil(unit)) * unit;
                    put(&mut content.log, *offset, &data[..whole]);
                }
                _ => {}
            }
        }
        content
    }

    /// Whether anything was unsynced.
    pub fn is_unsynced(&self) -> bool {
        !self.pending.is_empty()
    }
}

impl RigDisk {
    /// A disk that holds this.
    pub fn of(content: Content) -> Self {
        let durable = Arc::new(content.clone());
        let state = State { seen: content, durable, ..State::default() };
        Self { state: Arc::new(Mutex::new(state)), outages: 0 }
    }

    /// Ends whatever uses the disk, leaving what such an end may leave. Returns the disk for what starts next.
    #[must_use]
    pub fn crash(&self, cut: Cut, chance: &mut Rng) -> Self {
        let mut state = self.state();
        let content = state.moment().cut(cut, chance);
        state.durable = Arc::new(content.clone());
        state.seen = content;
        state.pending.clear();
        state.locked = false;
        state.outages += 1;
        Self { state: Arc::clone(&self.state), outages: state.outages }
    }

    /// Keeps every moment from now on.
    pub fn record(&self) {
        self.state().moments = Some(Vec::new());
    }

    /// Says which step of the script comes.
    pub fn begin(&self, step: usize) {
        self.state().step = step;
    }

    /// The moments that were kept, and the present one.
    pub fn moments(&self) -> Vec<Moment> {
        let mut state = self.state();
        let mut moments = state.moments.take().unwrap_or_default();
        moments.push(state.moment());
        moments
    }

    /// Makes operations fail, or none any more.
    pub fn fail(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Says that so many bytes are left, or none for as much as anybody wants.
    pub fn leave(&self, free: Option<u64>) {
        self.state().free = free;
    }

    /// How many operations there were that change something.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// What the running process sees.
    pub fn content(&self) -> Content {
        self.state().seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, unless an outage has ended this handle.
    pub(super) fn powered(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.state();
        if state.outages == self.outages {
            Ok(state)
        } else {
            Err(io::Error::other("the power is gone"))
        }
    }

    /// Counts an operation that changes something, and fails it if that is due.
    pub(super) fn operate(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.powered()?;
        let now = state.operations;
        state.operations += 1;
        if let Some(fault) = state.fault
            && (now == fault.at || fault.lasting && now > fault.at)
        {
            return Err(io::Error::from_raw_os_error(fault.error));
        }
        if state.moments.is_some() {
            let moment = state.moment();
            state.moments.get_or_insert_default().push(moment);
        }
        Ok(state)
    }
}

impl State {
    fn moment(&self) -> Moment {
        let (durable, pending) = (Arc::clone(&self.durable), self.pending.clone());
        Moment { step: self.step, durable, pending }
    }

    pub(super) fn done(&mut self, op: Op) {
        self.seen.apply(&op);
        self.pending.push(op);
    }

    /// Syncs what `of` says.
    pub(super) fn sync(&mut self, of: impl Fn(&Op) -> bool) {
        let durable = Arc::make_mut(&mut self.durable);
        self.pending.retain(|op| {
            if of(op) {
                durable.apply(op);
            }
            !of(op)
        });
    }
}

impl Disk for RigDisk {
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let mut state = self.powered().map_err(redb::StorageError::from)?;
        if std::mem::replace(&mut state.locked, true) {
            return Err(DatabaseError::DatabaseAlreadyOpen);
        }
        drop(state);
        // Unlocks when it is dropped, however that comes.
        let handle = Handle(self.clone());
        if self.state().seen.log.is_empty() {
            // As in a directory: made aside, and then there as a whole.
            let aside = Self::default();
            drop(builder.create_with_backend(Handle(aside.clone()))?);
            let mut state = self.operate().map_err(redb::StorageError::from)?;
            state.seen.log = aside.content().log;
            let log = state.seen.log.clone();
            Arc::make_mut(&mut state.durable).log = log;
        }
        builder.create_with_backend(handle)
    }

    fn create(&self) -> io::Result<Box<dyn Draft>> {
        drop(self.operate()?);
        Ok(Box::new(RigDraft { disk: self.clone(), bytes: Vec::new() }))
    }

    fn note(&self, name: &str, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let mut state = self.operate()?;
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        state.done(Op::Note(name.to_owned(), offset, bytes.into()));
        drop(state);
        if durable {
            self.operate()?.sync(|op| matches!(op, Op::Note(..)));
        }
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.state().seen.files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>> {
        let bytes = self.read(name)?.into();
        Ok(Arc::new(RigSource { disk: self.clone(), bytes }))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.state().seen.files.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.operate()?;
        state.seen.files.remove(name);
        Arc::make_mut(&mut state.durable).files.remove(name);
        Ok(())
    }

    fn free(&self) -> io::Result<u64> {
        Ok(self.powered()?.free.unwrap_or(u64::MAX))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("rig").join(name)
    }
}

#[derive(Debug)]
struct Handle(RigDisk);

impl Drop for Handle {
    fn drop(&mut self) {
        if let Ok(mut state) = self.0.powered() {
            state.locked = false;
        }
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.powered()?.seen.log.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.0.powered()?;
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = state.seen.log.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        self.0.operate()?.done(Op::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.operate()?.sync(|op| !matches!(op, Op::Note(..)));
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        self.0.operate()?.done(Op::Write(offset, data.into()));
        Ok(())
    }
}
