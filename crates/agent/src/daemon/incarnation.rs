//! Numbers the starts of an agent: a lease belongs to one of them, and the mesh refuses a machine that joins with a
//! smaller number than before.
//!
//! The number is the time of day in seconds, or one more than the last where the clock stands still or is behind. So a
//! machine whose disk was replaced, and with it the last number, comes back with a larger one all the same. Nothing is
//! promised by that: where its clock is wrong too it is refused, as any machine with an older number is.

use std::path::Path;
use std::{fs, io};

use kato_core::Timestamp;

use super::durable;

const FILE: &str = "incarnation";

/// The number of a start at `now`: larger than any before in this directory.
pub(super) fn next(directory: &Path, now: Timestamp) -> io::Result<u64> {
    let path = directory.join(FILE);
    let last = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u64>().map_err(|_| {
            let text = format!("{} holds no number; it counts the agent's starts", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let next = (last + 1).max(now.0 / 1_000);
    durable::write(directory, FILE, &next.to_string())?;
    Ok(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_a_larger_number_even_on_an_emptied_disk() {
        let directory = tempfile::tempdir().unwrap();
        let start = |at_ms| next(directory.path(), Timestamp(at_ms)).unwrap();
        assert_eq!(start(1_700_000_000_999), 1_700_000_000);
        assert_eq!(start(1_700_000_000_999), 1_700_000_001, "twice in a second");
        assert_eq!(start(1_600_000_000_000), 1_700_000_002, "the clock was set back");
        assert_eq!(start(1_700_000_100_000), 1_700_000_100);
        fs::remove_file(directory.path().join(FILE)).unwrap();
        assert_eq!(start(1_700_000_200_000), 1_700_000_200, "the disk was emptied");
        fs::write(directory.path().join(FILE), "x").unwrap();
        assert!(next(directory.path(), Timestamp(0)).is_err());
    }
}
