//! Lines on a socket, with a limit on their length.

use std::io;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Reads one line after another.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    reader: BufReader<R>,
    line: Vec<u8>,
    bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    pub(crate) fn new(reader: R, bytes_max: usize) -> Self {
        Self { reader: BufReader::new(reader), line: Vec::new(), bytes_max }
    }

    /// The next line without its end; none at the end of the stream. Cancel-safe: what was read of a line is kept.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let read = self.reader.fill_buf().await?;
            if read.is_empty() {
                return Ok(None);
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let taken = end.unwrap_or(read.len());
            if self.line.len() + taken > self.bytes_max {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a line is longer than its limit",
                ));
            }
            self.line.extend_from_slice(&read[..taken]);
            self.reader.consume(end.map_or(taken, |end| end + 1));
            if end.is_some() {
                return Ok(Some(std::mem::take(&mut self.line)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_end_at_their_limit() {
        let mut lines = Lines::new(&b"one\n\nthree\nfour"[..], 5);
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"");
        assert_eq!(lines.next().await.unwrap().unwrap(), b"three");
        assert_eq!(lines.next().await.unwrap(), None);
        assert!(Lines::new(&b"sixsix\n"[..], 5).next().await.is_err());
    }
}
