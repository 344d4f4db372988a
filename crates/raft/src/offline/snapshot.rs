//! Snapshot files, read for people. They never change once they are there, so a running coordinator's can be read too.

use std::path::{Path, PathBuf};

use kato_proto::store_v1 as pb;

use crate::disk::Disk;
use crate::machine::files;
use crate::{DirDisk, StoreError};

/// One record of a snapshot file.
#[derive(Debug, Clone)]
pub struct SnapshotRecord {
    /// Its number, from 0.
    pub number: u64,
    /// Where it begins in the file.
    pub at: u64,
    /// What it takes, in bytes.
    pub bytes: usize,
    /// What it says.
    pub message: pb::SnapshotRecord,
}

/// The snapshots in a coordinator's directory, the oldest first. Refused while a coordinator runs on it.
pub fn snapshots(directory: &Path) -> Result<Vec<PathBuf>, StoreError> {
    let disk = DirDisk::existing(directory)?;
    super::read_only::ReadOnly(disk.clone()).unused()?;
    let names = files(&disk)?;
    Ok(names.into_iter().map(|name| disk.path(&name)).collect())
}

/// Reads a snapshot file record by record, handing each to `each`, and then checks all of it as a start does.
pub fn snapshot(path: &Path, each: &mut dyn FnMut(SnapshotRecord)) -> Result<(), StoreError> {
    let name = path.file_name().and_then(|name| name.to_str());
    let disk = DirDisk::around(path);
    crate::machine::read_records(&disk, name.unwrap_or_default(), each)
}
