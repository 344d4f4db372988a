//! How records lie in a snapshot file: a header, and then each record behind its length. The length has a checksum of
//! its own, with the record's number in it: a damaged one is noticed before it is believed, and so is a record that
//! is missing or stands in another's place.

use bytes::{Buf, Bytes, BytesMut};

use crate::StoreError;
use crate::store::{check, seal, unseal};

/// What every snapshot file begins with.
const MAGIC: [u8; 8] = *b"KATOSNAP";
/// The version of this layout.
const LAYOUT: u32 = 1;
/// The magic, the version, and a checksum of both.
const HEADER_BYTES: usize = 16;
/// A length, and its checksum.
const FRAME_BYTES: usize = 8;

/// The file's first bytes.
pub(super) fn header() -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&LAYOUT.to_le_bytes());
    let checksum = crc32c::crc32c(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// A record as it stands in the file.
pub(super) fn frame(number: u64, payload: &[u8]) -> Vec<u8> {
    let sealed = seal(payload);
    // Records are parts of a bounded size, or one item that came in a message.
    let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut frame = Vec::with_capacity(FRAME_BYTES + sealed.len());
    frame.extend_from_slice(&length);
    frame.extend_from_slice(&length_checksum(number, length).to_le_bytes());
    frame.extend_from_slice(&sealed);
    frame
}

fn length_checksum(number: u64, length: [u8; 4]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&number.to_le_bytes()), &length)
}

/// One record of a file.
pub(super) struct Record {
    pub(super) payload: Bytes,
    /// Its number, from 0.
    pub(super) number: u64,
    /// Where it begins in the file.
    pub(super) at: u64,
    /// A checksum of everything before it.
    pub(super) before: u32,
}

/// Takes a file apart as it comes, in pieces of any size. Holds at most one record and one piece.
pub(super) struct Frames {
    /// The file's name, for errors.
    file: String,
    waiting: BytesMut,
    at: u64,
    number: u64,
    checksum: u32,
}

impl Frames {
    pub(super) fn new(file: String) -> Self {
        Self { file, waiting: BytesMut::new(), at: 0, number: 0, checksum: 0 }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next record, once all of it has come.
    pub(super) fn next(&mut self) -> Result<Option<Record>, StoreError> {
        if self.at == 0 {
            let Some(found) = self.waiting.first_chunk::<HEADER_BYTES>().copied() else {
                return Ok(None);
            };
            self.check_header(&found)?;
            self.skip(HEADER_BYTES);
        }
        let Some(frame) = self.waiting.first_chunk::<FRAME_BYTES>() else { return Ok(None) };
        let (length, checksum) = frame.split_at(4);
        let length: [u8; 4] = length.try_into().unwrap_or_default();
        if length_checksum(self.number, length).to_le_bytes() != *checksum {
            return Err(self.damaged("its length does not go together with its checksum"));
        }
        let end = FRAME_BYTES + u32::from_le_bytes(length) as usize;
        if self.waiting.len() < end {
            return Ok(None);
        }
        let (number, at, before) = (self.number, self.at, self.checksum);
        let sealed = Bytes::copy_from_slice(&self.waiting[FRAME_BYTES..end]);
        let payload = unseal(&sealed, || self.place())?;
        self.skip(end);
        self.number += 1;
        Ok(Some(Record { payload, number, at, before }))
    }

    fn check_header(&self, found: &[u8; HEADER_BYTES]) -> Result<(), StoreError> {
        let expected = header();
        if *found == expected {
            return Ok(());
        }
        let version = u32::from_le_bytes([found[8], found[9], found[10], found[11]]);
        let checksum = crc32c::crc32c(&found[..12]).to_le_bytes();
        if found[..8] == MAGIC && found[12..] == checksum {
            return check(version, LAYOUT, LAYOUT, || self.file.clone());
        }
        Err(StoreError::Damaged {
            what: self.file.clone(),
            reason: "it does not begin as a snapshot of Káto".to_owned(),
        })
    }

    fn skip(&mut self, bytes: usize) {
        self.checksum = crc32c::crc32c_append(self.checksum, &self.waiting[..bytes]);
        self.waiting.advance(bytes);
        self.at += bytes as u64;
    }

    /// The file that ends here must not end within a record.
    pub(super) fn finish(&self) -> Result<(), StoreError> {
        if self.at > 0 && self.waiting.is_empty() {
            return Ok(());
        }
        Err(self.damaged("the file ends within it"))
    }

    /// Names the record that comes next.
    pub(super) fn place(&self) -> String {
        self.name(self.number, self.at)
    }

    /// Names a record.
    pub(super) fn name(&self, number: u64, at: u64) -> String {
        format!("{}, record {number} at byte {at}", self.file)
    }

    pub(super) fn damaged(&self, reason: impl Into<String>) -> StoreError {
        StoreError::Damaged { what: self.place(), reason: reason.into() }
    }
}
