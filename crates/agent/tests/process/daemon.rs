//! A whole agent, with real processes below it and a coordinator at the other end of a pipe.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use kato_agent::daemon::{Config, Daemon};
use kato_net::clock::SystemClock;
use kato_proto::mesh_v1 as pb;
use kato_proto::mesh_v1::agent_message::Message as FromAgent;
use kato_proto::mesh_v1::coordinator_message::Message as ToAgent;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use crate::pipes::{Pipes, Scripted};
use crate::support::{Bench, PATIENCE, eventually, kill, parent, runs};

/// Says what its main process is.
const IDLE: &str = "ExecStart=/bin/sh -c 'echo $$$$ > %S/pid; exec sleep 600'";

/// A coordinator of one agent.
#[derive(Clone)]
struct Coordinator {
    assignments: pb::Assignments,
    /// What the agent said last.
    statuses: watch::Sender<BTreeMap<String, pb::InstanceStatus>>,
    /// The singletons of the next grants, and how many were given.
    granted: watch::Sender<(Vec<pb::Singleton>, u64)>,
}

impl Coordinator {
    fn new(units: &[(&str, &str, bool)]) -> Self {
        let assignment = |(name, service, singleton): &(&str, &str, bool)| pb::Assignment {
            instance: format!("{name}@1"),
            epoch: 7,
            generation: 1,
            unit_name: format!("{name}@.service"),
            unit: format!("[Service]\n{service}\n"),
            request: Some(kato_core::Resources::new(100, 64).into()),
            ports: if name.starts_with("port") { vec!["http".to_owned()] } else { Vec::new() },
            singleton: *singleton,
        };
        let instances = units.iter().map(assignment).collect();
        Self {
            assignments: pb::Assignments { revision: 9, instances },
            statuses: watch::Sender::default(),
            granted: watch::Sender::default(),
        }
    }

    /// Waits until an instance is as `is` wants it.
    async fn until(
        &self,
        id: &str,
        is: impl Fn(&pb::InstanceStatus) -> bool,
    ) -> pb::InstanceStatus {
        let mut statuses = self.statuses.subscribe();
        let found = statuses.wait_for(|statuses| statuses.get(id).is_some_and(&is));
        let found = tokio::time::timeout(PATIENCE, found).await;
        let last = || format!("{id} never came to that: {:?}", self.statuses.borrow().get(id));
        found.unwrap_or_else(|_| panic!("{}", last())).unwrap()[id].clone()
    }

    async fn running(&self, id: &str, restarts: u32) {
        let running = |s: &pb::InstanceStatus| s.state() == pb::RunState::Running;
        self.until(id, |status| running(status) && status.restarts == restarts).await;
    }

    /// Grants the lease for these singletons from now on.
    fn grant(&self, singletons: &[&str]) {
        let singleton = |id: &&str| pb::Singleton { instance: (*id).to_owned(), epoch: 7 };
        let singletons = singletons.iter().map(singleton).collect();
        self.granted.send_modify(|(granted, _)| *granted = singletons);
    }

    /// Waits for the next grants.
    async fn some_grants(&self) {
        let mut granted = self.granted.subscribe();
        let enough = granted.borrow().1 + 2;
        let given = granted.wait_for(|(_, given)| *given >= enough);
        tokio::time::timeout(PATIENCE, given).await.expect("no lease is asked for").unwrap();
    }

    fn hear(&self, message: pb::AgentMessage) -> Option<ToAgent> {
        match message.message? {
            FromAgent::Status(status) => {
                let statuses = status.instances.into_iter().map(|s| (s.instance.clone(), s));
                self.statuses.send_replace(statuses.collect());
                None
            }
            FromAgent::Lease(wish) => {
                let mut singletons = Vec::new();
                self.granted.send_modify(|(granted, given)| {
                    singletons.clone_from(granted);
                    *given += 1;
                });
                let nonce = wish.nonce;
                Some(ToAgent::Grant(pb::LeaseGrant { nonce, lease_ms: 30_000, singletons }))
            }
            FromAgent::Hello(_) => Some(ToAgent::Assignments(self.assignments.clone())),
        }
    }
}

/// The agent's configuration file.
fn config(bench: &Bench) -> Config {
    let path = bench.path().join("agent.toml");
    // One port, for whoever is first.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let text = format!(
        "machine = \"core-1.cell-1.dub\"\ncoordinator = \"dub:1\"\ndata_dir = \"agent\"\n\
         address = \"127.0.0.1\"\nports = \"{port}-{port}\"\n\
         [tls]\nca = \"\"\ncertificate = \"\"\nkey = \"\"\n\
         [offer]\nprovider = \"sandbox\"\nregion = \"here\"\nkind = \"one\"\nmarket = \"on-demand\"\n\
         arch = \"x86_64\"\ncpu_millis = 4000\nmemory_bytes = 4294967296\n\
         price_micros_per_hour = 1\npriced_at_unix_ms = 0\nsource = \"a test\"\n"
    );
    std::fs::write(&path, text).unwrap();
    Config::load(&path).unwrap()
}

/// Runs an agent for this coordinator until the token is cancelled.
async fn attach(
    bench: &mut Bench,
    coordinator: &Coordinator,
) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let own = coordinator.clone();
    let attached = move |messages: Streaming<pb::AgentMessage>| {
        let own = own.clone();
        let answers = messages.filter_map(move |message| {
            let answer = message.ok().and_then(|message| own.hear(message));
            std::future::ready(answer.map(|m| Ok(pb::CoordinatorMessage { message: Some(m) })))
        });
        answers.boxed()
    };
    let door = Scripted { attached, served: None }.serve();
    let identity = "spiffe://demo.com/agent/core-1.cell-1.dub".parse().unwrap();
    let config = config(bench);
    bench.config.ports = config.ports.clone();
    let engine = Arc::new(bench.open().await);
    let daemon = Daemon::open(config).unwrap();
    let shutdown = CancellationToken::new();
    let transport = Arc::new(Pipes { identity, door });
    let run = daemon.run(engine, transport, Arc::new(SystemClock), shutdown.clone());
    let running = tokio::spawn(async move { run.await.unwrap() });
    (shutdown, running)
}

/// The shim of an instance that says its main process.
async fn shim(bench: &Bench, instance: &str) -> i32 {
    let path = bench.home(instance).join("state/pid");
    let main = || std::fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok();
    // An earlier one may have written the file.
    eventually("the unit runs", || main().is_some_and(runs)).await;
    parent(main().unwrap())
}

pub(crate) async fn a_unit_whose_shim_is_killed_runs_again_as_its_restart_says() {
    let always = format!("{IDLE}\nRestart=always");
    let units = [("web", always.as_str(), false), ("db", &always, true), ("job", IDLE, false)];
    let (mut bench, coordinator) = (Bench::new(), Coordinator::new(&units));
    coordinator.grant(&["db@1"]);
    let (shutdown, agent) = attach(&mut bench, &coordinator).await;
    for id in ["web@1", "db@1", "job@1"] {
        coordinator.running(id, 0).await;
    }

    kill(shim(&bench, "job@1").await);
    let failed = |status: &pb::InstanceStatus| status.state() == pb::RunState::Failed;
    let ended = coordinator.until("job@1", failed).await;
    assert!(ended.detail.contains("not started again"), "{}", ended.detail);
    for restarts in 1..=2 {
        kill(shim(&bench, "web@1").await);
        coordinator.running("web@1", restarts).await;
    }
    kill(shim(&bench, "db@1").await);
    coordinator.running("db@1", 1).await;

    // A singleton waits for a grant that has it.
    coordinator.grant(&[]);
    coordinator.some_grants().await;
    kill(shim(&bench, "db@1").await);
    coordinator.until("db@1", failed).await;
    coordinator.some_grants().await;
    assert!(failed(&coordinator.statuses.borrow()["db@1"]), "it runs without a grant");
    coordinator.grant(&["db@1"]);
    coordinator.running("db@1", 2).await;
    assert_eq!(coordinator.statuses.borrow()["job@1"], ended);
    assert_eq!(coordinator.statuses.borrow()["web@1"].restarts, 2);
    shutdown.cancel();
    agent.await.unwrap();
}

pub(crate) async fn an_instance_without_a_port_says_so_until_one_is_free() {
    let units = [("port-one", IDLE, false), ("port-two", IDLE, false)];
    let (mut bench, mut coordinator) = (Bench::new(), Coordinator::new(&units));
    let (shutdown, agent) = attach(&mut bench, &coordinator).await;
    let failed = |s: &pb::InstanceStatus| s.state() == pb::RunState::Failed;
    let running = |s: &pb::InstanceStatus| s.state() == pb::RunState::Running;
    let all = |s: &BTreeMap<String, pb::InstanceStatus>| {
        s.values().any(failed) && s.values().any(running)
    };
    let mut statuses = coordinator.statuses.subscribe();
    let said = tokio::time::timeout(PATIENCE, statuses.wait_for(all)).await;
    let said = said.expect("nobody says that there is no port").unwrap().clone();
    let without = said.values().find(|s| failed(s)).unwrap();
    assert_eq!((without.epoch, without.generation), (7, 1));
    let why = "it could not be started: no port is free from ";
    assert!(without.detail.starts_with(why), "{}", without.detail);

    // The other one goes, with the agent's next list.
    shutdown.cancel();
    agent.await.unwrap();
    coordinator.assignments.instances.retain(|a| a.instance == without.instance);
    let (shutdown, agent) = attach(&mut bench, &coordinator).await;
    coordinator.running(&without.instance, 0).await;
    assert!(bench.processes().into_iter().all(runs));
    shutdown.cancel();
    agent.await.unwrap();
}
