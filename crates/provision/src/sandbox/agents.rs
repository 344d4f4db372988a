//! The agents of the sandbox's machines, kept running as the init of a host would: one that has ended is started again
//! after a pause, and none beside another. Time is counted in looks, because nobody else's clock is needed for that.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Held by an agent for as long as it runs, in its machine's directory.
const LOCK: &str = "data/agent.lock";
/// Between two looks at the agents.
const LOOK: Duration = Duration::from_millis(250);
/// Looks before an agent that has ended is started again: a second at first, then twice as many each time.
const PAUSE_FIRST: u32 = 4;
/// Half a minute at the most.
const PAUSE_MAX: u32 = 120;
/// What has run for a minute is not what keeps ending.
const STEADY: u32 = 240;

/// The agents of one sandbox. Once this is dropped none is started again; those that run go on.
#[derive(Debug, Default)]
pub struct Agents {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    table: Mutex<Table>,
    stopping: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    /// By their machines' directories.
    hosts: BTreeMap<PathBuf, Host>,
    watched: bool,
    stopping: bool,
}

/// What a machine's host does for its agent.
#[derive(Debug)]
struct Host {
    program: PathBuf,
    directory: PathBuf,
    /// The agent, if this process started it.
    child: Option<Child>,
    /// How many looks it has run for.
    ran: u32,
    /// How many looks to wait before the next start.
    wait: Option<u32>,
    pause: u32,
}

impl Agents {
    /// Starts the agent of the machine in a directory unless it runs, and looks after it from now on.
    pub(super) fn start(&self, program: &Path, directory: &Path) -> io::Result<()> {
        let mut table = self.shared.table();
        if !table.watched {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name("machines".to_owned());
            // It ends with this, at its next look.
            thread.spawn(move || shared.watch())?;
            table.watched = true;
        }
        let new = || Host::new(program, directory);
        let host = table.hosts.entry(directory.to_owned()).or_insert_with(new);
        if host.runs()? { Ok(()) } else { host.start() }
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        self.shared.table().stopping = true;
        self.shared.stopping.notify_all();
    }
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self) {
        let mut table = self.table();
        while !table.stopping {
            for host in table.hosts.values_mut() {
                if let Err(error) = host.look() {
                    let directory = host.directory.display();
                    tracing::warn!(%directory, %error, "a machine's agent cannot be started");
                }
            }
            let waited = self.stopping.wait_timeout(table, LOOK);
            table = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Host {
    fn new(program: &Path, directory: &Path) -> Self {
        let (program, directory) = (program.to_owned(), directory.to_owned());
        Self { program, directory, child: None, ran: 0, wait: None, pause: PAUSE_FIRST }
    }

    /// Whether an agent runs: one that this process has started, or one that holds the lock.
    fn runs(&mut self) -> io::Result<bool> {
        if let Some(child) = &mut self.child {
            let Some(status) = child.try_wait()? else { return Ok(true) };
            tracing::warn!(directory = %self.directory.display(), %status, "a machine's agent has ended");
            self.child = None;
        }
        let Ok(lock) = File::open(self.directory.join(LOCK)) else { return Ok(false) };
        let free = lock.try_lock().is_ok();
        // Closing it is not enough: a process that another thread has just forked holds it until its exec.
        lock.unlock()?;
        Ok(!free)
    }

    /// Starts the agent, if it has ended long enough ago.
    fn look(&mut self) -> io::Result<()> {
        if self.runs()? {
            self.ran = self.ran.saturating_add(1);
            self.wait = None;
            return Ok(());
        }
        if self.ran >= STEADY {
            self.pause = PAUSE_FIRST;
        }
        self.ran = 0;
        let left = self.wait.unwrap_or(self.pause).saturating_sub(1);
        self.wait = Some(left);
        if left > 0 {
            return Ok(());
        }
        self.wait = None;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.start()
    }

    fn start(&mut self) -> io::Result<()> {
        let log = self.directory.join("agent.log");
        let log = File::options().create(true).append(true).open(log)?;
        let child = Command::new(&self.program)
            .args(["agent", "--config"])
            .arg(self.directory.join(super::CONFIG))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // A machine does not die of what its coordinator's terminal is sent.
            .process_group(0)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// An agent that ends at once, after it has said that it was there.
    const PROGRAM: &str = "/bin/echo";

    fn starts(directory: &Path) -> usize {
        fs::read_to_string(directory.join("agent.log")).unwrap_or_default().lines().count()
    }

    /// Looks until the agent that was started has ended, which is not counted.
    fn settle(host: &mut Host) {
        while host.child.is_some() {
            host.runs().unwrap();
            std::thread::yield_now();
        }
    }

    #[test]
    fn an_agent_that_ends_is_started_again_after_a_growing_pause() {
        let directory = tempfile::tempdir().unwrap();
        let mut host = Host::new(Path::new(PROGRAM), directory.path());
        host.start().unwrap();
        settle(&mut host);
        for pause in [4, 8, 16, 32, 64, 120, 120] {
            let before = starts(directory.path());
            for _ in 1..pause {
                host.look().unwrap();
            }
            assert!(host.child.is_none(), "sooner than after {pause} looks");
            host.look().unwrap();
            assert!(host.child.is_some(), "not after {pause} looks");
            settle(&mut host);
            assert_eq!(starts(directory.path()), before + 1);
        }
        // What then runs for long has earned a short pause.
        host.ran = STEADY;
        for _ in 0..PAUSE_FIRST {
            assert!(host.child.is_none());
            host.look().unwrap();
        }
        assert!(host.child.is_some());
        settle(&mut host);
    }

    #[test]
    fn nothing_is_started_beside_an_agent_that_holds_its_lock() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("data")).unwrap();
        let lock = File::create(directory.path().join(LOCK)).unwrap();
        lock.lock().unwrap();
        let mut host = Host::new(Path::new(PROGRAM), directory.path());
        for _ in 0..10 * PAUSE_MAX {
            host.look().unwrap();
        }
        assert_eq!(starts(directory.path()), 0);
        lock.unlock().unwrap();
        for _ in 0..PAUSE_FIRST {
            host.look().unwrap();
        }
        settle(&mut host);
        assert_eq!(starts(directory.path()), 1);
    }

    #[test]
    fn a_watch_ends_with_its_sandbox() {
        let directory = tempfile::tempdir().unwrap();
        let agents = Agents::default();
        agents.start(Path::new(PROGRAM), directory.path()).unwrap();
        let shared = Arc::downgrade(&agents.shared);
        while starts(directory.path()) < 2 {
            std::thread::sleep(LOOK);
        }
        drop(agents);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
