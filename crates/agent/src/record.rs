//! What the engine and its shims leave for each other: the files of an instance's directory, and the lines on a
//! shim's socket. Both are JSON, because the reader may be of another version than the writer: a shim lives as
//! long as its unit, across upgrades of the agent.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use kato_core::{InstanceId, NameError, PortName, Resources, Timestamp};
use kato_units::engine::{InstanceStatus, RunState};
use serde::{Deserialize, Serialize};

/// What the engine wants run, written before the shim starts.
pub(crate) const ASSIGNMENT: &str = "assignment.json";
/// How the instance is, written by the shim at each change.
pub(crate) const STATUS: &str = "status.json";
/// Where the shim listens.
pub(crate) const SOCKET: &str = "shim.sock";
/// Locked by whoever owns the directory: the engine while it prepares it, then the shim until it ends.
pub(crate) const LOCK: &str = "lock";
/// The commands' output.
pub(crate) const OUTPUT: &str = "output.log";
/// The output before that.
pub(crate) const OUTPUT_OLD: &str = "output.log.1";
/// The environment variable that says whose a process is, by the directory of its instance.
pub(crate) const DIRECTORY: &str = "KATO_DIRECTORY";
/// Where commands begin unless their unit says otherwise.
pub(crate) const WORK: &str = "work";
/// The directories behind `%t %S %C %L %T`, in this order.
pub(crate) const DIRECTORIES: [&str; 5] = ["run", "state", "cache", "logs", "tmp"];

/// The longest line on a shim's socket, in bytes, and the largest file that is read.
pub(crate) const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The largest assignment, in bytes: a unit of 64 KiB, each character of which JSON may write as six.
pub(crate) const ASSIGNMENT_BYTES_MAX: usize = 512 * 1024;
/// The longest detail of a status, in characters.
const DETAIL_CHARS_MAX: usize = 2_000;

/// What a shim is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assigned {
    pub(crate) instance: String,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    pub(crate) unit_name: String,
    pub(crate) unit: String,
    pub(crate) cpu_millis: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) singleton: bool,
    /// On the boot clock.
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) datacenter: String,
    /// The machine's name, `%H`.
    pub(crate) host: String,
    /// When to rotate the output.
    pub(crate) output_bytes_max: u64,
    /// How often it has been started again before.
    #[serde(default)]
    pub(crate) restarts: u32,
}

impl Assigned {
    pub(crate) fn instance(&self) -> Result<InstanceId, NameError> {
        self.instance.parse()
    }

    pub(crate) fn request(&self) -> Resources {
        Resources {
            cpu_millis: self.cpu_millis,
            memory_bytes: self.memory_bytes,
            ..Resources::NONE
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        self.deadline_ms.map(Duration::from_millis)
    }

    /// What every process of this run carries in its environment, and nobody else's does: two sandboxes on one
    /// host may both have a `web@1` of epoch 1.
    pub(crate) fn marks(&self, directory: &Path) -> [(&'static str, String); 3] {
        [
            ("KATO_INSTANCE", self.instance.clone()),
            ("KATO_EPOCH", self.epoch.to_string()),
            (DIRECTORY, directory.display().to_string()),
        ]
    }

    /// The same as they stand in an environment.
    pub(crate) fn mark_lines(&self, directory: &Path) -> Vec<String> {
        self.marks(directory).map(|(name, value)| format!("{name}={value}")).into()
    }
}

/// Why nothing of an instance runs any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// It ended by itself, or was killed with its shim, and its unit says that this is the end.
    Own,
    /// It was told to stop.
    Stopped,
    /// Its deadline came.
    Fenced,
    /// Its shim was killed or told to end, or the machine went down: it may come back.
    Lost,
}

/// How an instance is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) instance: String,
    pub(crate) epoch: u64,
    pub(crate) generation: u64,
    #[serde(with = "StateName")]
    pub(crate) state: RunState,
    pub(crate) since_ms: u64,
    pub(crate) restarts: u32,
    pub(crate) ports: BTreeMap<String, u16>,
    pub(crate) pid: Option<u32>,
    pub(crate) detail: String,
    /// The control group that holds its processes.
    #[serde(default)]
    pub(crate) cgroup: Option<String>,
    /// Set once, with a state that is final.
    pub(crate) end: Option<End>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "RunState", rename_all = "kebab-case")]
enum StateName {
    Starting,
    Running,
    Restarting,
    Stopping,
    Exited,
    Failed,
    Fenced,
}

impl Recorded {
    /// The status of what has just been assigned.
    pub(crate) fn starting(assigned: &Assigned, at: Timestamp) -> Self {
        Self {
            instance: assigned.instance.clone(),
            epoch: assigned.epoch,
            generation: assigned.generation,
            state: RunState::Starting,
            since_ms: at.0,
            restarts: assigned.restarts,
            ports: assigned.ports.clone(),
            pid: None,
            detail: String::new(),
            cgroup: None,
            end: None,
        }
    }

    /// Sets why it is so, on one printable line.
    pub(crate) fn explain(&mut self, detail: &str) {
        let printable = |c: char| if c.is_control() { ' ' } else { c };
        self.detail = detail.chars().map(printable).take(DETAIL_CHARS_MAX).collect();
    }

    pub(crate) fn status(&self) -> Result<InstanceStatus, NameError> {
        let ports = self.ports.iter().map(|(name, port)| Ok((PortName::new(name.clone())?, *port)));
        Ok(InstanceStatus {
            instance: self.instance.parse()?,
            epoch: self.epoch,
            generation: self.generation,
            state: self.state,
            since: Timestamp(self.since_ms),
            restarts: self.restarts,
            ports: ports.collect::<Result<_, NameError>>()?,
            pid: self.pid,
            detail: self.detail.clone(),
        })
    }
}

/// What a shim is asked for, one JSON object a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Answer with the status; it also comes unasked, at the start and at each change.
    Status,
    /// Stop the unit. The last status before the end of the stream says that it is done.
    Stop { epoch: u64 },
    /// Move the deadline, a time of the boot clock.
    Extend { epoch: u64, deadline_ms: u64 },
}

/// What a shim says, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub(crate) enum Reply {
    Status {
        status: Recorded,
    },
    /// Answers each `Extend`, in order.
    Extended {
        deadline_ms: Option<u64>,
        refused: Option<String>,
    },
}

/// A message as a line.
pub(crate) fn line<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// Writes a file so that a reader finds the old one or the new one, whole. It is not synced: what it speaks of
/// are processes, and those do not outlive the machine's memory either.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, line(value)?)?;
    std::fs::rename(&new, path)
}

/// Reads a file that [`write`] wrote; none if there is none.
pub(crate) fn read<T: for<'a> Deserialize<'a>>(path: &Path) -> io::Result<Option<T>> {
    let length = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?.len(),
    };
    if length > ASSIGNMENT_BYTES_MAX as u64 {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            "the file is larger than any that is written",
        ));
    }
    Ok(Some(serde_json::from_slice(&std::fs::read(path)?)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back_as_they_were_written() {
        let extend = Request::Extend { epoch: 7, deadline_ms: 12 };
        let text = String::from_utf8(line(&extend).unwrap()).unwrap();
        assert_eq!(text, "{\"ask\":\"extend\",\"epoch\":7,\"deadline_ms\":12}\n");
        assert_eq!(serde_json::from_str::<Request>(&text).unwrap(), extend);
        assert!(serde_json::from_str::<Request>("{\"ask\":\"reboot\"}").is_err());
    }

    #[test]
    fn a_detail_is_one_line_with_a_limit() {
        let assigned: Assigned = serde_json::from_str(
            r#"{"instance":"web@1","epoch":1,"generation":1,"unit_name":"web@.service","unit":"","cpu_millis":0,
                "memory_bytes":0,"ports":{"http":80},"singleton":false,"deadline_ms":null,"datacenter":"dub",
                "host":"core-1","output_bytes_max":1}"#,
        )
        .unwrap();
        let mut recorded = Recorded::starting(&assigned, Timestamp(5));
        recorded.explain(&"a\nb".repeat(1_000));
        assert!(recorded.detail.starts_with("a ba b") && recorded.detail.len() == DETAIL_CHARS_MAX);
        let status = recorded.status().unwrap();
        assert_eq!((status.instance.to_string().as_str(), status.since), ("web@1", Timestamp(5)));
    }
}
