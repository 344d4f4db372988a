//! Files of the disk in memory that are written or read piece by piece.

use std::io;
use std::sync::Arc;

use super::disk::{Op, RigDisk};
use crate::disk::{Draft, Source};

/// A draft lives in no directory, so no crash leaves anything of it.
pub(super) struct RigDraft {
    pub(super) disk: RigDisk,
    pub(super) bytes: Vec<u8>,
}

impl Draft for RigDraft {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        drop(self.disk.operate()?);
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn keep(self: Box<Self>, name: &str) -> io::Result<()> {
        // The sync of the file, its name, and the sync of the directory.
        drop(self.disk.operate()?);
        self.disk.operate()?.done(Op::Keep(name.to_owned(), self.bytes.into()));
        self.disk.operate()?.sync(|op| matches!(op, Op::Keep(..)));
        Ok(())
    }
}

/// A file as it was when it was opened.
pub(super) struct RigSource {
    pub(super) disk: RigDisk,
    pub(super) bytes: Arc<[u8]>,
}

impl Source for RigSource {
    fn length(&self) -> io::Result<u64> {
        drop(self.disk.powered()?);
        Ok(self.bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        drop(self.disk.powered()?);
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let found = self.bytes.get(start..start + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
