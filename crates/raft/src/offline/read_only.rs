//! A directory as a disk that cannot be written.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, Database, DatabaseError, StorageError};

use super::overlay::Overlay;
use crate::disk::{Disk, Draft, LOG, Source};
use crate::{DirDisk, StoreError};

/// Reads what a [`DirDisk`] wrote.
pub(crate) struct ReadOnly(pub(super) DirDisk);

impl ReadOnly {
    /// The log's file. The lock keeps a coordinator from starting on it, and it is refused while one runs.
    fn open_file(&self) -> Result<File, DatabaseError> {
        let file = File::open(self.0.path(LOG)).map_err(StorageError::from)?;
        match file.try_lock_shared() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(DatabaseError::DatabaseAlreadyOpen),
            Err(TryLockError::Error(error)) => Err(StorageError::from(error).into()),
        }
    }
}

impl ReadOnly {
    /// The store in a directory, on which no coordinator runs.
    pub(crate) fn existing(directory: &Path) -> Result<Self, StoreError> {
        let found = Self(DirDisk::existing(directory)?);
        found.unused()?;
        Ok(found)
    }

    /// Refuses a store that a coordinator runs on.
    pub(super) fn unused(&self) -> Result<(), StoreError> {
        let path = self.0.path(LOG);
        self.open_file().map(drop).map_err(|error| match StoreError::from(error) {
            StoreError::Database(source) => match *source {
                redb::Error::Io(source) => {
                    StoreError::Io { what: "there is no log that can be read", path, source }
                }
                _ => StoreError::Unreadable { path, source },
            },
            other => other,
        })
    }
}

impl Disk for ReadOnly {
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let overlay = Overlay::new(self.open_file()?).map_err(StorageError::from)?;
        builder.create_with_backend(overlay)
    }

    fn create(&self) -> io::Result<Box<dyn Draft>> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn note(&self, _: &str, _: u64, _: &[u8], _: bool) -> io::Result<()> {
        // Opening a log renews its mark; here there is nothing to renew.
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.0.read(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>> {
        self.0.open(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.0.list()
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn free(&self) -> io::Result<u64> {
        self.0.free()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }
}
