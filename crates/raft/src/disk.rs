//! The seam below the store: a directory in production, a disk that forgets unsynced writes in simulation.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError};

/// Where one member keeps its log and its snapshots.
pub trait Disk: Send + Sync + 'static {
    /// Opens the log's database, or makes it.
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError>;

    /// Writes a whole file: after this returns it survives a crash; before, it is not there at all.
    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()>;

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
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Makes names in the directory survive a crash.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.directory)?.sync_all()
    }
}

impl Disk for DirDisk {
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let database = builder.create(self.directory.join(LOG))?;
        self.sync_directory()?;
        Ok(database)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let unfinished = self.directory.join(name).with_extension(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, self.directory.join(name))?;
        self.sync_directory()
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
