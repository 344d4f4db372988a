//! Meshes on one host, begun at the same moment: none takes another's ports.

use std::fs::{self, File};
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::mesh::Mesh;
use crate::support::until;

#[test]
fn meshes_that_start_together_have_ports_of_their_own() {
    let host = Mesh::idle();
    let begin = |name: &str| -> Child {
        let log = File::create(host.home().join(format!("{name}.log"))).unwrap();
        let data = host.home().join(name);
        let mut command = host.command(&["dev", "--data-dir", data.to_str().unwrap()]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        command.spawn().unwrap()
    };
    let names = ["one", "two", "three"];
    let mut running = names.map(begin);
    let said = |name: &str| fs::read_to_string(host.home().join(format!("{name}.log"))).unwrap();
    let mut ended = Vec::new();
    for (name, dev) in names.into_iter().zip(&mut running) {
        until("it is ready or has given up", || {
            ended.extend(dev.try_wait().unwrap().map(|status| (name, status)));
            (said(name).contains("\nready in ") || !ended.is_empty()).then_some(())
        });
    }
    for dev in &mut running {
        if dev.try_wait().unwrap().is_none() {
            kill_process(Pid::from_child(dev), Signal::INT).unwrap();
        }
        until("it stops", || dev.try_wait().unwrap());
    }
    assert!(ended.is_empty(), "{ended:?}: {:#?}", names.map(said));
    let ports = names.map(|name| fs::read_to_string(host.home().join(name).join("ports")).unwrap());
    let mut ports: Vec<&str> = ports.iter().flat_map(|ports| ports.split_whitespace()).collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 9, "{ports:?}");
}
