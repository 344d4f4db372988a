//! A file that is read, and written in memory alone: redb repairs what a crash left before it lets anybody read it, and
//! the file must stay as it is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// The unit in which changes are kept, in bytes.
const PAGE_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) struct Overlay {
    file: File,
    /// The file's own length.
    below: u64,
    changes: Mutex<Changes>,
}

#[derive(Debug)]
struct Changes {
    length: u64,
    pages: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn new(file: File) -> io::Result<Self> {
        let below = file.metadata()?.len();
        let changes = Mutex::new(Changes { length: below, pages: BTreeMap::new() });
        Ok(Self { file, below, changes })
    }

    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page as the file has it, with zeros behind its end.
    fn page(&self, number: u64) -> io::Result<Box<[u8]>> {
        let mut page = vec![0; usize::try_from(PAGE_BYTES).map_err(io::Error::other)?];
        let start = number * PAGE_BYTES;
        let there = self.below.saturating_sub(start).min(PAGE_BYTES);
        let there = usize::try_from(there).map_err(io::Error::other)?;
        self.file.read_exact_at(&mut page[..there], start)?;
        Ok(page.into())
    }
}

/// The pages that a range touches, each with the part of it and the part of the range.
fn parts(offset: u64, bytes: usize) -> impl Iterator<Item = (u64, usize, usize, usize)> {
    let page_bytes = usize::try_from(PAGE_BYTES).unwrap_or(usize::MAX);
    let within = usize::try_from(offset % PAGE_BYTES).unwrap_or_default();
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = if done == 0 { within } else { 0 };
        let count = (page_bytes - at).min(bytes - done);
        let page = (offset + done as u64) / PAGE_BYTES;
        let from = done;
        done += count;
        (count > 0).then_some((page, at, from, count))
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changes().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changes = self.changes();
        if offset + out.len() as u64 > changes.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        for (page, at, from, count) in parts(offset, out.len()) {
            let out = &mut out[from..from + count];
            match changes.pages.get(&page) {
                Some(written) => out.copy_from_slice(&written[at..at + count]),
                None => out.copy_from_slice(&self.page(page)?[at..at + count]),
            }
        }
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut changes = self.changes();
        // What was cut off comes back as zeros.
        let (first, last) = (length.div_ceil(PAGE_BYTES), changes.length.div_ceil(PAGE_BYTES));
        for page in first..last {
            let empty = vec![0; usize::try_from(PAGE_BYTES).map_err(io::Error::other)?];
            changes.pages.insert(page, empty.into());
        }
        changes.length = length;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changes = self.changes();
        for (page, at, from, count) in parts(offset, data.len()) {
            let kept = match changes.pages.entry(page) {
                std::collections::btree_map::Entry::Occupied(found) => found.into_mut(),
                std::collections::btree_map::Entry::Vacant(new) => new.insert(self.page(page)?),
            };
            kept[at..at + count].copy_from_slice(&data[from..from + count]);
        }
        changes.length = changes.length.max(offset + data.len() as u64);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_the_file_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let below: Vec<u8> = (0..10_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &below).unwrap();
        let overlay = Overlay::new(File::open(&path).unwrap()).unwrap();
        let mut expected = below.clone();
        let mut chance = fastrand::Rng::with_seed(1);
        for _ in 0..300 {
            let offset = chance.usize(..12_000);
            let data: Vec<u8> = (0..chance.usize(1..9_000)).map(|_| chance.u8(..)).collect();
            expected.resize(expected.len().max(offset + data.len()), 0);
            expected[offset..offset + data.len()].copy_from_slice(&data);
            overlay.write(offset as u64, &data).unwrap();
            if chance.u8(..) < 20 {
                // redb cuts at whole pages.
                expected.truncate(8_192);
                overlay.set_len(8_192).unwrap();
            }
            assert_eq!(overlay.len().unwrap(), expected.len() as u64);
            let start = chance.usize(..expected.len());
            let mut found = vec![0; chance.usize(..=expected.len() - start)];
            overlay.read(start as u64, &mut found).unwrap();
            assert!(found == expected[start..start + found.len()]);
        }
        assert!(overlay.read(expected.len() as u64, &mut [0]).is_err());
        assert!(std::fs::read(&path).unwrap() == below);
    }
}
