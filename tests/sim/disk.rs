//! A disk that loses what was not synced when the power goes.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kato_raft::Disk;
use kato_raft::redb::{Builder, Database, DatabaseError, StorageBackend};

/// The disk of one host. It outlives the host's crashes.
#[derive(Debug, Clone, Default)]
pub(crate) struct SimDisk {
    platter: Arc<Mutex<Platter>>,
}

#[derive(Debug, Default)]
struct Platter {
    /// The log as it was last synced.
    durable: Vec<u8>,
    /// The log as the running host sees it.
    written: Vec<u8>,
    /// Whole files, which [`Disk::write`] makes durable at once.
    files: BTreeMap<String, Vec<u8>>,
    /// How often the power has gone. A handle from before can do nothing any more.
    outages: u64,
}

impl SimDisk {
    /// Cuts the power: unsynced writes are gone, and whoever still holds the log open fails.
    pub(crate) fn cut_power(&self) {
        let mut platter = self.platter();
        platter.outages += 1;
        let Platter { durable, written, .. } = &mut *platter;
        written.clone_from(durable);
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.platter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for SimDisk {
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let powered = self.platter().outages;
        builder.create_with_backend(Handle { disk: self.clone(), powered })
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.platter().files.insert(name.to_owned(), bytes.to_owned());
        Ok(())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.platter().files.get(name).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.platter().files.keys().cloned().collect())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.platter().files.remove(name);
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("simulated").join(name)
    }
}

/// The log as one boot of the host opened it.
#[derive(Debug)]
struct Handle {
    disk: SimDisk,
    powered: u64,
}

impl Handle {
    fn platter(&self) -> io::Result<MutexGuard<'_, Platter>> {
        let platter = self.disk.platter();
        if platter.outages == self.powered {
            Ok(platter)
        } else {
            Err(io::Error::other("the power is gone"))
        }
    }
}

/// The place in memory of a range on the disk.
fn span(offset: u64, bytes: usize) -> io::Result<std::ops::Range<usize>> {
    let start = usize::try_from(offset).map_err(io::Error::other)?;
    Ok(start..start + bytes)
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(self.platter()?.written.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.platter()?;
        let found = platter.written.get(span(offset, out.len())?);
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.platter()?.written.resize(span(len, 0)?.start, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.platter()?;
        let Platter { durable, written, .. } = &mut *platter;
        durable.clone_from(written);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let span = span(offset, data.len())?;
        let mut platter = self.platter()?;
        if platter.written.len() < span.end {
            platter.written.resize(span.end, 0);
        }
        platter.written[span].copy_from_slice(data);
        Ok(())
    }
}
