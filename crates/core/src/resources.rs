//! What an instance asks for and what a machine has.

use std::fmt;
use std::ops::{Add, Sub};

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Processor time and memory. Integer units, so that ledgers add up exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resources {
    /// Thousandths of a processor core (or hyper-thread, as providers count them).
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self { cpu_millis: 0, memory_bytes: 0 };

    /// `cpu_millis` thousandths of a core and `memory_mib` MiB.
    pub const fn new(cpu_millis: u64, memory_mib: u64) -> Self {
        Self { cpu_millis, memory_bytes: memory_mib * MIB }
    }

    /// Whether all of this fits into `room`.
    pub fn fits(self, room: Self) -> bool {
        self.cpu_millis <= room.cpu_millis && self.memory_bytes <= room.memory_bytes
    }

    /// This less `other`, or nothing where `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_sub(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_sub(other.memory_bytes),
        }
    }

    /// How many times `size` fits into this; a size of nothing fits without end.
    pub fn holds(self, size: Self) -> u32 {
        let times = |room: u64, size: u64| room.checked_div(size).unwrap_or(u64::MAX);
        let cpu = times(self.cpu_millis, size.cpu_millis);
        let memory = times(self.memory_bytes, size.memory_bytes);
        u32::try_from(cpu.min(memory)).unwrap_or(u32::MAX)
    }

    /// This so many times.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_mul(u64::from(count)),
            memory_bytes: self.memory_bytes.saturating_mul(u64::from(count)),
        }
    }

    /// The larger share that this takes of `whole`, in millionths (the dominant share of Ghodsi et
    /// al., "Dominant Resource Fairness", NSDI 2011). More than a million if it does not fit.
    pub fn dominant_share_micro(self, whole: Self) -> u64 {
        let share = |part: u64, whole: u64| match (part, whole) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            _ => {
                u64::try_from(u128::from(part) * 1_000_000 / u128::from(whole)).unwrap_or(u64::MAX)
            }
        };
        share(self.cpu_millis, whole.cpu_millis).max(share(self.memory_bytes, whole.memory_bytes))
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            cpu_millis: self.cpu_millis.saturating_add(other.cpu_millis),
            memory_bytes: self.memory_bytes.saturating_add(other.memory_bytes),
        }
    }
}

impl Sub for Resources {
    type Output = Self;

    /// # Panics
    /// When `other` is larger: a ledger gave back more than it took.
    fn sub(self, other: Self) -> Self {
        assert!(other.fits(self), "ledger-balances: {other} taken from {self}");
        self.saturating_sub(other)
    }
}

impl std::iter::Sum for Resources {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::NONE, Add::add)
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.cpu_millis {
            0 if self.memory_bytes > 0 => {}
            millis if millis % 1000 == 0 => write!(f, "{} CPU", millis / 1000)?,
            millis => write!(f, "{millis}m CPU")?,
        }
        if self.cpu_millis > 0 && self.memory_bytes > 0 {
            f.write_str(", ")?;
        }
        match self.memory_bytes {
            0 => Ok(()),
            bytes if bytes % (1024 * MIB) == 0 => write!(f, "{} GiB", bytes / (1024 * MIB)),
            bytes => write!(f, "{} MiB", bytes / MIB),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dominant_share_is_the_larger_one() {
        let machine = Resources::new(2_000, 8_192);
        assert_eq!(Resources::new(500, 256).dominant_share_micro(machine), 250_000);
        assert_eq!(Resources::new(100, 4_096).dominant_share_micro(machine), 500_000);
        assert_eq!(Resources::new(4_000, 1).dominant_share_micro(machine), 2_000_000);
        assert_eq!(Resources::NONE.dominant_share_micro(Resources::NONE), 0);
    }

    #[test]
    fn as_many_fit_as_the_scarcer_resource_allows() {
        let room = Resources::new(2_000, 1_024);
        for (cpu, mib, count) in [
            (500, 256, 4),
            (500, 512, 2),
            (1_001, 1, 1),
            (2_001, 1, 0),
            (1, 1_025, 0),
            (0, 512, 2),
            (0, 0, u32::MAX),
        ] {
            let size = Resources::new(cpu, mib);
            assert_eq!(room.holds(size), count, "{cpu}m {mib} MiB");
            assert!(count == u32::MAX || size.times(count).fits(room));
        }
    }

    #[test]
    fn resources_show_as_people_write_them() {
        assert_eq!(Resources::new(500, 256).to_string(), "500m CPU, 256 MiB");
        assert_eq!(Resources::new(2_000, 8_192).to_string(), "2 CPU, 8 GiB");
    }
}
