//! Operators: in every datacenter one, who writes, reads and deletes workloads without pause, and notes what was
//! asked when and answered when. A workload is a register: its unit says which value it has.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kato_net::{Expect, Timeouts, Transport, channel};
use kato_proto::v1;
use kato_proto::v1::workloads_client::WorkloadsClient;
use tokio::time::MissedTickBehavior;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::trace::Trace;

/// The registers. The first ones are singletons.
pub(crate) const REGISTERS: usize = 6;
const SINGLETONS: usize = 4;
/// How long an operator waits for an answer.
const PATIENCE: Duration = Duration::from_secs(12);
/// How often an operator thinks of doing something, and how many times of a hundred it does.
const IDLE: Duration = Duration::from_millis(200);
const BUSY_PERCENT: u32 = 10;

/// What was asked of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    Write(u64),
    /// Write, if there is none yet.
    Create(u64),
    Read,
    Delete,
}

/// What was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    Done,
    /// What was read.
    Value(Option<u64>),
    /// It was there already, or it was not there.
    Refused,
    /// Nothing was done: the mesh could not decide.
    Nothing,
    /// Nobody knows.
    Unknown,
}

/// One call, with true times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) register: usize,
    pub(crate) asked: Asked,
    pub(crate) at: Duration,
    pub(crate) answered: Option<(Duration, Answer)>,
}

/// Everything that operators have done. Clones share it.
#[derive(Clone)]
pub(crate) struct Ledger {
    calls: Arc<Mutex<Vec<Call>>>,
    /// Whether operators only read.
    resting: Arc<AtomicBool>,
    trace: Trace,
}

impl Ledger {
    pub(crate) fn new(trace: Trace) -> Self {
        Self { calls: Arc::default(), resting: Arc::default(), trace }
    }

    fn calls(&self) -> MutexGuard<'_, Vec<Call>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets operators only read from now on.
    pub(crate) fn rest(&self) {
        self.resting.store(true, Ordering::Relaxed);
    }

    pub(crate) fn all(&self) -> Vec<Call> {
        self.calls().clone()
    }

    fn ask(&self, who: &str, register: usize, asked: Asked) -> usize {
        self.trace.note(who, format_args!("asks reg-{register}: {asked:?}"));
        let call = Call { register, asked, at: self.trace.now(), answered: None };
        let mut calls = self.calls();
        calls.push(call);
        calls.len() - 1
    }

    fn answer(&self, who: &str, call: usize, answer: Answer) {
        self.trace.note(who, format_args!("is answered: {answer:?}"));
        self.calls()[call].answered = Some((self.trace.now(), answer));
    }
}

/// One operator at work, for ever.
pub(crate) async fn operate(
    who: String,
    transport: Arc<dyn Transport>,
    coordinators: Vec<String>,
    ledger: Ledger,
    mut chance: fastrand::Rng,
) -> Result<(), String> {
    let timeouts = Timeouts { connect: Duration::from_secs(3), keepalive: Duration::from_secs(3) };
    let connect = |address: &String| {
        channel(Arc::clone(&transport), address.clone(), Expect::AnyCoordinator, timeouts)
    };
    let channels: Vec<Channel> = coordinators.iter().map(connect).collect();
    let mut value = chance.u64(..1_000_000) << 20;
    let mut ticks = tokio::time::interval(IDLE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if chance.u32(..100) >= BUSY_PERCENT {
            continue;
        }
        let register = chance.usize(..REGISTERS);
        value += 1;
        let asked = match chance.u32(..100) {
            _ if ledger.resting.load(Ordering::Relaxed) => Asked::Read,
            0..30 => Asked::Write(value),
            30..40 => Asked::Create(value),
            40..50 => Asked::Delete,
            _ => Asked::Read,
        };
        // Mostly the own one.
        let whom = if chance.u32(..100) < 70 { 0 } else { chance.usize(..channels.len()) };
        let client = WorkloadsClient::new(channels[whom].clone());
        let call = ledger.ask(&who, register, asked);
        let answered = tokio::time::timeout(PATIENCE, ask(client, register, asked)).await;
        let answer = match answered {
            Err(_) => Answer::Unknown,
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => refused(asked, &status),
        };
        ledger.answer(&who, call, answer);
    }
}

async fn ask(
    mut client: WorkloadsClient<Channel>,
    register: usize,
    asked: Asked,
) -> Result<Answer, Status> {
    let name = format!("reg-{register}");
    match asked {
        Asked::Write(value) | Asked::Create(value) => {
            let source = v1::apply_request::Source::Unit(unit(register, value));
            let expected_revision = matches!(asked, Asked::Create(_)).then_some(0);
            let request =
                v1::ApplyRequest { source: Some(source), dry_run: false, expected_revision };
            client.apply(request).await?;
            Ok(Answer::Done)
        }
        Asked::Delete => {
            client.delete(v1::DeleteWorkloadRequest { name, expected_revision: None }).await?;
            Ok(Answer::Done)
        }
        Asked::Read => {
            let consistency = v1::Consistency::Linearizable.into();
            match client.get(v1::GetWorkloadRequest { name, consistency }).await {
                Ok(found) => Ok(Answer::Value(value_of(&found.into_inner()))),
                Err(status) if status.code() == Code::NotFound => Ok(Answer::Value(None)),
                Err(status) => Err(status),
            }
        }
    }
}

/// What an error says of what was done.
fn refused(asked: Asked, status: &Status) -> Answer {
    match (asked, status.code()) {
        (Asked::Create(_), Code::Aborted) | (Asked::Delete, Code::NotFound) => Answer::Refused,
        (Asked::Read, _)
        | (_, Code::FailedPrecondition | Code::ResourceExhausted | Code::Aborted) => {
            Answer::Nothing
        }
        _ => Answer::Unknown,
    }
}

fn unit(register: usize, value: u64) -> v1::UnitFile {
    let singleton = if register < SINGLETONS { "yes" } else { "no" };
    let count = if register < SINGLETONS { 1 } else { 2 };
    let text = format!(
        "[Service]\nExecStart=/bin/sleep infinity\nEnvironment=VALUE={value}\n\
         [X-Kato]\nSingleton={singleton}\nCount={count}\n"
    );
    let template = if count > 1 { "@" } else { "" };
    v1::UnitFile { file_name: format!("reg-{register}{template}.service"), text }
}

fn value_of(found: &v1::GetWorkloadResponse) -> Option<u64> {
    let unit = &found.workload.as_ref()?.spec.as_ref()?.unit;
    let line = unit.lines().find_map(|line| line.strip_prefix("Environment=VALUE="))?;
    line.parse().ok()
}
