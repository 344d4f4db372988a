//! Reading an instance's output back, as `kato logs` does: the last lines, and on request those to come.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use kato_units::engine::{BoxStream, LogLine};

use super::home::Home;
use crate::record::{OUTPUT, OUTPUT_OLD};
use crate::shim::output::{LINE_BYTES_MAX, unstamp};

/// How often a follower looks for more. The files are on this machine; a look is one system call.
const LOOK: Duration = Duration::from_millis(100);
/// How much a follower reads at once, in bytes: more than the longest line with its stamp.
const CHUNK_BYTES: usize = 8 * LINE_BYTES_MAX;

/// The last `lines` lines, and then those to come if `follow`.
pub(super) async fn read(
    home: Home,
    follow: bool,
    lines: usize,
) -> io::Result<BoxStream<'static, LogLine>> {
    let path = home.path().to_owned();
    if !path.is_dir() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "there is no such instance"));
    }
    // Tens of megabytes at the most, but from a disk that may be slow.
    let task = tokio::task::spawn_blocking(move || last(&path, lines));
    let (last, tail) = task.await.map_err(io::Error::other)??;
    let last = stream::iter(last);
    if !follow {
        return Ok(last.boxed());
    }
    let tail = Tail { directory: home.path().to_owned(), ..tail };
    let more = stream::unfold(tail, async |mut tail| {
        let lines = tail.more().await?;
        Some((stream::iter(lines), tail))
    });
    Ok(last.chain(more.flatten()).boxed())
}

/// Where a follower is.
#[derive(Debug)]
struct Tail {
    directory: PathBuf,
    file: Option<File>,
    /// What was read of a line that is not complete.
    partial: Vec<u8>,
}

/// Reads the older file and the newer one, and keeps the last lines of both.
fn last(directory: &std::path::Path, count: usize) -> io::Result<(VecDeque<LogLine>, Tail)> {
    let mut kept = VecDeque::with_capacity(count.min(1_024));
    let mut tail = Tail { directory: directory.to_owned(), file: None, partial: Vec::new() };
    for name in [OUTPUT_OLD, OUTPUT] {
        let file = match File::open(directory.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let mut reader = BufReader::new(file);
        loop {
            let mut line = Vec::new();
            let read = reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                // A line that is just being written belongs to the follower.
                let back = i64::try_from(read).map_err(io::Error::other)?;
                let mut file = reader.into_inner();
                let end = file.stream_position()?;
                tail.file = None;
                if name == OUTPUT {
                    file.seek(SeekFrom::Start(end.saturating_add_signed(-back)))?;
                    tail.file = Some(file);
                }
                break;
            }
            line.pop();
            if let Some(line) = unstamp(&line) {
                if kept.len() == count {
                    kept.pop_front();
                }
                if count > 0 {
                    kept.push_back(line);
                }
            }
        }
    }
    Ok((kept, tail))
}

impl Tail {
    /// Waits for more lines. None once the instance's files are gone.
    async fn more(&mut self) -> Option<Vec<LogLine>> {
        loop {
            let lines = self.read().ok()?;
            if !lines.is_empty() {
                return Some(lines);
            }
            if !self.directory.is_dir() {
                return None;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Reads a chunk of what has come; at the end of a file that was rotated, goes on with the next.
    fn read(&mut self) -> io::Result<Vec<LogLine>> {
        if let Some(file) = &mut self.file {
            let read = file.take(CHUNK_BYTES as u64).read_to_end(&mut self.partial)?;
            if read == 0 && self.is_rotated()? {
                // What was written between that read and the rotation.
                if let Some(old) = self.file.take() {
                    old.take(CHUNK_BYTES as u64).read_to_end(&mut self.partial)?;
                }
            }
        }
        if self.file.is_none() {
            self.file = match File::open(self.directory.join(OUTPUT)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                opened => Some(opened?),
            };
        }
        let complete =
            self.partial.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines =
            self.partial[..complete].split(|byte| *byte == b'\n').filter_map(unstamp).collect();
        self.partial.drain(..complete);
        Ok(lines)
    }

    /// Whether the file that is read is no longer the one that is written.
    fn is_rotated(&mut self) -> io::Result<bool> {
        let Some(file) = &mut self.file else { return Ok(false) };
        let read = file.metadata()?;
        // A file that was emptied in place, because it could not be rotated, is read from its start.
        if read.len() < file.stream_position()? {
            file.rewind()?;
        }
        match std::fs::metadata(self.directory.join(OUTPUT)) {
            Ok(now) => Ok((now.dev(), now.ino()) != (read.dev(), read.ino())),
            // Between the two steps of a rotation.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
