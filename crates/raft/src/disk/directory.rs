//! A directory of the file system as a disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use redb::{Builder, Database, DatabaseError};

use super::{Disk, Draft, Source};
use crate::StoreError;

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct DirDisk {
    directory: PathBuf,
    /// Drafts so far, so that each has a file of its own.
    drafts: Arc<AtomicU64>,
}

/// The log's file.
pub(crate) const LOG: &str = "log.redb";
/// What a file is called before it is whole.
const UNFINISHED: &str = "tmp";
/// A draft is synced whenever this much was added, in bytes: one sync of all at the end would take the disk from
/// the log for as long as that takes.
const SYNC_BYTES: usize = 4 * 1024 * 1024;

impl DirDisk {
    /// Uses `directory`, making it if needed.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        if !directory.is_dir() {
            fs::create_dir_all(&directory)?;
            // A power cut must not take the whole store away with its name.
            if let Some(parent) = directory.canonicalize()?.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Ok(Self { directory, drafts: Arc::default() })
    }

    /// The store in `directory`, which must be one.
    pub(crate) fn existing(directory: &Path) -> Result<Self, StoreError> {
        // A coordinator keeps it below its data directory.
        let inner = directory.join("raft");
        let directory = if inner.is_dir() { inner } else { directory.to_owned() };
        if let Err(source) = fs::read_dir(&directory) {
            return Err(StoreError::Io { what: "cannot read the store", path: directory, source });
        }
        Ok(Self { directory, drafts: Arc::default() })
    }

    /// The directory that a file is in.
    pub(crate) fn around(file: &Path) -> Self {
        let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new(".")).to_owned();
        Self { directory, drafts: Arc::default() }
    }

    /// Makes an empty log aside and then gives it its name: a power cut must not leave half a database, which
    /// nobody could tell from a damaged one.
    fn make_log(&self, builder: &Builder, log: &Path) -> Result<(), DatabaseError> {
        let name = format!("log-{}.{UNFINISHED}", std::process::id());
        let unfinished = self.directory.join(name);
        let link = || match fs::hard_link(&unfinished, log) {
            // Another process was faster; who opens the log first has it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        };
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(redb::StorageError::from(error).into());
            }
            _ => drop(builder.create(&unfinished)?),
        }
        let linked = link().and_then(|()| fs::remove_file(&unfinished));
        linked.and_then(|()| self.sync_directory()).map_err(redb::StorageError::from)?;
        Ok(())
    }

    /// Removes what an earlier process did not finish writing. Only who has the log open may do this: the other
    /// one's file may not be unfinished, but half written.
    fn clear_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Makes names in the directory survive a crash.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl Disk for DirDisk {
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let log = self.directory.join(LOG);
        if !log.try_exists().map_err(redb::StorageError::from)? {
            self.make_log(builder, &log)?;
        }
        let database = builder.create(log)?;
        self.clear_unfinished().map_err(redb::StorageError::from)?;
        Ok(database)
    }

    fn create(&self) -> io::Result<Box<dyn Draft>> {
        let number = self.drafts.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(format!("draft-{number}.{UNFINISHED}"));
        let file = File::create(&path)?;
        Ok(Box::new(DirDraft { disk: self.clone(), path, file, unsynced: 0 }))
    }

    fn note(&self, name: &str, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let path = self.directory.join(name);
        let (file, new) = match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => (File::create(&path)?, true),
            file => (file?, false),
        };
        file.write_all_at(bytes, offset)?;
        if durable {
            file.sync_all()?;
        }
        if new { self.sync_directory() } else { Ok(()) }
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.directory.join(name))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>> {
        Ok(Arc::new(DirSource(File::open(self.directory.join(name))?)))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let whole = path.extension().is_none_or(|extension| extension != UNFINISHED);
            if whole && let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                names.push(name.to_owned());
            }
        }
        names.retain(|name| name != LOG);
        names.sort();
        Ok(names)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.directory.join(name))?;
        self.sync_directory()
    }

    fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.directory)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }
}

/// A draft. On a full disk what is left of it would take the room that everything else needs, so it goes with it.
struct DirDraft {
    disk: DirDisk,
    path: PathBuf,
    file: File,
    /// Bytes since the last sync.
    unsynced: usize,
}

impl Draft for DirDraft {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.unsynced += bytes.len();
        if self.unsynced >= SYNC_BYTES {
            self.file.sync_data()?;
            self.unsynced = 0;
        }
        Ok(())
    }

    fn keep(self: Box<Self>, name: &str) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, self.disk.directory.join(name))?;
        self.disk.sync_directory()
    }
}

impl Drop for DirDraft {
    fn drop(&mut self) {
        // It is not there if it was kept.
        drop(fs::remove_file(&self.path));
    }
}

struct DirSource(File);

impl Source for DirSource {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }
}
