//! The instance's control group, where this process may make one: it holds the instance to what it asked for, and
//! kills all of it in one step of the kernel's (cgroups(7), version 2).
//!
//! It is made inside the shim's own group, never elsewhere: on a host with systemd everything else is systemd's.
//! There the controllers cannot be switched on, because the shim's own group has processes; then the group only
//! kills, and the instance's status says that nothing limits it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use kato_core::Resources;

/// The period that `cpu.max` shares out, in microseconds: the kernel's default.
const PERIOD_MICROS: u64 = 100_000;
/// The smallest quota that the kernel takes, in microseconds.
const QUOTA_MICROS_MIN: u64 = 1_000;

/// A control group of one instance's processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes the group for the instance in `directory`, if that is possible, and says what it does not do.
    pub(crate) fn create(directory: &Path, request: Resources) -> (Option<Self>, Option<String>) {
        let remark =
            |why: String| Some(format!("its CPU and memory limits are not enforced: {why}"));
        let Some(parent) = own() else {
            return (None, remark("this host has no cgroup2 hierarchy".to_owned()));
        };
        let path = parent.join(format!("kato-{:016x}", fingerprint(directory)));
        match fs::create_dir(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return (None, remark(format!("{}: {error}", path.display())));
            }
            _ => {}
        }
        let group = Self { path };
        if !group.path.join("cgroup.kill").exists() {
            group.remove();
            return (None, remark("the kernel is older than 5.14".to_owned()));
        }
        for controller in ["+cpu", "+memory"] {
            // Where this fails, the limit below cannot be written, and that is what is reported.
            let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
        }
        let limited = group.limit(request);
        let remarked = limited.err().and_then(|error| {
            remark(format!("{} has no CPU and memory controllers ({error})", parent.display()))
        });
        (Some(group), remarked)
    }

    /// The group that an earlier process made.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn limit(&self, request: Resources) -> io::Result<()> {
        if request.memory_bytes > 0 {
            fs::write(self.path.join("memory.max"), request.memory_bytes.to_string())?;
        }
        if request.cpu_millis > 0 {
            let quota =
                (request.cpu_millis.saturating_mul(PERIOD_MICROS) / 1_000).max(QUOTA_MICROS_MIN);
            fs::write(self.path.join("cpu.max"), format!("{quota} {PERIOD_MICROS}"))?;
        }
        Ok(())
    }

    /// Kills every process in it.
    pub(crate) fn kill(&self) {
        // What is not killed here is found among the shim's descendants.
        let _ = fs::write(self.path.join("cgroup.kill"), "1");
    }

    /// Removes it, which the kernel refuses while there are processes in it. Returns whether it is gone.
    pub(crate) fn remove(&self) -> bool {
        match fs::remove_dir(&self.path) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }
}

/// This process's own group as a directory.
fn own() -> Option<PathBuf> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ');
        let (_, place, kind) = (fields.next()?, fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(place)
    })?;
    let path = Path::new(mount).join(group.trim_start_matches('/'));
    path.is_dir().then_some(path)
}

/// FNV-1a, which is the same in every version and on every machine, as the standard library's hashes are not.
pub(crate) fn fingerprint(directory: &Path) -> u64 {
    let bytes = directory.as_os_str().as_encoded_bytes();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
