//! The real `kato`, over real mutual TLS, against a far end that pretends: prompts, exit codes, pages,
//! addresses that do not answer, pipes, and what is printed where.

// A test that cannot be set up has failed.
#![allow(clippy::unwrap_used)]

mod far;
mod gone;
mod mesh;
#[path = "../../src/output/samples.rs"]
#[allow(dead_code)]
mod samples;

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use far::{Majority, Pretence};
use kato_proto::v1::{Change, ListMachinesResponse};
use mesh::{Mesh, bare, closed, run, run_on_terminal, run_with_input, silent};

const UNIT: &str = "[Service]\nExecStart=true\n\n[X-Kato]\nCount=2\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apply_shows_asks_and_applies_what_it_showed() {
    let mesh = Mesh::new();
    let (address, far) = mesh.coordinator(Pretence::default()).await;
    let file = mesh.file("web@.service", UNIT);
    let commits = || std::mem::take(&mut *far.commits.lock().unwrap());

    let ran = mesh.kato(&address, &["apply", &file]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stdout.contains("CHOSEN ×2"), "{ran:?}");
    assert!(
        ran.stderr.contains("error: kato apply would change the mesh, and there is no terminal")
    );
    assert!(ran.stderr.contains("\n\nhint: -y does it without a question"), "{ran:?}");
    assert!(commits().is_empty());

    let ran = run_on_terminal(&mut mesh.command(&address, &["apply", &file]), "n\n");
    assert_eq!((ran.code, commits().len()), (1, 0), "{ran:?}");
    assert!(ran.stderr.contains("Apply? [Y/n] "), "{ran:?}");
    let ran = run_on_terminal(&mut mesh.command(&address, &["apply", &file]), "\n");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(commits(), [("web@.service".to_owned(), Some(41))]);

    let ran = mesh.kato(&address, &["apply", "-y", &file]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.ends_with("\nweb updated (revision 41), $0.002280/h\n"), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "colour in a pipe: {ran:?}");
    assert_eq!(commits(), [("web@.service".to_owned(), Some(41))]);

    let command = &mut mesh.command(&address, &["apply", "-y", "-", "--name", "web@.service"]);
    assert_eq!(run_with_input(command, UNIT).code, 0);
    assert_eq!(commits().len(), 1);
    let ran = mesh.kato(&address, &["apply", "-y", "-o", "json", &file]);
    assert!(ran.stdout.starts_with("{\n") && ran.stderr.is_empty(), "{ran:?}");
    assert_eq!(commits().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_yes_to_what_no_longer_holds_is_asked_for_again() {
    let mesh = Mesh::new();
    let file = mesh.file("web@.service", UNIT);
    let shifting = |times| Pretence {
        change: Change::Created,
        shifts_after: Some(times),
        ..Pretence::default()
    };
    let meanwhile = "note: the mesh has changed meanwhile; this is what would be done now:\n";

    // The mesh changes while the question stands.
    for (typed, code, commits) in [("y\nn\n", 1, 0), ("y\ny\n", 0, 1)] {
        let (address, far) = mesh.coordinator(shifting(1)).await;
        let ran = run_on_terminal(&mut mesh.command(&address, &["apply", &file]), typed);
        assert_eq!((ran.code, far.commits.lock().unwrap().len()), (code, commits), "{ran:?}");
        assert_eq!(ran.stderr.matches("Apply? [Y/n] ").count(), 2, "{ran:?}");
        assert_eq!(ran.stderr.matches(meanwhile).count(), 1, "{ran:?}");
        assert_eq!(ran.stdout.matches("CHOSEN ×2").count(), 2, "both tables are shown: {ran:?}");
        assert!(!ran.stderr.contains("at the last moment"), "{ran:?}");
    }

    // It changes between the last look and the commit.
    let (address, far) = mesh.coordinator(shifting(2)).await;
    let ran = run_on_terminal(&mut mesh.command(&address, &["apply", &file]), "y\n");
    assert_eq!((ran.code, far.commits.lock().unwrap().len()), (0, 1), "{ran:?}");
    let expected = "note: the mesh changed at the last moment: chosen was 2 in lhr (";
    assert!(ran.stderr.contains(expected) && !ran.stderr.contains(meanwhile), "{ran:?}");

    // Nothing changes, or nobody is asked.
    let (address, _) = mesh.coordinator(Pretence::default()).await;
    let ran = run_on_terminal(&mut mesh.command(&address, &["apply", &file]), "y\n");
    assert_eq!((ran.code, ran.stderr.matches("note: ").count()), (0, 0), "{ran:?}");
    let ran = mesh.kato(&address, &["apply", "-y", &file]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exit_codes_tell_what_would_change_and_what_has_no_place() {
    let mesh = Mesh::new();
    let file = mesh.file("web@.service", UNIT);
    let pretend = |change, unplaced| Pretence { change, unplaced, ..Pretence::default() };
    for (pretence, plan, apply, expected) in [
        (pretend(Change::None, 0), 0, 0, None),
        (pretend(Change::Created, 0), 2, 0, Some(0)),
        (pretend(Change::Updated, 1), 2, 2, Some(41)),
        (pretend(Change::None, 1), 0, 2, None),
    ] {
        let (address, far) = mesh.coordinator(pretence).await;
        assert_eq!(mesh.kato(&address, &["plan", &file]).code, plan);
        assert!(far.commits.lock().unwrap().is_empty(), "a plan changes nothing");
        let ran = mesh.kato(&address, &["apply", "-y", &file]);
        assert_eq!(ran.code, apply, "{ran:?}");
        let commits = far.commits.lock().unwrap().clone();
        assert_eq!(commits.first().map(|(_, revision)| *revision), expected.map(Some));
    }
    let (address, _) = mesh.coordinator(Pretence { overtaken: true, ..Pretence::default() }).await;
    let ran = mesh.kato(&address, &["apply", "-y", &file]);
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("hint: somebody else was faster: run the command again"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_if_tells_what_would_run_nowhere() {
    let mesh = Mesh::new();
    let (address, _) = mesh.coordinator(Pretence::default()).await;
    for (words, code, shown) in [
        (&["--without", "ewr"][..], 2, "would run nowhere"),
        (&["--capacity", "ewr=0"], 2, "3 instances would move"),
        (&["--without", "sin", "--price", "ec2:eu-west-1=+50%"], 0, "nothing would move"),
        (&["--price", "ec2=-20%"], 0, "nothing would move"),
    ] {
        let ran = mesh.kato(&address, &[&["plan"], words].concat());
        assert_eq!(ran.code, code, "{words:?}: {ran:?}");
        assert!(ran.stdout.contains(shown), "{words:?}: {ran:?}");
    }
    for (words, right) in [
        (&["--price", "ec2"][..], "ec2:eu-west-1=+50%"),
        (&["--price", "ec2=50"], "ec2:eu-west-1=+50%"),
        (&["--capacity", "dub"], "dub=0"),
        (&["--capacity", "=3"], "dub=0"),
        (&["--without", "ewr", "web@.service"], "cannot be used with"),
        (&[], "required"),
    ] {
        let ran = mesh.kato(&address, &[&["plan"], words].concat());
        assert_eq!(ran.code, 64, "{words:?}: {ran:?}");
        assert!(ran.stderr.contains(right), "{words:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_whole_and_documents_are_messages() {
    let mesh = Mesh::new();
    let (address, _) = mesh.coordinator(Pretence::default()).await;
    let ran = mesh.kato(&address, &["get", "machines"]);
    assert_eq!(ran.stdout.lines().count(), 4, "a header and three pages: {ran:?}");
    let ran = mesh.kato(&address, &["get", "machines", "-o", "json"]);
    let message: ListMachinesResponse = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((message.machines.len(), message.next_page_token.as_str()), (3, ""));
    for (words, lines) in [
        (vec!["get", "machines", "dub"], 2),
        (vec!["get", "machines", "core-1.cell-1.ewr", "-o", "wide"], 2),
        (vec!["get", "workloads", "web"], 2),
        (vec!["get", "dc"], 4),
        (vec!["get", "cells", "ewr"], 2),
        (vec!["get", "placements", "web"], 3),
        (vec!["get", "placements", "web@2"], 2),
        (vec!["get", "endpoints"], 2),
        (vec!["get", "offers", "--datacenter", "ewr"], 2),
        (vec!["events", "--since-revision", "41"], 3),
    ] {
        let ran = mesh.kato(&address, &words);
        assert_eq!((ran.code, ran.stdout.lines().count()), (0, lines), "{words:?}: {ran:?}");
    }
    let ran = mesh.kato(&address, &["get", "offers"]);
    assert!(ran.stderr.starts_with("note: instances go on x86_64 machines"), "{ran:?}");
    for words in [&["get", "offers", "t3.small"][..], &["get", "offers", "-o", "json"]] {
        assert_eq!(mesh.kato(&address, words).stderr, "", "{words:?}");
    }
    for (words, expected) in [
        (["describe", "web"], "Workload      web\n"),
        (["describe", "web@1"], "Instance     web@1\n"),
        (["describe", "dub"], "Datacenter    dub\n"),
        (["describe", "core-1.cell-1.dub"], "Machine       core-1.cell-1.dub\n"),
        (["explain", "web@1"], "Removed by a filter:\n"),
        (["version", "--timeout=5s"], "server  0.1.0 (dub.demo.com)\n"),
        (["logs", "web@1"], "kato: started, epoch 43\n\u{1b}[1mready\u{1b}[0m\n"),
    ] {
        let ran = mesh.kato(&address, &words);
        assert_eq!(ran.code, 0, "{words:?}: {ran:?}");
        assert!(ran.stdout.contains(expected), "{words:?}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_coordinator_does_not_matter_while_another_answers() {
    let mesh = Mesh::new();
    let (well, _) = mesh.coordinator(Pretence::default()).await;
    let headless = Pretence { majority: Majority::Missing, ..Pretence::default() };
    let (cut_off, _) = mesh.coordinator(headless).await;
    let (closed, (silent, _held)) = (closed(), silent());
    for addresses in [format!("{closed},{silent},{well}"), format!("{cut_off},{closed},{well}")] {
        let ran = mesh.kato(&addresses, &["get", "workloads"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    }

    let ran = mesh.kato(&cut_off, &["get", "workloads"]);
    assert_eq!(ran.code, 1);
    let expected = "error: no coordinator leads at the moment\n  reason: NO_MAJORITY\n\nhint: ";
    assert!(ran.stderr.starts_with(expected), "{ran:?}");
    let ran = mesh.kato(&cut_off, &["logs", "web@1", "--read", "stale"]);
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2), "{ran:?}");
    assert!(ran.stderr.starts_with("note: stale: web@1 may run elsewhere by now"), "{ran:?}");
    assert_eq!(mesh.kato(&cut_off, &["logs", "web@1"]).code, 1);
    let ran = mesh.kato(&cut_off, &["get", "workloads", "--read", "stale"]);
    assert_eq!(ran.code, 0);
    assert_eq!(ran.stderr, "note: stale: dub answers, as of 12s ago (revision 61)\n");
    for words in [&["status"][..], &["status", "--read", "stale"]] {
        let ran = mesh.kato(&cut_off, words);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stderr.starts_with("warning: no majority of coordinators answers"), "{ran:?}");
        assert!(
            ran.stdout
                .contains("\nLeader        none: there is no majority; nothing can be changed"),
            "{ran:?}"
        );
        assert!(ran.stdout.contains("; not heard: ewr, fra\n"), "{ran:?}");
    }

    let ran = mesh.kato(&closed, &["get", "workloads"]);
    assert_eq!(ran.code, 1);
    let expected = format!("error: no coordinator answers\n  {closed}: Connection refused");
    assert!(ran.stderr.starts_with(&expected), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_is_said_with_what_to_do() {
    let (mesh, other) = (Mesh::new(), Mesh::new());
    let (address, far) = mesh.coordinator(Pretence::default()).await;
    let bad = mesh.file("bad@.service", "[X-Kato]\nNeer=Dublin\n");
    let good = mesh.file("web@.service", UNIT);
    for (mut command, code, expected) in [
        (mesh.command(&address, &["plan", &bad]), 1, "\n  bad@.service:2: unknown key \"Neer=\""),
        (mesh.command(&address, &["get", "workloads", "wbe"]), 1, "hint: did you mean \"web\"?"),
        (mesh.command(&address, &["describe", "dib"]), 1, "hint: did you mean \"dub\"?"),
        (mesh.command(&address, &["explain", "web@7"]), 1, "there is no placement \"web@7\""),
        (
            mesh.command(&address, &["explain", "web"]),
            64,
            "error: \"web\" is not an instance: it looks like \"web@1\"\n\nhint: ",
        ),
        (
            mesh.command(&address, &["logs", "We@1"]),
            64,
            "caused by: the workload name \"We\" is not a DNS label",
        ),
        (mesh.command(&address, &["logs", "web@2"]), 1, "error: it has no machine yet"),
        (mesh.command(&address, &["logs", "web@7"]), 1, "error: there is no placement \"web@7\"\n"),
        (mesh.command(&address, &["logs", "wbe@1"]), 1, "hint: did you mean \"web\"?"),
        (
            mesh.command(&address, &["logs", "far@1"]),
            1,
            "error: the coordinator of fra does not answer (lost), and the log of far@1 is on its machine there, \
             core-1.cell-1.fra\n\nhint: it can be read when fra is back; ",
        ),
        (mesh.command(&address, &["get", "workloadz"]), 64, "hint: a similar value exists"),
        (mesh.command(&address, &["statsu"]), 64, "hint: a similar subcommand exists: 'status'"),
        (mesh.command(&address, &["apply", "-"]), 64, "hint: kato apply - --name web@.service"),
        (mesh.command(&address, &["plan", "no.service"]), 1, "caused by: No such file"),
        (mesh.command(&address, &["get", "cells", "--datacenter", "x"]), 64, "not among cells"),
        (
            mesh.command_as("reader-grafana", &address, &["apply", "-y", &good]),
            1,
            "demo.com/reader",
        ),
        (other.command(&address, &["status"]), 1, "--ca (KATO_CACERT) is this mesh's root"),
        (mesh.command("nonsense", &["status"]), 1, "hint: write an address as HOST:PORT"),
        (
            mesh.command_as("operator-late", &address, &["status"]),
            1,
            "error: the certificate of spiffe://demo.com/operator/late expired 10d ago\n\nhint: ",
        ),
        (bare(&["status"]), 1, "hint: `kato dev` starts a mesh on this machine"),
        (bare(&["--context", "prod", "status"]), 1, "error: no context \"prod\""),
    ] {
        let ran = run(&mut command);
        assert_eq!(ran.code, code, "{command:?}: {ran:?}");
        assert!(ran.stderr.contains(expected), "{command:?} does not say {expected:?}: {ran:?}");
        assert_eq!(ran.stderr.matches("error:").count(), 1, "{ran:?}");
    }
    let mut command = mesh.command_as("reader-grafana", &address, &["plan", &good]);
    assert_eq!(run(&mut command).code, 2, "who may look may ask what would happen");
    assert!(far.commits.lock().unwrap().is_empty());
    let ran = run(&mut mesh.command_as("operator-soon", &address, &["get", "workloads"]));
    assert_eq!(ran.code, 0);
    let expected = "warning: the certificate of spiffe://demo.com/operator/soon expires in 2d\n";
    assert_eq!(ran.stderr, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_of_a_help_ends_with_blanks() {
    for line in ["plan --help", "get --help", "logs --help", "pki issue --help", "help get"] {
        let ran = run(&mut bare(&line.split(' ').collect::<Vec<_>>()));
        assert!(ran.code == 0 && ran.stdout.contains("Usage: "), "{ran:?}");
        assert!(ran.stdout.lines().all(|line| line == line.trim_end()), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_is_what_was_shown() {
    let mesh = Mesh::new();
    let (address, far) = mesh.coordinator(Pretence::default()).await;
    let ran = run_on_terminal(&mut mesh.command(&address, &["delete", "web"]), "\n");
    assert_eq!((ran.code, far.commits.lock().unwrap().len()), (1, 0), "{ran:?}");
    assert!(ran.stderr.contains("Delete web and stop 2 instances ($0.002280/h)? [y/N] "));
    let ran = mesh.kato(&address, &["delete", "workload", "web", "-y"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "web deleted (revision 62)\n"));
    assert_eq!(*far.commits.lock().unwrap(), [("web".to_owned(), Some(41))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pipe_ends_a_watch_quietly() {
    let mesh = Mesh::new();
    let (address, _) = mesh.coordinator(Pretence::default()).await;
    let mut command = mesh.command(&address, &["events", "-w"]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = tokio::task::block_in_place(|| {
        let mut child = command.spawn().unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        assert!(first.contains("DatacenterLost"), "{first}");
        child.wait_with_output().unwrap()
    });
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0), "{output:?}");
}
