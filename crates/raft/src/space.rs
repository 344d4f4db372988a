//! What is left on the disk. A log that meets a full disk stops its member at once, so writes end in an orderly manner
//! before that: while reads, and everything that runs, go on.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{Disk, Error};

const MIB: u64 = 1 << 20;

/// When the disk counts as almost full.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    /// What must be left, in bytes.
    pub(crate) needed: u64,
    /// Between two looks.
    pub(crate) every: Duration,
}

impl Floor {
    /// A log of the size that retention allows, twice because redb copies what it writes, a snapshot beside the two
    /// that are kept, and what everybody else writes between two looks.
    pub(crate) const DEFAULT: Self = Self { needed: 256 * MIB, every: Duration::from_secs(5) };

    /// So much more must be left again for the alarm to end, or it would come and go with every file.
    fn enough(self) -> u64 {
        self.needed + self.needed / 4
    }
}

/// The disk is almost full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskAlarm {
    /// What is left, in bytes.
    pub free: u64,
    /// What is needed, in bytes.
    pub needed: u64,
    /// Where.
    pub path: PathBuf,
    /// Whether proposals are refused. Not at the first look: until the next one, the leadership can go elsewhere.
    pub refusing: bool,
}

impl fmt::Display for DiskAlarm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (free, needed) = (self.free / MIB, self.needed.div_ceil(MIB));
        write!(f, "{free} MiB left in {}, {needed} MiB needed", self.path.display())
    }
}

/// Looks at the disk until the shutdown.
pub(crate) async fn watch(
    floor: Floor,
    disk: Arc<dyn Disk>,
    alarm: watch::Sender<Option<DiskAlarm>>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    loop {
        match disk.free() {
            // Without the separator at its end.
            Ok(free) => look(floor, free, disk.path("").components().collect(), &alarm),
            // The log itself will say what is wrong with the disk.
            Err(error) => tracing::debug!(%error, "cannot tell what is left on the disk"),
        }
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(floor.every) => {}
        }
    }
}

/// Raises the alarm, keeps it up to date, or ends it. The log hears of its beginning and of its end.
fn look(floor: Floor, free: u64, path: PathBuf, alarm: &watch::Sender<Option<DiskAlarm>>) {
    let before = alarm.borrow().clone();
    let low = free < if before.is_some() { floor.enough() } else { floor.needed };
    let needed = floor.needed;
    let now = low.then(|| DiskAlarm { free, needed, path, refusing: before.is_some() });
    match (&before, &now) {
        (None, Some(alarm)) => {
            tracing::error!("the disk is almost full: {alarm}; soon no writes are taken here");
        }
        (Some(_), None) => {
            tracing::info!(free_mib = free / MIB, "the disk has room again: writes are taken");
        }
        _ => {}
    }
    alarm.send_if_modified(|known| {
        let changed = *known != now;
        *known = now;
        changed
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_refuses_from_the_second_look_on_and_ends_with_room_to_spare() {
        let floor = Floor { needed: 100 * MIB, every: Duration::ZERO };
        let (alarm, seen) = watch::channel(None);
        let after = |free: u64| {
            look(floor, free * MIB, PathBuf::from("/data"), &alarm);
            seen.borrow().as_ref().map(|alarm: &DiskAlarm| (alarm.free / MIB, alarm.refusing))
        };
        assert_eq!(after(100), None);
        assert_eq!(after(99), Some((99, false)));
        assert_eq!(after(50), Some((50, true)));
        assert_eq!(after(124), Some((124, true)), "it would come and go");
        assert_eq!(after(125), None);
        assert_eq!(after(0), Some((0, false)));
        let text = seen.borrow().as_ref().map(ToString::to_string);
        assert_eq!(text.unwrap(), "0 MiB left in /data, 100 MiB needed");
    }
}
