//! Two of three coordinators are dead: nothing can be decided, what runs runs on, and nobody pretends to know.

use std::time::Duration;

use kato_proto::v1::{GetStatusResponse, RunState};

use crate::support::mesh::{IDLE, Mesh};
use crate::support::{figure, now, processes, until};

#[test]
fn without_a_majority_units_keep_running_singletons_do_not_and_reads_say_so() {
    let mesh = Mesh::start();
    let service = "ExecStart=/bin/sh -c 'echo it runs; exec sleep infinity'";
    let plain = mesh.unit("plain.service", service, "Datacenters=dub");
    let single = mesh.unit("single.service", IDLE, "Datacenters=dub\nSingleton=yes");
    mesh.run(&[&plain, &single]);
    let lease = Duration::from_millis(mesh.status().lease_ms);
    let pids = processes::pids(&mesh.data(), "plain@1");
    assert!(!pids.is_empty());

    let began = now();
    mesh.dev("lose", "ewr");
    mesh.dev("lose", "sin");
    let alone = now();
    until("the singleton is fenced", || {
        processes::unit(&mesh.data(), "single@1").is_empty().then_some(())
    });
    figure("from the loss of the majority to the singleton's end", now().saturating_sub(began));
    until("two leases have passed", || {
        assert_eq!(processes::pids(&mesh.data(), "plain@1"), pids, "plain@1 was stopped");
        assert_eq!(processes::pids(&mesh.data(), "single@1").len(), 0, "single@1 runs again");
        (now().saturating_sub(began) > lease * 2).then_some(())
    });

    for words in [&["status"][..], &["status", "--read", "stale"]] {
        let status = mesh.kato(words).code(0);
        let warned = "warning: no majority of coordinators answers; this is what one of them knows";
        assert!(status.err.contains(warned), "{status:?}");
        for said in [
            "there is no majority",
            "what runs keeps running",
            "1 of 3 coordinators heard",
            "not heard: ewr, sin",
            // Not "follower", which is what Raft calls it still.
            "not heard   silent ",
        ] {
            assert!(status.out.contains(said), "{status:?}");
        }
        assert!(!status.out.contains("(term"), "a leader that nobody follows is named: {status:?}");
    }
    ages_are_told_and_grow(&mesh, alone);
    let asked = now();
    let stale = mesh.kato(&["get", "placements", "--read", "stale"]).code(0);
    figure("a stale read without a majority", now().saturating_sub(asked));
    assert!(stale.err.contains("stale: dub answers, as of"), "{stale:?}");
    assert!(stale.err.contains(" ago"), "{stale:?}");
    let line = |id: &str| stale.out.lines().find(|line| line.starts_with(id)).unwrap().to_owned();
    assert!(line("plain@1").contains("running"), "{stale:?}");
    assert!(line("single@1").contains("fenced"), "{stale:?}");
    let logs = mesh.kato(&["logs", "plain@1", "--read", "stale", "--timeout", "3s"]).code(0);
    assert!(logs.out.contains("it runs\n"), "{logs:?}");
    assert!(logs.err.contains("stale: plain@1 may run elsewhere by now"), "{logs:?}");
    let fresh = mesh.kato(&["logs", "plain@1", "--timeout", "3s"]);
    fresh.one_error(&["hint: ", "--read stale, where a verb has it, "]);
    let asked = now();
    let fresh = mesh.kato(&["get", "placements", "--timeout", "3s"]);
    let took = now().saturating_sub(asked);
    fresh.one_error(&["hint: "]);
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    let asked = now();
    mesh.kato(&["apply", "-y", &plain, "--timeout", "3s"]).one_error(&["hint: "]);
    assert!(now().saturating_sub(asked) < Duration::from_secs(10));

    mesh.dev("return", "ewr");
    until("the singleton runs again", || {
        mesh.instance("single@1").filter(|one| one.state() == RunState::Running)
    });
    assert_eq!(processes::copies(&mesh.data(), "single@1").len(), 1);
    assert_eq!(processes::pids(&mesh.data(), "plain@1"), pids, "plain@1 was stopped");
}

/// Whoever is cut off since then says with every answer that it may be at least so old, and the longer, the older.
fn ages_are_told_and_grow(mesh: &Mesh, alone: Duration) {
    for words in [
        &["get", "workloads"][..],
        &["get", "workloads", "plain"],
        &["get", "placements"],
        &["get", "machines"],
        &["get", "datacenters"],
        &["get", "cells"],
        &["get", "offers"],
        &["get", "endpoints"],
        &["describe", "plain"],
        &["describe", "plain@1"],
        &["describe", "dub"],
        &["describe", "core-1.cell-1.dub"],
        &["explain", "plain@1"],
        &["events"],
        &["status"],
        &["logs", "plain@1"],
    ] {
        let stale = mesh.kato(&[words, &["--read", "stale"]].concat()).code(0);
        let told =
            stale.err.lines().find_map(|line| line.split("stale: dub answers, as of ").nth(1));
        assert!(told.is_some_and(|told| told.contains(" ago (revision ")), "{words:?}: {stale:?}");
    }
    let mut last = Duration::ZERO;
    for _ in 0..3 {
        last = until("an age that has grown", || {
            let cut_off = now().saturating_sub(alone);
            let stale = mesh.kato(&["status", "--read", "stale", "-o", "json"]).code(0);
            let status: GetStatusResponse = serde_json::from_str(&stale.out).unwrap();
            let age = Duration::from_millis(status.read.unwrap().age_ms);
            assert!(age >= cut_off, "{age:?}, but cut off for {cut_off:?}");
            (age > last).then_some(age)
        });
    }
}
