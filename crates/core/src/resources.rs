//! What an instance asks for and what a machine has.

use std::fmt;
use std::ops::{Add, Sub};

/// Bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;

/// Processor time, memory, disk and GPUs. Integer units, so that ledgers add up exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Resources {
    /// Thousandths of a processor core (or hyper-thread, as providers count them).
    pub cpu_millis: u64,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of the machine's own disks.
    pub disk_bytes: u64,
    /// GPUs, and what else providers call accelerators. Of which kind is the machine's.
    pub gpus: u64,
}

impl Resources {
    /// Nothing at all.
    pub const NONE: Self = Self::new(0, 0);

    /// `cpu_millis` thousandths of a core and `memory_mib` MiB.
    pub const fn new(cpu_millis: u64, memory_mib: u64) -> Self {
        Self { cpu_millis, memory_bytes: memory_mib * MIB, disk_bytes: 0, gpus: 0 }
    }

    /// Whether all of this fits into `room`.
    pub fn fits(self, room: Self) -> bool {
        self.cpu_millis <= room.cpu_millis
            && self.memory_bytes <= room.memory_bytes
            && self.disk_bytes <= room.disk_bytes
            && self.gpus <= room.gpus
    }

    /// This less `other`, or nothing where `other` is larger.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    /// How many times `size` fits into this; a size of nothing fits without end.
    pub fn holds(self, size: Self) -> u32 {
        let times = |room: u64, size: u64| room.checked_div(size).unwrap_or(u64::MAX);
        let Self { cpu_millis, memory_bytes, disk_bytes, gpus } = self.with(size, times);
        let least = cpu_millis.min(memory_bytes).min(disk_bytes).min(gpus);
        u32::try_from(least).unwrap_or(u32::MAX)
    }

    /// This so many times.
    #[must_use]
    pub fn times(self, count: u32) -> Self {
        self.with(self, |own, _| own.saturating_mul(u64::from(count)))
    }

    /// Each with the other's.
    fn with(self, other: Self, combine: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            cpu_millis: combine(self.cpu_millis, other.cpu_millis),
            memory_bytes: combine(self.memory_bytes, other.memory_bytes),
            disk_bytes: combine(self.disk_bytes, other.disk_bytes),
            gpus: combine(self.gpus, other.gpus),
        }
    }

    /// The same as meshes before version 8 have it: without disk and GPUs.
    #[must_use]
    pub fn plain(self) -> Self {
        Self { disk_bytes: 0, gpus: 0, ..self }
    }

    /// The largest share that this takes of `whole`, in millionths (the dominant share of Ghodsi et
    /// al., "Dominant Resource Fairness", NSDI 2011). More than a million if it does not fit.
    pub fn dominant_share_micro(self, whole: Self) -> u64 {
        let share = |part: u64, whole: u64| match (part, whole) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            _ => {
                u64::try_from(u128::from(part) * 1_000_000 / u128::from(whole)).unwrap_or(u64::MAX)
            }
        };
        let Self { cpu_millis, memory_bytes, disk_bytes, gpus } = self.with(whole, share);
        cpu_millis.max(memory_bytes).max(disk_bytes).max(gpus)
    }
}

impl Add for Resources {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
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
    /// What is not nothing: `500m CPU, 256 MiB, 10 GiB of disk, 1 GPU`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpu = match self.cpu_millis {
            millis if millis % 1000 == 0 => format!("{} CPU", millis / 1000),
            millis => format!("{millis}m CPU"),
        };
        let bytes = |bytes: u64| match bytes {
            bytes if bytes % (1024 * MIB) == 0 => format!("{} GiB", bytes / (1024 * MIB)),
            bytes => format!("{} MiB", bytes / MIB),
        };
        let none = self.memory_bytes == 0 && self.disk_bytes == 0 && self.gpus == 0;
        let mut parts = Vec::new();
        parts.extend((self.cpu_millis > 0 || none).then_some(cpu));
        parts.extend((self.memory_bytes > 0).then(|| bytes(self.memory_bytes)));
        parts.extend((self.disk_bytes > 0).then(|| format!("{} of disk", bytes(self.disk_bytes))));
        parts.extend((self.gpus > 0).then(|| match self.gpus {
            1 => "1 GPU".to_owned(),
            many => format!("{many} GPUs"),
        }));
        f.write_str(&parts.join(", "))
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
        let with_gpus = Resources { gpus: 4, ..machine };
        assert_eq!(
            Resources { gpus: 1, ..Resources::NONE }.dominant_share_micro(with_gpus),
            250_000
        );
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
        assert_eq!(Resources::NONE.to_string(), "0 CPU");
        let large = Resources { disk_bytes: 10 << 30, gpus: 2, ..Resources::new(8_000, 65_536) };
        assert_eq!(large.to_string(), "8 CPU, 64 GiB, 10 GiB of disk, 2 GPUs");
    }
}
