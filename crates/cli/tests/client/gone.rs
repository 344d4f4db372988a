//! Coordinators that are gone, or cut off, while somebody looks.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use kato_net::clock::{Clock, SystemClock};

use super::far::{Majority, Pretence};
use super::mesh::{Mesh, closed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_does_not_wait_long_for_a_majority() {
    let mesh = Mesh::new();
    let (waits, _) =
        mesh.coordinator(Pretence { majority: Majority::Awaited, ..Pretence::default() }).await;
    let clock = SystemClock;
    let began = clock.boot();
    let ran = mesh.kato(&waits, &["status"]);
    let took = clock.boot().saturating_sub(began);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.starts_with("warning: no majority of coordinators answers"), "{ran:?}");
    assert!(took < Duration::from_secs(4), "it took {took:?}");

    // Another one hears a majority.
    let (well, _) = mesh.coordinator(Pretence::default()).await;
    let ran = mesh.kato(&format!("{waits},{well}"), &["status"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    assert!(ran.stdout.contains("\nLeader        dub (term 7)\n"), "{ran:?}");
}

/// The first lines of a command that does not end by itself, and what it said beside them.
fn first_lines(command: &mut Command, count: usize) -> (Vec<String>, String) {
    tokio::task::block_in_place(|| {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().take(count);
        let lines = lines.map(Result::unwrap).collect();
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        (lines, String::from_utf8(output.stderr).unwrap())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_goes_on_with_the_next_coordinator() {
    let mesh = Mesh::new();
    let (stays, _) = mesh.coordinator(Pretence::default()).await;
    let stopping = Pretence { stops: true, ..Pretence::default() };

    let (stops, _) = mesh.coordinator(stopping).await;
    let addresses = format!("{stops},{},{stays}", closed());
    let (lines, said) = first_lines(&mut mesh.command(&addresses, &["events", "-w"]), 7);
    let numbers: Vec<_> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(numbers, ["2", "3", "4", "5", "6", "7", "8"], "missing or twice: {lines:?}");
    let expected = format!(
        "note: the coordinator at {stops} broke off; going on with the next that answers within 15s\n"
    );
    assert_eq!(said, expected);

    // A coordinator alone that does not come back.
    let (stops, _) = mesh.coordinator(stopping).await;
    let ran = mesh.kato(&stops, &["events", "-w", "--timeout", "1s"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 3), "{ran:?}");
    assert!(ran.stderr.contains("--since-revision 1 goes on from here"), "{ran:?}");
    assert!(ran.stderr.contains("error: no coordinator went on within 1s\n"), "{ran:?}");
    assert_eq!(ran.stderr.matches("note: ").count(), 2, "{ran:?}");

    let (stops, _) = mesh.coordinator(stopping).await;
    let ran = mesh.kato(&stops, &["logs", "-f", "web@1", "--timeout", "1s"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (1, 2), "{ran:?}");
    assert!(ran.stderr.starts_with("note: the log of web@1 broke off; "), "{ran:?}");
    assert!(ran.stderr.contains("error: no coordinator went on within 1s\n"), "{ran:?}");
}
