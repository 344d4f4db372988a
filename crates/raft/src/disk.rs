//! The seam below the store: a directory in production, a disk that forgets unsynced writes in simulation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError};

/// Where one member keeps its log and its snapshots.
pub trait Disk: Send + Sync + 'static {
    /// Opens the log's database, or makes it.
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError>;

    /// Writes a whole file: after this returns it survives a crash; before, it is not there at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

    /// Writes `bytes`, at most a sector, into a small file in place, at `offset`. A crash of the process does not
    /// undo it once this returns; a power cut may, unless it is `durable`. Other parts of the file stay as they are.
    fn note(&self, name: &str, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        let _ = durable;
        let mut whole = match self.read(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            whole => whole?,
        };
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        whole.resize(whole.len().max(start + bytes.len()), 0);
        whole[start..start + bytes.len()].copy_from_slice(bytes);
        self.write(name, &whole)
    }

    /// Reads a whole file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// The names of the files written with [`Disk::write`], in order.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// How to name a file in an error.
    fn path(&self, name: &str) -> PathBuf;
}

/// A directory of the file system.
#[derive(Debug, Clone)]
pub struct DirDisk {
    directory: PathBuf,
}

/// The log's file.
const LOG: &str = "log.redb";
/// What a file is called before it is whole.
const UNFINISHED: &str = "tmp";

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
        Ok(Self { directory })
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

    fn write_unfinished(&self, name: &str, bytes: &[u8], unfinished: &Path) -> io::Result<()> {
        let mut file = File::create(unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(unfinished, self.directory.join(name))
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

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.directory.join(name).with_extension(UNFINISHED);
        if let Err(error) = self.write_unfinished(name, bytes, &unfinished) {
            // On a full disk it would take the room that everything else needs.
            drop(fs::remove_file(&unfinished));
            return Err(error);
        }
        self.sync_directory()
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

    fn path(&self, name: &str) -> PathBuf {
        Path::new(&self.directory).join(name)
    }
}
