//! The seam below the store: a directory in production, a disk that forgets unsynced writes in simulation.

mod directory;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError};

pub use directory::DirDisk;
pub(crate) use directory::LOG;

/// Where one member keeps its log and its snapshots.
pub trait Disk: Send + Sync + 'static {
    /// Opens the log's database, or makes it.
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError>;

    /// Begins a file that has no name yet.
    fn create(&self) -> io::Result<Box<dyn Draft>>;

    /// Writes a whole file: after this returns it survives a crash; before, it is not there at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut draft = self.create()?;
        draft.append(bytes)?;
        draft.keep(name)
    }

    /// Writes `bytes`, at most a sector, into a small file in place, at `offset`. A crash of the process does not
    /// undo it once this returns; a power cut may, unless it is `durable`. Other parts of the file stay as they are.
    fn note(&self, name: &str, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()>;

    /// Reads a whole file, a small one.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Opens a file that may be large.
    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>>;

    /// The names of the files that were written here, in order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// What is left for this member, in bytes.
    fn free(&self) -> io::Result<u64>;

    /// How to name a file in an error.
    fn path(&self, name: &str) -> PathBuf;
}

/// A file that is being written. Dropped, or after a crash, nothing is left of it.
pub trait Draft: Send {
    /// Writes on.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Gives it its name, in the place of whatever had it: after this returns it survives a crash.
    fn keep(self: Box<Self>, name: &str) -> io::Result<()>;
}

/// A file that is read piece by piece. It can be read to its end even if it is removed meanwhile.
pub trait Source: Send + Sync + 'static {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;

    /// Fills `out` from `offset` on.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
}
