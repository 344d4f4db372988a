//! What the unit's commands write: every line stamped with its time and its source, in a file of limited size and
//! one older file. The shim and not the agent takes it, so that nothing is lost, and no command blocks on a full
//! pipe, while there is no agent.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_core::Timestamp;
use kato_net::clock::{Clock, SystemClock};
use kato_units::engine::{LogLine, LogSource};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use crate::record::{OUTPUT, OUTPUT_OLD};

/// The longest line, in bytes; a longer one becomes several.
pub(crate) const LINE_BYTES_MAX: usize = 8 * 1024;
/// How much is read from a command at once, in bytes.
const CHUNK_BYTES: usize = 16 * 1024;

/// The output of one instance.
#[derive(Debug)]
pub(super) struct Output {
    directory: PathBuf,
    bytes_max: u64,
    sink: Mutex<Sink>,
    /// How many pipes are still open.
    open: watch::Sender<usize>,
}

#[derive(Debug)]
struct Sink {
    file: File,
    bytes: u64,
}

impl Sink {
    /// A full disk costs output, never the unit.
    fn append(&mut self, text: &[u8]) {
        if self.file.write_all(text).is_ok() {
            self.bytes += text.len() as u64;
        }
    }
}

impl Output {
    /// Goes on with what is in `directory`.
    pub(super) fn open(directory: PathBuf, bytes_max: u64) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new().create(true).append(true).open(directory.join(OUTPUT))?;
        let bytes = file.metadata()?.len();
        let sink = Mutex::new(Sink { file, bytes });
        Ok(Arc::new(Self { directory, bytes_max, sink, open: watch::Sender::new(0) }))
    }

    /// Adds a line of the shim's own.
    pub(super) fn note(&self, text: &str) {
        let text = text.replace('\n', " ");
        self.write(LogSource::Engine, [text.as_bytes()].into_iter());
    }

    /// Takes what a command writes into `pipe`, until the last process that holds it has closed it.
    pub(super) async fn capture(
        self: Arc<Self>,
        source: LogSource,
        mut pipe: pipe::Receiver,
    ) -> io::Result<()> {
        let _open = Open::new(&self.open);
        let mut held = Vec::with_capacity(CHUNK_BYTES);
        loop {
            let ended = pipe.read_buf(&mut held).await? == 0;
            let complete = if ended || held.len() >= LINE_BYTES_MAX {
                held.len()
            } else {
                held.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
            };
            if complete > 0 {
                let text = held[..complete].strip_suffix(b"\n").unwrap_or(&held[..complete]);
                let lines = text.split(|byte| *byte == b'\n');
                self.write(source, lines.flat_map(pieces));
                held.drain(..complete);
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Waits until every pipe is closed, but not longer than `patience`: a process that is not the instance's own
    /// may have been handed one.
    pub(super) async fn drained(&self, patience: Duration) {
        let mut open = self.open.subscribe();
        let _ = tokio::time::timeout(patience, open.wait_for(|open| *open == 0)).await;
    }

    fn sink(&self) -> MutexGuard<'_, Sink> {
        self.sink.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write<'a>(&self, source: LogSource, lines: impl Iterator<Item = &'a [u8]>) {
        let at = SystemClock.wall();
        let mut sink = self.sink();
        let mut text = Vec::with_capacity(CHUNK_BYTES);
        for line in lines {
            let before = text.len();
            stamp(at, source, line, &mut text);
            if before > 0 && sink.bytes + text.len() as u64 > self.bytes_max {
                sink.append(&text[..before]);
                text.drain(..before);
            }
            if sink.bytes > 0 && sink.bytes + text.len() as u64 > self.bytes_max {
                self.rotate(&mut sink);
            }
        }
        sink.append(&text);
    }

    fn rotate(&self, sink: &mut Sink) {
        let path = self.directory.join(OUTPUT);
        let renamed = std::fs::rename(&path, self.directory.join(OUTPUT_OLD));
        let opened = OpenOptions::new().create(true).append(true).open(&path);
        match (renamed, opened) {
            (Ok(()), Ok(file)) => *sink = Sink { file, bytes: 0 },
            // The limit is a promise to the disk: rather lose what is there than grow.
            _ => {
                if sink.file.set_len(0).is_ok() {
                    sink.bytes = 0;
                }
            }
        }
    }
}

/// Counts a pipe as open while it lives.
struct Open<'a>(&'a watch::Sender<usize>);

impl<'a> Open<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// A line as one or more of permitted length. An empty line stays one.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let empty = line.is_empty().then_some(line);
    empty.into_iter().chain(line.chunks(LINE_BYTES_MAX))
}

/// Appends a line as it stands in the file: milliseconds since 1970, source, text.
fn stamp(at: Timestamp, source: LogSource, text: &[u8], to: &mut Vec<u8>) {
    let source = match source {
        LogSource::Stdout => 'o',
        LogSource::Stderr => 'e',
        LogSource::Engine => 'k',
    };
    to.extend_from_slice(format!("{} {source} ", at.0).as_bytes());
    to.extend_from_slice(text);
    to.push(b'\n');
}

/// Reads a line of the file back; none if it was cut off by a crash.
pub(crate) fn unstamp(line: &[u8]) -> Option<LogLine> {
    let line = String::from_utf8_lossy(line);
    let mut parts = line.splitn(3, ' ');
    let at = Timestamp(parts.next()?.parse().ok()?);
    let source = match parts.next()? {
        "o" => LogSource::Stdout,
        "e" => LogSource::Stderr,
        "k" => LogSource::Engine,
        _ => return None,
    };
    Some(LogLine { at, source, text: parts.next()?.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_back_as_they_were_stamped() {
        let mut text = Vec::new();
        stamp(Timestamp(12), LogSource::Stderr, b"a  b ", &mut text);
        assert_eq!(text, b"12 e a  b \n");
        let line = unstamp(b"12 e a  b ").unwrap();
        assert_eq!(
            (line.at, line.source, line.text.as_str()),
            (Timestamp(12), LogSource::Stderr, "a  b ")
        );
        for bad in [&b""[..], b"12", b"12 e", b"x e y", b"12 z y"] {
            assert_eq!(unstamp(bad), None);
        }
    }

    #[test]
    fn a_line_without_an_end_becomes_several() {
        assert_eq!(pieces(b"").count(), 1);
        assert_eq!(pieces(&[b'x'; LINE_BYTES_MAX]).count(), 1);
        assert_eq!(pieces(&[b'x'; LINE_BYTES_MAX + 1]).count(), 2);
    }
}
