//! What the README begins with: from nothing to a web page, and back to nothing.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use kato_proto::v1::{Instance, RunState};

use crate::support::mesh::Mesh;
use crate::support::needs::not_run;
use crate::support::program::repository;
use crate::support::{figure, processes, until};

/// The page that an instance serves; none while it does not answer.
fn page(instance: &Instance) -> Option<String> {
    let endpoint = instance.endpoints.first()?;
    let address = format!("{}:{}", endpoint.address, endpoint.port).parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.0 200").then_some(text)
}

#[test]
fn the_first_session_of_the_readme_works() {
    if Command::new("python3").arg("--version").output().is_err() {
        return not_run("web@.service is served by Python 3");
    }
    let mesh = Mesh::start();
    figure("from `kato dev` to ready", mesh.took);
    let web = repository().join("deploy/examples/web@.service");
    let web = web.to_str().unwrap();

    let planned = mesh.kato(&["plan", web]).code(2);
    assert!(planned.out.contains("CHOSEN ×2"), "{planned:?}");
    assert_eq!(mesh.instances("web"), []);
    let applied = mesh.kato(&["apply", "-y", web]).code(0);
    assert!(applied.out.contains("web created"), "{applied:?}");
    let instances = mesh.running("web");
    assert_eq!(instances.len(), 2);

    for instance in &instances {
        assert_eq!(instance.datacenter, "dub", "two thirds of the users are in Dublin");
        let page = until("the page answers", || page(instance));
        let Instance { id, datacenter, epoch, .. } = instance;
        assert!(page.contains(&format!("{id} in {datacenter}, epoch {epoch}")), "{page}");
        let logged = until("the log has the request", || {
            Some(mesh.kato(&["logs", id]).code(0)).filter(|ran| ran.out.contains("GET / HTTP/1.0"))
        });
        assert!(!logged.out.contains("Traceback"), "{logged:?}");
    }
    let listed = mesh.kato(&["get", "endpoints"]).code(0);
    assert!(listed.out.contains("web@1") && listed.out.contains("web@2"), "{listed:?}");
    let explained = mesh.kato(&["explain", "web@1"]).code(0);
    assert!(explained.out.contains("MaxLatency=60ms"), "{explained:?}");
    let described = mesh.kato(&["describe", "workload", "web"]).code(0);
    assert!(described.out.contains("2 of 2 running"), "{described:?}");
    let kinds: Vec<String> = mesh.events().into_iter().map(|event| event.kind).collect();
    for kind in ["MeshFounded", "MachineJoined", "WorkloadApplied", "InstanceBound"] {
        assert!(kinds.iter().any(|found| found == kind), "no {kind} in {kinds:?}");
    }

    mesh.kato(&["delete", "workload", "web", "-y"]).code(0);
    until("its instances are gone", || mesh.instances("web").is_empty().then_some(()));
    for instance in ["web@1", "web@2"] {
        let gone = || processes::unit(&mesh.data(), instance).is_empty().then_some(());
        until("its processes are gone", gone);
    }
    assert!(mesh.events().iter().any(|event| event.kind == "WorkloadDeleted"));
}

#[test]
fn a_plan_changes_nothing_and_the_same_file_twice_changes_nothing() {
    let mesh = Mesh::start();
    let file = mesh.unit("idle@.service", crate::support::mesh::IDLE, "Count=2\nSpread=datacenter");
    let revision = || mesh.status().read.unwrap().revision;

    let before = revision();
    mesh.kato(&["plan", &file]).code(2);
    mesh.kato(&["plan", &file, "-o", "json"]).code(2);
    assert_eq!(revision(), before, "a plan was committed");
    assert_eq!(mesh.instances("idle"), []);

    mesh.run(&[&file]);
    let (before, instances) = (revision(), mesh.instances("idle"));
    mesh.kato(&["plan", &file]).code(0);
    let again = mesh.kato(&["apply", "-y", &file]).code(0);
    assert!(again.out.contains("idle would stay as it is"), "{again:?}");
    assert_eq!(revision(), before, "the same file changed something");
    let places = |instances: &[Instance]| {
        let place = |i: &Instance| (i.id.clone(), i.epoch, i.machine.clone(), i.generation);
        instances.iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(places(&mesh.instances("idle")), places(&instances));
    assert!(mesh.instances("idle").iter().all(|i| i.state() == RunState::Running));
}
