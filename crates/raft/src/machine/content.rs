//! What the records of a snapshot file say: what it is of, the state in parts, and what there must have been.

use std::io;
use std::path::PathBuf;

use bytes::Bytes;
use kato_core::State;
use kato_core::version::NEWEST;
use kato_proto::{Field, InvalidMessage, store, store_v1 as pb};
use pb::snapshot_record::Record as Kind;
use prost::Message as _;

use super::frames::{Frames, Record, frame, header};
use crate::StoreError;
use crate::convert::Message;
use crate::disk::{Disk, Draft, Source};
use crate::offline::SnapshotRecord;
use crate::types::SnapshotMeta;

/// How much of a file is read or sent at once, in bytes.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

/// Writes a snapshot, a part at a time; others get their turn between two of them.
pub(super) async fn write(
    draft: &mut dyn Draft,
    meta: &SnapshotMeta,
    state: &State,
) -> io::Result<()> {
    let head = pb::SnapshotHead { meta: Some(meta.to_pb()), state: Some(store::head(state)) };
    let mut writer = Writer { draft, number: 0, checksum: 0 };
    writer.raw(&header())?;
    writer.record(Kind::Head(head))?;
    let (mut parts, mut items) = (0, 0);
    for (part, count) in store::parts(state) {
        writer.record(Kind::Part(part))?;
        parts += 1;
        items += count as u64;
        tokio::task::yield_now().await;
    }
    let checksum = writer.checksum;
    writer.record(Kind::End(pb::SnapshotEnd { parts, items, checksum }))
}

struct Writer<'a> {
    draft: &'a mut dyn Draft,
    number: u64,
    checksum: u32,
}

impl Writer<'_> {
    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.checksum = crc32c::crc32c_append(self.checksum, bytes);
        self.draft.append(bytes)
    }

    fn record(&mut self, record: Kind) -> io::Result<()> {
        let payload = pb::SnapshotRecord { record: Some(record) }.encode_to_vec();
        self.number += 1;
        self.raw(&frame(self.number - 1, &payload))
    }
}

/// Puts a snapshot together as it comes.
pub(super) struct Reader {
    frames: Frames,
    /// The newest mesh version that this member knows.
    knows: u32,
    begun: Option<(SnapshotMeta, store::StateReader)>,
    parts: u64,
    items: u64,
    ended: bool,
}

impl Reader {
    /// `file` is how errors name it.
    pub(super) fn new(file: String, knows: u32) -> Self {
        Self { frames: Frames::new(file), knows, begun: None, parts: 0, items: 0, ended: false }
    }

    /// Takes the next piece of the file.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<(), StoreError> {
        self.frames.push(piece);
        while let Some(record) = self.frames.next()? {
            let what = self.frames.name(record.number, record.at);
            self.take(record).map_err(|error| StoreError::unreadable(what, error))?;
        }
        Ok(())
    }

    fn take(&mut self, record: Record) -> Result<(), InvalidMessage> {
        let wrong = |reason: String| InvalidMessage::Wrong { field: "record", reason };
        if self.ended {
            return Err(wrong("it comes after the end".to_owned()));
        }
        match (kind(&record.payload)?, &mut self.begun) {
            (Kind::Head(head), None) => {
                let meta = SnapshotMeta::from_pb(head.meta.field("head.meta")?)?;
                let state = head.state.field("head.state")?;
                self.begun = Some((meta, store::StateReader::new(&state, self.knows)?));
            }
            (Kind::Part(part), Some((_, reader))) => {
                self.parts += 1;
                self.items += reader.add(part)? as u64;
            }
            (Kind::End(end), Some(_)) => {
                let found = (self.parts, self.items, record.before);
                if found != (end.parts, end.items, end.checksum) {
                    let said = (end.parts, end.items, end.checksum);
                    return Err(wrong(format!("{found:?} came before the end, it says {said:?}")));
                }
                self.ended = true;
            }
            (Kind::Head(_), Some(_)) => return Err(wrong("a second head".to_owned())),
            (_, None) => return Err(wrong("the head is missing".to_owned())),
        }
        Ok(())
    }

    /// The snapshot, if all of it has come.
    pub(super) fn finish(self) -> Result<(SnapshotMeta, State), StoreError> {
        self.frames.finish()?;
        match self.begun {
            Some((meta, reader)) if self.ended => Ok((meta, reader.finish())),
            _ => Err(self.frames.damaged("the file ends before its end record")),
        }
    }
}

fn kind(payload: &Bytes) -> Result<Kind, InvalidMessage> {
    store::decode::<pb::SnapshotRecord>("snapshot record", payload)?.record.field("record")
}

/// Reads a whole file, at once.
pub(super) fn read(
    source: &dyn Source,
    file: String,
    knows: u32,
) -> Result<(SnapshotMeta, State), ReadError> {
    let mut reader = Reader::new(file, knows);
    for piece in pieces(source)? {
        reader.push(&piece?)?;
    }
    Ok(reader.finish()?)
}

/// Reads a file record by record, as far as its records can be read; then checks it as a start does.
pub(crate) fn read_records(
    disk: &dyn Disk,
    name: &str,
    each: &mut dyn FnMut(SnapshotRecord),
) -> Result<(), StoreError> {
    let path = disk.path(name);
    let file = path.display().to_string();
    let mut read = || {
        let source = disk.open(name)?;
        let mut frames = Frames::new(file.clone());
        for piece in pieces(&*source)? {
            frames.push(&piece?);
            while let Some(Record { payload, number, at, .. }) = frames.next()? {
                let message = store::decode::<pb::SnapshotRecord>("snapshot record", &payload);
                let what = || frames.name(number, at);
                let message = message.map_err(|error| StoreError::unreadable(what(), error))?;
                each(SnapshotRecord { number, at, bytes: payload.len(), message });
            }
        }
        self::read(&*source, file.clone(), NEWEST).map(drop)
    };
    read().map_err(|error: ReadError| error.of(path))
}

/// Checks every checksum of a file, and returns what it is of. Others get their turn between two pieces.
pub(super) async fn verify(source: &dyn Source, file: String) -> Result<SnapshotMeta, ReadError> {
    let mut frames = Frames::new(file);
    let (mut first, mut last) = (None, None);
    for piece in pieces(source)? {
        frames.push(&piece?);
        while let Some(record) = frames.next()? {
            first.get_or_insert_with(|| record.payload.clone());
            last = Some(record.payload);
        }
        tokio::task::yield_now().await;
    }
    frames.finish()?;
    let meta = || match (kind(&first.unwrap_or_default())?, kind(&last.unwrap_or_default())?) {
        (Kind::Head(head), Kind::End(_)) => SnapshotMeta::from_pb(head.meta.field("head.meta")?),
        _ => Err(InvalidMessage::Missing("end")),
    };
    Ok(meta().map_err(|error| frames.damaged(error.to_string()))?)
}

/// A file in pieces.
pub(super) fn pieces(
    source: &dyn Source,
) -> io::Result<impl Iterator<Item = io::Result<Vec<u8>>> + Send + '_> {
    let length = source.length()?;
    let starts = (0..length).step_by(PIECE_BYTES);
    Ok(starts.map(move |start| piece(source, start, length)))
}

/// The piece of a file that begins at `start`.
pub(crate) fn piece(source: &dyn Source, start: u64, length: u64) -> io::Result<Vec<u8>> {
    let bytes = (length - start).min(PIECE_BYTES as u64);
    let mut piece = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
    source.read_at(start, &mut piece)?;
    Ok(piece)
}

/// Why a file cannot be read: the disk, or what lies on it.
#[derive(Debug)]
pub(super) enum ReadError {
    Io(io::Error),
    Store(StoreError),
}

impl ReadError {
    /// The error of reading `path`.
    pub(super) fn of(self, path: PathBuf) -> StoreError {
        match self {
            Self::Io(source) => StoreError::Io { what: "cannot read the snapshot", path, source },
            Self::Store(error) => error,
        }
    }
}

impl From<io::Error> for ReadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
