//! A disk that stalls while everybody writes: the queue of proposals is bounded, who finds it full is told when to try
//! again, and nothing that was refused is done.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use kato_proto::v1;
use kato_raft::redb::backends::FileBackend;
use kato_raft::redb::{Builder, Database, DatabaseError, StorageBackend};
use kato_raft::{DirDisk, Disk, Draft, Error, Source};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::coordinator::Alone;
use crate::node::PATIENCE;
use crate::work::{address, register};

/// More proposals than the queue and the entries on their way hold.
const PROPOSALS: usize = 8_192;

/// A directory whose log is not synced while somebody holds the gate.
struct Stalling {
    directory: DirDisk,
    log: PathBuf,
    gate: Arc<RwLock<()>>,
}

impl Disk for Stalling {
    fn open_log(&self, builder: &Builder) -> Result<Database, DatabaseError> {
        let mut options = std::fs::File::options();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(&self.log).map_err(|error| DatabaseError::Storage(error.into()))?;
        let file = FileBackend::new(file)?;
        builder.create_with_backend(Stalled { file, gate: Arc::clone(&self.gate) })
    }

    fn create(&self) -> io::Result<Box<dyn Draft>> {
        self.directory.create()
    }

    fn note(&self, name: &str, offset: u64, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.directory.note(name, offset, bytes, durable)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        self.directory.read(name)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn Source>> {
        self.directory.open(name)
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.directory.list()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.directory.remove(name)
    }

    fn free(&self) -> io::Result<u64> {
        self.directory.free()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path(name)
    }
}

#[derive(Debug)]
struct Stalled {
    file: FileBackend,
    gate: Arc<RwLock<()>>,
}

impl StorageBackend for Stalled {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        drop(self.gate.read().unwrap_or_else(PoisonError::into_inner));
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_says_when_to_try_again_and_kato_does() -> Result<()> {
    let gate = Arc::new(RwLock::new(()));
    let mesh = Alone::start_on(|data| {
        let (directory, log) = (DirDisk::open(data)?, data.join("log"));
        Ok(Arc::new(Stalling { directory, log, gate: Arc::clone(&gate) }))
    });
    let mesh = mesh.await?;
    mesh.apply("ant", 0).await?;
    let (stall, stalled) = std::sync::mpsc::channel::<()>();
    let holding = std::thread::spawn({
        let gate = Arc::clone(&gate);
        move || {
            let _held = gate.write().unwrap_or_else(PoisonError::into_inner);
            // Until the other end is gone.
            stalled.recv().ok();
        }
    });
    while gate.try_read().is_ok() {
        tokio::task::yield_now().await;
    }
    let mut waiting = FuturesUnordered::new();
    for number in 0..PROPOSALS {
        let command = register(&format!("dc-{}", number % 50), &number.to_string())?;
        let mesh = mesh.mesh.clone();
        waiting.push(async move { (number, mesh.propose(command, PATIENCE).await) });
    }
    // Those for whom there is no room are told at once.
    let (refused, outcome) = waiting.next().await.context("somebody is told")?;
    ensure!(matches!(outcome, Err(Error::Overloaded(4_096))), "{outcome:?}");

    let request = v1::DeleteWorkloadRequest { name: "ant".to_owned(), expected_revision: None };
    let status = mesh.workloads().delete(request).await.err().context("it was taken")?;
    ensure!(status.code() == Code::ResourceExhausted, "{status:?}");
    ensure!(status.message() == "too many requests wait for the mesh, at most 4096", "{status:?}");
    let info = status.get_details_error_info().context("a program can tell why")?;
    ensure!(info.reason == "OVERLOADED", "{info:?}");
    let retry = status.get_details_retry_info().context("a hint")?.retry_delay;
    ensure!(retry == Some(Duration::from_secs(1)), "{retry:?}");

    // Who has no time is told the hint; who has it waits, and then the deletion is done.
    let hurried = mesh.kato(&["delete", "workload", "ant", "-y", "--timeout", "900ms"]).output()?;
    let said = String::from_utf8(hurried.stderr)?;
    ensure!(hurried.status.code() == Some(1), "{said}");
    ensure!(said.contains("error: too many requests wait for the mesh, at most 4096"), "{said}");
    ensure!(said.contains("\n\nhint: try again in 1s"), "{said}");
    let mut patient = mesh.kato(&["delete", "workload", "ant", "-y"]);
    let mut patient = patient.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut said = BufReader::new(patient.stderr.take().context("its errors")?);
    let mut noted = String::new();
    while !noted.contains("trying again") {
        ensure!(said.read_line(&mut noted)? > 0, "it does not try again: {noted}");
    }
    drop(stall);
    let mut rest = String::new();
    said.read_to_string(&mut rest)?;
    ensure!(patient.wait()?.success(), "{noted}{rest}");

    let (mut done, mut turned_away) = (0, vec![refused]);
    while let Some((number, outcome)) = waiting.next().await {
        match outcome {
            Ok(_) => done += 1,
            Err(Error::Overloaded(_)) => turned_away.push(number),
            Err(error) => anyhow::bail!("{number}: {error}"),
        }
    }
    println!("{done} proposals were taken, {} turned away", turned_away.len());
    ensure!(done >= 4_096 && !turned_away.is_empty());
    let state = mesh.mesh.read(PATIENCE).await?.state;
    ensure!(state.workloads.is_empty(), "the workload is still there");
    for number in turned_away {
        let there = address(&state, &format!("dc-{}", number % 50));
        ensure!(there != Some(number.to_string().as_str()), "{number} was refused and done");
    }
    holding.join().ok().context("the gate")?;
    mesh.stop().await
}
