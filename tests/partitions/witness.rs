//! A witness outside of the mesh: every copy of the singleton writes down every millisecond that it lives, under one
//! clock and in a file of its own, and nobody else is asked.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use kato_net::clock::{Clock as _, SystemClock};

/// Between two signs of life.
const EVERY: Duration = Duration::from_millis(1);
/// A sign of life: microseconds of the boot clock, in as many digits, and the end of the line.
const DIGITS: usize = 16;
const LINE: usize = DIGITS + 1;

/// One run of the singleton's process, from its first sign of life to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Copy {
    pub(crate) first: Duration,
    pub(crate) last: Duration,
    pub(crate) epoch: u64,
    pub(crate) datacenter: String,
}

/// Where copies leave their signs of life.
pub(crate) struct Witness(PathBuf);

/// What a copy does: says that it lives, for ever.
pub(crate) fn live(record: &Path) -> Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("there is no {name}"));
    let (epoch, datacenter) = (variable("KATO_EPOCH")?, variable("KATO_DATACENTER")?);
    let (born, own) = (micros(), std::process::id());
    let name = format!("{born:0DIGITS$}_{epoch}_{datacenter}_{own}");
    let mut file = OpenOptions::new().create_new(true).append(true).open(record.join(name))?;
    loop {
        file.write_all(format!("{:0DIGITS$}\n", micros()).as_bytes())?;
        std::thread::park_timeout(EVERY);
    }
}

fn micros() -> u128 {
    SystemClock.boot().as_micros()
}

impl Witness {
    pub(crate) fn new(record: PathBuf) -> Result<Self> {
        fs::create_dir(&record)?;
        Ok(Self(record))
    }

    pub(crate) fn record(&self) -> &Path {
        &self.0
    }

    fn files(&self) -> Result<Vec<PathBuf>> {
        let path = |entry: std::io::Result<fs::DirEntry>| Ok(entry?.path());
        let mut files = fs::read_dir(&self.0)?.map(path).collect::<Result<Vec<_>>>()?;
        // A name begins with the birth.
        files.sort();
        Ok(files)
    }

    /// All that ever lived, in the order of their births.
    pub(crate) fn copies(&self) -> Result<Vec<Copy>> {
        self.files()?.iter().map(|file| copy(file)).collect()
    }

    /// The one that was born last.
    pub(crate) fn newest(&self) -> Result<Option<Copy>> {
        self.files()?.last().map(|file| copy(file)).transpose()
    }
}

fn copy(path: &Path) -> Result<Copy> {
    let name = path.file_name().and_then(|name| name.to_str()).context("a file has a name")?;
    let mut fields = name.split('_');
    let mut field = || fields.next().with_context(|| format!("what is {name}?"));
    let first = Duration::from_micros(field()?.parse()?);
    let (epoch, datacenter) = (field()?.parse()?, field()?.to_owned());
    Ok(Copy { first, last: last(&File::open(path)?)?.unwrap_or(first), epoch, datacenter })
}

/// The last sign of life that is whole.
fn last(file: &File) -> Result<Option<Duration>> {
    let lines = file.metadata()?.len() / LINE as u64;
    let Some(before) = lines.checked_sub(1) else { return Ok(None) };
    let mut digits = [0; DIGITS];
    file.read_exact_at(&mut digits, before * LINE as u64)?;
    Ok(Some(Duration::from_micros(std::str::from_utf8(&digits)?.parse()?)))
}

/// What the copies, in the order of their births, tell against the mesh: two that lived at the same moment, or an epoch
/// that did not grow with a move.
pub(crate) fn broken(copies: &[Copy]) -> Option<String> {
    let told = |copy: &Copy| {
        let (first, last) = (copy.first.as_secs_f64(), copy.last.as_secs_f64());
        format!("epoch {} in {} from {first:.3} s to {last:.3} s", copy.epoch, copy.datacenter)
    };
    copies.windows(2).find_map(|pair| {
        let [one, other] = pair else { return None };
        let stays = one.datacenter == other.datacenter && one.epoch == other.epoch;
        let what = if one.last >= other.first {
            "two copies lived at once"
        } else if other.epoch <= one.epoch && !stays {
            "a copy has no larger epoch than one before it elsewhere"
        } else {
            return None;
        };
        Some(format!("one-singleton: {what}: {}; {}", told(one), told(other)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first_ms: u64, last_ms: u64, epoch: u64, datacenter: &str) -> Copy {
        let (first, last) = (Duration::from_millis(first_ms), Duration::from_millis(last_ms));
        Copy { first, last, epoch, datacenter: datacenter.to_owned() }
    }

    #[test]
    fn two_lives_at_once_and_epochs_that_stay_are_found() {
        let calm = [of(10, 20, 3, "dub"), of(21, 30, 3, "dub"), of(40, 50, 7, "sin")];
        assert_eq!(broken(&calm), None);
        for (copies, what) in [
            // In part, in whole, for one moment, by one and the same machine.
            ([of(10, 25, 3, "dub"), of(20, 30, 7, "sin")], "at once"),
            ([of(10, 90, 3, "dub"), of(20, 30, 7, "sin")], "at once"),
            ([of(10, 20, 3, "dub"), of(20, 30, 7, "sin")], "at once"),
            ([of(10, 25, 3, "dub"), of(20, 30, 3, "dub")], "at once"),
            ([of(10, 20, 3, "dub"), of(21, 30, 3, "sin")], "no larger epoch"),
            ([of(10, 20, 7, "dub"), of(21, 30, 3, "dub")], "no larger epoch"),
        ] {
            let found = broken(&copies).unwrap();
            assert!(found.contains(what), "{found}");
        }
    }

    #[test]
    fn a_record_is_read_up_to_its_last_whole_line() {
        let home = tempfile::tempdir().unwrap();
        let witness = Witness::new(home.path().join("lives")).unwrap();
        let write = |name: &str, text: &str| fs::write(witness.record().join(name), text).unwrap();
        write("0000000000030000_9_sin_12", "");
        write("0000000000010000_4_dub_11", "0000000000010001\n0000000000025000\n00000000000");
        assert_eq!(witness.copies().unwrap(), [of(10, 25, 4, "dub"), of(30, 30, 9, "sin")]);
    }
}
