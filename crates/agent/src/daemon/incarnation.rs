//! Counts the starts of an agent: a lease belongs to one of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

const FILE: &str = "incarnation";

/// The number of this start: one more than any before in this directory.
pub(super) fn next(directory: &Path) -> io::Result<u64> {
    let path = directory.join(FILE);
    let last = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse::<u64>().map_err(|_| {
            let text = format!("{} holds no number; it counts the agent's starts", path.display());
            io::Error::new(io::ErrorKind::InvalidData, text)
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let unfinished = path.with_extension("tmp");
    let mut file = File::create(&unfinished)?;
    write!(file, "{}", last + 1)?;
    file.sync_all()?;
    fs::rename(&unfinished, &path)?;
    File::open(directory)?.sync_all()?;
    Ok(last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_start_has_its_own_number() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(next(directory.path()).unwrap(), 1);
        assert_eq!(next(directory.path()).unwrap(), 2);
        fs::write(directory.path().join(FILE), "x").unwrap();
        assert!(next(directory.path()).is_err());
    }
}
