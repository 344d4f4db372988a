//! An agent dies without a word: what it started does not notice.

use kato_proto::v1::RunState;
use rustix::process::Signal;

use crate::support::mesh::{IDLE, Mesh};
use crate::support::{figure, now, processes, until};

#[test]
fn units_outlive_their_agent_and_are_found_again() {
    let mesh = Mesh::start();
    // A program without children: its process ids are its own.
    let plain = mesh.unit("plain@.service", "ExecStart=/bin/sleep infinity", "Count=2");
    let single = mesh.unit("single.service", IDLE, "Singleton=yes");
    mesh.run(&[&plain, &single]);
    let ids = ["plain@1", "plain@2", "single@1"];
    let before = ids.map(|id| (mesh.instance(id).unwrap(), processes::pids(&mesh.data(), id)));
    let machine = before[0].0.machine.clone();
    let (name, datacenter) = machine.split_once(".cell-1.").unwrap();
    let incarnation = || {
        let machines = mesh.machines();
        machines.iter().find(|found| found.id == machine).map(|found| found.incarnation)
    };
    let first = incarnation().unwrap();

    let began = now();
    processes::agent(&mesh.data(), datacenter, name).signal(Signal::KILL);
    until("the agent has started anew", || incarnation().filter(|found| *found > first));
    until("its instances are reported again", || {
        mesh.instance("plain@1").filter(|plain| plain.state() == RunState::Running)
    });
    figure("from the kill of an agent to its status again", now().saturating_sub(began));
    for (instance, pids) in before {
        let after = until(&format!("{} runs", instance.id), || {
            mesh.instance(&instance.id).filter(|now| now.state() == RunState::Running)
        });
        assert_eq!((after.epoch, after.restarts), (instance.epoch, 0), "{after:?}");
        assert_eq!(processes::copies(&mesh.data(), &instance.id).len(), 1);
        if instance.id.starts_with("plain") {
            assert_eq!(processes::pids(&mesh.data(), &instance.id), pids, "{}", instance.id);
        }
    }
    assert!(!mesh.events().iter().any(|event| event.kind == "MachineLost"));
}
