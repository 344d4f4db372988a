//! Whom an agent asks when nobody serves it, and what it makes of the answers.

use std::io;
use std::sync::Mutex;

use kato_net::{BoxFuture, Expect, Identity, Io, Listener};
use tokio::time::Instant;

use super::*;
use crate::daemon::fake::{Engine, shared};
use crate::daemon::pipes::{Door, Scripted, connect};

/// Coordinators by their addresses. Those that are off answer nothing.
struct Town {
    identity: Identity,
    doors: BTreeMap<&'static str, Door>,
    /// Who was asked, and when.
    asked: Mutex<Vec<(String, Instant)>>,
}

impl kato_net::Transport for Town {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn connect<'a>(
        &'a self,
        address: &'a str,
        _: &'a Expect,
    ) -> BoxFuture<'a, io::Result<Box<dyn Io>>> {
        self.asked.lock().unwrap().push((address.to_owned(), Instant::now()));
        match self.doors.get(address) {
            Some(door) => Box::pin(async { Ok(connect(door)) }),
            None => Box::pin(std::future::pending()),
        }
    }

    fn listen<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

/// A town in which some say who serves everybody, and the others are off.
fn town(says: &[(&'static str, pb::Served)]) -> Arc<Town> {
    let door = |(address, served): &(&'static str, pb::Served)| {
        let attached = |_| futures_util::stream::empty().boxed();
        (*address, Scripted { attached, served: Some(served.clone()) }.serve())
    };
    let identity = "spiffe://demo.com/agent/core-1.cell-1.dub".parse().unwrap();
    let doors = says.iter().map(door).collect();
    Arc::new(Town { identity, doors, asked: Mutex::default() })
}

fn served(term: u64, by: &str) -> pb::Served {
    let coordinator = |name: &&str| pb::Coordinator {
        datacenter: (*name).to_owned(),
        address: format!("{name}:1"),
    };
    let coordinators = ["dub", "ewr", "sin"].iter().map(coordinator).collect();
    pb::Served { term, by: by.to_owned(), coordinators, mesh: 1 }
}

#[tokio::test(start_paused = true)]
async fn an_agent_without_leases_goes_to_the_first_that_serves_it() {
    // The nearest is off; the next one stands in.
    let town = town(&[("sin:1", served(9, "sin"))]);
    let shared = shared(&Arc::new(Engine::default()));
    shared.served.take(served(0, "dub"));
    let shutdown = CancellationToken::new();
    let transport = Arc::clone(&town) as Arc<dyn Transport>;
    let began = Instant::now();
    let knocking = tokio::spawn(run(shared.clone(), transport, shutdown.clone()));
    let mut known = shared.served.watch();
    let moved = known.wait_for(|known| known.by().address == "sin:1");
    tokio::time::timeout(Duration::from_mins(1), moved).await.expect("nobody serves it").unwrap();
    let took = began.elapsed();
    assert!(took >= AWAY_FIRST && took < AWAY_FIRST + JITTER + STAGGER * 2, "{took:?}");
    let asked: Vec<String> =
        town.asked.lock().unwrap().iter().map(|(address, _)| address.clone()).collect();
    assert_eq!(asked, ["ewr:1", "sin:1"], "the one that serves it is not asked");
    shutdown.cancel();
    knocking.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_gets_leases_asks_nobody() {
    let town = town(&[]);
    let shared = shared(&Arc::new(Engine::default()));
    shared.served.take(served(0, "dub"));
    let shutdown = CancellationToken::new();
    let transport = Arc::clone(&town) as Arc<dyn Transport>;
    let knocking = tokio::spawn(run(shared.clone(), transport, shutdown.clone()));
    let grants = shared.grants.clone();
    let grant = async |lease_ms| {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let request = grants.request(shared.clock.boot());
        let nonce = request.nonce;
        grants.take(&pb::LeaseGrant { nonce, lease_ms, singletons: Vec::new() });
    };
    for _ in 0..60 {
        grant(5_400).await;
    }
    assert!(town.asked.lock().unwrap().is_empty());
    tokio::time::sleep(Duration::from_millis(5_400 / 4)).await;
    assert!(town.asked.lock().unwrap().is_empty());
    tokio::time::sleep(JITTER * 2).await;
    assert!(!town.asked.lock().unwrap().is_empty());
    shutdown.cancel();
    knocking.await.unwrap();
}
