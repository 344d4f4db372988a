//! The life of one instance: its commands, its restarts, its end.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use kato_agent::sandbox::Sandbox;
use kato_net::clock::{Clock as _, SystemClock};
use kato_units::engine::{Error, RunState, UnitEngine as _};

use crate::support::{
    Bench, ahead, assignment, ended, eventually, id, main_pid, running, runs, until,
};

pub(crate) async fn commands_see_the_values_of_their_instance() {
    let (bench, mut probe) = (Bench::new(), assignment("probe", PROBE));
    probe.ports = ["http".parse().unwrap()].into();
    let sandbox = bench.open().await;
    sandbox.start(probe, None).await.unwrap();
    let status = running(&sandbox, "probe@1").await;
    let (pid, port) = (main_pid(&status), status.ports.values().next().copied().unwrap());
    let state = bench.home("probe@1").canonicalize().unwrap().join("state");

    assert_eq!(bench.state("probe@1", "pre").await, "pre hello\n");
    let started = bench.state("probe@1", "start").await;
    let expected = format!(
        "probe@1 7 dub {port} 1 core-1.cell-1.dub.demo.com probe@1 two words {}\n",
        state.display()
    );
    assert_eq!(started, expected);
    assert_eq!(bench.state("probe@1", "post").await, format!("{pid}\n"));
    let environment = bench.state("probe@1", "environment").await;
    assert!(environment.contains("PATH=/") && environment.contains("HOME=/"), "{environment}");
    assert!(!environment.contains("CARGO"), "the agent's environment leaks:\n{environment}");

    sandbox.stop(id("probe@1"), 7).await.unwrap();
    assert!(!runs(pid));
    assert_eq!(bench.state("probe@1", "stop").await, format!("stop {pid}\n"));
    assert_eq!(bench.state("probe@1", "stop-post").await, "success\n");
    let status = ended(&sandbox, "probe@1").await;
    assert_eq!((status.state, status.detail.as_str()), (RunState::Exited, "stopped"));
    sandbox.remove(id("probe@1")).await.unwrap();
    assert!(sandbox.current().is_empty() && !bench.home("probe@1").exists());
}

const PROBE: &str = r#"
Environment=GREETING=hello KATO_EPOCH=99 "WORDS=two words"
ExecStartPre=/bin/sh -c 'echo "pre $$GREETING" > %S/pre; env > %S/environment'
ExecStart=/bin/sh -c 'echo "$$KATO_INSTANCE $$KATO_EPOCH $$KATO_DATACENTER $$KATO_PORT_HTTP %i %H %N $$@ $$PWD" \
    > %S/start; exec sleep 600' sh $WORDS
ExecStartPost=/bin/sh -c 'echo $$MAINPID > %S/post'
ExecStop=/bin/sh -c 'echo stop $$MAINPID > %S/stop'
ExecStopPost=/bin/sh -c 'echo $$SERVICE_RESULT > %S/stop-post'
WorkingDirectory=%S
"#;

pub(crate) async fn a_failing_unit_is_restarted_up_to_its_limit() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = "ExecStart=/bin/sh -c 'echo run >> %S/runs; exit 3'\nRestart=on-failure\nRestartSec=20ms\n\
                [Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=1h";
    sandbox.start(assignment("bad", unit), None).await.unwrap();
    let status = ended(&sandbox, "bad@1").await;
    assert_eq!((status.state, status.restarts), (RunState::Failed, 3), "{}", status.detail);
    assert!(status.detail.contains("ended with status 3"), "{}", status.detail);
    assert!(status.detail.contains("started 3 times within 3600s"), "{}", status.detail);
    assert_eq!(bench.state("bad@1", "runs").await, "run\nrun\nrun\n");
    // Its end is the unit's own: asking for the same again is no way around it.
    sandbox.start(assignment("bad", unit), None).await.unwrap();
    assert_eq!(sandbox.current().get(&id("bad@1")), Some(&status));
}

pub(crate) async fn a_unit_that_ends_well_is_left_alone() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = "Type=oneshot\nExecStart=/bin/sh -c 'echo one'\nExecStart=-/bin/false\n\
                ExecStart=/bin/sh -c 'echo two >> %S/done'\nRestart=on-failure";
    sandbox.start(assignment("task", unit), None).await.unwrap();
    let status = ended(&sandbox, "task@1").await;
    assert_eq!((status.state, status.restarts), (RunState::Exited, 0), "{}", status.detail);
    assert_eq!(bench.state("task@1", "done").await, "two\n");

    let unit = "Type=oneshot\nExecStart=/bin/true\nRemainAfterExit=yes\nExecStop=/bin/sh -c 'echo > %S/down'";
    sandbox.start(assignment("route", unit), None).await.unwrap();
    until(&sandbox, "route@1", |s| s.state == RunState::Running && s.pid.is_none()).await;
    sandbox.stop(id("route@1"), 7).await.unwrap();
    assert_eq!(bench.state("route@1", "down").await, "\n");
}

pub(crate) async fn a_stop_ends_a_stubborn_tree() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    // One that ignores the signal, one in a session of its own, and one whose parent is gone.
    let unit = r#"
ExecStart=/bin/sh -c 'trap "" TERM; setsid sleep 601 & (sleep 602 & echo $$! > %S/orphan); \
    echo $$! > %S/session; while :; do sleep 1; done'
TimeoutStopSec=300ms"#;
    sandbox.start(assignment("stubborn", unit), None).await.unwrap();
    let pid = main_pid(&running(&sandbox, "stubborn@1").await);
    let mut pids = vec![pid];
    for name in ["orphan", "session"] {
        pids.push(bench.state("stubborn@1", name).await.trim().parse().unwrap());
    }
    assert!(pids.iter().all(|pid| runs(*pid)), "{pids:?}");
    let patience_ends = ahead(Duration::from_millis(300));
    sandbox.stop(id("stubborn@1"), 7).await.unwrap();
    assert!(SystemClock.boot() >= patience_ends, "killed before its TimeoutStopSec=");
    assert!(pids.iter().all(|pid| !runs(*pid)), "{pids:?}");
    assert!(bench.processes().is_empty());
    let status = ended(&sandbox, "stubborn@1").await;
    assert!(status.detail.contains("SIGKILL"), "{}", status.detail);
}

pub(crate) async fn a_missing_program_is_named_with_its_line() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let garbled = bench.path().join("garbled");
    std::fs::write(&garbled, "#!/no/such/interpreter\n").unwrap();
    std::fs::set_permissions(&garbled, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let garbled = garbled.display().to_string();
    for (name, unit, said) in [
        (
            "gone",
            "\n\nExecStart=/no/such/program\n".to_owned(),
            "ExecStart= on line 4: /no/such/program does not exist",
        ),
        (
            "bare",
            "ExecStart=no-such-program".to_owned(),
            "ExecStart= on line 2: no-such-program is in none of",
        ),
        ("script", format!("ExecStart={garbled}"), "on line 2: could not execute"),
        (
            "place",
            "ExecStart=/bin/true\nWorkingDirectory=/no/where".to_owned(),
            "enter the working directory /no/where",
        ),
        ("wrong", "ExecStart=/bin/true\nRestart=perhaps".to_owned(), "wrong@.service:3"),
        (
            "pre",
            "ExecStartPre=/bin/false\nExecStart=/bin/true".to_owned(),
            "ExecStartPre= on line 2: /bin/false ended with status 1",
        ),
    ] {
        sandbox.start(assignment(name, &unit), None).await.unwrap();
        let status = ended(&sandbox, &format!("{name}@1")).await;
        assert_eq!(status.state, RunState::Failed);
        assert!(status.detail.contains(said), "{}", status.detail);
    }
}

pub(crate) async fn only_what_is_newer_replaces_what_runs() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let unit = assignment("web", "ExecStart=/bin/sleep 600");
    sandbox.start(unit.clone(), None).await.unwrap();
    let first = running(&sandbox, "web@1").await;
    sandbox.start(unit.clone(), None).await.unwrap();
    assert_eq!(sandbox.current().get(&id("web@1")), Some(&first));

    let mut newer = unit.clone();
    newer.generation = 2;
    sandbox.start(newer.clone(), None).await.unwrap();
    assert!(!runs(main_pid(&first)), "the old one runs beside the new one");
    let second =
        until(&sandbox, "web@1", |s| s.generation == 2 && s.state == RunState::Running).await;
    assert_ne!(second.pid, first.pid);
    assert!(matches!(sandbox.start(unit, None).await, Err(Error::Stale { .. })));
    assert!(matches!(sandbox.stop(id("web@1"), 6).await, Err(Error::Stale { .. })));
    assert!(runs(main_pid(&second)));

    sandbox.stop(id("web@1"), 7).await.unwrap();
    assert!(matches!(sandbox.start(newer, None).await, Err(Error::Stale { .. })));
    sandbox.stop(id("never@1"), 1).await.unwrap();
}

pub(crate) async fn ports_are_distinct_and_free_and_kept() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    let mut given = Vec::new();
    for number in 1..=3 {
        let mut unit = assignment("web", "ExecStart=/bin/sleep 600");
        unit.instance.number = number;
        unit.ports = ["http", "grpc-api"].map(|name| name.parse().unwrap()).into();
        sandbox.start(unit, None).await.unwrap();
        let status = running(&sandbox, &format!("web@{number}")).await;
        given.extend(status.ports.values().copied());
    }
    for port in &given {
        assert!((20_000..30_000).contains(port));
        TcpListener::bind(("0.0.0.0", *port)).unwrap();
    }
    let distinct: std::collections::BTreeSet<u16> = given.iter().copied().collect();
    assert_eq!(distinct.len(), 6);

    // The agent and the assignment change; the ports do not.
    let mut unit = assignment("web", "ExecStart=/bin/sleep 600");
    (unit.epoch, unit.ports) = (8, ["http", "grpc-api"].map(|name| name.parse().unwrap()).into());
    drop(sandbox);
    let sandbox = bench.open().await;
    sandbox.start(unit, None).await.unwrap();
    let status = until(&sandbox, "web@1", |s| s.epoch == 8 && s.state == RunState::Running).await;
    assert_eq!(status.ports.values().copied().collect::<Vec<_>>(), given[..2]);
}

pub(crate) async fn the_examples_run() {
    let bench = Bench::new();
    let sandbox = bench.open().await;
    for (name, number) in
        [("web@.service", 1), ("web@.service", 2), ("db.service", 1), ("worker.service", 1)]
    {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/examples").join(name);
        let workload = name.trim_end_matches(".service").trim_end_matches('@');
        let mut unit = assignment(workload, "");
        unit.instance.number = number;
        unit.unit = std::fs::read_to_string(path).unwrap().into();
        name.clone_into(&mut unit.unit_name);
        unit.singleton = workload == "db";
        if workload == "web" {
            unit.ports = ["http".parse().unwrap()].into();
        }
        let deadline = unit.singleton.then(|| ahead(Duration::from_mins(2)));
        sandbox.start(unit, deadline).await.unwrap();
    }
    for number in [1, 2] {
        let status = running(&sandbox, &format!("web@{number}")).await;
        let port = status.ports.values().next().copied().unwrap();
        eventually("the web server listens", || TcpStream::connect(("127.0.0.1", port)).is_ok())
            .await;
        assert!(get(port).ends_with(&format!("web@{number} in dub, epoch 7\n")));
    }
    said(&sandbox, "db@1", "serving as epoch 7").await;
    said(&sandbox, "worker@1", "item 1").await;
    for name in ["web@1", "web@2", "db@1", "worker@1"] {
        sandbox.stop(id(name), 7).await.unwrap();
        assert_eq!(sandbox.current()[&id(name)].state, RunState::Exited);
    }
    assert!(bench.processes().is_empty());
}

fn get(port: u16) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Waits until the instance has written `text`.
async fn said(sandbox: &Sandbox, instance: &str, text: &str) {
    use futures_util::StreamExt as _;
    let mut lines = sandbox.log(id(instance), true, 100).await.unwrap();
    let found = async { while lines.next().await.is_some_and(|line| line.text != text) {} };
    tokio::time::timeout(crate::support::PATIENCE, found).await.unwrap();
}
