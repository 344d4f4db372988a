//! Starts the processes of a mesh, starts those again that end by themselves, and stops all of them.

use std::fs::File;
use std::process::Child;
use std::time::{Duration, Instant};

use super::control::{self, Request};
use super::files::Files;
use super::ports::Turn;
use super::processes::{kill_all, mark, marked, start, terminate};
use super::site::{MACHINES, SITES, Site};
use super::{DevError, StartArgs, data_dir, founding, report};
use crate::contexts::Contexts;
use crate::failure::Exit;
use crate::settings;
use crate::verbs::signals::Signals;

/// Between two looks at the processes.
const LOOK: Duration = Duration::from_millis(200);
/// How long a process that ended stays ended.
const RESTART: Duration = Duration::from_secs(1);
/// How long processes may take to end by themselves.
const GRACE: Duration = Duration::from_secs(3);

/// One process of the mesh.
struct Process {
    site: &'static Site,
    name: &'static str,
    child: Option<Child>,
    /// When it is to be started again.
    again: Option<Instant>,
}

/// All processes of the mesh.
pub(super) struct Supervisor {
    files: Files,
    processes: Vec<Process>,
    lost: Vec<&'static str>,
}

pub(super) fn run(args: StartArgs) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(supervise(args))
}

// The supervisor is never simulated: it looks at real processes, by the machine's own clock.
#[allow(clippy::disallowed_methods)]
fn instant() -> Instant {
    Instant::now()
}

async fn supervise(args: StartArgs) -> anyhow::Result<Exit> {
    let began = instant();
    let mut signals = Signals::listen()?;
    let root = data_dir(args.data_dir.clone())?;
    // Before anything is written.
    let catalogue = args.catalog.as_deref().map(founding::catalogue).transpose()?;
    let (files, resumed) = Files::open(root.clone())?;
    let _lock = lock(&files)?;
    report::begin(&root, resumed)?;
    clear(&files).await?;
    let turn = tokio::select! {
        biased;
        () = signals.next() => return Ok(Exit::Done),
        turn = Turn::wait() => turn?,
    };
    let ports = if resumed {
        founding::resume(&files, &args)?
    } else {
        founding::found(&files, &args, catalogue)?
    };
    report::certificates(&files, resumed)?;
    let listener = control::listen(&root)
        .map_err(|source| DevError::Directory { path: root.clone(), source })?;
    let mut supervisor = Supervisor::new(files.clone());
    supervisor.start_all()?;
    report::sites(ports)?;
    let context = files.context(ports);
    let ready = tokio::select! {
        biased;
        () = signals.next() => None,
        ready = report::ready(&files, &context, &mut supervisor) => Some(ready),
    };
    drop(turn);
    match ready {
        None => {
            supervisor.stop().await?;
            return Ok(Exit::Done);
        }
        Some(Err(error)) => {
            supervisor.stop().await?;
            return Err(error);
        }
        Some(Ok(())) => {}
    }
    let contexts = settings::own_context_file()?;
    Contexts::upsert(&contexts, "dev", context)?;
    report::done(&files, ports, &contexts, began.elapsed())?;
    // Kept over the rounds: a client may have been let in that has not spoken yet.
    let mut requests = Box::pin(control::next(&listener));
    loop {
        tokio::select! {
            biased;
            () = signals.next() => break,
            request = &mut requests => {
                supervisor.obey(request?).await;
                requests = Box::pin(control::next(&listener));
            }
            () = tokio::time::sleep(LOOK) => supervisor.look()?,
        }
    }
    report::stopping()?;
    supervisor.stop().await?;
    report::stopped(&files)?;
    Ok(Exit::Done)
}

/// Keeps a second `kato dev` out.
fn lock(files: &Files) -> Result<File, DevError> {
    let path = || files.root.clone();
    let failed = |source| DevError::Directory { path: path(), source };
    let file = File::create(files.lock()).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(DevError::Running { path: path() }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Kills what a `kato dev` that was killed itself left behind.
async fn clear(files: &Files) -> anyhow::Result<()> {
    for site in &SITES {
        let mark = mark(&files.site(site));
        if !marked(&mark)?.is_empty() {
            let killed = kill_all(&mark).await?;
            report::cleared(site, killed)?;
        }
    }
    Ok(())
}

impl Supervisor {
    fn new(files: Files) -> Self {
        let names = ["coordinator"].into_iter().chain(MACHINES);
        let of_site = |site| names.clone().map(move |name| Process::new(site, name));
        Self { files, processes: SITES.iter().flat_map(of_site).collect(), lost: Vec::new() }
    }

    fn start_all(&mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            process.start(&self.files)?;
        }
        Ok(())
    }

    /// The first process that has ended, for the time before the mesh is ready.
    pub(super) fn ended(&mut self) -> anyhow::Result<Option<DevError>> {
        for process in &mut self.processes {
            if let Some(status) = process.ended()? {
                return Ok(Some(DevError::Died {
                    process: process.name.to_owned(),
                    datacenter: process.site.name.to_owned(),
                    status: status.to_string(),
                    log: self.files.log(process.site, process.name),
                }));
            }
        }
        Ok(None)
    }

    /// Starts again what has ended by itself, after a moment.
    fn look(&mut self) -> anyhow::Result<()> {
        let now = instant();
        for process in &mut self.processes {
            if self.lost.contains(&process.site.name) {
                continue;
            }
            if let Some(status) = process.ended()? {
                report::ended(process.site, process.name, status)?;
                process.child = None;
                process.again = Some(now + RESTART);
            }
            if process.again.is_some_and(|again| again <= now) {
                process.start(&self.files)?;
            }
        }
        Ok(())
    }

    async fn obey(&mut self, request: Request) {
        let site = request.site;
        let done = match request.verb.as_str() {
            "lose" => self.lose(site).await,
            "return" => self.come_back(site),
            verb => Err(anyhow::anyhow!("there is no verb {verb}")),
        };
        request.answer(done.map_err(|error| format!("{error:#}"))).await;
    }

    async fn lose(&mut self, site: &'static Site) -> anyhow::Result<String> {
        anyhow::ensure!(!self.lost.contains(&site.name), "{} is lost already", site.name);
        self.lost.push(site.name);
        let killed = kill_all(&mark(&self.files.site(site))).await?;
        for process in self.processes.iter_mut().filter(|process| process.site.name == site.name) {
            if let Some(mut child) = process.child.take() {
                child.wait()?;
            }
            process.again = None;
        }
        report::lost(site, killed)?;
        Ok(format!("{} is lost: {killed} processes were killed", site.name))
    }

    fn come_back(&mut self, site: &'static Site) -> anyhow::Result<String> {
        anyhow::ensure!(self.lost.contains(&site.name), "{} is not lost", site.name);
        self.lost.retain(|lost| *lost != site.name);
        for process in self.processes.iter_mut().filter(|process| process.site.name == site.name) {
            process.start(&self.files)?;
        }
        report::returned(site)?;
        Ok(format!("{} starts again", site.name))
    }

    /// Stops every process: asked first, then killed, with everything that they have started.
    async fn stop(&mut self) -> anyhow::Result<()> {
        let running = |process: &mut Process| process.child.take();
        let mut children: Vec<Child> = self.processes.iter_mut().filter_map(running).collect();
        children.iter().for_each(terminate);
        let deadline = instant() + GRACE;
        while instant() < deadline {
            children.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
            if children.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for site in &SITES {
            kill_all(&mark(&self.files.site(site))).await?;
        }
        for mut child in children {
            child.wait()?;
        }
        Ok(())
    }
}

impl Process {
    fn new(site: &'static Site, name: &'static str) -> Self {
        Self { site, name, child: None, again: None }
    }

    fn start(&mut self, files: &Files) -> anyhow::Result<()> {
        let (verb, config) = match self.name {
            "coordinator" => ("coordinator", files.coordinator_config(self.site)),
            machine => ("agent", files.agent_config(self.site, machine)),
        };
        let log = files.log(self.site, self.name);
        self.child = Some(start(verb, &config, &log, &mark(&files.site(self.site)))?);
        self.again = None;
        Ok(())
    }

    fn ended(&mut self) -> anyhow::Result<Option<std::process::ExitStatus>> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?),
            None => Ok(None),
        }
    }
}
